//! Turns a customer of the GraphQL API into the customer object of a webhook, so that the same code translates both.

use clientele_model::{ChangeKind, CustomerEvent, CustomerKey, Fields, Id, Listed, RecordContext, Untranslatable};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::payload::{FAMILY, REQUIRED, account, change_kind, record_path};
use crate::translate::whole_customer;

/// The fields of the API's schema that no webhook has. The project's own query does not ask for them, but a file may have
/// them.
pub(crate) const ONLY_IN_LIST: &[&str] = &[
    "avatarUrl",
    "assignedToUser",
    "assignedAt",
    "tenantMemberships",
    "company",
    "isAnonymous",
    "identities",
    "status",
    "statusChangedAt",
    "lastIdleAt",
    "customerGroupMemberships.edges.node.customerGroup.externalId",
];

/// Reads a customer as the API lists it.
pub(crate) fn listed_node(node: Value, workspace: Option<&Id>, received_at: Timestamp) -> Listed {
    let customer_id = node.get("id").and_then(|id| Id::new(id.as_str()?.to_owned()).ok());
    let listed = workspace.ok_or(Untranslatable::Missing("workspaceId")).and_then(|workspace| {
        let record = Fields::try_from(webhook_customer(node, workspace)?)?;
        // Whoever wrote a file may not have asked for the groups, and then the customer would lose them.
        record.require(&["customerGroupMemberships"])?;
        observation(record, workspace.clone(), [], received_at)
    });
    listed.unwrap_or_else(|reason| Listed::Untranslatable { customer_id, reason })
}

/// Reads the customer in the body of a webhook. It counts as a customer of a list, whatever the event was.
pub(crate) fn listed_webhook(body: Map<String, Value>, context: &RecordContext) -> Listed {
    let id =
        ["customer", "previousCustomer"].iter().find_map(|name| body.get("payload")?.get(name)?.get("id")?.as_str());
    let customer_id = id.and_then(|id| Id::new(id.to_owned()).ok());
    let listed = Fields::try_from(Value::Object(body)).and_then(|body| webhook(body, context));
    listed.unwrap_or_else(|reason| Listed::Untranslatable { customer_id, reason })
}

fn webhook(mut body: Fields, context: &RecordContext) -> Result<Listed, Untranslatable> {
    let kind = body.required("type", Fields::text)?;
    let mut payload = body.required("payload", Fields::take_object);
    let Some(change) = change_kind(&kind, &mut payload)? else { return FAMILY.ignore(kind).map(|_| Listed::Ignored) };
    // An observation has no id.
    body.id("id");
    let mut payload = payload?;
    let mut record = payload.required(record_path(change), Fields::take_object)?;
    let workspace = account(&mut body)?;
    match change {
        ChangeKind::Snapshot(_) => {
            observation(record, workspace, [("payload", payload), ("", body)], context.received_at)
        }
        ChangeKind::Deletion => {
            Ok(Listed::Deleted { key: key(&mut record, workspace)?, deleted_at: body.time("timestamp") })
        }
    }
}

fn observation<const N: usize>(
    mut record: Fields,
    workspace: Id,
    around: [(&str, Fields); N],
    received_at: Timestamp,
) -> Result<Listed, Untranslatable> {
    record.require(REQUIRED)?;
    let key = key(&mut record, workspace)?;
    let version = record.event_time("updatedAt", Fields::time, received_at)?;
    let customer = whole_customer(record, key.customer_id(), around);
    Ok(Listed::Customer(Box::new(CustomerEvent::observation(key, version, customer)?)))
}

fn key(record: &mut Fields, workspace: Id) -> Result<CustomerKey, Untranslatable> {
    CustomerKey::new(crate::PROVIDER.name, workspace, record.required("customer.id", Fields::key_part)?)
}

/// The customer object that a webhook would have.
fn webhook_customer(mut node: Value, workspace: &Id) -> Result<Value, Untranslatable> {
    for path in ONLY_IN_LIST {
        remove(&mut node, path);
    }
    let mut customer = webhook_value(node)?;
    let memberships = customer.get_mut("customerGroupMemberships").and_then(Value::as_array_mut);
    for membership in memberships.into_iter().flatten().filter_map(Value::as_object_mut) {
        membership.insert("workspaceId".to_owned(), workspace.as_str().into());
        if let Some(group) = membership.get_mut("customerGroup").and_then(Value::as_object_mut) {
            group.insert("workspaceId".to_owned(), workspace.as_str().into());
        }
    }
    Ok(customer)
}

/// Removes the field at a dotted path, in every element of a list.
fn remove(value: &mut Value, path: &str) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| remove(element, path)),
        Value::Object(fields) => match path.split_once('.') {
            None => drop(fields.remove(path)),
            Some((name, rest)) => fields.get_mut(name).into_iter().for_each(|inner| remove(inner, rest)),
        },
        _ => {}
    }
}

