//! Reads the customers' table.

use std::future::ready;
use std::ops::ControlFlow;

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use clientele_aws::from_attributes;
use clientele_model::SORT_KEY;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::synthetic::SyntheticCustomer;

/// The longest partition key. DynamoDB refuses to look for a longer one, and for an empty one.
const KEY_BYTES_MAX: usize = 2_048;

/// How many items with the same external id or e-mail address are read to show the person. A mailbox that thousands of
/// customers share would take minutes.
pub const SAME_PERSON_READ_MAX: usize = 100;

/// How many items are read at a time.
const CONCURRENT_READS: usize = 8;

/// The customers' table of a local or deployed stack.
#[derive(Clone, Debug)]
pub struct CustomersTable {
    client: Client,
    name: String,
}

#[expect(clippy::missing_errors_doc, reason = "all fail when the table cannot be reached")]
impl CustomersTable {
    /// The table of that name.
    #[must_use]
    pub fn new(client: &Client, name: &str) -> Self {
        Self { client: client.clone(), name: name.to_owned() }
    }

    /// The current item of a key.
    pub async fn item(&self, pk: &str) -> Result<Option<Value>> {
        if pk.is_empty() || pk.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        let request = self.client.get_item().table_name(&self.name).consistent_read(true);
        let request = request.key("pk", AttributeValue::S(pk.to_owned()));
        let output = request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).send().await?;
        Ok(output.item.map(from_attributes).map(Value::Object))
    }

    /// At most `max` items with that value of an index's key. The indexes hold keys only, so each item is read from the
    /// table. An item that has changed since may have another value.
    pub async fn query(&self, index: &str, attribute: &str, value: &str, max: usize) -> Result<Vec<Value>> {
        if value.is_empty() || value.len() > KEY_BYTES_MAX {
            return Ok(vec![]);
        }
        let request = self.client.query().table_name(&self.name).index_name(index);
        let request = request.key_condition_expression("#name = :value").expression_attribute_names("#name", attribute);
        let request = request.expression_attribute_values(":value", AttributeValue::S(value.to_owned()));
        let (mut keys, mut pks) = (request.into_paginator().items().send(), vec![]);
        while pks.len() < max {
            let Some(key) = keys.next().await else { break };
            pks.extend(key?.get("pk").and_then(|pk| pk.as_s().ok().cloned()));
        }
        let items = stream::iter(pks).map(async |pk| self.item(&pk).await).buffered(CONCURRENT_READS);
        items.try_filter_map(|item| ready(Ok(item))).try_collect().await
    }

    /// Scans the table page by page. `visit` gets the items of a page that have these attribute values, and the number of
    /// items that were read for the page. It decides whether to go on.
    pub async fn scan_pages(
        &self,
        wanted: &[(&str, &str)],
        mut visit: impl FnMut(Vec<Value>, usize) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut request = self.client.scan().table_name(&self.name);
        let mut filter = vec![];
        for (name, value) in wanted {
            filter.push(format!("#{name} = :{name}"));
            request = request.expression_attribute_names(format!("#{name}"), *name);
            request = request.expression_attribute_values(format!(":{name}"), AttributeValue::S((*value).to_owned()));
        }
        if !filter.is_empty() {
            request = request.filter_expression(filter.join(" AND "));
        }
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page?;
            let read = usize::try_from(page.scanned_count)?;
            let items = page.items.unwrap_or_default().into_iter().map(|item| Value::Object(from_attributes(item)));
            if visit(items.collect(), read).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The number of items.
    pub async fn count(&self) -> Result<usize> {
        let pages = self.client.scan().table_name(&self.name).select(Select::Count).into_paginator().send();
        let counts = pages.try_collect().await?;
        Ok(usize::try_from(counts.iter().map(|page| page.count).sum::<i32>())?)
    }

    /// The `pk` of every item in a sparse index. Eventually consistent.
    pub async fn keys_of_index(&self, index: &str) -> Result<Vec<String>> {
        let request = self.client.scan().table_name(&self.name).index_name(index);
        let (mut keys, mut pks) = (request.into_paginator().items().send(), vec![]);
        while let Some(key) = keys.next().await {
            pks.extend(key?.get("pk").and_then(|pk| pk.as_s().ok().cloned()));
        }
        Ok(pks)
    }

    /// Removes a tombstone, provided that neither its rank nor its unsent message has changed. Returns whether it did.
    pub async fn remove_tombstone(&self, pk: &str, rank: &str, cleanup: Option<&str>) -> Result<bool> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let request = self.client.delete_item().table_name(&self.name).key("pk", text(pk)).key("sk", text(SORT_KEY));
        let request = request
            .expression_attribute_names("#rank", "rank")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":rank", text(rank))
            .expression_attribute_values(":deleted", text("deleted"));
        let same = "#rank = :rank AND #status = :deleted";
        let request = match cleanup {
            Some(message) => request
                .condition_expression(format!("{same} AND cleanup = :message"))
                .expression_attribute_values(":message", text(message)),
            None => request.condition_expression(format!("{same} AND attribute_not_exists(cleanup)")),
        };
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the item of a synthetic customer. Besides tombstones, nothing deletes other items.
    pub async fn delete(&self, customer: &SyntheticCustomer) -> Result<()> {
        let pk = AttributeValue::S(customer.pk().to_owned());
        let request = self.client.delete_item().table_name(&self.name).key("pk", pk);
        request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).send().await?;
        Ok(())
    }
}
