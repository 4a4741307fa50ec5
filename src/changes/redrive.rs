//! Sends the customers again whose changes are not on the event bus, for `clientele changes redrive`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_sqs::types::Message;
use clientele_aws::EventBridgeBus;
use clientele_flow::{EventSender, SendError, SendResult};
use clientele_model::{ChangeEvent, Item, RefusedChange};
use futures_util::future::join_all;
use serde_json::Value;

use super::access::ChangeFeedAccess;
use super::positions::{FoundRecords, StreamPosition};
use crate::customers_table::CustomersTable;
use crate::target::OpenTarget;

/// The version of the messages that this one reads.
const SCHEMA_VERSION: u8 = 1;

/// Sends what the messages of both queues are about.
pub struct Redriver<'a> {
    access: &'a ChangeFeedAccess,
    sender: EventSender<'a, EventBridgeBus>,
    target: &'a OpenTarget,
    table: CustomersTable,
    /// The id of this run, which is part of the id of each event.
    id: String,
}

/// What becomes of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedriveResult {
    /// Every customer of it is sent, or would be.
    Sent,
    /// It stays on its queue. With the reason.
    Left(String),
    /// It cannot be redriven any more. With the reason.
    Expired(&'static str),
}

/// A message with the customers that it is about.
#[derive(Debug)]
pub struct Redriven {
    /// The `pk` of each customer who is sent, or would be.
    pub customers: Vec<String>,
    /// What becomes of it.
    pub result: RedriveResult,
}

/// What a message asks for.
enum Plan {
    Events(Vec<ChangeEvent>),
    Not(RedriveResult),
}

impl<'a> Redriver<'a> {
    /// A redriver for that stack.
    #[must_use]
    pub fn new(
        target: &'a OpenTarget,
        access: &'a ChangeFeedAccess,
        sender: EventSender<'a, EventBridgeBus>,
        id: String,
    ) -> Self {
        let table = CustomersTable::new(&target.clients.dynamodb, &target.resources.customers_table);
        Self { access, sender, target, table, id }
    }

    /// Sends the current items of the customers of these messages, with the result of each message. After an error the
    /// remaining messages are left.
    ///
    /// # Errors
    /// When the table or the stream cannot be read. Then nothing is sent.
    pub async fn send(&self, messages: &[Message]) -> Result<(Vec<Redriven>, Option<SendError>)> {
        let plans = self.plans(messages).await?;
        let events: Vec<_> = plans.iter().flat_map(Plan::events).cloned().collect();
        let report = self.sender.send(&events).await;
        let mut results = report.results.into_iter();
        let redriven = plans.into_iter().map(|plan| {
            let number = plan.events().len();
            plan.finish(results.by_ref().take(number))
        });
        Ok((redriven.collect(), report.error))
    }

    /// What [`Redriver::send`] would do if the bus takes every event.
    ///
    /// # Errors
    /// When the table or the stream cannot be read.
    pub async fn predict(&self, messages: &[Message]) -> Result<Vec<Redriven>> {
        let plans = self.plans(messages).await?.into_iter();
        Ok(plans.map(|plan| plan.finish(std::iter::repeat(SendResult::Sent))).collect())
    }

    async fn plans(&self, messages: &[Message]) -> Result<Vec<Plan>> {
        join_all(messages.iter().map(|message| self.plan(message.body().unwrap_or_default())))
            .await
            .into_iter()
            .collect()
    }

    async fn plan(&self, text: &str) -> Result<Plan> {
        if let Some(position) = StreamPosition::of_message(text) {
            return self.plan_of_position(&position).await;
        }
        match serde_json::from_str::<RefusedChange>(text) {
            Ok(change) if change.schema == SCHEMA_VERSION => {
                self.plan_of_customers(BTreeMap::from([(change.pk, change.rank)])).await
            }
            _ if is_encrypted_event(text) => {
                Ok(Plan::Not(RedriveResult::Expired("an event that EventBridge could not encrypt")))
            }
            _ => Ok(Plan::left("the message cannot be read")),
        }
    }

    async fn plan_of_position(&self, position: &StreamPosition) -> Result<Plan> {
        if !position.is_of_table(&self.target.resources.customers_table) {
            return Ok(Plan::left("the message is about another table"));
        }
        match position
            .find(&self.access.streams)
            .await
            .with_context(|| self.target.cannot_read("the table's stream"))?
        {
            FoundRecords::Customers(customers) => self.plan_of_customers(customers).await,
            FoundRecords::Expired => Ok(Plan::Not(RedriveResult::Expired("the stream no longer has the changes"))),
            FoundRecords::Missing(why) => Ok(Plan::left(why)),
        }
    }

    /// Events with the current items of customers, given the rank of the change of each, if it is known.
    async fn plan_of_customers(&self, customers: BTreeMap<String, Option<String>>) -> Result<Plan> {
        let mut events = vec![];
        for (pk, rank) in customers {
            let item = self.table.item(&pk).await.with_context(|| self.target.cannot_read("the table"))?;
            match self.event(&pk, rank.as_deref(), item) {
                Ok(event) => events.push(event),
                Err(why) => return Ok(Plan::left(&why)),
            }
        }
        Ok(Plan::Events(events))
    }

    fn event(&self, pk: &str, rank: Option<&str>, item: Option<Value>) -> Result<ChangeEvent, String> {
        let (id, now, settings) = (format!("{}/{pk}", self.id), self.sender.now(), &self.access.settings);
        match (item, rank) {
            (Some(Value::Object(item)), _) => match Item::try_from(item) {
                Ok(item) => Ok(ChangeEvent::of_item(&item, &id, now, settings)),
                Err(error) => Err(format!("{pk}: {error}")),
            },
            (_, Some(rank)) => {
                let event = ChangeEvent::of_removed(pk, rank, &id, now, settings);
                event.ok_or_else(|| format!("{pk} is not the pk of a customer"))
            }
            (_, None) => Err(format!("{pk} is not in the table, and the rank that it had is not known")),
        }
    }
}

/// Whether a message is an event that EventBridge could not encrypt, which nobody can read again
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-dlq.html>).
fn is_encrypted_event(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|event| event["detail-type"] == "Encrypted Events")
}

impl Plan {
    fn left(why: &str) -> Self {
        Self::Not(RedriveResult::Left(why.to_owned()))
    }

    fn events(&self) -> &[ChangeEvent] {
        match self {
            Self::Events(events) => events,
            Self::Not(_) => &[],
        }
    }

    /// The result of the message, given those of its events.
    fn finish(self, results: impl Iterator<Item = SendResult>) -> Redriven {
        let events = match self {
            Self::Not(result) => return Redriven { customers: vec![], result },
            Self::Events(events) => events,
        };
        let problem = events.iter().zip(results).find_map(|(event, result)| match result {
            SendResult::Sent => None,
            SendResult::Refused(why) => Some(format!("the event bus refuses the event of {}: {why}", event.pk)),
            SendResult::NotSent => Some("the event bus could not be used".to_owned()),
        });
        let result = problem.map_or(RedriveResult::Sent, RedriveResult::Left);
        Redriven { customers: events.into_iter().map(|event| event.pk).collect(), result }
    }
}
