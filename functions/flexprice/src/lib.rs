//! Flexprice is a metering service. Its customers belong to an environment. Flexprice Cloud sends webhooks through
//! Svix, self-hosted installations send them directly.
//!
//! Sources: <https://docs.flexprice.io/developers/webhooks/signature-verification>,
//! <https://docs.svix.com/receiving/verifying-payloads/how-manual> and the `flexprice/flexprice` repository.

mod list_stand_in;
mod listing;
mod message;
mod payload;
mod sample;
mod signature;
mod translate;

use clientele_model::{Provider, ResponseRules};

pub use list_stand_in::LIST_STAND_IN;
pub use listing::LISTING;
pub use sample::sample;

/// What the other crates need to know about Flexprice.
pub const PROVIDER: Provider = Provider {
    name: "flexprice",
    scheme_variable: Some("FLEXPRICE_SIGNATURE"),
    scheme: signature::scheme,
    accepts_weak_secrets: false,
    response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: None },
    translate: translate::translate,
    credential_fields: payload::CREDENTIALS,
    dropped_paths: payload::DROPPED,
    known_extra: payload::KNOWN_EXTRA,
};
