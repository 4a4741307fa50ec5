//! Finds customers in the table, those that changed last first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;

use crate::customers_table::CustomersTable;

/// Which customers to find. A criterion that is `None` selects all customers.
#[derive(Clone, Debug, Default)]
pub struct CustomerFilter {
    /// The provider's name.
    pub provider: Option<String>,
    /// `active`, `inactive` or `deleted`.
    pub status: Option<String>,
    /// The key of an e-mail address, as [`clientele_model::email_key`] makes it.
    pub email_key: Option<String>,
    /// The external id.
    pub external_id: Option<String>,
    /// A part of the name, in any letter case.
    pub name: Option<String>,
}

/// The customers that were found.
#[derive(Clone, Debug, Default)]
pub struct FoundCustomers {
    /// The items, the newest change first.
    pub items: Vec<Value>,
    /// How many customers there are, which may be more than are returned.
    pub total: usize,
}

impl CustomerFilter {
    /// Whether the customer with this item is one of those to find.
    #[must_use]
    pub fn matches(&self, item: &Value) -> bool {
        let Self { provider, status, email_key, external_id, name } = self;
        let is = |attribute: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| item[attribute].as_str() == Some(wanted))
        };
        let has_name = |part: &String| {
            item["name"].as_str().is_some_and(|name| name.to_lowercase().contains(&part.to_lowercase()))
        };
        is("provider", provider)
            && is("status", status)
            && is("email", email_key)
            && is("external_id", external_id)
            && name.as_ref().is_none_or(has_name)
    }

    /// The index that contains all of these customers, its key, and the key's value. Without one, the whole table must
    /// be read.
    fn index(&self) -> Option<(&'static str, &'static str, &str)> {
        let by_id = self.external_id.as_deref().map(|id| ("by-external-id", "external_id", id));
        by_id.or_else(|| self.email_key.as_deref().map(|key| ("by-email", "email", key)))
    }
}

impl CustomersTable {
    /// Finds the customers and returns at most `limit` of them. The whole table is read unless an index can be used, but
    /// never more than `limit` customers and a page of the table are in memory. `progress` is called with the number of
    /// customers of each page that is read.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn search(
        &self,
        filter: &CustomerFilter,
        limit: usize,
        mut progress: impl FnMut(usize),
    ) -> Result<FoundCustomers> {
        let mut newest = NewestCustomers::new(limit);
        if let Some((index, attribute, value)) = filter.index() {
            let items = self.query(index, attribute, value, usize::MAX).await?;
            items.into_iter().filter(|item| filter.matches(item)).for_each(|item| newest.add(item));
            return Ok(newest.into_found());
        }
        let wanted = [("provider", &filter.provider), ("status", &filter.status)];
        let wanted: Vec<_> = wanted.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
        self.scan_pages(&wanted, |items, read| {
            items.into_iter().filter(|item| filter.matches(item)).for_each(|item| newest.add(item));
            progress(read);
            ControlFlow::Continue(())
        })
        .await?;
        Ok(newest.into_found())
    }
}

/// When the customer last changed, or was deleted.
#[must_use]
pub fn changed_at(item: &Value) -> &str {
    let attribute = if item["updated_at"].is_null() { "deleted_at" } else { "updated_at" };
    item[attribute].as_str().unwrap_or_default()
}

/// Keeps those of many customers that changed last.
pub(crate) struct NewestCustomers {
    limit: usize,
    /// Ordered by the time of the change, the newest first, then by `pk`.
    items: BTreeMap<(Reverse<Option<Timestamp>>, String), Value>,
    total: usize,
}

impl NewestCustomers {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, items: BTreeMap::new(), total: 0 }
    }

    pub(crate) fn add(&mut self, item: Value) {
        self.total += 1;
        let pk = item["pk"].as_str().unwrap_or_default().to_owned();
        self.items.insert((Reverse(changed_at(&item).parse().ok()), pk), item);
        if self.items.len() > self.limit {
            self.items.pop_last();
        }
    }

    pub(crate) fn into_found(self) -> FoundCustomers {
        FoundCustomers { items: self.items.into_values().collect(), total: self.total }
    }
}
