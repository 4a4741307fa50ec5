//! The story that the local stack tells when it starts: one person in all four services, with everything that happens to
//! webhooks. Every step is a real delivery, and its result is compared with the expected one.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::customer_card;
use crate::demonstration::{DeliveryResult, Observer, shown_name, signed};
use crate::events::{Case, Expected};
use crate::http::{self, Answer};
use crate::stack::faults::{Fault, FaultMode, Service};
use crate::stack::{EventSourceMapping, LocalStack};
use crate::terminal::visible;
use crate::text_table::TextTable;

/// The most columns of what is shown.
const COLUMNS_MAX: usize = 100;
/// Where the values of an item begin.
const INDENT: usize = 11;
/// The provider whose item is shown completely.
const SHOWN_PROVIDER: &str = "plain";

/// What happens in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The event is delivered.
    Deliver,
    /// The event is delivered while the table fails.
    DeliverWithoutTable,
    /// The table works again, and what was kept of the event is replayed.
    Replay,
}

struct Step {
    event: &'static str,
    action: Action,
    outcome: &'static str,
    /// What the outcome means, in words for somebody who has never seen the project.
    shows: &'static str,
}

#[rustfmt::skip]
const STEPS: [Step; 12] = [
    step("metrifox/customer-created", Action::Deliver, "applied", "Metrifox (billing) has a new customer: Ada"),
    step("smarterpay/customer-created", Action::Deliver, "applied", "SmarterPay (payments) has her, too"),
    step("flexprice/to-be-deleted", Action::Deliver, "applied", "and so has Flexprice (metering)"),
    step("plain/customer-created", Action::Deliver, "applied", "Plain (support) has an older address"),
    step("plain/customer-updated", Action::Deliver, "applied", "now all four have the same external id"),
    step("plain/duplicate", Action::Deliver, "duplicate", "the same webhook again changes nothing"),
    step("plain/stale", Action::Deliver, "stale", "an older change arrives late: not written"),
    step("plain/tampered", Action::Deliver, "rejected", "forged: the signature is wrong"),
    step("metrifox/customer-updated", Action::DeliverWithoutTable, "parked", "the table fails: kept on the inbox queue"),
    step("metrifox/customer-updated", Action::Replay, "applied", "the table is back: replay writes it"),
    step("flexprice/customer-deleted", Action::Deliver, "applied", "erased; a message asks others to erase"),
    step("flexprice/updated-after-delete", Action::Deliver, "stale", "a late update does not bring her back"),
];

const fn step(event: &'static str, action: Action, outcome: &'static str, shows: &'static str) -> Step {
    Step { event, action, outcome, shows }
}

/// What happened.
#[derive(Debug)]
pub struct Story {
    rows: Vec<Row>,
    /// The items at the end, by `pk`, in the order in which the services reported the customers.
    items: Vec<Value>,
    /// The external ids in the cleanup messages.
    cleanups: Vec<String>,
}

#[derive(Debug)]
struct Row {
    event: &'static str,
    is_replay: bool,
    status: Option<u16>,
    outcome: String,
    shows: String,
    differences: Vec<String>,
}

/// Delivers the events of the story. Returns nothing if some of them are not among the cases, or if the stack has no
/// function that replays. If the results are not compared, because the table is not empty or a scheme is not the usual
/// one, they are shown as they are.
///
/// # Errors
/// When the local stack cannot be reached.
pub async fn tell(stack: &LocalStack, cases: &[Case], is_compared: bool) -> Result<Option<Story>> {
    let case = |step: &'static Step| cases.iter().find(|case| case.title() == step.event).map(|case| (step, case));
    let steps = STEPS.iter().map(case).collect::<Option<Vec<_>>>();
    let (Some(steps), Some(mapping)) = (steps, &stack.event_source_mapping) else { return Ok(None) };
    let mut observer = Observer::start(stack).await?;
    let mut rows = vec![];
    let mut known = BTreeMap::new();
    let mut keys = vec![];
    let mut cleanups = vec![];
    for (step, case) in steps {
        let expected = expected(step.action, case, &known);
        let before = stack.deliveries.recent().last().map_or(0, |record| record.number);
        let answer = act(step.action, stack, case, mapping).await?;
        let mut result = observer.result(case.title(), answer, &expected).await?;
        let is_replay = step.action == Action::Replay;
        let outcome = if is_replay { replayed(stack, before, &expected) } else { result.answer.outcome() };
        if outcome != step.outcome {
            let difference = format!("outcome is {outcome}, should be {}", step.outcome);
            result.differences.get_or_insert_default().push(difference);
        }
        rows.push(row(step, &result, outcome, is_compared));
        keys.extend(expected.items.keys().filter(|pk| !known.contains_key(*pk)).cloned().collect::<Vec<_>>());
        known.extend(expected.items);
        cleanups.extend(result.cleanup.iter().filter_map(|message| Some(message["external_id"].as_str()?.to_owned())));
    }
    observer.stop().await;
    let mut items = vec![];
    for pk in keys {
        items.extend(stack.customers_table().item(&pk).await?);
    }
    Ok(Some(Story { rows, items, cleanups }))
}

