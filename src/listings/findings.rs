//! What a reconciliation found, as far as it can be listed: keys and names of fields, no values.

use std::collections::BTreeMap;

use clientele_flow::Candidate;
use clientele_model::{Comparison, CustomerKey};
use serde::Serialize;

use crate::text_table::TextTable;

/// So many findings of each kind are listed. All are counted.
const LISTED_MAX: usize = 1_000;

/// The kinds of findings, in the order of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Behind,
    OnlyThere,
    Different,
    ErasedHere,
    OnlyHere,
}

/// The customers whose item and record differ.
#[derive(Debug, Default)]
pub struct Findings {
    kinds: BTreeMap<Kind, FindingsOfKind>,
}

#[derive(Debug, Default)]
struct FindingsOfKind {
    findings: Vec<Finding>,
    not_listed: u64,
}

#[derive(Debug, Serialize)]
struct Finding {
    pk: String,
    kind: Kind,
    fields: Vec<String>,
    is_written: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::OnlyThere => "only there",
            Self::Different => "different",
            Self::ErasedHere => "erased here",
            Self::OnlyHere => "only here",
        }
    }
}

impl Findings {
    /// A record that is not the same as its item.
    pub fn add_difference(&mut self, key: &CustomerKey, comparison: &Comparison, is_written: bool) {
        let (kind, fields) = match comparison {
            Comparison::Same => return,
            Comparison::Behind(fields) => (Kind::Behind, fields.clone()),
            Comparison::Different(fields) => (Kind::Different, fields.clone()),
            Comparison::ErasedHere => (Kind::ErasedHere, vec![]),
            Comparison::OnlyThere => (Kind::OnlyThere, vec![]),
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
        let (pk, kind, detail) = (key.to_string(), Kind::OnlyHere, Some(detail));
        self.add(Finding { pk, kind, fields: vec![], is_written: false, detail });
    }

    fn add(&mut self, finding: Finding) {
        let FindingsOfKind { findings, not_listed } = self.kinds.entry(finding.kind).or_default();
        if findings.len() < LISTED_MAX {
            findings.push(finding);
        } else {
            *not_listed += 1;
        }
    }

    /// The findings that are listed, by kind and then by customer, and the number of others of the same kind.
    fn sorted(&self) -> impl Iterator<Item = (Kind, Vec<&Finding>, u64)> {
        self.kinds.iter().map(|(kind, FindingsOfKind { findings, not_listed })| {
            let mut sorted: Vec<_> = findings.iter().collect();
            sorted.sort_by_key(|finding| &finding.pk);
            (*kind, sorted, *not_listed)
        })
    }

    /// For a JSON object.
    #[must_use]
    pub fn as_json(&self) -> serde_json::Value {
        let findings: Vec<_> = self.sorted().flat_map(|(_, findings, _)| findings).collect();
        serde_json::to_value(findings).unwrap_or_default()
    }

    /// For a terminal, unless there are none.
    #[must_use]
    pub fn as_table(&self) -> Option<TextTable> {
        let mut table = TextTable::new(["customer", "finding", "fields that differ, or what is known"]);
        for (kind, findings, not_listed) in self.sorted() {
            for Finding { pk, fields, is_written, detail, .. } in findings {
                let finding = kind.text().to_owned() + if *is_written { ", now written" } else { "" };
                table.add_row([pk.clone(), finding, detail.map_or_else(|| fields.join(", "), ToOwned::to_owned)]);
            }
            if not_listed > 0 {
                table.add_row([format!("and {not_listed} more"), kind.text().to_owned(), String::new()]);
            }
        }
        (!table.is_empty()).then_some(table)
    }
}

#[cfg(test)]
mod tests {
    use clientele_model::Id;

    use super::*;

    fn key(number: usize) -> CustomerKey {
        let id = |text: String| Id::new(text).unwrap();
        CustomerKey::new("plain", id("w_1".to_owned()), id(format!("c{number:04}"))).unwrap()
    }

    /// Many findings of one kind do not hide those of another one.
    #[test]
    fn findings_are_listed_by_kind_and_customer() {
        let mut findings = Findings::default();
        for number in (0..LISTED_MAX + 2).rev() {
            findings.add_difference(&key(number), &Comparison::ErasedHere, false);
        }
        findings.add_candidate(&key(7), &Candidate::Exists);
        findings.add_candidate(&key(3), &Candidate::Deleted);
        findings.add_difference(&key(5), &Comparison::OnlyThere, true);
        findings.add_difference(&key(9), &Comparison::Behind(vec!["name".to_owned()]), true);
        let text = |finding: &serde_json::Value| format!("{} {}", finding["kind"], finding["pk"]).replace('"', "");
        let listed: Vec<_> = findings.as_json().as_array().unwrap().iter().map(text).collect();
        assert_eq!(listed.len(), LISTED_MAX + 4);
        let erased = |number| format!("erased_here {}", key(number));
        let first = [format!("behind {}", key(9)), format!("only_there {}", key(5)), erased(2), erased(3)];
        assert_eq!(listed[..4], first);
        assert_eq!(listed[LISTED_MAX + 2..], [3, 7].map(|number| format!("only_here {}", key(number))));
        let table = findings.as_table().unwrap().to_string();
        assert!(table.lines().any(|line| line.contains("and 2 more") && line.contains("erased here")), "{table}");
    }
}
