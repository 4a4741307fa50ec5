//! What a reconciliation found, as far as it can be listed: keys and names of fields, no values.

use clientele_flow::Candidate;
use clientele_model::{Comparison, CustomerKey};
use serde::Serialize;

use crate::text_table::TextTable;

/// So many findings are listed. All are counted.
const LISTED_MAX: usize = 1_000;

/// The customers whose item and record differ.
#[derive(Debug, Default)]
pub struct Findings {
    findings: Vec<Finding>,
    not_listed: u64,
}

#[derive(Debug, Serialize)]
struct Finding {
    pk: String,
    kind: &'static str,
    fields: Vec<String>,
    is_written: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

impl Findings {
    /// A record that is not the same as its item.
    pub fn add_difference(&mut self, key: &CustomerKey, comparison: &Comparison, is_written: bool) {
        let (kind, fields) = match comparison {
            Comparison::Same => return,
            Comparison::Behind(fields) => ("behind", fields.clone()),
            Comparison::Different(fields) => ("different", fields.clone()),
            Comparison::ErasedHere => ("erased_here", vec![]),
            Comparison::OnlyThere => ("only_there", vec![]),
        };
        self.add(Finding { pk: key.to_string(), kind, fields, is_written, detail: None });
    }

    /// A customer whom the list did not return.
    pub fn add_candidate(&mut self, key: &CustomerKey, candidate: &Candidate) {
        let detail = match candidate {
            Candidate::Exists => "the provider has the customer after all",
            Candidate::Deleted => "the provider has deleted the customer",
            Candidate::DeletedRecently => "deleted by the provider, but changed too recently to rely on it",
            Candidate::Unknown(why) => *why,
            Candidate::Changed => "changed meanwhile",
        };
        let (pk, kind, detail) = (key.to_string(), "only_here", Some(detail));
        self.add(Finding { pk, kind, fields: vec![], is_written: false, detail });
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < LISTED_MAX {
            self.findings.push(finding);
        } else {
            self.not_listed += 1;
        }
    }

    /// For a JSON object.
    #[must_use]
    pub fn as_json(&self) -> serde_json::Value {
        serde_json::to_value(&self.findings).unwrap_or_default()
    }

    /// For a terminal, unless there are none.
    #[must_use]
    pub fn as_table(&self) -> Option<TextTable> {
        let mut table = TextTable::new(["customer", "finding", "fields that differ, or what is known"]);
        for Finding { pk, kind, fields, is_written, detail } in &self.findings {
            let finding = kind.replace('_', " ");
            let finding = if *is_written { format!("{finding}, now written") } else { finding };
            table.add_row([pk.clone(), finding, detail.map_or_else(|| fields.join(", "), ToOwned::to_owned)]);
        }
        if self.not_listed > 0 {
            table.add_row([format!("and {} more", self.not_listed), String::new(), String::new()]);
        }
        (!table.is_empty()).then_some(table)
    }
}
