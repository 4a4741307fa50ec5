//! Reading JSON that others wrote.

use serde_json::Value;

/// Reads JSON. Half of a surrogate pair alone, which JSON allows and no text can hold, becomes the replacement
/// character: that is what senders make of an emoji that they cut in two.
pub(crate) fn parse(json: &[u8]) -> Option<Value> {
    // Looked at once as a whole: the parser would look at each text in it.
    let json = std::str::from_utf8(json).ok()?;
    let mended = || serde_json::from_slice(&without_lone_surrogates(json.as_bytes())?).ok();
    serde_json::from_str(json).ok().or_else(mended)
}

/// The same JSON with lone surrogates replaced; nothing if there is none.
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
            // The character after a backslash begins no escape of its own.
            (b'\\', None) => 2,
            _ => 1,
        };
    }
    found.then_some(mended)
}

#[derive(PartialEq)]
enum Half {
    High,
    Low,
}

/// Whether there is an escaped half of a pair: `\ud800` to `\udbff`, `\udc00` to `\udfff`.
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
    fn surrogates(#[case] json: &str, #[case] text: Option<&str>) {
        assert_eq!(parse(json.as_bytes()), text.map(Value::from));
    }
}
