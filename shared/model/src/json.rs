//! Reads JSON from others, and writes JSON that SQS accepts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The two ways in which JSON can write the beginning of a string whose first character is `$`.
const DOLLARS: [&str; 2] = ["\"$", r#""\u0024"#];

/// Reads JSON that others sent: everything that RFC 8259 allows.
///
/// - A byte order mark at the beginning is skipped.
/// - An unpaired surrogate is valid JSON but cannot be part of a string, so it becomes the replacement character. Senders
///   produce one when they cut an emoji in two.
/// - `$serde_json::private::Number` and `$serde_json::private::RawValue` are names like any others. The parser would take
///   an object that begins with one of them for a number or for JSON inside a string.
#[must_use]
pub fn parse(json: &[u8]) -> Option<Value> {
    // Checking UTF-8 once for the whole text is faster than leaving it to the parser, which checks each string.
    parse_text(std::str::from_utf8(json).ok()?)
}

/// As [`parse`], for text that is known to be UTF-8.
pub(crate) fn parse_text(json: &str) -> Option<Value> {
    let json = without_byte_order_mark(json);
    let Some(marked) = with_one_more_dollar(json) else { return parse_as_is(json) };
    let mut value = parse_as_is(&marked)?;
    remove_one_dollar(&mut value);
    Some(value)
}

fn parse_as_is(json: &str) -> Option<Value> {
    let mended = || serde_json::from_slice(&without_lone_surrogates(json.as_bytes())?).ok();
    serde_json::from_str(json).ok().or_else(mended)
}

/// RFC 8259, section 8.1, allows a parser to ignore the mark. Programs in .NET often write it.
fn without_byte_order_mark(json: &str) -> &str {
    json.strip_prefix('\u{feff}').unwrap_or(json)
}

/// The same JSON with one more `$` at the beginning of each string that begins with `$`, so that no name in it is private
/// to `serde_json`. `None` if no string does.
#[must_use]
pub fn with_one_more_dollar(json: &str) -> Option<String> {
    if !DOLLARS.iter().any(|dollar| json.contains(dollar)) {
        return None;
    }
    let (mut marked, mut rest) = (String::with_capacity(json.len() + 64), json);
    while let Some(at) = rest.find('"') {
        let (before, string) = rest.split_at(at);
        let (string, after) = string.split_at(string_len(string));
        marked.push_str(before);
        if DOLLARS.iter().any(|dollar| string.starts_with(dollar)) {
            marked.push_str("\"$");
            marked.push_str(&string[1..]);
        } else {
            marked.push_str(string);
        }
        rest = after;
    }
    Some(marked + rest)
}

/// Undoes [`with_one_more_dollar`].
pub fn remove_one_dollar(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with('$') => {
            text.remove(0);
        }
        Value::Array(elements) => elements.iter_mut().for_each(remove_one_dollar),
        Value::Object(fields) => {
            fields.values_mut().for_each(remove_one_dollar);
            if fields.keys().any(|name| name.starts_with('$')) {
                let unmarked = |name: String| name.strip_prefix('$').map(str::to_owned).unwrap_or(name);
                *fields = std::mem::take(fields).into_iter().map(|(name, value)| (unmarked(name), value)).collect();
            }
        }
        _ => {}
    }
}

/// Whether an object has two fields with the same name. [`parse`] keeps only the last of them. The text must be JSON.
pub(crate) fn has_repeated_names(json: &str, parsed: &Value) -> bool {
    fn names(value: &Value) -> usize {
        match value {
            Value::Object(fields) => fields.len() + fields.values().map(names).sum::<usize>(),
            Value::Array(elements) => elements.iter().map(names).sum(),
            _ => 0,
        }
    }
    let (mut colons, mut rest) = (0, json);
    while let Some(at) = rest.find('"') {
        colons += rest[..at].matches(':').count();
        rest = &rest[at + string_len(&rest[at..])..];
    }
    // After each name comes a colon, and other colons are inside strings.
    colons + rest.matches(':').count() != names(parsed)
}

/// The length in bytes of the string at the beginning of the text, including its quotes.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The text at a path of field names. Other values are only skipped, so they may contain what [`parse`] cannot read:
/// deep nesting, or bytes that are not UTF-8.
#[must_use]
pub fn text_at(json: &[u8], path: &[&str]) -> Option<String> {
    // For valid UTF-8, checking it takes a tenth of the instructions that `from_utf8_lossy` takes.
    let json = std::str::from_utf8(json).map_or_else(|_| String::from_utf8_lossy(json), Cow::Borrowed);
    let mut deserializer = serde_json::Deserializer::from_str(without_byte_order_mark(&json));
    let text = TextAt(path).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok().and(text)
}

