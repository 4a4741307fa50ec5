//! The table of customers: one conditional write per event. Only deletes, the sweep and those who compare the table
//! with a provider's list read.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use clientele_flow::deadlines::START_WITHIN;
use clientele_flow::{
    CurrentItem, CustomerReader, CustomerScan, ItemPage, LiveItem, LiveItemPage, PendingCleanup, PendingCleanupPage,
    PutResult, ReplaceResult, Table, TableError, UnreadableItem,
};
use clientele_model::{Item, ItemError, SORT_KEY, Time, Tombstone};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::attributes::{from_attributes, to_attributes};
use crate::put_request::PutRequest;
use crate::sdk_error;

/// The sparse index of tombstones that still hold their cleanup message.
const CLEANUP_DUE_INDEX: &str = "cleanup-due";
/// How many of these tombstones are read at a time.
const PAGE_SIZE: i32 = 100;

/// The table of customers in DynamoDB.
#[derive(Clone, Debug)]
pub struct Customers {
    pub(crate) client: Client,
    pub(crate) table: String,
}

impl Customers {
    /// The table of that name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Opens the connection before the first delivery needs it. For this it makes a call that every receiver's role
    /// allows and that writes nothing, because no customer has this key. DynamoDB charges one write unit for the failed
    /// condition. The result is ignored.
    pub async fn connect(&self, provider: &str) {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", AttributeValue::S(format!("{provider}#")))
            .item("sk", AttributeValue::S(SORT_KEY.to_owned()))
            .condition_expression("attribute_exists(pk)");
        drop(timeout(START_WITHIN, request.send()).await);
    }
}

impl Table for Customers {
    /// This condition alone provides idempotency, ordering, finality of deletes and replay protection: in one atomic
    /// step, the table keeps the greater rank.
    async fn put(&self, item: &Item) -> Result<PutResult, TableError> {
        let request = PutRequest::new(&self.table, item).map_err(|error| TableError::Unstorable(error.to_string()))?;
        match request.send(&self.client).await {
            Ok(output) => Ok(PutResult::Written(units(output.consumed_capacity))),
            Err(error) => put_failure(&error),
        }
    }

    /// All that may change in an item without its rank is in its condition.
    async fn replace(&self, tombstone: &Tombstone, seen: Option<&Item>) -> Result<ReplaceResult, TableError> {
        let attributes = to_attributes(tombstone).map_err(|error| TableError::Unstorable(error.to_string()))?;
        let seen = seen.map(to_attributes).transpose().map_err(|error| TableError::Unstorable(error.to_string()))?;
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(attributes))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let request = match seen {
            None => request.condition_expression("attribute_not_exists(pk)"),
            Some(mut seen) => {
                let names = ["rank", "cleanup", "cleanup_due", "receipts", "erasure_open"];
                let is_tombstone = seen.contains_key("receipts");
                let names = if is_tombstone { &names[..] } else { &names[..1] };
                let mut conditions = vec![];
                let mut request = request;
                for name in names {
                    request = request.expression_attribute_names(format!("#{name}"), *name);
                    conditions.push(match seen.remove(*name) {
                        Some(value) => {
                            request = request.expression_attribute_values(format!(":{name}"), value);
                            format!("#{name} = :{name}")
                        }
                        None => format!("attribute_not_exists(#{name})"),
                    });
                }
                request.condition_expression(conditions.join(" AND "))
            }
        };
        match request.send().await {
            Ok(output) => Ok(ReplaceResult::Written(units(output.consumed_capacity))),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Ok(ReplaceResult::Changed)
            }
            Err(error) => Err(put_error(&error)),
        }
    }

    async fn item(&self, pk: &str) -> Result<Option<Result<Item, ItemError>>, TableError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(SORT_KEY.to_owned()))
            .consistent_read(true)
            .send()
            .await;
        let item = output.map_err(|error| unavailable(&error))?.item;
        Ok(item.map(|item| Item::try_from(from_attributes(item))))
    }

    async fn clear_cleanup(&self, pk: &str, rank: &str, message: &str) -> Result<Option<f64>, TableError> {
        let output = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(SORT_KEY.to_owned()))
            .update_expression("REMOVE cleanup, cleanup_due")
            .condition_expression("#rank = :rank AND cleanup = :message")
            .expression_attribute_names("#rank", "rank")
            .expression_attribute_values(":rank", AttributeValue::S(rank.to_owned()))
            .expression_attribute_values(":message", AttributeValue::S(message.to_owned()))
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
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn pending_cleanups(
        &self,
        due_by: Timestamp,
        after: Option<PendingCleanup>,
    ) -> Result<PendingCleanupPage, TableError> {
        let start_key = after.map(|PendingCleanup { pk, due }| {
            let key = [("pk", pk), ("sk", SORT_KEY.to_owned()), ("cleanup_due", due)];
            key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
        });
        let request = self.client.scan().table_name(&self.table).index_name(CLEANUP_DUE_INDEX).limit(PAGE_SIZE);
        // Messages that are held back for long must not be read one by one at each sweep.
        let request = request
            .filter_expression("cleanup_due <= :due_by")
            .expression_attribute_values(":due_by", AttributeValue::S(Time::in_milliseconds(due_by).to_string()));
        let page = request.set_exclusive_start_key(start_key).send().await.map_err(|error| unavailable(&error))?;
        let pending =
            |key: HashMap<_, _>| Some(PendingCleanup { pk: text(&key, "pk")?, due: text(&key, "cleanup_due")? });
        Ok(PendingCleanupPage {
            pending: page.items.unwrap_or_default().into_iter().filter_map(pending).collect(),
            next: page.last_evaluated_key.and_then(pending),
        })
    }

    async fn current_item(&self, pk: &str) -> Result<Option<CurrentItem>, TableError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(SORT_KEY.to_owned()))
            .projection_expression("#rank, cleanup, cleanup_due")
            .expression_attribute_names("#rank", "rank")
            .consistent_read(true)
            .send()
            .await;
        let item = output.map_err(|error| unavailable(&error))?.item;
        Ok(item.as_ref().and_then(current_item))
    }
}

