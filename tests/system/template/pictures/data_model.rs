//! What the table holds: the two kinds of item, the indexes, the order of events, and one person in several services.

use std::collections::{BTreeMap, BTreeSet};

use clientele_model::{Rank, Sequence, Time, Verb};
use serde_json::Value;

use super::drawing::{Anchor, Drawing, Kind};
use super::fonts::Font::{Code, Text, Title};
use crate::support::root;
use crate::support::template::resources;

/// Rows of attributes, and what they are. Names in one row are separated by commas.
type Rows = [(&'static str, &'static str)];

const CUSTOMER: &Rows = &[
    ("pk", "provider#account#customer_id"),
    ("sk", "always \"customer\""),
    ("provider, account", "the parts of pk"),
    ("customer_id", "the provider's id"),
    ("external_id", "your own key for the customer"),
    ("email", "primary address, in lower case"),
    ("name, status", "\"active\" or \"inactive\""),
    ("profile", "the common model"),
    ("extra", "all other fields, as sent"),
    ("created_at, updated_at", "at the provider"),
    ("rank", "the last event's place in the order"),
    ("last_event", "id, type, received_at"),
    ("schema", "1"),
];

const TOMBSTONE: &Rows = &[
    ("pk, sk, provider, account", ""),
    ("customer_id, schema", ""),
    ("status", "always \"deleted\""),
    ("deleted_at", "at the provider"),
    ("rank", "begins with 1"),
    ("last_event", "the delete"),
    ("cleanup", "the message"),
    ("cleanup_due", "when it may be sent"),
    ("receipts", "by system"),
    ("erasure_open", "until all are there"),
];

/// The indexes from top to bottom.
const INDEXES: [&str; 4] = ["by-external-id", "by-email", "cleanup-due", "erasure-open"];

const FIRST_ROW: i32 = 74;
const ROW: i32 = 20;

pub(super) fn drawing() -> Drawing {
    let title = "The data model: customers and tombstones, their indexes, the order of events, and how the items of \
                 one person are found";
    let mut drawing = Drawing::new(1090, 792, title);
    items(&mut drawing);
    rank(&mut drawing);
    person(&mut drawing);
    drawing
}

/// The baseline of the row of an attribute.
fn baseline(rows: &Rows, attribute: &str) -> i32 {
    let row = (0..).zip(rows).find(|(_, (names, _))| *names == attribute).unwrap().0;
    FIRST_ROW + row * ROW
}

fn items(drawing: &mut Drawing) {
    let mut item = |[x, column, width]: [i32; 3], title: &str, rows: &Rows| {
        drawing.text_box(Kind::Data, [x, 24, width, 320], [26, 0], &[(Title, title)]);
        for (row, (names, meaning)) in (0..).zip(rows) {
            drawing.text(Code, Anchor::Start, (x + 12, FIRST_ROW + row * ROW), names);
            if !meaning.is_empty() {
                drawing.text(Text, Anchor::Start, (x + column, FIRST_ROW + row * ROW), meaning);
            }
        }
    };
    item([24, 186, 436], "Customer", CUSTOMER);
    item([806, 110, 260], "Tombstone", TOMBSTONE);
    for (line, text) in (0..).zip([
        "Once SQS has the message, cleanup",
        "and cleanup_due are removed, and",
        "no personal data is left.",
    ]) {
        drawing.text(Text, Anchor::Start, (818, 280 + line * 18), text);
    }
    let indexes = indexes();
    for (name, y) in INDEXES.into_iter().zip([104, 166, 228, 290]) {
        let keys = format!("key: {}", indexes[name].join(", "));
        drawing.text_box(Kind::Plain, [540, y, 186, 54], [23, 20], &[(Code, name), (Text, &keys)]);
    }
    drawing.arrow(false, &[(460, 50), (806, 50)]);
    drawing.text(Text, Anchor::Middle, (633, 42), "a delete replaces the item");
    drawing.text(Text, Anchor::Middle, (633, 98), "sparse indexes, keys only");
    let y = baseline(CUSTOMER, "external_id") - 4;
    drawing.arrow(false, &[(460, y), (540, y)]);
    let y = baseline(CUSTOMER, "email") - 4;
    drawing.arrow(false, &[(460, y), (500, y), (500, 193), (540, 193)]);
    let y = baseline(TOMBSTONE, "cleanup_due") - 4;
    drawing.arrow(false, &[(806, y), (756, y), (756, 255), (726, 255)]);
    let y = baseline(TOMBSTONE, "erasure_open") - 4;
    drawing.arrow(false, &[(806, y), (786, y), (786, 317), (726, 317)]);
}

