//! The demonstration: every checked-in event is delivered once, and what came of it is shown.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_dynamodb::types::AttributeValue;
use clientele_aws::{Clients, from_attributes};
use clientele_model::SORT_KEY;
use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::events::{Case, Expected, Fresh};
use crate::http::{self, Answer};
use crate::stack::Stack;

/// What came of one event.
#[derive(Debug)]
pub struct Row {
    /// `<provider>/<case>`
    pub title: String,
    /// The answer.
    pub answer: Answer,
    /// The items of its customers, by `pk`.
    pub items: BTreeMap<String, Value>,
    /// The cleanup messages that it sent.
    pub cleanup: Vec<Value>,
    /// How it differs from what was expected; `None` where that is not judged.
    pub differences: Option<Vec<String>>,
}

/// An event on its way.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Which case it is.
    pub case: Case,
    /// The API Gateway event.
    pub event: Value,
    /// What should come of it.
    pub expected: Expected,
}

/// Delivers every case through the gateway, one after the other, signed now.
///
/// # Errors
/// When something cannot be reached.
pub async fn run(stack: &Stack, cases: &[Case]) -> Result<Vec<Row>> {
    let now = Timestamp::now();
    let fresh = cases.iter().map(|case| fresh(stack, case, now)).collect::<Result<Vec<_>>>()?;
    let mut moved = BTreeMap::<_, Vec<_>>::new();
    for (case, fresh) in cases.iter().zip(&fresh) {
        moved.entry(case.provider.name).or_default().extend(fresh.moved.clone());
    }
    let delivery = |(case, Fresh { event, .. }): (&Case, Fresh)| {
        let expected = case.expected_after(moved.get(case.provider.name).map_or(&[], Vec::as_slice))?;
        Ok(Delivery { case: case.clone(), event, expected })
    };
    let deliveries = cases.iter().zip(fresh).map(delivery).collect::<Result<_>>()?;
    let url = stack.url();
    run_through(stack, deliveries, move |delivery| http::deliver(&url, &delivery.event, None)).await
}

/// Delivers the events one after the other, in whatever way `deliver` does, and looks at what came of each.
///
/// # Errors
/// When something cannot be reached.
pub async fn run_through(
    stack: &Stack,
    deliveries: Vec<Delivery>,
    deliver: impl Fn(&Delivery) -> Result<Answer> + Clone + Send + 'static,
) -> Result<Vec<Row>> {
    let mut rows = vec![];
    let mut watch = Watch { stack, receipts: vec![] };
    while !watch.look().await?.is_empty() {}
    for delivery in deliveries {
        let (expected, title, deliver) = (delivery.expected.clone(), delivery.case.title(), deliver.clone());
        let answer = tokio::task::spawn_blocking(move || deliver(&delivery)).await??;
        let items = items(stack, expected.items.keys()).await?;
        let cleanup = watch.look().await?;
        let mut row = Row { title, answer, items, cleanup, differences: None };
        row.differences = Some(differences(&row, &expected));
        rows.push(row);
    }
    watch.put_back().await?;
    Ok(rows)
}

fn fresh(stack: &Stack, case: &Case, now: Timestamp) -> Result<Fresh> {
    let (scheme, secret) = stack.proof(case.provider)?;
    case.fresh(&scheme, &secret, now)
}

/// The items of these keys, as far as they are there.
///
/// # Errors
/// When the table cannot be read.
pub async fn items(stack: &Stack, keys: impl Iterator<Item = &String>) -> Result<BTreeMap<String, Value>> {
    let mut items = BTreeMap::new();
    for pk in keys {
        items.extend(item(&stack.clients, "customers", pk).await?.map(|item| (pk.clone(), item)));
    }
    Ok(items)
}

/// The item of a key as it is now, if it is there.
///
/// # Errors
/// When the table cannot be read.
pub async fn item(clients: &Clients, table: &str, pk: &str) -> Result<Option<Value>> {
    let request = clients.dynamodb.get_item().table_name(table).consistent_read(true);
    let request = request.key("pk", AttributeValue::S(pk.to_owned()));
    let output = request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).send().await?;
    Ok(output.item.map(from_attributes).map(Value::Object))
}

