//! The least that a receiver can cost with the AWS SDK as it comes: each event causes the one conditional write that a
//! receiver cannot avoid, of the item that Plain's receiver writes for `events/plain/customer-updated.json`. Nothing is
//! verified, translated, ranked or logged. `functions` compares the receivers with it.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue::{self, Bool, L, M, N};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

type Attributes = HashMap<String, AttributeValue>;

/// Reading them from anything would be work that a receiver can do faster or slower.
fn item() -> Attributes {
    let author = [("type", text("user")), ("id", text("u_01KB2N8Q4RWX6Y0ZT3V5S7M9CE"))];
    let origin = [("type", text("system")), ("id", text("email_inbound_handler"))];
    let email = [
        ("email", text("Grace.Hopper@Example.org")),
        ("primary", Bool(true)),
        ("verified", Bool(true)),
        ("verified_at", text("2026-11-21T08:14:55.307Z")),
    ];
    let profile = [
        ("display_name", text("Grace Hopper")),
        ("short_name", text("Grace")),
        ("emails", L(vec![M(attributes(email))])),
        ("created_by", M(attributes(origin))),
        ("updated_by", M(attributes(author))),
    ];
    let last_event = [
        ("id", text("pEv_01KB2PM7D3NQS5T9VXA2C4E6GJ")),
        ("type", text("customer.customer_updated")),
        ("received_at", text("2026-11-21T10:30:00Z")),
    ];
    attributes([
        ("pk", text("plain#w_01KB2K1F6HAJ8C0D2E4G5M7NPR#c_01KB2M5T9VXZ3Q6R8S0W1Y4ACE")),
        ("sk", text("customer")),
        ("schema", N("1".to_owned())),
        ("rank", text(RANK)),
        ("provider", text("plain")),
        ("account", text("w_01KB2K1F6HAJ8C0D2E4G5M7NPR")),
        ("customer_id", text("c_01KB2M5T9VXZ3Q6R8S0W1Y4ACE")),
        ("external_id", text("crm-1906")),
        ("status", text("active")),
        ("name", text("Grace Hopper")),
        ("email", text("grace.hopper@example.org")),
        ("profile", M(attributes(profile))),
        ("extra", M(HashMap::new())),
        ("created_at", text("2026-11-03T07:41:19.650Z")),
        ("updated_at", text("2026-11-21T10:29:58.412Z")),
        ("last_event", M(attributes(last_event))),
    ])
}

const RANK: &str = "0.80066419d2b6c8e0.2.80066419d2b72c40.00000000.pEv_01KB2PM7D3NQS5T9VXA2C4E6GJ";

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn attributes<const COUNT: usize>(named: [(&str, AttributeValue); COUNT]) -> Attributes {
    named.map(|(name, value)| (name.to_owned(), value)).into()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::new(&aws_config::load_from_env().await);
    let table = std::env::var("TABLE_NAME")?;
    run(service_fn(async |_: LambdaEvent<Value>| {
        // The write of `shared/aws/src/put_request.rs`, which also asks for the consumed capacity and the stored item.
        let write = client.put_item().table_name(&table).set_item(Some(item()));
        let write = write.condition_expression("attribute_not_exists(pk) OR #rank < :rank");
        let write = write.expression_attribute_names("#rank", "rank");
        write.expression_attribute_values(":rank", text(RANK)).send().await?;
        let headers = json!({ "content-type": "application/json" });
        Ok::<_, Error>(json!({ "statusCode": 200, "headers": headers, "body": r#"{"outcome":"applied"}"# }))
    }))
    .await
}