/// The parts of an encoded rank, with what they mean.
fn rank(drawing: &mut Drawing) {
    let moment = |text: &str| text.parse::<Time>().unwrap().into();
    let rank = Rank {
        erased: false,
        version: moment("2026-11-20T11:59:10.7Z"),
        verb: Verb::Updated,
        sequence: Sequence { raised: moment("2026-11-20T11:59:10.742Z"), place: 0 },
        event_id: "pEv_1".to_owned(),
    };
    let encoded = rank.to_string();
    let values: Vec<_> = encoded.splitn(6, '.').collect();
    // Without `..`, so that a new part does not compile until it is drawn.
    let Rank { erased: _, version: _, verb: _, sequence: Sequence { raised: _, place: _ }, event_id: _ } = rank;
    let parts = [
        (146, "erased", ["1 for a delete, which", "is always greater"]),
        (190, "version", ["when the provider last", "changed the record"]),
        (146, "verb", ["0 listed, 1 created,", "2 for later changes"]),
        (190, "raised", ["when the event", "was raised"]),
        (146, "place", ["of the event", "in its batch"]),
        (164, "event id", ["the provider's own,", "the same if sent again"]),
    ];
    drawing.text(
        Title,
        Anchor::Start,
        (24, 372),
        "rank: the order of a customer's events, compared from left to right",
    );
    let mut x = 24;
    for ((width, name, [first, second]), value) in parts.into_iter().zip(values) {
        let lines = [(Title, name), (Code, value), (Text, first), (Text, second)];
        drawing.text_box(Kind::Plain, [x, 388, width, 92], [25, 18], &lines);
        if x > 24 {
            drawing.text(Code, Anchor::Middle, (x - 6, 434), ".");
        }
        x += width + 12;
    }
    drawing.text(
        Text,
        Anchor::Start,
        (24, 504),
        "An event is written only if its rank is greater than the stored one. So the item is always the event with the \
         greatest rank,",
    );
    drawing.text(Text, Anchor::Start, (24, 523), "in whatever order and how often the events arrive.");
}

/// One person is one item in each service: a customer of all four in the event files.
fn person(drawing: &mut Drawing) {
    let services =
        [("metrifox", "Metrifox"), ("smarterpay", "SmarterPay"), ("plain", "Plain"), ("flexprice", "Flexprice")];
    let items = services.map(|(provider, _)| updated_customer(provider));
    drawing.text(
        Title,
        Anchor::Start,
        (24, 566),
        "One person in four services: four items, joined by external_id or email",
    );
    for (number, ((_, service), item)) in (0..).zip(services.iter().zip(&items)) {
        let x = 24 + number * 264;
        let [external_id, email] =
            ["external_id", "email"].map(|name| format!("{name}: {}", item[name].as_str().unwrap()));
        let key = shortened(item["pk"].as_str().unwrap());
        let lines = [(Title, *service), (Code, key.as_str()), (Text, external_id.as_str()), (Text, email.as_str())];
        drawing.text_box(Kind::Data, [x, 582, 250, 92], [25, 18], &lines);
        drawing.arrow(false, &[(x + 125, 716), (x + 125, 674)]);
    }
    drawing.area(Kind::Plain, [24, 716, 1042, 48]);
    let [external_id, email] = ["external_id", "email"].map(|name| items[0][name].as_str().unwrap());
    let query = format!(
        "A query of by-external-id for {external_id}, or of by-email for {email}, returns the keys of all four items."
    );
    drawing.text(Text, Anchor::Middle, (545, 744), &query);
}

/// The item after the event file `customer-updated` of a provider.
fn updated_customer(provider: &str) -> Value {
    let path = root(&format!("events/{provider}/customer-updated.expected.json"));
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let [(pk, item)] = &expected["items"].as_object().unwrap().iter().collect::<Vec<_>>()[..] else { panic!("one") };
    let mut item = (*item).clone();
    item["pk"] = (*pk).clone().into();
    item
}

/// A key with only the beginning of each id.
fn shortened(pk: &str) -> String {
    let short = |part: &str| if part.len() > 10 { format!("{}…", &part[..7]) } else { part.to_owned() };
    pk.split('#').map(short).collect::<Vec<_>>().join("#")
}

/// The key attributes of each index in the template.
fn indexes() -> BTreeMap<String, Vec<String>> {
    let (_, table) = resources("AWS::DynamoDB::Table").pop_first().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let indexes = table["GlobalSecondaryIndexes"].as_array().unwrap().iter();
    let keys =
        |index: &Value| index["KeySchema"].as_array().unwrap().iter().map(|key| text(&key["AttributeName"])).collect();
    indexes.map(|index| (text(&index["IndexName"]), keys(index))).collect()
}

#[test]
fn items_have_exactly_the_attributes_of_the_schema() {
    let schema = std::fs::read_to_string(root("docs/schema/customer-item.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    for (kind, rows) in [("CustomerItem", CUSTOMER), ("Tombstone", TOMBSTONE)] {
        let drawn: Vec<_> = rows.iter().flat_map(|(names, _)| names.split(", ")).collect();
        let in_schema: BTreeSet<_> =
            schema["$defs"][kind]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(drawn.len(), in_schema.len(), "each once");
        assert_eq!(drawn.into_iter().collect::<BTreeSet<_>>(), in_schema, "{kind}");
    }
    let last_event = &schema["$defs"]["LastEvent"]["properties"];
    let (_, meaning) = CUSTOMER.iter().find(|(name, _)| *name == "last_event").unwrap();
    assert!(meaning.split(", ").all(|name| last_event[name].is_object()), "{meaning}");
}

/// All four are drawn, and hold only keys, as the picture says.
#[test]
fn indexes_are_those_of_the_template() {
    assert_eq!(indexes().into_keys().collect::<BTreeSet<_>>(), INDEXES.map(str::to_owned).into());
    let (_, table) = resources("AWS::DynamoDB::Table").pop_first().unwrap();
    for index in table["GlobalSecondaryIndexes"].as_array().unwrap() {
        assert_eq!(index["Projection"]["ProjectionType"], "KEYS_ONLY");
    }
}

/// As the picture says of the four items.
#[test]
fn one_person_has_the_same_external_id_and_email_in_all_services() {
    let items: Vec<_> = clientele_providers::names().into_iter().map(updated_customer).collect();
    for name in ["external_id", "email"] {
        assert!(items.iter().all(|item| item[name].is_string() && item[name] == items[0][name]), "{name}");
    }
}
