//! Reads JSON from others, and writes JSON that SQS accepts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Reads JSON. An unpaired surrogate is valid JSON but cannot be part of a string, so it becomes the replacement
/// character. Senders produce one when they cut an emoji in two.
pub(crate) fn parse(json: &[u8]) -> Option<Value> {
    // Checking UTF-8 once for the whole text is faster than leaving it to the parser, which checks each string.
    let json = std::str::from_utf8(json).ok()?;
    let mended = || serde_json::from_slice(&without_lone_surrogates(json.as_bytes())?).ok();
    serde_json::from_str(json).ok().or_else(mended)
}

/// The text at a path of field names. Other values are only skipped, so they may contain what [`parse`] cannot read:
/// deep nesting, or bytes that are not UTF-8.
pub(crate) fn text_at(json: &[u8], path: &[&str]) -> Option<String> {
    fn text_in(json: &str, path: &[&str]) -> Option<String> {
        let Some((first, rest)) = path.split_first() else { return serde_json::from_str(json).ok() };
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
        text_in(fields.get(*first)?.get(), rest)
    }
    // For valid UTF-8, checking it takes a tenth of the instructions that `from_utf8_lossy` takes.
    let json = std::str::from_utf8(json).map_or_else(|_| String::from_utf8_lossy(json), Cow::Borrowed);
    text_in(&json, path)
}

/// A struct of strings as JSON for an SQS message.
///
/// SQS rejects two characters that JSON does not escape. They can only be inside strings, so they become escapes.
pub(crate) fn sqs_message(message: &impl Serialize) -> String {
    #[expect(clippy::expect_used, reason = "a struct of strings always serializes")]
    let json = serde_json::to_string(message).expect("a struct of strings");
    json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

/// The same JSON with lone surrogates replaced, or `None` if there are none.
fn without_lone_surrogates(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended = json.to_vec();
    let (mut at, mut found) = (0, false);
    while let Some(byte) = json.get(at) {
        at += match (byte, surrogate(json, at)) {
            (b'\\', Some(Half::High)) if surrogate(json, at + 6) == Some(Half::Low) => 12,
            (b'\\', Some(_)) => {
                mended[at..at + 6].copy_from_slice(br"\ufffd");
                found = true;
                6
            }
            // The character after a backslash does not start another escape.
            (b'\\', None) => 2,
            _ => 1,
        };
    }
    found.then_some(mended)
}

/// Which half of a surrogate pair: `\ud800` to `\udbff`, or `\udc00` to `\udfff`.
#[derive(PartialEq)]
enum Half {
    High,
    Low,
}

/// The surrogate that is escaped at this position, if there is one.
fn surrogate(json: &[u8], at: usize) -> Option<Half> {
    let escape = json.get(at..at + 6).filter(|escape| escape.starts_with(br"\u"))?;
    let code = u16::from_str_radix(std::str::from_utf8(&escape[2..]).ok()?, 16).ok()?;
    match code {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#""a""#, Some("a"))]
    #[case(r#""\ud83d\ude00""#, Some("\u{1f600}"))]
    #[case(r#""cut \ud83d""#, Some("cut \u{fffd}"))]
    #[case(r#""\ude00\ud83d.""#, Some("\u{fffd}\u{fffd}."))]
    #[case(r#""\ud83d\ud83d\ude00""#, Some("\u{fffd}\u{1f600}"))]
    #[case(r#""\\ud83d \ud83d""#, Some("\\ud83d \u{fffd}"))]
    #[case(r#""\ud83""#, None)]
    #[case(r#""\u+123 \ud83d""#, None)]
    #[case("\"\\", None)]
    #[case("\"\\ud83d", None)]
    fn lone_surrogates_are_replaced(#[case] json: &str, #[case] text: Option<&str>) {
        assert_eq!(parse(json.as_bytes()), text.map(Value::from));
    }

    #[rstest]
    #[case(r#"{"a":{"b":"x"}}"#, Some("x"))]
    #[case(r#"{"n":[1,{"a":2}],"a":{"c":null,"b":"x","d":1e999}}"#, Some("x"))]
    #[case(r#"{"a":{"b":7}}"#, None)]
    #[case(r#"{"a":{"b":{"c":"x"}}}"#, None)]
    #[case(r#"{"a":"x"}"#, None)]
    #[case(r#"{"a":["b","x"]}"#, None)]
    // The last of several fields with the same name counts, whatever the others are.
    #[case(r#"{"a":["b",["c"]],"a":{"b":"x"}}"#, Some("x"))]
    #[case(r#"{"a":true,"a":{"b":"x"}}"#, Some("x"))]
    #[case(r#"{"a":{"b":"x"},"a":null}"#, None)]
    #[case(r#"{"a":{"b":"x"}} trailing"#, None)]
    #[case(r#"{"a":{"b":"x"}"#, None)]
    #[case(r#""x""#, None)]
    #[case("", None)]
    fn text_at_a_path(#[case] json: &str, #[case] text: Option<&str>) {
        assert_eq!(text_at(json.as_bytes(), &["a", "b"]).as_deref(), text);
    }

    #[test]
    fn text_is_found_beside_deep_nesting_and_bytes_that_are_not_utf_8() {
        let deep = format!(r#"{{"n":{}{},"a":{{"b":"x"}}}}"#, "[".repeat(200_000), "]".repeat(200_000));
        for json in [deep.as_bytes(), b"{\"n\":\"\xff\",\"a\":{\"b\":\"x\"}}"] {
            assert_eq!(text_at(json, &["a", "b"]).as_deref(), Some("x"));
            assert_eq!(text_at(json, &["b"]), None);
        }
    }
}
