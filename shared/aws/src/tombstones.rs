//! What the receipts of systems that have erased their copies change in tombstones.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use clientele_flow::{OpenErasure, OpenErasurePage, TableError, Tombstones};
use clientele_model::{Item, Receipt, SORT_KEY, Tombstone};

use crate::attributes::{from_attributes, to_attributes};
use crate::customers::{Customers, text, unavailable};

/// The sparse index of tombstones that lack a system's receipt.
const ERASURE_OPEN_INDEX: &str = "erasure-open";

impl Customers {
    fn update(&self, pk: &str) -> UpdateItemFluentBuilder {
        let key = |text: &str| AttributeValue::S(text.to_owned());
        self.client.update_item().table_name(&self.table).key("pk", key(pk)).key("sk", key(SORT_KEY))
    }
}

impl Tombstones for Customers {
    async fn add_receipt(&self, pk: &str, system: &str, receipt: Receipt) -> Result<Option<Tombstone>, TableError> {
        let receipt = to_attributes(&receipt).map_err(|error| TableError::Unstorable(error.to_string()))?;
        let output = self
            .update(pk)
            .update_expression("SET receipts.#system = if_not_exists(receipts.#system, :receipt)")
            .condition_expression("#status = :deleted")
            .expression_attribute_names("#system", system)
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":receipt", AttributeValue::M(receipt))
            .expression_attribute_values(":deleted", AttributeValue::S("deleted".to_owned()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match output {
            Ok(output) => match output.attributes.map(|item| Item::try_from(from_attributes(item))) {
                Some(Ok(Item::Tombstone(tombstone))) => Ok(Some(*tombstone)),
                Some(Ok(Item::Customer(_))) | None => Ok(None),
                Some(Err(error)) => Err(TableError::Unavailable(error.to_string())),
            },
            Err(error) if has_failed_condition(&error) => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn close_erasure(&self, pk: &str, systems: &[String]) -> Result<(), TableError> {
        let mut request = self.update(pk).update_expression("REMOVE erasure_open");
        let mut conditions = vec!["attribute_exists(erasure_open)".to_owned()];
        for (number, system) in systems.iter().enumerate() {
            request = request.expression_attribute_names(format!("#system{number}"), system);
            conditions.push(format!("attribute_exists(receipts.#system{number})"));
        }
        match request.condition_expression(conditions.join(" AND ")).send().await {
            Ok(_) => Ok(()),
            Err(error) if has_failed_condition(&error) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn open_erasures(&self, after: Option<OpenErasure>) -> Result<OpenErasurePage, TableError> {
        let start_key = after.map(|OpenErasure { pk, since }| {
            let key = [("pk", pk), ("sk", SORT_KEY.to_owned()), ("erasure_open", since)];
            key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
        });
        let request = self.client.scan().table_name(&self.table).index_name(ERASURE_OPEN_INDEX);
        let page = request.set_exclusive_start_key(start_key).send().await.map_err(|error| unavailable(&error))?;
        let open = |key: HashMap<_, _>| Some(OpenErasure { pk: text(&key, "pk")?, since: text(&key, "erasure_open")? });
        Ok(OpenErasurePage {
            open: page.items.unwrap_or_default().into_iter().filter_map(open).collect(),
            next: page.last_evaluated_key.and_then(open),
        })
    }
}

fn has_failed_condition(error: &SdkError<UpdateItemError>) -> bool {
    error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception)
}
