//! What a delete costs if it reads the customer first, and what if it writes first and a refusal returns the customer. The
//! numbers are in docs/decisions/0018-a-delete-reads-first.md.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
};

use crate::support::stack;

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn units(capacity: Option<ConsumedCapacity>) -> f64 {
    capacity.and_then(|capacity| capacity.capacity_units).unwrap()
}

/// Puts a customer of so many bytes into the table.
async fn put_customer(client: &Client, bytes: usize) {
    let request =
        client.put_item().table_name("customers").item("pk", text("plain#w_1#c_1")).item("sk", text("customer"));
    request.item("extra", text(&"x".repeat(bytes - 40))).send().await.unwrap();
}

/// The units of a consistent read of the customer.
async fn read_units(client: &Client) -> f64 {
    let request = client.get_item().table_name("customers").consistent_read(true);
    let request = request.key("pk", text("plain#w_1#c_1")).key("sk", text("customer"));
    let output = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.unwrap();
    assert!(output.item.is_some());
    units(output.consumed_capacity)
}

/// Writes a tombstone of 600 bytes if there is no item. A refusal returns the customer, but not what it costs: AWS bills as many
/// units as the write would have cost.
async fn refusal_returns_the_customer(client: &Client) {
    let request =
        client.put_item().table_name("customers").item("pk", text("plain#w_1#c_1")).item("sk", text("customer"));
    let output = request
        .item("cleanup", text(&"x".repeat(560)))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await;
    let error = output.unwrap_err();
    let Some(PutItemError::ConditionalCheckFailedException(refusal)) = error.as_service_error() else {
        panic!("{error:?}")
    };
    assert!(refusal.item().unwrap().contains_key("extra"));
}

/// A read unit is 4 KB and a write unit 1 KB, and a write unit costs five times as much.
#[tokio::test]
async fn a_delete_that_reads_first_is_cheaper() {
    let stack = stack().await;
    let client = &stack.clients.dynamodb;
    for (bytes, expected) in [(600, "1"), (1_500, "1"), (4_000, "1"), (5_000, "2"), (20_000, "5")] {
        put_customer(client, bytes).await;
        assert_eq!(read_units(client).await.to_string(), expected, "{bytes} bytes");
        refusal_returns_the_customer(client).await;
    }
}
