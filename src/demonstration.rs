//! Delivers every checked-in event once and shows the results.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_sqs::types::Message;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::events::{Case, Expected};
use crate::http::{self, Answer};
use crate::json_diff;
use crate::queue_browser::{MESSAGES_MAX, QueueBrowser};
use crate::stack::LocalStack;
use crate::text_table::{Cell, TextTable};

/// How long a cleanup message is hidden from other consumers, longer than the demonstration takes.
const HIDDEN_SECONDS: i32 = 600;

/// The result of one delivery.
#[derive(Debug)]
pub struct DeliveryResult {
    /// `<provider>/<case>`
    pub title: String,
    /// The answer.
    pub answer: Answer,
    /// The items of its customers after it, by `pk`.
    pub items: BTreeMap<String, Value>,
    /// The cleanup messages that it caused.
    pub cleanup: Vec<Value>,
    /// The differences from the expected result; `None` if it cannot be judged.
    pub differences: Option<Vec<String>>,
}

/// Signs every case now and delivers them through the gateway, one after the other.
///
/// # Errors
/// When the local stack cannot be reached.
pub async fn run(stack: &LocalStack, cases: &[Case]) -> Result<Vec<DeliveryResult>> {
    let now = Timestamp::now();
    let signed = cases.iter().map(|case| signed(stack, case, now)).collect::<Result<_>>()?;
    let url = stack.url();
    deliver_through(stack, signed, move |case| http::deliver(&url, &case.event, None)).await
}

/// The case as if it were sent `now`, signed for the stack.
///
/// # Errors
/// When it cannot be signed.
pub(crate) fn signed(stack: &LocalStack, case: &Case, now: Timestamp) -> Result<Case> {
    let (scheme, secret) = stack.scheme_and_secret(case.provider)?;
    Ok(Case { event: case.sign(&scheme, &secret, now)?, ..case.clone() })
}

/// Delivers the cases one after the other with `deliver`, and compares the results with those expected.
///
/// # Errors
/// When the local stack cannot be reached.
pub async fn deliver_through(
    stack: &LocalStack,
    cases: Vec<Case>,
    deliver: impl Fn(&Case) -> Result<Answer> + Clone + Send + 'static,
) -> Result<Vec<DeliveryResult>> {
    let mut observer = Observer::start(stack).await?;
    let mut results = vec![];
    for case in cases {
        let (expected, title, deliver) = (case.expected.clone(), case.title(), deliver.clone());
        let answer = tokio::task::spawn_blocking(move || deliver(&case)).await??;
        results.push(observer.result(title, answer, &expected).await?);
    }
    observer.stop().await;
    Ok(results)
}

/// Sees what each delivery changes. It hides the cleanup messages from other consumers until it is stopped.
#[derive(Debug)]
pub(crate) struct Observer<'a> {
    stack: &'a LocalStack,
    cleanup_queue: QueueBrowser,
    seen: Vec<Message>,
}

impl<'a> Observer<'a> {
    /// Messages that are already on the queue do not count.
    pub(crate) async fn start(stack: &'a LocalStack) -> Result<Self> {
        let cleanup_queue = QueueBrowser::new(&stack.clients.sqs, &stack.queue_urls["cleanup"], HIDDEN_SECONDS);
        let mut observer = Self { stack, cleanup_queue, seen: vec![] };
        while !observer.new_messages().await?.is_empty() {}
        Ok(observer)
    }

    /// The result of the delivery that has just been answered.
    pub(crate) async fn result(
        &mut self,
        title: String,
        answer: Answer,
        expected: &Expected,
    ) -> Result<DeliveryResult> {
        let items = items(self.stack, expected.items.keys()).await?;
        let cleanup = self.new_messages().await?;
        let mut result = DeliveryResult { title, answer, items, cleanup, differences: None };
        result.differences = Some(differences(&result, expected));
        Ok(result)
    }

    async fn new_messages(&mut self) -> Result<Vec<Value>> {
        let messages = self.cleanup_queue.receive(MESSAGES_MAX, 0).await?;
        let body = |message: &Message| serde_json::from_str(message.body().unwrap_or_default());
        let bodies = messages.iter().map(body).collect::<Result<_, _>>()?;
        self.seen.extend(messages);
        Ok(bodies)
    }

    /// Shows the messages to other consumers again.
    pub(crate) async fn stop(self) {
        self.cleanup_queue.put_back(&self.seen).await;
    }
}

/// The items of these keys, as far as they exist.
///
/// # Errors
/// When the table cannot be read.
pub async fn items(stack: &LocalStack, keys: impl Iterator<Item = &String>) -> Result<BTreeMap<String, Value>> {
    let mut items = BTreeMap::new();
    for pk in keys {
        items.extend(stack.customers_table().item(pk).await?.map(|item| (pk.clone(), item)));
    }
    Ok(items)
}

fn differences(result: &DeliveryResult, expected: &Expected) -> Vec<String> {
    let DeliveryResult { answer, items, cleanup, .. } = result;
    let actual = json!({ "status": answer.status, "answer": answer.body, "items": items, "cleanup": cleanup });
    let Expected { status, answer, items, cleanup, .. } = expected;
    let answer = answer.as_ref().map_or(String::new(), Value::to_string);
    let expected = json!({ "status": status, "answer": answer, "items": items, "cleanup": cleanup });
    let differences = json_diff::differences(&actual, &expected);
    // The time of arrival is different in every run.
    let differences = differences.iter().filter(|difference| !difference.path.ends_with(".last_event.received_at"));
    let value = |value: Option<&Value>| value.unwrap_or(&Value::Null).to_string();
    differences.map(|it| format!("{} is {}, should be {}", it.path, value(it.old), value(it.new))).collect()
}

/// The results as a table.
#[must_use]
pub fn table(results: &[DeliveryResult]) -> TextTable {
    let mut table = TextTable::new(["delivery", "status", "outcome", "customer", "name", "cleanup message", ""]);
    for row in results {
        let column = |text: fn(&Value) -> String| Cell::from(row.items.values().map(text).collect::<Vec<_>>());
        let is_expected = row.differences.as_ref().map(Vec::is_empty);
        table.add_row([
            Cell::from(&row.title),
            row.answer.status.to_string().into(),
            row.answer.outcome().into(),
            column(|item| item["customer_id"].as_str().unwrap_or_default().to_owned()),
            column(shown_name),
            row.cleanup.iter().map(shown_cleanup).collect::<Vec<_>>().into(),
            is_expected.map_or("", |is_expected| if is_expected { "✓" } else { "✗" }).into(),
        ]);
    }
    table
}

/// A customer's name, with a note if the customer is deleted or inactive.
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
