//! The keys of the list APIs, from the environment or from Secrets Manager.

use aws_sdk_secretsmanager::Client;
use clientele_flow::deadlines::API_KEY_WITHIN;
use clientele_model::{SecretEntry, SecretProblem};
use tokio::time::timeout;

use crate::sdk_error;

/// Where an API key comes from.
#[derive(Debug)]
pub enum ApiKeySource {
    /// From the variable itself, for local runs. It takes precedence over an ARN.
    Environment(SecretEntry),
    /// From Secrets Manager, under this ARN.
    SecretsManager(String),
}

/// Why a text is not an API key. It says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiKeyError {
    /// It begins as a list of secrets does.
    #[error("it {0}")]
    NotAList(SecretProblem),
    /// An API takes one key.
    #[error("it is not one key as plain text")]
    NotOneText,
}

/// Why an API key could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Secrets Manager did not return it.
    #[error("the API key was not fetched: Secrets Manager: {0}")]
    Unavailable(String),
    /// Nobody can read it.
    #[error("the API key in Secrets Manager is binary, and should be text")]
    Binary,
    /// It is not a key.
    #[error("the API key in Secrets Manager cannot be used: {0}")]
    Unusable(#[from] ApiKeyError),
}

impl ApiKeySource {
    /// The key, or none as long as no operator has set one.
    ///
    /// # Errors
    /// When Secrets Manager does not return it in time, or returns something else.
    pub(crate) async fn fetch(&self, secrets_manager: &Client) -> Result<Option<SecretEntry>, FetchError> {
        let arn = match self {
            Self::Environment(key) => return Ok(Some(key.clone())),
            Self::SecretsManager(arn) => arn,
        };
        let client = secrets_manager;
        let request = client.get_secret_value().secret_id(arn).send();
        let output =
            timeout(API_KEY_WITHIN, request).await.map_err(|_| FetchError::Unavailable("timed out".to_owned()))?;
        let output = output.map_err(|error| FetchError::Unavailable(sdk_error::describe(&error)))?;
        Ok(parse(output.secret_string().ok_or(FetchError::Binary)?)?)
    }
}

/// Reads an API key as an operator stores it: as plain text, or as the only element of a JSON array. There is no key as
/// long as the text is empty or an empty array, which is what a deployment creates.
pub(crate) fn parse(text: &str) -> Result<Option<SecretEntry>, ApiKeyError> {
    let mut entries = SecretEntry::list(text).map_err(ApiKeyError::NotAList)?;
    let key = entries.pop();
    let is_text = key.as_ref().is_none_or(|key| key.text().is_some_and(|text| !text.is_empty()));
    if entries.is_empty() && is_text { Ok(key) } else { Err(ApiKeyError::NotOneText) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_text_and_an_empty_list_is_none() {
        for (text, expected) in [
            ("key-of-this-test", Ok(Some("key-of-this-test"))),
            ("key-of-this-test\r\n", Ok(Some("key-of-this-test"))),
            (r#"["key-of-this-test"]"#, Ok(Some("key-of-this-test"))),
            ("[]", Ok(None)),
            ("", Ok(None)),
            (" \n", Ok(None)),
            (r#"["one", "two"]"#, Err(ApiKeyError::NotOneText)),
            (r#"[""]"#, Err(ApiKeyError::NotOneText)),
            ("[1]", Err(ApiKeyError::NotOneText)),
            ("[key", Err(ApiKeyError::NotAList(SecretProblem::NotAList))),
        ] {
            let key = parse(text).map(|key| key.map(|key| key.text().unwrap().to_string()));
            assert_eq!(key, expected.map(|key| key.map(str::to_owned)), "{text}");
        }
    }
}
