//! Bodies of the event files, changed in a few places: what random bytes never are, nearly right.

use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::pieces::Pieces;

/// The bodies of a provider's event files.
fn bodies(provider: &str) -> &'static [Value] {
    static BODIES: LazyLock<[Vec<Value>; 4]> = LazyLock::new(|| {
        PROVIDERS.map(|provider| read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(provider)))
    });
    const PROVIDERS: [&str; 4] = ["metrifox", "smarterpay", "plain", "flexprice"];
    let place = PROVIDERS.iter().position(|name| *name == provider).unwrap();
    &BODIES[place]
}

fn read(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // An input must mean the same body everywhere.
    files.sort();
    let events = files.iter().filter(|file| !file.to_string_lossy().ends_with(".expected.json"));
    let body = |event: Value| {
        let body = event["body"].as_str().unwrap().as_bytes();
        let decoded = (event["isBase64Encoded"] == true).then(|| BASE64_STANDARD.decode(body).unwrap());
        serde_json::from_slice(decoded.as_deref().unwrap_or(body)).unwrap()
    };
    events.map(|file| body(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())).collect()
}

/// A body of `provider` with the changes that `input` says.
pub(crate) fn edited(provider: &str, input: &[u8]) -> Vec<u8> {
    let mut pieces = Pieces(input);
    let mut body = pieces.one_of(bodies(provider));
    for _ in 0..=pieces.byte() % 6 {
        edit(&mut body, &mut pieces);
    }
    let mut text = body.to_string().into_bytes();
    if pieces.byte() % 8 == 7 {
        let place = pieces.place(text.len());
        let odd = pieces.one_of(&[&b"\\ud83d"[..], b"\xff", b"\"", b"{", b"\0", b"\\", b"\"otp\":", b"}"]);
        text.splice(place..place + pieces.place(2), odd.iter().copied());
    }
    if pieces.byte() % 8 == 7 {
        text.truncate(pieces.place(text.len()));
    }
    text
}

/// Changes one place.
fn edit(body: &mut Value, pieces: &mut Pieces) {
    let mut pointers = vec![];
    walk(String::new(), body, &mut pointers);
    let pointer = pointers[pieces.place(pointers.len())].clone();
    let other = body.pointer(&pointers[pieces.place(pointers.len())].clone()).cloned();
    let Some(place) = body.pointer_mut(&pointer) else { return };
    match (pieces.byte() % 8, place) {
        (0, Value::Object(fields)) => drop(fields.insert(pieces.text(), other.into())),
        (0, Value::Array(elements)) => elements.extend(other),
        (1, Value::Object(fields)) => {
            let names: Vec<_> = fields.keys().cloned().collect();
            let name = names.get(pieces.place(names.len()));
            drop(name.and_then(|name| fields.remove(name)));
        }
        (1, Value::Array(elements)) => drop(elements.pop()),
        (2, place) => *place = other.into(),
        (3, place) => *place = json!([place.take()]),
        (4, place) => *place = json!({ pieces.text(): place.take() }),
        (5, place) => *place = json!(pieces.text()),
        (_, place) => *place = pieces.one_of(&ODD),
    }
}

/// The JSON pointer of every value.
fn walk(pointer: String, value: &Value, into: &mut Vec<String>) {
    let inner: Vec<_> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect()
        }
        _ => vec![],
    };
    for (name, value) in inner {
        walk(format!("{pointer}/{name}"), value, into);
    }
    into.push(pointer);
}

/// Values that are seldom sent.
static ODD: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let numbers =
        ["-0", "1e400", "1e-400", "123456789012345678901234567890123456789", "-9223372036854775808", "0.10", "5e-1"];
    let numbers = numbers.map(|number| serde_json::from_str(number).unwrap());
    let deep =
        (0..40).fold(json!("deep"), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) });
    let long = "x%#\u{130}".repeat(600);
    let texts = [
        "",
        " ",
        "null",
        "a#b%23",
        "\u{fffe}\u{ffff}",
        "\u{0}",
        "\u{1f600}",
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:00:00.123456789+23:59",
        "9999-12-30T22:00:00.999999999Z",
        "-009999-01-02T01:59:59Z",
        "2026-11-20T12:00:60Z",
        "2026-11-20 12:00:00",
        "customer_account.update",
        "customer.updated",
        "customer.deleted",
        "customer.customer_changed",
        "customer.customer_deleted",
        "ADDED",
        "otp",
    ];
    let mut odd =
        vec![json!(null), json!(true), json!([]), json!({}), json!({ "": 1 }), json!([null]), deep, json!(long)];
    odd.extend(numbers);
    odd.extend(texts.map(Value::from));
    odd
});
