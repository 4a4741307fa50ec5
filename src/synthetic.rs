//! A customer who does not exist, in the shape of a checked-in event: nothing by which another system could take it for
//! one of yours.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::events::{self, Case};

/// A top-level domain that is nobody's.
const EMAIL: &str = "nobody@clientele.invalid";

/// Stands for the customer of an event.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// The id of the customer, and your key for it.
    pub id: String,
    /// The `pk` of the item.
    pub pk: String,
    /// Ids in the events, and all else there that could be taken for somebody.
    identifiers: BTreeSet<String>,
}

impl Synthetic {
    /// A new customer instead of those of the events, which are of one account.
    ///
    /// # Errors
    /// When an event is not about one customer.
    pub fn of(cases: &[&Case]) -> Result<Self> {
        let mut random = [0; 12];
        getrandom::fill(&mut random).ok().context("the system gives no random bytes")?;
        let id = format!("clientele-smoke-{}", hex::encode(random));
        let (mut identifiers, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for case in cases {
            let (pk, item) = case.expected.items.iter().next().context("the event is about no customer")?;
            let original = item["customer_id"].as_str().context("the item has no customer_id")?;
            keys.insert(pk.replace(original, &id));
            identifiers.insert(original.to_owned());
            for known in case.expected.cleanup.iter().chain([item]) {
                identifiers.extend(known["external_id"].as_str().map(str::to_owned));
                let phones = known["identifiers"]["phones"].as_array().into_iter().flatten();
                identifiers.extend(phones.filter_map(|phone| phone.as_str().map(str::to_owned)));
                let phones = known["profile"]["phones"].as_array().into_iter().flatten();
                identifiers.extend(phones.filter_map(|phone| phone["number"].as_str().map(str::to_owned)));
            }
        }
        let pk = keys.pop_first().context("no event")?;
        ensure!(keys.is_empty(), "the events are of several accounts");
        Ok(Self { id, pk, identifiers })
    }

    /// The event, about this customer.
    ///
    /// # Errors
    /// When its body is not JSON.
    pub fn apply(&self, case: &Case) -> Result<Case> {
        let mut body: Value = serde_json::from_str(&events::body(&case.event)?).context("the body is not JSON")?;
        self.replace(&mut body);
        let mut case = case.clone();
        let encoded = case.event["isBase64Encoded"] == true;
        let body = body.to_string();
        case.event["body"] = if encoded { BASE64_STANDARD.encode(body) } else { body }.into();
        Ok(case)
    }

    fn replace(&self, value: &mut Value) {
        match value {
            Value::String(text) if self.identifiers.contains(text) => {
                text.clone_from(&self.id);
            }
            Value::String(text) if text.contains('@') => EMAIL.clone_into(text),
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.replace(element)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.replace(field)),
            _ => {}
        }
    }
}