/// Finds the text at a path of field names. The last of several fields with the same name counts.
struct TextAt<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for TextAt<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextAt<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Option<String>, A::Error> {
        let mut text = None;
        while let Some(Name(name)) = fields.next_key()? {
            match self.0.split_first() {
                Some((first, rest)) if *first == name => text = fields.next_value_seed(TextAt(rest))?,
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Option<String>, A::Error> {
        IgnoredAny.visit_seq(elements).map(|IgnoredAny| None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok(self.0.is_empty().then(|| text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }
}

/// The name of a field. It is borrowed if it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

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
    use serde_json::json;

    const NUMBER: &str = "$serde_json::private::Number";
    const RAW_VALUE: &str = "$serde_json::private::RawValue";

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

    fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
        Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    #[rstest]
    fn private_names_of_the_parser_are_names_like_others(
        #[values(NUMBER, RAW_VALUE, "$", "$$", "$a", "$$serde_json::private::Number", "$\u{1f600}")] name: &'static str,
        #[values(json!("x"), json!("7"), json!("[1]"), json!("$7"), json!("$"), json!(7), json!(null), json!([]), json!({"a": 1}))]
        value: Value,
    ) {
        let one = object([(name, value.clone())]);
        let several = object([(name, value.clone()), ("a", json!(1)), ("$b", json!("$c"))]);
        let nested = json!({"n": 1.50, "z": [[&one], &one, {"y": &several}, "$", value]});
        for expected in [one, several, nested, object([(NUMBER, object([(RAW_VALUE, object([(name, value)]))]))])] {
            let sent = expected.to_string();
            assert_eq!(parse(sent.as_bytes()), Some(expected.clone()), "{sent}");
            let escaped = sent.replace("\"$", "\"\\u0024").replace("private", "priv\\u0061te");
            assert_eq!(parse(escaped.as_bytes()), Some(expected), "{escaped}");
        }
    }

    #[test]
    fn numbers_keep_their_digits_beside_private_names() {
        let sent = format!(r#"{{"n":[1.50,123456789012345678901234567890],"x":{{"{NUMBER}":1.50}}}}"#);
        assert_eq!(parse(sent.as_bytes()).unwrap().to_string(), sent);
    }

    #[rstest]
    #[case(r#"{"$":1"#)]
    #[case(r#"{"$":"#)]
    #[case(r#"{"$":"\"#)]
    #[case(r#"{"$"#)]
    #[case(r#"{"$":1}}"#)]
    #[case("{\"$\":\"\u{1}\"}")]
    #[case(r#"{$":1}"#)]
    fn what_is_not_json_remains_so(#[case] text: &str) {
        assert_eq!(parse(text.as_bytes()), None);
    }

    #[test]
    fn lone_surrogates_are_replaced_beside_private_names() {
        let expected = object([("$", json!("\u{fffd}")), (NUMBER, json!("\u{fffd}"))]);
        assert_eq!(parse(format!(r#"{{"$":"\ud83d","{NUMBER}":"\ude00"}}"#).as_bytes()), Some(expected));
    }

    #[test]
    fn one_byte_order_mark_is_skipped() {
        assert_eq!(parse("\u{feff} {\"a\":\"\u{feff}\"}".as_bytes()), Some(json!({"a": "\u{feff}"})));
        assert_eq!(parse("\u{feff}\u{feff}{}".as_bytes()), None);
        assert_eq!(parse("{}\u{feff}".as_bytes()), None);
        assert_eq!(parse(b"\xff\xfe{\0}\0"), None, "UTF-16");
        assert_eq!(text_at("\u{feff}{\"a\":{\"b\":\"x\"}}".as_bytes(), &["a", "b"]).as_deref(), Some("x"));
    }

    #[rstest]
    #[case(r#"{"a":1,"b":{"a":[{"a":2}]}}"#, false)]
    #[case(r#"{"a":":","b\":":"\\"}"#, false)]
    #[case("[]", false)]
    #[case("7", false)]
    #[case(r#"{"a":1,"a":1}"#, true)]
    #[case(r#"[{"b":{"a":1,"\u0061":1}}]"#, true)]
    #[case(r#"{"a":{"b":1},"a":{}}"#, true)]
    #[case(
        r#"{"a" : {"b"
        : 1}, "a"	:{}}"#,
        true
    )]
    fn repeated_names_are_seen(#[case] json: &str, #[case] is_repeated: bool) {
        assert_eq!(has_repeated_names(json, &parse(json.as_bytes()).unwrap()), is_repeated);
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
