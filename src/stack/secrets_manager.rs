//! A stand-in for Secrets Manager, limited to the one call that the functions make.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// Secrets by ARN. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct SecretsManager(Arc<Mutex<BTreeMap<String, SecretText>>>);

struct SecretText(String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl SecretsManager {
    pub(super) fn set(&self, arn: String, text: String) {
        self.secrets().insert(arn, SecretText(text));
    }

    /// Status and body of the response to `GetSecretValue`.
    pub(super) fn get_secret_value(&self, request: &Value) -> (u16, Value) {
        let arn = request["SecretId"].as_str().unwrap_or_default();
        match self.secrets().get(arn) {
            Some(SecretText(text)) => (200, json!({ "ARN": arn, "Name": arn, "SecretString": text })),
            None => (400, json!({ "__type": "ResourceNotFoundException", "message": "no such secret" })),
        }
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, SecretText>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
