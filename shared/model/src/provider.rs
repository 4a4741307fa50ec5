//! What a provider's crate gives: facts, and one pure function.

use crate::answer::Dialect;
use crate::delivery::Verified;
use crate::event::Translation;
use crate::redact::Credentials;
use crate::signature::{Scheme, SchemeError};

/// A provider of webhooks, as data. Each function crate has one as a constant.
pub struct Provider {
    /// The name in routes, keys, logs and messages: lower case, no spaces.
    pub name: &'static str,
    /// The environment variable that chooses the signature scheme, where there is a choice.
    pub scheme_variable: Option<&'static str>,
    /// The scheme for a value of that variable (`None`: not set).
    pub scheme: fn(Option<&str>) -> Result<Scheme, SchemeError>,
    /// How the provider wants to be answered.
    pub dialect: Dialect,
    /// The provider's words become ours: one result for each event of the delivery.
    pub translate: fn(&Verified) -> Vec<Translation>,
    /// Secrets that the provider puts into a payload: never stored, queued or logged.
    pub credentials: Credentials,
    /// The written list of what is dropped, as dotted paths into the body; `*` at the end stands for any rest of a
    /// name. Everything else is in the item.
    pub dropped: &'static [&'static str],
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
