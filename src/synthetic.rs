//! A synthetic customer, who takes the place of the customer in checked-in events. Nothing of it can be mistaken for a
//! real customer by another system.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::events::{self, Case};

/// How the id of every synthetic customer begins. The policy in docs/deploy.md lets the smoke test delete only items with
/// such an id.
pub const ID_PREFIX: &str = "clientele-smoke-";

/// `.invalid` is reserved, so this address cannot exist.
const EMAIL: &str = "nobody@clientele.invalid";

/// A customer with random identifiers.
#[derive(Clone, Debug)]
pub struct SyntheticCustomer {
    id: String,
    pk: String,
    /// Values in the events that identify their customer.
    identifiers: BTreeSet<String>,
}

impl SyntheticCustomer {
    /// Creates a customer who replaces those of the events, which must belong to one account.
    ///
    /// # Errors
    /// When an event does not concern a customer, or the accounts differ.
    pub fn new(cases: &[&Case]) -> Result<Self> {
        let mut random = [0; 12];
        getrandom::fill(&mut random).ok().context("the operating system returned no random bytes")?;
        let id = format!("{ID_PREFIX}{}", hex::encode(random));
        let (mut identifiers, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for case in cases {
            let (pk, item) = case.expected.items.iter().next().context("the event does not concern a customer")?;
            let original = item["customer_id"].as_str().context("the item has no customer_id")?;
            let (account, _) = pk.rsplit_once('#').context("the item's key has no customer id")?;
            keys.insert(format!("{account}#{id}"));
            identifiers.insert(original.to_owned());
            for value in case.expected.cleanup.iter().chain([item]) {
                identifiers.extend(value["external_id"].as_str().map(str::to_owned));
                let phones = value["identifiers"]["phones"].as_array().into_iter().flatten();
                identifiers.extend(phones.filter_map(|phone| phone.as_str().map(str::to_owned)));
                let phones = value["profile"]["phones"].as_array().into_iter().flatten();
                identifiers.extend(phones.filter_map(|phone| phone["number"].as_str().map(str::to_owned)));
            }
        }
        let pk = keys.pop_first().context("no event")?;
        ensure!(keys.is_empty(), "the events belong to several accounts");
        Ok(Self { id, pk, identifiers })
    }

    /// The provider's id of the customer, and its external id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key of its item, which ends in its id. No other customer has this key.
    #[must_use]
    pub fn pk(&self) -> &str {
        &self.pk
    }

    /// The event with this customer in it.
    ///
    /// # Errors
    /// When its body is not JSON, or does not contain the id of its customer as text.
    pub fn substitute(&self, case: &Case) -> Result<Case> {
        let mut body: Value = serde_json::from_str(&events::body(&case.event)?).context("the body is not JSON")?;
        self.replace_identifiers(&mut body);
        let mut case = case.clone();
        let is_encoded = case.event["isBase64Encoded"] == true;
        let body = body.to_string();
        ensure!(body.contains(&self.id), "the event would change the customer that it was recorded for");
        case.event["body"] = if is_encoded { BASE64_STANDARD.encode(body) } else { body }.into();
        Ok(case)
    }

    fn replace_identifiers(&self, value: &mut Value) {
        match value {
            Value::String(text) if self.identifiers.contains(text) => text.clone_from(&self.id),
            Value::String(text) if text.contains('@') => EMAIL.clone_into(text),
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.replace_identifiers(element)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.replace_identifiers(field)),
            _ => {}
        }
    }
}