/// The value with times as text, actors as in a webhook, and lists instead of connections.
fn webhook_value(value: Value) -> Result<Value, Untranslatable> {
    match value {
        Value::Object(mut fields) => {
            if let Some(time) = fields.remove("iso8601") {
                Ok(time)
            } else if let Some(Value::String(kind)) = fields.get("__typename") {
                Ok(webhook_actor(kind, &fields))
            } else if let Some(edges) = fields.get_mut("edges").and_then(Value::as_array_mut).map(std::mem::take) {
                webhook_list(edges, fields.get("pageInfo"))
            } else {
                fields.into_iter().map(|(name, value)| Ok((name, webhook_value(value)?))).collect()
            }
        }
        Value::Array(elements) => elements.into_iter().map(webhook_value).collect(),
        other => Ok(other),
    }
}

/// An actor that is none of the documented types is `UNKNOWN`, as in a webhook.
fn webhook_actor(kind: &str, fields: &Map<String, Value>) -> Value {
    let (kind, name, id) = match kind {
        "UserActor" => ("user", "userId", "userId"),
        "MachineUserActor" => ("machineUser", "machineUserId", "machineUserId"),
        "SystemActor" => ("system", "system", "systemId"),
        "CustomerActor" | "DeletedCustomerActor" => ("customer", "customerId", "customerId"),
        _ => return json!({ "actorType": "UNKNOWN" }),
    };
    json!({ "actorType": kind, name: fields.get(id) })
}

/// A webhook has all elements. If the API returns only the first of them, the rest would be lost.
fn webhook_list(edges: Vec<Value>, page: Option<&Value>) -> Result<Value, Untranslatable> {
    if page.and_then(|page| page.get("hasNextPage")) == Some(&Value::Bool(true)) {
        return Err(Untranslatable::PartialSnapshot("the second page of customerGroupMemberships"));
    }
    edges.into_iter().map(|mut edge| webhook_value(edge.get_mut("node").map_or(Value::Null, Value::take))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn converted(node: Value) -> Result<Value, Untranslatable> {
        webhook_customer(node, &Id::new("w_7".into()).unwrap())
    }

    #[rstest]
    #[case(json!({ "__typename": "UserActor", "userId": "u_1" }), json!({ "actorType": "user", "userId": "u_1" }))]
    #[case(json!({ "__typename": "SystemActor", "systemId": "s" }), json!({ "actorType": "system", "system": "s" }))]
    #[case(
        json!({ "__typename": "MachineUserActor", "machineUserId": "mu_1" }),
        json!({ "actorType": "machineUser", "machineUserId": "mu_1" })
    )]
    #[case(
        json!({ "__typename": "CustomerActor", "customerId": "c_1" }),
        json!({ "actorType": "customer", "customerId": "c_1" })
    )]
    #[case(
        json!({ "__typename": "DeletedCustomerActor", "customerId": "c_1" }),
        json!({ "actorType": "customer", "customerId": "c_1" })
    )]
    #[case(json!({ "__typename": "RobotActor", "robotId": "r_1" }), json!({ "actorType": "UNKNOWN" }))]
    #[case(json!({ "iso8601": "2026-11-20T12:00:00.000Z", "unixTimestamp": "1" }), json!("2026-11-20T12:00:00.000Z"))]
    #[case(json!({ "iso8601": 7 }), json!(7))]
    #[case(json!([{ "iso8601": "t" }, null, 1]), json!(["t", null, 1]))]
    #[case(json!({ "edges": [{ "node": { "at": { "iso8601": "t" } } }] }), json!([{ "at": "t" }]))]
    #[case(json!({ "edges": [], "pageInfo": { "hasNextPage": false } }), json!([]))]
    #[case(json!({ "edges": "none" }), json!({ "edges": "none" }))]
    #[case(json!({ "email": { "verifiedAt": null } }), json!({ "email": { "verifiedAt": null } }))]
    fn values_become_those_of_a_webhook(#[case] value: Value, #[case] expected: Value) {
        assert_eq!(converted(json!({ "field": value })), Ok(json!({ "field": expected })));
    }

    #[test]
    fn memberships_name_their_workspace_as_in_a_webhook() {
        let node = json!({ "node": { "customerId": "c_1", "customerGroup": { "id": "cg_1", "externalId": "x" } } });
        let expected = json!([
            { "customerId": "c_1", "customerGroup": { "id": "cg_1", "workspaceId": "w_7" }, "workspaceId": "w_7" }
        ]);
        let converted = converted(json!({ "customerGroupMemberships": { "edges": [node] } })).unwrap();
        assert_eq!(converted["customerGroupMemberships"], expected);
    }

    #[test]
    fn fields_that_only_the_list_has_are_dropped() {
        let node =
            ONLY_IN_LIST.iter().filter(|path| !path.contains('.')).map(|name| ((*name).to_owned(), json!({"a": 1})));
        assert_eq!(converted(node.collect()), Ok(json!({})));
    }

    #[test]
    fn a_customer_with_more_groups_than_a_page_has_is_incomplete() {
        let memberships = json!({ "edges": [], "pageInfo": { "hasNextPage": true } });
        let reason = Untranslatable::PartialSnapshot("the second page of customerGroupMemberships");
        assert_eq!(converted(json!({ "customerGroupMemberships": memberships })), Err(reason));
    }
}
