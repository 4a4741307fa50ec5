//! The records of a list that did not get into the table, with ids only.

use std::time::Duration;

use clientele_model::{CustomerKey, Id, Untranslatable};
use serde::Serialize;

use crate::terminal::{self, visible};

/// So many records are listed. If there are more, something is wrong with all of them.
const LISTED_MAX: usize = 1_000;

/// The records that were not understood, that the table can never hold, or whose items cannot be read.
#[derive(Debug, Default)]
pub struct NotImported {
    records: Vec<NotImportedRecord>,
    /// Whether each one is printed at once.
    is_printed: bool,
}

#[derive(Debug, Serialize)]
struct NotImportedRecord {
    customer_id: Option<String>,
    reason: String,
}

impl NotImported {
    /// None yet. `is_json` keeps them for a JSON object, instead of printing each one.
    #[must_use]
    pub fn new(is_json: bool) -> Self {
        Self { records: vec![], is_printed: !is_json }
    }

    /// A record that was not understood.
    pub fn add_untranslatable(&mut self, customer_id: Option<&Id>, reason: &Untranslatable) {
        self.add(customer_id.map(Id::as_str), &reason.to_string());
    }

    /// A record that the table can never hold, or whose item cannot be read.
    pub fn add_left_out(&mut self, key: &CustomerKey, why: &str) {
        self.add(Some(key.customer_id()), why);
    }

    fn add(&mut self, customer_id: Option<&str>, reason: &str) {
        if self.records.len() > LISTED_MAX {
            return;
        }
        self.records
            .push(NotImportedRecord { customer_id: customer_id.map(ToOwned::to_owned), reason: reason.to_owned() });
        if !self.is_printed {
            return;
        }
        if self.records.len() > LISTED_MAX {
            return terminal::note(format!(
                "More than {LISTED_MAX} records cannot be imported; the others are not listed."
            ));
        }
        let customer = customer_id.map_or("a customer without id".to_owned(), |id| format!("customer {id}"));
        terminal::note(visible(&format!("Not imported: {customer}: {reason}")));
    }

    /// The records, for a JSON object.
    #[must_use]
    pub fn as_json(&self) -> serde_json::Value {
        serde_json::to_value(self.records.get(..LISTED_MAX).unwrap_or(&self.records)).unwrap_or_default()
    }
}

/// Says that a request is sent again.
pub fn note_waiting(why: &str, delay: Duration) {
    terminal::note(format!("{why}; trying again in {:.1} s", delay.as_secs_f64()));
}
