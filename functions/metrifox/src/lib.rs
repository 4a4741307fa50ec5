//! Metrifox is a billing service. Its customers belong to a tenant.
//!
//! Sources: <https://docs.metrifox.com/webhooks> and the pages of the three customer events there.

mod list_stand_in;
mod listing;
mod payload;
mod sample;
mod signature;
mod translate;

use clientele_model::{Provider, ResponseRules};

pub use list_stand_in::LIST_STAND_IN;
pub use listing::LISTING;
pub use sample::sample;

/// What the other crates need to know about Metrifox.
pub const PROVIDER: Provider = Provider {
    name: "metrifox",
    scheme_variable: Some("METRIFOX_SIGNATURE"),
    scheme: signature::scheme,
    accepts_weak_secrets: false,
    response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: None },
    translate: translate::translate,
    credential_fields: payload::CREDENTIALS,
    dropped_paths: payload::DROPPED,
    known_extra: payload::KNOWN_EXTRA,
};