impl CustomerReader for Customers {
    /// The whole table is read, because no index has the account. Each page is one call, so it may be empty.
    async fn live_items(
        &self,
        provider: &str,
        account: &str,
        after: Option<String>,
    ) -> Result<LiveItemPage, TableError> {
        let start_key = after.map(|pk| {
            let key = [("pk", pk), ("sk", SORT_KEY.to_owned())];
            key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
        });
        let values = [(":provider", provider), (":account", account), (":deleted", "deleted")];
        let values = values.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
        let request = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("provider = :provider AND account = :account AND #status <> :deleted")
            .projection_expression("pk, customer_id, #rank")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#rank", "rank")
            .set_expression_attribute_values(Some(values.into()))
            .set_exclusive_start_key(start_key);
        let page = request.send().await.map_err(|error| unavailable(&error))?;
        let live = |item: HashMap<_, _>| {
            Some(LiveItem {
                pk: text(&item, "pk")?,
                customer_id: text(&item, "customer_id")?,
                rank: text(&item, "rank")?,
            })
        };
        Ok(LiveItemPage {
            items: page.items.unwrap_or_default().into_iter().filter_map(live).collect(),
            next: page.last_evaluated_key.and_then(|key| text(&key, "pk")),
        })
    }
}

impl CustomerScan for Customers {
    /// Each page is one call, of 1 MB.
    async fn items_after(&self, pk: Option<String>) -> Result<ItemPage, TableError> {
        let start_key = pk.map(|pk| {
            let key = [("pk", pk), ("sk", SORT_KEY.to_owned())];
            key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
        });
        let request = self.client.scan().table_name(&self.table).consistent_read(true);
        let page = request.set_exclusive_start_key(start_key).send().await.map_err(|error| unavailable(&error))?;
        let item = |item: HashMap<_, _>| {
            let pk = text(&item, "pk").unwrap_or_default();
            Item::try_from(from_attributes(item)).map_err(|error| UnreadableItem { pk, why: error.to_string() })
        };
        Ok(ItemPage {
            items: page.items.unwrap_or_default().into_iter().map(item).collect(),
            next: page.last_evaluated_key.and_then(|key| text(&key, "pk")),
        })
    }
}

pub(crate) fn text(item: &HashMap<String, AttributeValue>, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

pub(crate) fn unavailable<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> TableError {
    TableError::Unavailable(sdk_error::describe(error))
}

fn units(capacity: Option<ConsumedCapacity>) -> Option<f64> {
    capacity.and_then(|capacity| capacity.capacity_units)
}

fn current_item(item: &HashMap<String, AttributeValue>) -> Option<CurrentItem> {
    Some(CurrentItem {
        rank: text(item, "rank")?,
        cleanup: text(item, "cleanup"),
        cleanup_due: text(item, "cleanup_due"),
    })
}

fn put_failure(error: &SdkError<PutItemError>) -> Result<PutResult, TableError> {
    match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(failure)) => {
            // Without the current item it is unknown whether the event is a duplicate, so it must be tried again.
            let current = failure.item().and_then(current_item);
            let missing = || TableError::Unavailable("no item with the failed condition".to_owned());
            current.map(PutResult::ConditionFailed).ok_or_else(missing)
        }
        _ => Err(put_error(error)),
    }
}

