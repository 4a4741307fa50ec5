//! Explains in words why a customer's item is as it is: which event brought it, and which events would change it. The
//! order of events is defined in `shared/model/src/rank.rs`.

use clientele_model::{EpochMicros, EventTime, Rank, Verb};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The version of the item's schema that is explained here.
const SCHEMA: u64 = 1;
/// The attributes of an item in that version.
#[rustfmt::skip]
const ATTRIBUTES: [&str; 21] = [
    "pk", "sk", "provider", "account", "customer_id", "external_id", "status", "name", "email", "profile", "extra",
    "created_at", "updated_at", "deleted_at", "rank", "last_event", "schema", "cleanup", "cleanup_due",
    "receipts", "erasure_open",
];

/// The sentences that explain an item of the table at this time. They contain ids and event types as the provider sent them, so make
/// control characters visible before you show them.
#[must_use]
pub fn why(item: &Value, now: Timestamp) -> Vec<String> {
    let rank = item["rank"].as_str().unwrap_or_default();
    let is_deleted = item["status"] == "deleted";
    let mut sentences = vec![origin(item, is_deleted)];
    match rank.parse::<Rank>() {
        Ok(rank) if rank.erased || is_deleted => sentences.extend(of_tombstone(item, &rank, now)),
        Ok(rank) => sentences.extend(of_customer(item, &rank)),
        Err(_) => sentences.push(
            "This release cannot read the item's rank, so it cannot tell which events would change it.".to_owned(),
        ),
    }
    sentences.extend(unknown(item));
    sentences
}

/// The type in `last_event` of an item that an operator has erased. Its event id is the operator's reason.
const ERASED_BY_OPERATOR: &str = "operator.erased";

/// Which event brought the item.
fn origin(item: &Value, is_deleted: bool) -> String {
    let last = &item["last_event"];
    let verb = if is_deleted { "deleted the customer" } else { "brought this state" };
    match (last["type"].as_str(), last["id"].as_str()) {
        (Some(ERASED_BY_OPERATOR), Some(reason)) => {
            format!("An operator erased the customer, with the reason {reason}.")
        }
        (Some(kind), Some(id)) => format!("The event {kind} with the id {id} {verb}."),
        (None, Some(id)) => format!("The event with the id {id} {verb}."),
        (Some(kind), None) => format!("An event of the type {kind} {verb}."),
        (None, None) => format!("The item does not say which event {verb}."),
    }
}

fn of_customer(item: &Value, rank: &Rank) -> Vec<String> {
    let Rank { version, verb, sequence, .. } = rank;
    let version_is_raised = *version == sequence.raised;
    let mut sentences = vec![format!("The record's version is {version}: that is when the provider last changed it.")];
    if *verb == Verb::Observed {
        sentences.push(
            "It was read from the provider's list, so no event is known that brought it into this state.".to_owned(),
        );
    } else if version_is_raised {
        sentences.push(format!("The event was raised at the same time{}.", arrival(item, rank)));
    } else {
        sentences.push(format!("The event was raised at {}{}.", sequence.raised, arrival(item, rank)));
    }
    if item["status"] == "inactive" {
        sentences.push("The customer is inactive because the record says so. It is not deleted.".to_owned());
    }
    sentences
        .push("A create or update with a later version changes it, in whatever order the events arrive.".to_owned());
    sentences.push(match verb {
        Verb::Observed => "With the same version, every create and update changes it.".to_owned(),
        Verb::Created => "With the same version, every update changes it, because this event is a create. A create \
                          does only if it was raised later."
            .to_owned(),
        Verb::Updated => "With the same version, an update changes it only if it was raised later. If that is equal \
                          too, the place in the batch decides, and then the id of the event."
            .to_owned(),
    });
    sentences.push(
        "An event with an earlier version is stale, and this event again is a duplicate: neither changes it."
            .to_owned(),
    );
    sentences.push("A delete changes it whatever the delete's version is.".to_owned());
    sentences
}