/// The expected result of a step. `known` has the items that the earlier steps leave.
fn expected(action: Action, case: &Case, known: &BTreeMap<String, Value>) -> Expected {
    let expected = case.expected.clone();
    match action {
        Action::Deliver => expected,
        Action::DeliverWithoutTable => {
            let items =
                expected.items.into_keys().filter_map(|pk| Some((pk.clone(), known.get(&pk)?.clone()))).collect();
            Expected { status: 202, answer: Some(json!({ "outcome": "parked" })), items, ..Expected::default() }
        }
        Action::Replay => Expected { items: expected.items, cleanup: expected.cleanup, ..Expected::default() },
    }
}

/// Does what the step says, and returns the answer; an empty one for a replay.
async fn act(action: Action, stack: &LocalStack, case: &Case, mapping: &EventSourceMapping) -> Result<Answer> {
    match action {
        Action::Deliver => deliver(stack, case).await,
        Action::DeliverWithoutTable => {
            stack.faults.set(Service::Dynamodb, Fault { mode: FaultMode::Error, rate: 1.0, for_seconds: 60.0 })?;
            let answer = deliver(stack, case).await;
            stack.faults.clear();
            answer
        }
        Action::Replay => {
            mapping.run_until_empty().await?;
            Ok(Answer { status: 0, body: String::new() })
        }
    }
}

async fn deliver(stack: &LocalStack, case: &Case) -> Result<Answer> {
    let (url, event) = (stack.url(), signed(stack, case, Timestamp::now())?.event);
    tokio::task::spawn_blocking(move || http::deliver(&url, &event, None))
        .await
        .context("the delivery was cancelled")?
}

/// The outcome of the message of these customers that was replayed after the record of that number.
fn replayed(stack: &LocalStack, before: u64, expected: &Expected) -> String {
    let records = stack.deliveries.recent();
    let is_of = |pk: &String| expected.items.contains_key(pk);
    let found = records.iter().find(|record| record.number > before && record.customers.iter().any(is_of));
    found.map_or_else(|| "not replayed".to_owned(), |record| record.outcome.clone())
}

fn row(step: &Step, result: &DeliveryResult, outcome: String, is_compared: bool) -> Row {
    let is_replay = step.action == Action::Replay;
    let is_usual = outcome == step.outcome;
    let shows = if is_usual { step.shows.to_owned() } else { format!("usually {}", step.outcome) };
    let differences = result.differences.clone().filter(|_| is_compared).unwrap_or_default();
    let status = (!is_replay).then_some(result.answer.status);
    Row { event: step.event, is_replay, status, outcome, shows, differences }
}

impl Story {
    /// The table of its steps.
    #[must_use]
    pub fn table(&self) -> TextTable {
        let mut table = TextTable::new(["webhook", "status", "outcome", "what it shows"]);
        for row in &self.rows {
            let event = if row.is_replay { "(replay)".to_owned() } else { row.event.to_owned() };
            let status = row.status.map_or(String::new(), |status| status.to_string());
            table.add_row([event, status, row.outcome.clone(), row.shows.clone()]);
        }
        table
    }

    /// The customers at the end, which your systems join, as lines.
    #[must_use]
    pub fn customers(&self) -> Vec<String> {
        let mut lines =
            vec!["One person, one item per service. Your systems join them by external id or e-mail:".to_owned()];
        for item in &self.items {
            let text = |name: &str| visible(item[name].as_str().unwrap_or_default());
            let provider = text("provider");
            lines.push(if item["status"] == "deleted" {
                // A delete of an earlier run, whose table is kept, has had its message then.
                let names = if self.cleanups.is_empty() { "" } else { "; the cleanup message names " };
                let cleanup = self.cleanups.join(", ");
                format!("  {provider:<10}  (deleted)           no personal data{names}{cleanup}")
            } else {
                let name = shown_name(item);
                format!("  {provider:<10}  {:<18}  {}  {}", visible(&name), text("external_id"), text("email"))
            });
        }
        lines
    }

    /// One finished item, completely, as lines.
    #[must_use]
    pub fn finished_item(&self) -> Vec<String> {
        let Some(item) = self.items.iter().find(|item| item["provider"] == SHOWN_PROVIDER) else { return vec![] };
        let mut lines = vec![format!("The finished item of {SHOWN_PROVIDER}:")];
        for section in customer_card::sections(item, &[]) {
            let value = |(label, value): &(String, String)| match label.as_str() {
                "" => visible(value).into_owned(),
                label => format!("{}: {}", visible(label), visible(value)),
            };
            let title = visible(section.title());
            let mut rows = wrapped(section.rows().iter().map(value));
            match rows.first_mut() {
                // The key is too long to be a label.
                Some(first) if title.len() < INDENT - 2 => first.replace_range(2..2 + title.len(), &title),
                _ => lines.push(format!("  {title}")),
            }
            lines.extend(rows);
        }
        lines
    }

    /// The steps whose result is not as expected, with the differences.
    pub fn unexpected(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        self.rows.iter().filter(|row| !row.differences.is_empty()).map(|row| (row.event, &row.differences[..]))
    }
}

/// The parts in lines of at most [`COLUMNS_MAX`], unless a part alone is longer.
fn wrapped(parts: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 3 + part.chars().count() <= COLUMNS_MAX => {
                line.push_str(" · ");
                line.push_str(&part);
            }
            _ => lines.push(format!("{:INDENT$}{part}", "")),
        }
    }
    lines
}
