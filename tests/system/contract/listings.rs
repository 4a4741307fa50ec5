//! The list of a provider leads to the same items as its webhooks, except for what each provider's crate declares.
//!
//! Each test turns the customers of the event files into records as the list API returns them.

use std::collections::{BTreeMap, BTreeSet};

use clientele::events::{Case, signed_at};
use clientele_model::{CustomerItem, Id, Item, Listed, Listing, RecordContext, Translated};
use clientele_providers::{PROVIDERS, listing};
use rstest::rstest;
use serde_json::{Map, Value, json};

use crate::support::translation::{changed, translate};
use crate::support::{case, cases};

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// The record of the customer that is in the body of a webhook, and the answer that has only this record.
fn listed_by_api(provider: &str, body: &Value) -> (Value, fn(&Value, Value) -> Value) {
    match provider {
        "metrifox" => (metrifox(&body["data"]["customer"]), |_, record| json!({ "statusCode": 200, "data": [record] })),
        "plain" => (plain(&body["payload"]["customer"]), |body, node| {
            let customers = json!({ "totalCount": 1, "edges": [{ "node": node }] });
            json!({ "data": { "myWorkspace": { "id": body["workspaceId"] }, "customers": customers } })
        }),
        "flexprice" => (flexprice(&body["customer"]), |_, record| json!({ "items": [record] })),
        other => panic!("{other} has no list"),
    }
}

/// Words instead of numbers, a list of payment terms, and other fields.
fn metrifox(customer: &Value) -> Value {
    let mut record = object(customer);
    let is_absent = |name: &str| {
        let names = ["tenant_id", "deleted_at", "verified_at", "source"];
        names.contains(&name) || name.starts_with("otp") || name.starts_with("edit_token")
    };
    record.retain(|name, _| !is_absent(name));
    let words = [("customer_type", 1, "INDIVIDUAL"), ("customer_type", 2, "BUSINESS"), ("tax_status", 1, "TAXABLE")];
    for (name, number, word) in words {
        record.entry(name).and_modify(|value| {
            if *value == number {
                *value = word.into();
            }
        });
    }
    record.entry("payment_terms").and_modify(|terms| *terms = json!([terms]));
    record.extend(object(&json!({ "full_name": "Full Name", "documents": {}, "archived_at": null })));
    Value::Object(record)
}

/// Only what the query asks for, with times and actors of the GraphQL schema. Groups do not name their workspace.
fn plain(customer: &Value) -> Value {
    let asked = [
        "id",
        "externalId",
        "fullName",
        "shortName",
        "email",
        "markedAsSpamAt",
        "markedAsSpamBy",
        "createdAt",
        "createdBy",
        "updatedAt",
        "updatedBy",
        "customerGroupMemberships",
    ];
    let mut node = object(customer);
    node.retain(|name, _| asked.contains(&name.as_str()));
    graphql(&Value::Object(node))
}

fn graphql(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    if let Some(kind) = fields.get("actorType") {
        return match kind.as_str().unwrap() {
            "user" => json!({ "__typename": "UserActor", "userId": fields["userId"] }),
            "system" => json!({ "__typename": "SystemActor", "systemId": fields["system"] }),
            "machineUser" => json!({ "__typename": "MachineUserActor", "machineUserId": fields["machineUserId"] }),
            "customer" => json!({ "__typename": "CustomerActor", "customerId": fields["customerId"] }),
            _ => json!({ "__typename": "SomeOtherActor" }),
        };
    }
    let field = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::String(time) if name.ends_with("At") => json!({ "iso8601": time }),
            Value::Array(nodes) => {
                let edges: Vec<_> = nodes.iter().map(|node| json!({ "node": graphql(node) })).collect();
                json!({ "edges": edges, "pageInfo": { "hasNextPage": false } })
            }
            other => graphql(other),
        };
        (name.clone(), value)
    };
    let is_asked = |(name, _): &(&String, &Value)| !["workspaceId", "customerGroupId"].contains(&name.as_str());
    fields.iter().filter(is_asked).map(field).collect()
}

/// Empty values where the webhook leaves fields out, and the fields that only older webhooks have.
fn flexprice(customer: &Value) -> Value {
    let mut record = object(&json!({
        "external_id": "", "email": "", "address_line1": "", "address_line2": "", "address_city": "",
        "address_state": "", "address_postal_code": "", "address_country": "", "timezone": "", "metadata": null,
        "tenant_id": "tenant_1", "status": "published", "created_at": "2026-10-01T08:00:00.1Z",
        "updated_at": "2026-10-02T08:00:00.12Z", "created_by": "user_1", "updated_by": "user_2", "integrations": null,
        "contact": "+1 555 0100", "contact_persons": [{ "name": "Ann Alder" }], "tax_treatment": "taxable",
        "billing_currency": "usd",
    }));
    record.extend(object(customer));
    Value::Object(record)
}

fn body(case: &Case) -> Value {
    serde_json::from_str(&case.body().unwrap()).unwrap_or_default()
}

fn read(listing: &Listing, body: &Value, entry: Value) -> Listed {
    // Only Metrifox's list does not contain the account.
    let account = body.pointer("/data/customer/tenant_id").map(|id| Id::new(id.as_str().unwrap().into()).unwrap());
    let mut listed = (listing.read_file_entry)(entry, &RecordContext { account, received_at: signed_at() });
    assert_eq!(listed.len(), 1);
    listed.remove(0)
}

fn item_of_list(listed: &Listed) -> Option<CustomerItem> {
    let Listed::Customer(event) = listed else { return None };
    let Item::Customer(item) = event.item(signed_at()) else { panic!("a tombstone") };
    Some(*item)
}

