//! Bodies of the event files with a few edits. They are almost valid, which random bytes never are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_providers::PROVIDERS;
use serde_json::{Value, json};

use crate::choices::Choices;

/// The bodies of a provider's event files.
fn bodies(provider: &str) -> &'static [Value] {
    static BODIES: LazyLock<BTreeMap<&str, Vec<Value>>> = LazyLock::new(|| {
        let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
        PROVIDERS.iter().map(|provider| (provider.name, read(&events.join(provider.name)))).collect()
    });
    &BODIES[provider]
}

fn read(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Sorted, so that an input selects the same body everywhere.
    files.sort();
    let events = files.iter().filter(|file| !file.to_string_lossy().ends_with(".expected.json"));
    let body = |event: Value| {
        let body = event["body"].as_str().unwrap().as_bytes();
        let decoded = (event["isBase64Encoded"] == true).then(|| BASE64_STANDARD.decode(body).unwrap());
        serde_json::from_slice(decoded.as_deref().unwrap_or(body)).unwrap()
    };
    events.map(|file| body(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())).collect()
}

/// A body of `provider` with edits that `input` selects.
pub(crate) fn edited(provider: &str, input: &[u8]) -> Vec<u8> {
    let mut choices = Choices(input);
    let mut body = choices.one_of(bodies(provider));
    for _ in 0..=choices.byte() % 6 {
        edit(&mut body, &mut choices);
    }
    let mut text = body.to_string().into_bytes();
    if choices.byte() % 8 == 7 {
        let at = choices.index(text.len());
        let odd = choices.one_of(&[
            &b"\\ud83d"[..],
            b"\xff",
            b"\"",
            b"{",
            b"\0",
            b"\\",
            b"\"otp\":",
            b"}",
            b"\"$serde_json::private::Number\":",
        ]);
        text.splice(at..at + choices.index(2), odd.iter().copied());
    }
    if choices.byte() % 8 == 7 {
        text.truncate(choices.index(text.len()));
    }
    text
}

/// Changes one value.
fn edit(body: &mut Value, choices: &mut Choices) {
    let mut pointers = vec![];
    collect_pointers(String::new(), body, &mut pointers);
    let pointer = pointers[choices.index(pointers.len())].clone();
    let other = body.pointer(&pointers[choices.index(pointers.len())].clone()).cloned();
    let Some(value) = body.pointer_mut(&pointer) else { return };
    match (choices.byte() % 8, value) {
        (0, Value::Object(fields)) => drop(fields.insert(choices.text(), other.into())),
        (0, Value::Array(elements)) => elements.extend(other),
        (1, Value::Object(fields)) => {
            let names: Vec<_> = fields.keys().cloned().collect();
            let name = names.get(choices.index(names.len()));
            drop(name.and_then(|name| fields.remove(name)));
        }
        (1, Value::Array(elements)) => drop(elements.pop()),
        (2, value) => *value = other.into(),
        (3, value) => *value = json!([value.take()]),
        (4, value) => *value = json!({ choices.text(): value.take() }),
        (5, value) => *value = json!(choices.text()),
        (_, value) => *value = choices.one_of(&UNUSUAL_VALUES),
    }
}

/// Collects the JSON pointer of every value.
fn collect_pointers(pointer: String, value: &Value, into: &mut Vec<String>) {
    let inner: Vec<_> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => vec![],
    };
    for (name, value) in inner {
        collect_pointers(format!("{pointer}/{name}"), value, into);
    }
    into.push(pointer);
}

/// Values that are rarely sent.
static UNUSUAL_VALUES: LazyLock<Vec<Value>> = LazyLock::new(|| {
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
        "$serde_json::private::Number",
        "$serde_json::private::RawValue",
        "{\"otp\":1}",
    ];
    let mut values = vec![
        json!({ "$serde_json::private::Number": "7" }),
        json!(["otp", "7"]),
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!({ "": 1 }),
        json!([null]),
        deep,
        json!(long),
    ];
    values.extend(numbers);
    values.extend(texts.map(Value::from));
    values
});
