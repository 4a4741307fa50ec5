//! How errors of the SDK are described.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// The kind and code of an SDK error. Its message is left out, because it may quote what was sent.
#[must_use]
pub fn describe<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    match error {
        SdkError::ConstructionFailure(_) => "the request could not be built".to_owned(),
        SdkError::TimeoutError(_) => "timed out".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "timed out".to_owned(),
        SdkError::DispatchFailure(_) => "no connection".to_owned(),
        SdkError::ResponseError(_) => "the answer could not be read".to_owned(),
        SdkError::ServiceError(error) => error.err().code().unwrap_or("an error without a code").to_owned(),
        _ => "an unknown error".to_owned(),
    }
}