/// The item of an event file, if it leads to a customer.
fn item_of_webhook(case: &Case) -> Option<CustomerItem> {
    let translations = translate(case.provider.name, case.body().unwrap().as_bytes());
    let [Ok(Translated::Event(event))] = &translations[..] else { return None };
    match event.item(signed_at()) {
        Item::Customer(item) => Some(*item),
        Item::Tombstone(_) => None,
    }
}

/// The paths at which the items differ: attributes, and fields of `profile` and `extra`.
fn differences(one: &CustomerItem, other: &CustomerItem) -> BTreeSet<String> {
    let [one, other] = [one, other].map(|item| {
        let mut fields = BTreeMap::new();
        for (name, value) in object(&serde_json::to_value(item).unwrap()) {
            match value {
                Value::Object(inner) if ["profile", "extra"].contains(&name.as_str()) => {
                    fields.extend(inner.into_iter().map(|(inner, value)| (format!("{name}.{inner}"), value)));
                }
                value => drop(fields.insert(name, value)),
            }
        }
        fields
    });
    let paths = one.keys().chain(other.keys()).cloned();
    paths.filter(|path| one.get(path) != other.get(path)).collect()
}

/// An observation has another rank and no event. A field that the record does not have, for example one of the envelope,
/// is not in its item. The version of Flexprice's webhooks is the time of the message, unless they have `updated_at`.
fn is_expected(path: &str, listing: &Listing, body: &Value, record: &Value) -> bool {
    match path {
        "rank" | "last_event" => true,
        "updated_at" => body.get("customer").is_some_and(|customer| customer.get("updated_at").is_none()),
        _ => {
            let is_absent = path.strip_prefix("extra.").is_some_and(|name| record.get(name).is_none());
            is_absent || listing.different_in_list.contains(&path)
        }
    }
}

/// Every event file that leads to a customer leads to the same item as the list, except for `different_in_list`, and each
/// path in it differs for some event file.
#[rstest]
#[case("metrifox")]
#[case("plain")]
#[case("flexprice")]
fn a_list_leads_to_the_items_of_the_webhooks(#[case] provider: &str) {
    let (mut compared, mut differing) = (0, BTreeSet::new());
    for case in cases().iter().filter(|case| case.provider.name == provider) {
        let Some(by_webhook) = item_of_webhook(case) else { continue };
        let (listing, body) = (listing(case.provider), body(case));
        let (record, answer) = listed_by_api(provider, &body);
        let listed = read(listing, &body, answer(&body, record.clone()));
        // In a list, this status means that the customer was deleted.
        if record["status"] == "archived" {
            assert!(matches!(listed, Listed::Deleted { .. }), "{}", case.title());
            continue;
        }
        let by_list = item_of_list(&listed).unwrap_or_else(|| panic!("{}: {listed:?}", case.title()));
        let paths = differences(&by_webhook, &by_list);
        let unexpected: Vec<_> = paths.iter().filter(|path| !is_expected(path, listing, &body, &record)).collect();
        assert!(unexpected.is_empty(), "{}: {unexpected:?}", case.title());
        differing.extend(paths);
        compared += 1;
    }
    assert!(compared > 10, "only {compared} event files were compared");
    let listing = listing(clientele_providers::find(provider).unwrap());
    for path in listing.different_in_list {
        assert!(differing.contains(*path), "{path} is the same in list and webhook");
    }
}

/// A value that is nowhere else, of the type that the field most likely has.
fn canary(path: &str) -> Value {
    if path.ends_with("_at") || path.ends_with("At") { "2001-02-03T04:05:06.789Z".into() } else { "canary-17".into() }
}

/// None of the fields that only the list has reaches an item. Each would, if it were not on the list: the same field in
/// a webhook does.
#[rstest]
#[case("metrifox/customer-updated", "/data/customer")]
#[case("plain/group-memberships-changed", "/payload/customer")]
#[case("flexprice/customer-updated", "/customer")]
fn fields_that_only_the_list_has_are_not_stored(#[case] title: &str, #[case] customer: &str) {
    let case = case(title);
    let (listing, body) = (listing(case.provider), body(case));
    let (record, answer) = listed_by_api(case.provider.name, &body);
    let expected = item_of_list(&read(listing, &body, answer(&body, record.clone()))).unwrap();
    for path in listing.only_in_list {
        let pointer = format!("/{}", path.replace('.', "/")).replace("/edges/", "/edges/0/");
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut record = record.clone();
        record.pointer_mut(parent).unwrap()[name] = canary(path);
        // Of an archived customer there is no item at all.
        let item = item_of_list(&read(listing, &body, answer(&body, record)));
        assert!(item.is_none_or(|item| item == expected), "{path} of the list is stored");

        let pointer = format!("{customer}{}", pointer.replace("/edges/0/node", "/0"));
        let Ok(Translated::Event(event)) = changed(title, &pointer, Some(canary(path))) else { panic!("{path}") };
        let item = serde_json::to_string(&event.item(signed_at())).unwrap();
        assert!(item.contains(canary(path).as_str().unwrap()), "{path} of a webhook is not stored");
    }
}

/// The tests above are about every provider with a list.
#[test]
fn three_providers_have_a_list() {
    let with_list = PROVIDERS.iter().filter(|provider| listing(provider).api.is_some());
    assert_eq!(with_list.map(|provider| provider.name).collect::<Vec<_>>(), ["metrifox", "plain", "flexprice"]);
}
