//! The list of all providers. A new provider is one more name in `registry!` below, and one more dependency.

use clientele_model::{ListStandIn, Listing, Provider, SampleDelivery, SampleEvent, Scheme};

macro_rules! registry {
    ($($provider:ident),+) => {
        /// All providers, in the order in which they are shown.
        pub static PROVIDERS: &[&Provider] = &[$(&$provider::PROVIDER),+];

        /// The sample deliveries of each provider. Apart from [`PROVIDERS`], so that no function contains them.
        static SAMPLES: &[fn(&[SampleEvent]) -> SampleDelivery] = &[$($provider::sample),+];

        /// How to read the customers of each provider without webhooks. Apart from [`PROVIDERS`] for the same reason.
        static LISTINGS: &[&Listing] = &[$(&$provider::LISTING),+];
    };
}

/// The stand-ins of the providers that have a list API.
static LIST_STAND_INS: &[(&str, &ListStandIn)] = &[
    (clientele_metrifox::PROVIDER.name, &clientele_metrifox::LIST_STAND_IN),
    (clientele_plain::PROVIDER.name, &clientele_plain::LIST_STAND_IN),
    (clientele_flexprice::PROVIDER.name, &clientele_flexprice::LIST_STAND_IN),
];

registry!(clientele_metrifox, clientele_smarterpay, clientele_plain, clientele_flexprice);

/// The provider with that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().copied().find(|provider| provider.name == name)
}

/// How to read the provider's customers without webhooks.
///
/// # Panics
/// When the provider is not in the list.
#[must_use]
#[expect(clippy::expect_used, reason = "every provider comes from the list")]
pub fn listing(provider: &Provider) -> &'static Listing {
    LISTINGS.iter().copied().find(|listing| listing.provider.name == provider.name).expect("listed")
}

/// The provider with that name, as an argument on a command line.
///
/// # Errors
/// When there is none; the message lists all names.
pub fn parse(name: &str) -> Result<&'static Provider, String> {
    find(name).ok_or_else(|| format!("there is no provider `{name}`; there are {}", names().join(", ")))
}

/// The names of all providers.
#[must_use]
pub fn names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name).collect()
}

/// The provider's secret on the local stack and in the event files. It is public, and no function accepts it unless it
/// is configured.
#[must_use]
pub fn local_secret(provider: &Provider) -> String {
    match (provider.scheme)(None) {
        Ok(Scheme::Svix) => "whsec_Y2xpZW50ZWxlLWxvY2FsLXNlY3JldC0wMDAwMDAwMDA=".to_owned(),
        Ok(Scheme::Basic) => format!("{}:local-secret", provider.name),
        _ => format!("{}-local-secret", provider.name),
    }
}

/// The stand-in for the provider's list API, unless it has none. For the local stack and the tests.
#[must_use]
pub fn list_stand_in(provider: &Provider) -> Option<&'static ListStandIn> {
    LIST_STAND_INS.iter().find(|(name, _)| *name == provider.name).map(|(_, stand_in)| *stand_in)
}

/// The key that the stand-in for the provider's list API on the local stack takes. It is public.
#[must_use]
pub fn local_api_key(provider: &Provider) -> String {
    format!("{}-local-api-key", provider.name)
}

/// A delivery in the provider's format that reports `events`: exactly one, unless the provider sends batches. For tests.
///
/// # Panics
/// When the provider is not in the list.
#[must_use]
#[expect(clippy::expect_used, reason = "every provider comes from the list")]
pub fn sample(provider: &Provider, events: &[SampleEvent]) -> SampleDelivery {
    let (_, sample) = PROVIDERS.iter().zip(SAMPLES).find(|(listed, _)| listed.name == provider.name).expect("listed");
    sample(events)
}
