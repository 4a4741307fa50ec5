//! Flexprice: metering. Customer events of an environment, through Svix (Cloud) or sent by itself (self-hosted).
//!
//! Sources: <https://docs.flexprice.io/developers/webhooks/signature-verification>,
//! <https://docs.svix.com/receiving/verifying-payloads/how-manual> and the `flexprice/flexprice` repository.

mod message;
mod payload;
mod sample;
mod signature;
mod translate;

use clientele_model::{CredentialFields, Provider, ResponseRules};

pub use sample::sample;

/// Everything that is particular to Flexprice.
pub const PROVIDER: Provider = Provider {
    name: "flexprice",
    scheme_variable: Some("FLEXPRICE_SIGNATURE"),
    scheme: signature::scheme,
    response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: None },
    translate: translate::translate,
    credential_fields: CredentialFields::NONE,
    dropped_paths: payload::DROPPED,
};