fn of_tombstone(item: &Value, rank: &Rank, now: Timestamp) -> Vec<String> {
    let is_by_operator = item["last_event"]["type"] == ERASED_BY_OPERATOR;
    let mut sentences = vec![];
    if is_by_operator {
        if let Some(erased) = time(&item["last_event"]["received_at"]) {
            sentences.push(format!("The customer was erased at {erased}."));
        }
    } else if rank.verb == Verb::Observed {
        sentences.push("The provider was asked, and has deleted the customer. No event said so.".to_owned());
    } else if rank.sequence.raised == EventTime::EARLIEST.into() {
        let received = time(&item["last_event"]["received_at"]).map_or(String::new(), |time| format!(", {time},"));
        sentences.push(format!(
            "The event has no time that can be used, so its arrival{received} counts as the time of the delete."
        ));
    } else {
        sentences.push(format!("The delete was raised at {}{}.", rank.sequence.raised, arrival(item, rank)));
    }
    sentences.push(message(item, now));
    if let Some(since) = time(&item["erasure_open"]) {
        sentences.push(format!("Since {since}, other systems have to confirm that they have erased their copies."));
    }
    sentences.push(
        "The tombstone stays in the table for ever, so that an event that arrives late cannot bring the customer back."
            .to_owned(),
    );
    sentences.push(
        if is_by_operator {
            "Creates, updates and deletes of the provider are stale from now on, however new they are."
        } else {
            "Creates and updates are stale from now on, however new they are. Only a later delete replaces this one, \
             and the customer stays deleted."
        }
        .to_owned(),
    );
    sentences.push("If the customer comes back, the provider has to create it under another id.".to_owned());
    sentences
}

/// Whether the tombstone's message was sent, is held back, or waits for a sweep.
fn message(item: &Value, now: Timestamp) -> String {
    if item["cleanup"].is_null() {
        return "The message to the cleanup queue was sent. This tombstone contains no personal data.".to_owned();
    }
    match time(&item["cleanup_due"]) {
        Some(due) if due > now => format!(
            "The message to the cleanup queue is held back in this tombstone until {due}. The first sweep after that \
             sends it and removes it from here."
        ),
        due => {
            let since = due.map_or(String::new(), |due| format!(" since {due}"));
            format!(
                "The message to the cleanup queue is not sent yet; it has been waiting in this tombstone{since}. The \
                 next sweep sends it and removes it from here."
            )
        }
    }
}

