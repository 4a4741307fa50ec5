//! Plain.com is a support service. Its customers belong to a workspace.
//!
//! Sources: <https://www.plain.com/docs/webhooks>, <https://www.plain.com/docs/request-signing>, and the schemas of
//! the `team-plain/sdk` repository.

mod graphql;
mod list_record;
mod list_stand_in;
mod list_walk;
mod listing;
mod payload;
mod sample;
mod signature;
mod translate;
mod webhook_targets;

use clientele_model::{Provider, ResponseRules};

pub use list_stand_in::{LIST_STAND_IN, webhook_target_record};
pub use listing::LISTING;
pub use sample::sample;
pub use webhook_targets::{WEBHOOK_TARGETS_PERMISSION, WebhookTargetState, WebhookTargets, webhook_targets_request};

/// What the other crates need to know about Plain.
pub const PROVIDER: Provider = Provider {
    name: "plain",
    scheme_variable: None,
    scheme: signature::scheme,
    // Plain generates its secret.
    accepts_weak_secrets: true,
    response_rules: ResponseRules { rejected_status: 401, ignored_status: 200, batch_field: None },
    translate: translate::translate,
    credential_fields: payload::CREDENTIALS,
    dropped_paths: payload::DROPPED,
    known_extra: payload::KNOWN_EXTRA,
};
