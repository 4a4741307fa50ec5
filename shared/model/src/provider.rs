//! What each provider's crate defines: facts as data, and one pure function.

use crate::delivery::Verified;
use crate::event::Translation;
use crate::redaction::CredentialFields;
use crate::response::ResponseRules;
use crate::scheme::{Scheme, SchemeError};

/// A provider of webhooks, as data. Each provider's crate defines one as a constant.
pub struct Provider {
    /// The name in routes, keys, logs and messages: lower case, no spaces.
    pub name: &'static str,
    /// The environment variable that selects the signature scheme, where there is a choice.
    pub scheme_variable: Option<&'static str>,
    /// The scheme for a value of that variable (`None` if it is not set).
    pub scheme: fn(Option<&str>) -> Result<Scheme, SchemeError>,
    /// Whether a weak secret may be set, with a warning, because an operator cannot choose a better one.
    pub accepts_weak_secrets: bool,
    /// What the provider expects of our responses.
    pub response_rules: ResponseRules,
    /// Translates a delivery into our own terms: one result for each of its events.
    pub translate: fn(&Verified) -> Vec<Translation>,
    /// The fields in which the provider sends secrets. They are never stored, queued or logged.
    pub credential_fields: CredentialFields,
    /// The fields that are not stored, as dotted paths into the body. A `*` at the end matches any rest of a name. All
    /// other fields are in the item.
    pub dropped_paths: &'static [&'static str],
    /// The names in `extra` that are expected: fields without a place in the common model, and fields whose value may be
    /// one that is not understood. Any other name is an [unknown field](crate::UnknownFields): the provider sends
    /// something new.
    pub known_extra: &'static [&'static str],
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
