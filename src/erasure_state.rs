//! Which systems have confirmed that they erased their copies of a deleted customer, and which are still missing.

use clientele_model::Receipts;
use serde_json::{Value, json};

use crate::customer_card::Section;

/// The names in the parameter `ErasureSystems`, which are separated by commas.
#[must_use]
pub fn system_names(list: &str) -> Vec<String> {
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The erasure of a deleted customer in other systems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasureState {
    /// The systems that have confirmed.
    receipts: Receipts,
    /// The systems whose receipts are awaited.
    pub(crate) missing: Vec<String>,
    /// Since when receipts are missing, as the item says.
    open_since: Option<String>,
}

impl ErasureState {
    /// What the item says, if these are the systems that confirm. A tombstone of a time when no receipts were awaited
    /// waits for none.
    #[must_use]
    pub fn of(item: &Value, systems: &[String]) -> Self {
        let receipts: Receipts = serde_json::from_value(item["receipts"].clone()).unwrap_or_default();
        let open_since = item["erasure_open"].as_str().map(str::to_owned);
        let is_missing = |system: &&String| open_since.is_some() && !receipts.contains_key(*system);
        let missing = systems.iter().filter(is_missing).cloned().collect();
        Self { receipts, missing, open_since }
    }

    /// A row of the card for each system.
    #[must_use]
    pub fn section(&self) -> Section {
        let confirmed = self.receipts.iter().map(|(system, receipt)| {
            (system.clone(), format!("erased at {}, confirmed at {}", receipt.erased_at, receipt.received_at))
        });
        let missing = self.missing.iter().map(|system| (system.clone(), "not confirmed yet".to_owned()));
        let open = self.open_since.iter().map(|since| ("open since".to_owned(), since.clone()));
        Section::new("Erasure in other systems", confirmed.chain(missing).chain(open).collect())
    }

    /// An element for each system, those without times have not confirmed yet.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let confirmed = self.receipts.iter().map(|(system, receipt)| {
            json!({ "system": system, "erased_at": receipt.erased_at, "received_at": receipt.received_at })
        });
        confirmed.chain(self.missing.iter().map(|system| json!({ "system": system }))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ERASED: &str = "2026-11-20T12:00:05Z";
    const RECEIVED: &str = "2026-11-20T12:00:06Z";
    const OPEN: &str = "2026-11-20T12:00:00Z";

    fn tombstone(confirmed: &[&str], is_open: bool) -> Value {
        let receipt = json!({ "erased_at": ERASED, "received_at": RECEIVED });
        let receipts = confirmed.iter().map(|system| ((*system).to_owned(), receipt.clone()));
        let mut item = json!({ "status": "deleted", "receipts": Value::Object(receipts.collect()) });
        if is_open {
            item["erasure_open"] = OPEN.into();
        }
        item
    }

    #[rstest]
    #[case::none_awaited(&[], false, &[], &[])]
    #[case::open(&[], true, &[], &["crm", "mailing"])]
    #[case::partly(&["mailing"], true, &["mailing"], &["crm"])]
    #[case::complete(&["crm", "mailing"], false, &["crm", "mailing"], &[])]
    // It was removed from the parameter, or `mailing` was added to it after the erasure was complete.
    #[case::other_system(&["crm", "shop"], false, &["crm", "shop"], &[])]
    #[case::from_before(&[], false, &[], &[])]
    fn of_tombstones(
        #[case] confirmed: &[&str],
        #[case] is_open: bool,
        #[case] expected: &[&str],
        #[case] missing: &[&str],
    ) {
        let systems = ["crm", "mailing"].map(str::to_owned);
        let state = ErasureState::of(&tombstone(confirmed, is_open), &systems);
        let done = expected.iter().map(|system| {
            (
                json!({ "system": system, "erased_at": ERASED, "received_at": RECEIVED }),
                format!("erased at {ERASED}, confirmed at {RECEIVED}"),
            )
        });
        let open = missing.iter().map(|system| (json!({ "system": system }), "not confirmed yet".to_owned()));
        let (elements, texts): (Vec<_>, Vec<_>) = done.chain(open).unzip();
        assert_eq!(state.to_json(), Value::Array(elements));
        let mut rows: Vec<_> = expected.iter().chain(missing).map(|system| (*system).to_owned()).zip(texts).collect();
        if is_open {
            rows.push(("open since".to_owned(), OPEN.to_owned()));
        }
        assert_eq!(state.section().rows(), rows);
    }

    #[test]
    fn a_customer_has_none() {
        let state = ErasureState::of(&json!({ "status": "active" }), &["crm".to_owned()]);
        assert_eq!((state.section().rows().len(), state.to_json()), (0, json!([])));
    }
}