fn put_error(error: &SdkError<PutItemError>) -> TableError {
    let description = sdk_error::describe(error);
    if error.code() == Some("ValidationException") {
        let is_too_large = error.message().is_some_and(|message| message.contains("Item size"));
        TableError::Unstorable(if is_too_large { "it is larger than 400 KB".to_owned() } else { description })
    } else {
        TableError::Unavailable(description)
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use serde_json::json;

    use super::*;
    use crate::clients::{CallTimeouts, Clients};

    #[derive(Clone, Debug)]
    struct FixedResponse(u16, String);

    impl HttpConnector for FixedResponse {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let Self(status, body) = self.clone();
            let status = http::StatusCode::from_u16(status).unwrap();
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.into(), SdkBody::from(body))))
        }
    }

    /// A table whose service always gives this response.
    fn responding(status: u16, body: &serde_json::Value) -> Customers {
        let connector = SharedHttpConnector::new(FixedResponse(status, body.to_string()));
        let http = http_client_fn(move |_, _| connector.clone());
        let clients =
            Clients::local_with_http(http, "http://127.0.0.1:9", "http://127.0.0.1:9", CallTimeouts::Function);
        Customers::new(clients.dynamodb, "customers".to_owned())
    }

    fn failing(error: &str) -> Customers {
        responding(400, &json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{error}") }))
    }

    fn assert_unavailable<T>(result: Result<T, TableError>, error: &str) {
        assert!(
            matches!(&result, Err(TableError::Unavailable(why)) if why.contains(error)),
            "not {error}: {:?}",
            result.err()
        );
    }

    #[tokio::test]
    async fn clearing_a_cleanup_distinguishes_a_changed_item_from_a_failure() {
        let capacity = json!({ "ConsumedCapacity": { "CapacityUnits": 1.5 } });
        assert_eq!(responding(200, &capacity).clear_cleanup("a", "1", "{}").await, Ok(Some(1.5)));
        assert_eq!(failing("ConditionalCheckFailedException").clear_cleanup("a", "1", "{}").await, Ok(None));
        for error in ["ResourceNotFoundException", "ThrottlingException"] {
            assert_unavailable(failing(error).clear_cleanup("a", "1", "{}").await, error);
        }
    }

    #[tokio::test]
    async fn an_item_that_is_too_large_is_said_to_be() {
        let message = "Item size has exceeded the maximum allowed size";
        for (message, expected) in [(message, "it is larger than 400 KB"), ("another mistake", "ValidationException")] {
            let error = json!({ "__type": "com.amazon.coral.validate#ValidationException", "message": message });
            let customers = responding(400, &error);
            let tombstone = json!({ "pk": "a", "sk": SORT_KEY, "provider": "plain", "account": "w_1", "customer_id": "c_1",
                "status": "deleted", "deleted_at": "2026-11-20T12:00:00Z", "rank": "1", "schema": 1,
                "last_event": { "type": "customer.deleted", "received_at": "2026-11-20T12:00:00Z" } });
            let item = Item::try_from(tombstone.as_object().unwrap().clone()).unwrap();
            let Err(TableError::Unstorable(why)) = customers.put(&item).await else { panic!("it is stored") };
            assert!(why.contains(expected), "{why}");
        }
    }

    /// A newer version may write attributes that this one does not know.
    #[tokio::test]
    async fn an_item_of_another_version_is_reported() {
        let item = json!({ "Item": { "pk": { "S": "a" }, "more": { "S": "Ada" } } });
        assert!(matches!(responding(200, &item).item("a").await, Ok(Some(Err(ItemError)))));
    }

    #[tokio::test]
    async fn failed_reads_are_reported() {
        let error = "ResourceNotFoundException";
        assert_unavailable(failing(error).pending_cleanups(Timestamp::UNIX_EPOCH, None).await, error);
        assert_unavailable(failing(error).current_item("a").await, error);
        assert_unavailable(failing(error).item("a").await, error);
        assert_unavailable(failing(error).live_items("plain", "w_1", None).await, error);
    }
}
