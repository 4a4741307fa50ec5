//! The providers that Clientele knows. A fifth is one more line here.

use clientele_model::Provider;

/// A provider, and its secret on the local stack.
#[derive(Debug)]
pub struct Known {
    /// What the provider's crate gives.
    pub provider: &'static Provider,
    /// Fixed and printed, so that the checked-in events stay valid. Good for nothing else.
    pub local_secret: &'static str,
}

/// All of them, in the order in which they are shown.
pub static PROVIDERS: [Known; 4] = [
    Known { provider: &clientele_metrifox::PROVIDER, local_secret: "metrifox-local-secret" },
    Known { provider: &clientele_smarterpay::PROVIDER, local_secret: "smarterpay-local-secret" },
    Known { provider: &clientele_plain::PROVIDER, local_secret: "plain-local-secret" },
    Known {
        provider: &clientele_flexprice::PROVIDER,
        local_secret: "whsec_Y2xpZW50ZWxlLWxvY2FsLXNlY3JldC0wMDAwMDAwMDA=",
    },
];

/// The provider of that name.
#[must_use]
pub fn known(name: &str) -> Option<&'static Known> {
    PROVIDERS.iter().find(|known| known.provider.name == name)
}

/// The provider of that name, or an error that lists all.
///
/// # Errors
/// When there is none.
pub fn parse(name: &str) -> Result<&'static Known, String> {
    known(name).ok_or_else(|| format!("there is no provider `{name}`; there are {}", names().join(", ")))
}

/// The names of all.
#[must_use]
pub fn names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|known| known.provider.name).collect()
}