/// The rest of a sentence about when the event was raised: its place in its batch, and when it arrived.
fn arrival(item: &Value, rank: &Rank) -> String {
    let place = match rank.sequence.place {
        0 => String::new(),
        place => format!(", as number {} of its batch", u64::from(place) + 1),
    };
    let Some(received) = time(&item["last_event"]["received_at"]) else { return place };
    let later = delay(rank.sequence.raised, received).map_or(String::new(), |delay| format!(", {delay} later"));
    format!("{place}, and arrived at {received}{later}")
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// How long after it was raised an event arrived, in its two greatest units. `None` below a second, and for an event
/// that arrived before, by the provider's clock.
fn delay(raised: EpochMicros, received: Timestamp) -> Option<String> {
    let seconds = SignedDuration::as_secs(&received.duration_since(raised.timestamp()?));
    let units = [("d", seconds / 86_400), ("h", seconds / 3_600 % 24), ("min", seconds / 60 % 60), ("s", seconds % 60)];
    let first = units.iter().position(|(_, number)| *number > 0)?;
    let parts = units.iter().skip(first).take(2).filter(|(_, number)| *number > 0);
    Some(parts.map(|(unit, number)| format!("{number} {unit}")).collect::<Vec<_>>().join(" "))
}

/// What a newer release may have written.
fn unknown(item: &Value) -> Vec<String> {
    let mut sentences = vec![];
    match item["schema"].as_u64() {
        Some(SCHEMA) => {}
        Some(schema) => sentences.push(format!("The item has schema {schema}; this release explains schema {SCHEMA}.")),
        None => sentences.push("The item does not say which schema it has.".to_owned()),
    }
    let names = item.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let names: Vec<_> = names.filter(|name| !ATTRIBUTES.contains(name)).collect();
    if !names.is_empty() {
        sentences.push(format!("This release does not know what these attributes mean: {}.", names.join(", ")));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use clientele_model::{Sequence, Time};
    use rstest::rstest;
    use serde_json::json;
    use std::path::Path;

    /// Ten minutes after the events of these tests arrived.
    fn now() -> Timestamp {
        "2026-11-20T12:10:00Z".parse().unwrap()
    }

    fn micros(time: &str) -> EpochMicros {
        time.parse::<Time>().unwrap().into()
    }

    fn rank(verb: Verb, version: &str, raised: &str, place: u32) -> Rank {
        let sequence = Sequence { raised: micros(raised), place };
        Rank { erased: false, version: micros(version), verb, sequence, event_id: "e1".to_owned() }
    }

    fn item(rank: &Rank, kind: &str, more: &Value) -> Value {
        let status = if rank.erased { "deleted" } else { "active" };
        let last_event = json!({ "id": "e1", "type": kind, "received_at": "2026-11-20T12:00:00Z" });
        let mut item = json!({ "rank": rank.to_string(), "status": status, "schema": 1, "last_event": last_event });
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        item
    }

    const CHANGES: &str = "A create or update with a later version changes it, in whatever order the events arrive.";
    const AFTER_CREATE: &str = "With the same version, every update changes it, because this event is a create. A \
                                create does only if it was raised later.";
    const AFTER_UPDATE: &str = "With the same version, an update changes it only if it was raised later. If that is \
                                equal too, the place in the batch decides, and then the id of the event.";
    const KEEPS: &str =
        "An event with an earlier version is stale, and this event again is a duplicate: neither changes it.";
    const DELETE: &str = "A delete changes it whatever the delete's version is.";

    /// An event of each provider: with a time of its own, in a batch, in milliseconds, and with only one time.
    #[rstest]
    #[case::plain(
        "customer.customer_updated",
        Verb::Updated,
        "2026-11-20T11:58:03.118Z",
        "2026-11-20T11:58:03.154Z",
        0,
        "The event was raised at 2026-11-20T11:58:03.154Z, and arrived at 2026-11-20T12:00:00Z, 1 min 56 s later."
    )]
    #[case::smarterpay(
        "customer_account.update",
        Verb::Updated,
        "2026-11-20T09:00:00Z",
        "2026-11-20T09:00:01Z",
        2,
        "The event was raised at 2026-11-20T09:00:01Z, as number 3 of its batch, and arrived at \
         2026-11-20T12:00:00Z, 2 h 59 min later."
    )]
    #[case::metrifox(
        "customer.created",
        Verb::Created,
        "2026-11-17T12:00:00Z",
        "2026-11-17T11:59:59.999Z",
        0,
        "The event was raised at 2026-11-17T11:59:59.999Z, and arrived at 2026-11-20T12:00:00Z, 3 d later."
    )]
    #[case::flexprice(
        "customer.updated",
        Verb::Updated,
        "2026-11-20T11:59:59.5Z",
        "2026-11-20T11:59:59.5Z",
        0,
        "The event was raised at the same time, and arrived at 2026-11-20T12:00:00Z."
    )]
    #[case::clock_ahead(
        "customer.updated",
        Verb::Updated,
        "2026-11-20T11:00:00Z",
        "2026-11-20T12:30:00Z",
        0,
        "The event was raised at 2026-11-20T12:30:00Z, and arrived at 2026-11-20T12:00:00Z."
    )]
    fn of_customers(
        #[case] kind: &str,
        #[case] verb: Verb,
        #[case] version: &str,
        #[case] raised: &str,
        #[case] place: u32,
        #[case] arrival: &str,
    ) {
        let rank = rank(verb, version, raised, place);
        let version = rank.version;
        assert_eq!(
            why(&item(&rank, kind, &json!({})), now()),
            [
                format!("The event {kind} with the id e1 brought this state.").as_str(),
                format!("The record's version is {version}: that is when the provider last changed it.").as_str(),
                arrival,
                CHANGES,
                if verb == Verb::Created { AFTER_CREATE } else { AFTER_UPDATE },
                KEEPS,
                DELETE,
            ]
        );
    }

    #[test]
    fn an_inactive_customer_is_not_deleted() {
        let rank = rank(Verb::Updated, "2026-11-20T11:00:00Z", "2026-11-20T11:00:00Z", 0);
        let sentences = why(&item(&rank, "customer_account.update", &json!({ "status": "inactive" })), now());
        assert_eq!(sentences[3], "The customer is inactive because the record says so. It is not deleted.");
        assert_eq!(sentences.last().unwrap(), DELETE);
    }

    /// The version of an operator's delete is no moment, so nothing is said of it.
    #[test]
    fn of_a_customer_that_an_operator_has_erased() {
        let rank = "1.ffffffffffffffff.2.8000000000000000.00000000.request-17";
        let last_event =
            json!({ "id": "request-17", "type": "operator.erased", "received_at": "2026-11-20T12:00:00Z" });
        let item = json!({
            "rank": rank, "status": "deleted", "schema": 1, "last_event": last_event, "receipts": {},
        });
        assert_eq!(
            why(&item, now()),
            [
                "An operator erased the customer, with the reason request-17.",
                "The customer was erased at 2026-11-20T12:00:00Z.",
                "The message to the cleanup queue was sent. This tombstone contains no personal data.",
                "The tombstone stays in the table for ever, so that an event that arrives late cannot bring the \
                 customer back.",
                "Creates, updates and deletes of the provider are stale from now on, however new they are.",
                "If the customer comes back, the provider has to create it under another id.",
            ]
        );
    }

    /// Such a delete has no time of its own.
    #[test]
    fn of_a_customer_whose_delete_was_found_by_a_reconciliation() {
        let version = "2026-11-20T11:00:00Z";
        let rank = Rank { erased: true, ..rank(Verb::Observed, version, "1970-01-01T00:00:00Z", 0) };
        let item = item(&rank, "reconcile", &json!({}));
        assert_eq!(why(&item, now())[1], "The provider was asked, and has deleted the customer. No event said so.");
    }

    #[rstest]
    #[case::sent(
        "2026-11-20T11:00:00Z", json!({}),
        ["The delete was raised at 2026-11-20T11:00:00Z, and arrived at 2026-11-20T12:00:00Z, 1 h later.",
         "The message to the cleanup queue was sent. This tombstone contains no personal data."]
    )]
    #[case::waiting(
        "2026-11-20T11:00:00Z", json!({ "cleanup": "{}", "cleanup_due": "2026-11-20T12:00:00.5Z" }),
        ["The delete was raised at 2026-11-20T11:00:00Z, and arrived at 2026-11-20T12:00:00Z, 1 h later.",
         "The message to the cleanup queue is not sent yet; it has been waiting in this tombstone since \
          2026-11-20T12:00:00.5Z. The next sweep sends it and removes it from here."]
    )]
    #[case::held_back(
        "2026-11-20T11:00:00Z", json!({ "cleanup": "{}", "cleanup_due": "2026-11-20T12:10:00.001Z" }),
        ["The delete was raised at 2026-11-20T11:00:00Z, and arrived at 2026-11-20T12:00:00Z, 1 h later.",
         "The message to the cleanup queue is held back in this tombstone until 2026-11-20T12:10:00.001Z. The first \
          sweep after that sends it and removes it from here."]
    )]
    #[case::no_longer_held_back(
        "2026-11-20T11:00:00Z", json!({ "cleanup": "{}", "cleanup_due": "2026-11-20T12:10:00Z" }),
        ["The delete was raised at 2026-11-20T11:00:00Z, and arrived at 2026-11-20T12:00:00Z, 1 h later.",
         "The message to the cleanup queue is not sent yet; it has been waiting in this tombstone since \
          2026-11-20T12:10:00Z. The next sweep sends it and removes it from here."]
    )]
    #[case::without_a_time(
        "2000-01-01T00:00:00Z", json!({}),
        ["The event has no time that can be used, so its arrival, 2026-11-20T12:00:00Z, counts as the time of the \
          delete.",
         "The message to the cleanup queue was sent. This tombstone contains no personal data."]
    )]
    fn of_tombstones(#[case] raised: &str, #[case] more: Value, #[case] expected: [&str; 2]) {
        let rank = Rank { erased: true, ..rank(Verb::Updated, raised, raised, 0) };
        let sentences = why(&item(&rank, "customer.deleted", &more), now());
        assert_eq!(sentences[0], "The event customer.deleted with the id e1 deleted the customer.");
        assert_eq!(sentences[1..3], expected);
        assert_eq!(
            sentences[3..],
            [
                "The tombstone stays in the table for ever, so that an event that arrives late cannot bring the \
                 customer back.",
                "Creates and updates are stale from now on, however new they are. Only a later delete replaces this \
                 one, and the customer stays deleted.",
                "If the customer comes back, the provider has to create it under another id.",
            ]
        );
    }

    #[test]
    fn receipts_are_awaited() {
        let raised = "2026-11-20T11:00:00Z";
        let rank = Rank { erased: true, ..rank(Verb::Updated, raised, raised, 0) };
        let open = json!({ "receipts": {}, "erasure_open": "2026-11-20T12:00:00.5Z" });
        let expected =
            "Since 2026-11-20T12:00:00.5Z, other systems have to confirm that they have erased their copies.";
        assert_eq!(why(&item(&rank, "customer.deleted", &open), now())[3], expected);
        let closed = why(&item(&rank, "customer.deleted", &json!({ "receipts": {} })), now());
        assert!(!closed.iter().any(|sentence| sentence.contains("confirm")), "{closed:?}");
    }

    /// What cannot be read is said, and nothing is guessed.
    #[test]
    fn of_items_that_are_not_known() {
        let rank = rank(Verb::Updated, "2026-11-20T11:00:00Z", "2026-11-20T11:00:00Z", 0);
        let unreadable = "This release cannot read the item's rank, so it cannot tell which events would change it.";
        let no_schema = "The item does not say which schema it has.";
        let no_event = "The item does not say which event brought this state.";
        assert_eq!(why(&json!({}), now()), [no_event, unreadable, no_schema]);
        assert_eq!(why(&json!(null), now()), [no_event, unreadable, no_schema]);
        let newer = item(&rank, "k", &json!({ "rank": "2.x", "schema": 2, "score": 1, "tags": [] }));
        assert_eq!(
            why(&newer, now()),
            [
                "The event k with the id e1 brought this state.",
                unreadable,
                "The item has schema 2; this release explains schema 1.",
                "This release does not know what these attributes mean: score, tags.",
            ]
        );
        let sparse = why(&item(&rank, "k", &json!({ "last_event": { "type": "k", "received_at": 5 } })), now());
        assert_eq!(sparse[0], "An event of the type k brought this state.");
        assert_eq!(sparse[2], "The event was raised at the same time.");
        let number = item(&rank, "k", &json!({ "last_event": { "id": "e1" }, "rank": 5 }));
        assert_eq!(why(&number, now()), ["The event with the id e1 brought this state.", unreadable]);
    }

    /// The items of all event files can be explained.
    #[test]
    fn of_the_event_files() {
        let cases = crate::events::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("events")).unwrap();
        let items: Vec<_> = cases.iter().flat_map(|case| case.expected.items.values()).collect();
        assert!(items.iter().any(|item| item["status"] == "deleted"));
        for item in items {
            let text = why(item, now()).join("\n");
            let id = item["last_event"]["id"].as_str().unwrap();
            assert!(text.contains(id) && !text.contains("This release") && !text.contains("does not say"), "{text}");
            assert!(text.contains(item["last_event"]["received_at"].as_str().unwrap()), "{text}");
        }
    }
}
