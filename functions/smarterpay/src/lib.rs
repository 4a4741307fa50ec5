//! SmarterPay Cloud: payments. Customer account events of V2 webhooks, which come in batches.
//!
//! Sources: the pages `webhooks/signature`, `webhooks/v2/structure` and `webhookapi` of the SmarterPay wiki.

mod payload;
mod sample;
mod signature;
mod translate;

use clientele_model::{CredentialFields, Provider, ResponseRules};

pub use sample::sample;

/// Everything that is particular to SmarterPay.
pub const PROVIDER: Provider = Provider {
    name: "smarterpay",
    scheme_variable: Some("SMARTERPAY_SIGNATURE"),
    scheme: signature::scheme,
    // 498 "Token Invalid" and 204 for events of no interest, as its API page asks.
    response_rules: ResponseRules { rejected_status: 498, ignored_status: 204, batch_field: Some("events") },
    translate: translate::translate,
    credential_fields: CredentialFields::NONE,
    dropped_paths: payload::DROPPED,
};