/// Looks at the cleanup queue without taking anything from it: what is seen is hidden for a while, and put back.
struct Watch<'a> {
    stack: &'a Stack,
    receipts: Vec<String>,
}

impl Watch<'_> {
    /// The messages that were not seen before.
    async fn look(&mut self) -> Result<Vec<Value>> {
        let url = &self.stack.queue_urls["cleanup"];
        let request = self.stack.clients.sqs.receive_message().queue_url(url).max_number_of_messages(10);
        let messages = request.visibility_timeout(600).send().await?.messages.unwrap_or_default();
        self.receipts.extend(messages.iter().filter_map(|message| message.receipt_handle.clone()));
        messages.iter().map(|message| Ok(serde_json::from_str(message.body().unwrap_or_default())?)).collect()
    }

    async fn put_back(self) -> Result<()> {
        for receipt in self.receipts {
            let request = self.stack.clients.sqs.change_message_visibility().receipt_handle(receipt);
            request.queue_url(&self.stack.queue_urls["cleanup"]).visibility_timeout(0).send().await?;
        }
        Ok(())
    }
}

fn differences(row: &Row, expected: &Expected) -> Vec<String> {
    let answer = expected.answer.as_ref().map_or(String::new(), Value::to_string);
    let mut differences = vec![];
    compare("status", &json!(row.answer.status), &json!(expected.status), &mut differences);
    compare("answer", &json!(row.answer.body), &json!(answer), &mut differences);
    compare("items", &timeless(&row.items), &timeless(&expected.items), &mut differences);
    compare("cleanup", &json!(row.cleanup), &json!(expected.cleanup), &mut differences);
    differences
}

/// Names the leaves that differ.
fn compare(path: &str, is: &Value, should: &Value, differences: &mut Vec<String>) {
    match (is, should) {
        (Value::Object(is), Value::Object(should)) => {
            for name in is.keys().chain(should.keys().filter(|name| !is.contains_key(*name))) {
                let [is, should] = [is, should].map(|object| object.get(name).unwrap_or(&Value::Null));
                compare(&format!("{path}.{name}"), is, should, differences);
            }
        }
        _ if is == should => {}
        _ => differences.push(format!("{path} is {is}, should be {should}")),
    }
}

/// Items without their time of arrival.
fn timeless(items: &BTreeMap<String, Value>) -> Value {
    let mut items = items.clone();
    for item in items.values_mut() {
        item["last_event"].as_object_mut().and_then(|event| event.remove("received_at"));
    }
    json!(items)
}

/// The rows as a table to look at.
#[must_use]
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["delivery", "status", "outcome", "customer", "name", "cleanup message", ""]);
    for row in rows {
        let column = |text: fn(&Value) -> String| row.items.values().map(text).collect::<Vec<_>>().join("\n");
        table.add_row([
            row.title.clone(),
            row.answer.status.to_string(),
            row.answer.outcome(),
            column(|item| item["customer_id"].as_str().unwrap_or_default().to_owned()),
            column(shown_name),
            row.cleanup.iter().map(shown_cleanup).collect::<Vec<_>>().join("\n"),
            row.differences.as_ref().map_or("", |them| if them.is_empty() { "✓" } else { "✗" }).to_owned(),
        ]);
    }
    table
}

/// A customer's name, or what stands where one was.
#[must_use]
pub fn shown_name(item: &Value) -> String {
    match (item["status"].as_str(), item["name"].as_str()) {
        (Some("deleted"), _) => "(deleted)".to_owned(),
        (Some("inactive"), name) => format!("{} (inactive)", name.unwrap_or_default()),
        (_, name) => name.unwrap_or_default().to_owned(),
    }
}

fn shown_cleanup(message: &Value) -> String {
    let text = |name: &str| message[name].as_str().unwrap_or_default();
    format!("{} {}", text("type"), text("external_id"))
}
