//! The table of customers: one conditional write an event, and no read.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
};
use clientele_model::{Item, SORT_KEY};

use crate::attributes::to_attributes;
use crate::telemetry;

/// The customers' table.
#[derive(Clone, Debug)]
pub struct Customers {
    client: Client,
    table: String,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Put {
    /// The item is now the customer's state. In write units, as far as the service told.
    Written(Option<f64>),
    /// It is not: something that is not smaller stands already.
    Refused(Standing),
}

/// What stands in the way of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its rank.
    pub rank: String,
    /// The cleanup message that it still has to send.
    pub cleanup: Option<String>,
}

/// Why the table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The service could not be reached, or could not do it now: throttled, timed out, not allowed.
    #[error("the table cannot be written: {0}")]
    Unavailable(String),
    /// The table cannot hold the item: over 400 KB, for one.
    #[error("the table cannot hold the item: {0}")]
    Unstorable(String),
}

impl Customers {
    /// The table of that name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Writes the item if it is the greatest of its customer. This is all of idempotency, ordering, deletion and
    /// replay protection: taking a maximum in one atomic step.
    ///
    /// # Errors
    /// When the table could not be written, or cannot hold the item.
    pub async fn put(&self, item: &Item) -> Result<Put, StoreError> {
        let rank = AttributeValue::S(item.rank().to_owned());
        let serde_json::Value::Object(item) = serde_json::to_value(item).unwrap_or_default() else {
            return Err(StoreError::Unstorable("not an object".to_owned()));
        };
        let output = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_attributes(item)))
            .condition_expression("attribute_not_exists(pk) OR #rank < :rank")
            .expression_attribute_names("#rank", "rank")
            .expression_attribute_values(":rank", rank)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match output {
            Ok(output) => Ok(Put::Written(units(output.consumed_capacity))),
            Err(error) => refused(error),
        }
    }

    /// Takes the cleanup message out of the tombstone of that rank. If another stands there by now, it is left alone.
    /// Gives the write units, as far as the service told.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn clear_cleanup(&self, pk: &str, rank: &str) -> Result<Option<f64>, StoreError> {
        let output = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(SORT_KEY.to_owned()))
            .update_expression("REMOVE cleanup, cleanup_due")
            .condition_expression("#rank = :rank")
            .expression_attribute_names("#rank", "rank")
            .expression_attribute_values(":rank", AttributeValue::S(rank.to_owned()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match output {
            Ok(output) => Ok(units(output.consumed_capacity)),
            Err(error)
                if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(StoreError::Unavailable(telemetry::sdk_error(&error))),
        }
    }
}

fn units(capacity: Option<ConsumedCapacity>) -> Option<f64> {
    capacity.and_then(|capacity| capacity.capacity_units)
}

fn refused(error: SdkError<PutItemError>) -> Result<Put, StoreError> {
    let told = telemetry::sdk_error(&error);
    match error.into_service_error() {
        PutItemError::ConditionalCheckFailedException(refused) => {
            let text = |name| refused.item()?.get(name)?.as_s().ok().cloned();
            // Without the item nothing is known of what stands there; the delivery must be tried again.
            let rank = text("rank").ok_or(StoreError::Unavailable("no item with the failed condition".to_owned()))?;
            Ok(Put::Refused(Standing { rank, cleanup: text("cleanup") }))
        }
        error if error.code() == Some("ValidationException") => Err(StoreError::Unstorable(told)),
        _ => Err(StoreError::Unavailable(told)),
    }
}
