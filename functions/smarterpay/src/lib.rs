//! SmarterPay Cloud is a payment service. Its V2 webhooks send events of customer accounts in batches.
//!
//! Sources: the pages `webhooks/signature`, `webhooks/v2/structure` and `webhookapi` of the SmarterPay wiki.

mod listing;
mod payload;
mod sample;
mod signature;
mod translate;

use clientele_model::{Provider, ResponseRules};

pub use listing::LISTING;
pub use sample::sample;

/// What the other crates need to know about SmarterPay.
pub const PROVIDER: Provider = Provider {
    name: "smarterpay",
    scheme_variable: Some("SMARTERPAY_SIGNATURE"),
    scheme: signature::scheme,
    accepts_weak_secrets: false,
    // SmarterPay's API page asks for 498 "Token Invalid", and for 204 in answer to events of other types.
    response_rules: ResponseRules { rejected_status: 498, ignored_status: 204, batch_field: Some("events") },
    translate: translate::translate,
    credential_fields: payload::CREDENTIALS,
    dropped_paths: payload::DROPPED,
    known_extra: payload::KNOWN_EXTRA,
};
