//! Reads customers from the table.

use std::collections::HashMap;

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

pub type Item = HashMap<String, AttributeValue>;

pub struct Table {
    pub client: Client,
    pub name: String,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    Email,
    ExternalId,
}

impl Attribute {
    fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::ExternalId => "external_id",
        }
    }

    fn index(self) -> &'static str {
        match self {
            Self::Email => "by-email",
            Self::ExternalId => "by-external-id",
        }
    }
}

/// What this system needs to know about a customer. Copy no more than that.
#[derive(Serialize, Deserialize)]
pub struct Customer {
    pub name: Option<String>,
    pub email: Option<String>,
    pub external_id: Option<String>,
}

impl From<&Item> for Customer {
    fn from(item: &Item) -> Self {
        let owned = |name| text(item, name).map(str::to_owned);
        Self { name: owned("name"), email: owned("email"), external_id: owned("external_id") }
    }
}

/// A text attribute of an item.
pub fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// The form that e-mail addresses have in the index `by-email`.
pub fn email_key(address: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(&address.trim().to_lowercase()).into_owned()
}

impl Table {
    /// The customer's item as it is now, which may be a tombstone.
    pub async fn get(&self, pk: &str) -> Result<Option<Item>> {
        let request = self.client.get_item().table_name(&self.name).consistent_read(true);
        let request = request.key("pk", AttributeValue::S(pk.to_owned()));
        Ok(request.key("sk", AttributeValue::S("customer".to_owned())).send().await?.item)
    }

    /// The customers with that e-mail address, in the form of [`email_key`], or with that external id.
    pub async fn find(&self, attribute: Attribute, value: &str) -> Result<Vec<Item>> {
        let query = self.client.query().table_name(&self.name).index_name(attribute.index());
        let query = query.key_condition_expression(format!("{} = :value", attribute.name()));
        let query = query.expression_attribute_values(":value", AttributeValue::S(value.to_owned()));
        let mut keys = query.into_paginator().items().send();
        let mut items = vec![];
        while let Some(key) = keys.try_next().await? {
            let Some(pk) = text(&key, "pk") else { continue };
            // The index follows the table with a delay. A customer who was deleted in the meantime is a tombstone, which
            // has neither attribute.
            items.extend(self.get(pk).await?.filter(|item| text(item, attribute.name()) == Some(value)));
        }
        Ok(items)
    }
}
