//! Secrets that a provider puts into a payload.

use serde_json::Value;

/// Which fields of a payload are credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Fields whose names begin like one of these, in any letter case.
    pub begin_like: &'static [&'static str],
    /// Inside of fields with these names nothing is a credential: they are the customer's own and may use any name.
    pub except_in: &'static [&'static str],
}

impl Credentials {
    /// The provider puts none into a payload.
    pub const NONE: Self = Self { begin_like: &[], except_in: &[] };

    /// Removes them from every object of a payload.
    pub fn remove_from(&self, payload: &mut Value) {
        match payload {
            _ if self.begin_like.is_empty() => {}
            Value::Object(fields) => {
                fields.retain(|name, _| !self.is_name(name));
                let others = fields.iter_mut().filter(|(name, _)| !self.except_in.contains(&name.as_str()));
                others.for_each(|(_, value)| self.remove_from(value));
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.remove_from(element)),
            _ => {}
        }
    }

    /// The same text with `null` for each value that looks like one of theirs. For text that is no JSON to us: broken,
    /// cut off, or nested too deep.
    pub(crate) fn blank_in(&self, text: &str) -> String {
        let mut blanked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('"').filter(|_| !self.begin_like.is_empty()) {
            let (before, token) = rest.split_at(at);
            let (token, after) = token.split_at(string_len(token));
            blanked.extend([before, token]);
            rest = after;
            if let Some(value) = after.trim_start().strip_prefix(':').filter(|_| self.is_token(token)) {
                blanked.push_str(":null");
                let value = value.trim_start();
                rest = &value[value_len(value)..];
            }
        }
        blanked + rest
    }

    fn is_name(&self, name: &str) -> bool {
        let start = |prefix: &&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        self.begin_like.iter().any(start)
    }

    /// Whether the text in quotes is one of their names, letters written as escapes included. With escapes that cannot be
    /// read it may be.
    fn is_token(&self, token: &str) -> bool {
        let name = serde_json::from_str::<String>(token);
        name.map_or_else(|_| token.contains('\\') || self.is_name(token.trim_matches('"')), |name| self.is_name(&name))
    }
}

/// The bytes of the string that the text begins with, its quotes included.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The bytes of the value that the text begins with; all of it if it does not end.
fn value_len(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => at += string_len(&text[at..]) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const CREDENTIALS: Credentials = Credentials { begin_like: &["otp", "edit_token"], except_in: &["metadata"] };

    #[test]
    fn removed_everywhere_but_where_they_are_none() {
        let mut payload = json!({"data": {
            "changes": {"otp": ["1", "2"], "edit_token": [null, "3"], "first_name": ["a", "b"]},
            "customer": {"OTP": "4", "otp_sent_at": "5", "edit_token_expires_at": "6", "option": 7,
                "contact_people": [{"otp": "8", "first_name": "c"}], "metadata": {"otp": "kept"}},
        }});
        CREDENTIALS.remove_from(&mut payload);
        let left = json!({"data": {
            "changes": {"first_name": ["a", "b"]},
            "customer": {"option": 7, "contact_people": [{"first_name": "c"}], "metadata": {"otp": "kept"}},
        }});
        assert_eq!(payload, left);
    }

    #[rstest]
    #[case("", "")]
    #[case("no quotes: otp 1", "no quotes: otp 1")]
    #[case(r#"{"otp":"924117","a":1"#, r#"{"otp":null,"a":1"#)]
    #[case(r#"{"otp" : "92\"4117" , "a":1"#, r#"{"otp":null, "a":1"#)]
    #[case(r#"{"OTP_sent":{"a":["}","]"],"b":"\\"},"c":2"#, r#"{"OTP_sent":null,"c":2"#)]
    #[case(r#"{"edit_token":[1,[2]]]]"#, r#"{"edit_token":null]]"#)]
    #[case(r#"[{"otp":924117},3"#, r#"[{"otp":null},3"#)]
    #[case(r#"{"\u006ftp":"924117"}"#, r#"{"\u006ftp":null}"#)]
    #[case(r#"{"\u006ftp\x":"924117"}"#, r#"{"\u006ftp\x":null}"#)]
    #[case(r#"{"a":"otp","b":"c"}"#, r#"{"a":"otp","b":"c"}"#)]
    #[case(r#"{"otp":"924"#, r#"{"otp":null"#)]
    #[case(r#"{"otp"#, r#"{"otp"#)]
    #[case(r#"{"otp":"#, r#"{"otp":null"#)]
    #[case("{\"otp\u{0}\\x\":\"924\",", "{\"otp\u{0}\\x\":null,")]
    #[case("{\"é\":\"ü\",\"otp\":\"é\"}", "{\"é\":\"ü\",\"otp\":null}")]
    fn blanked_in_what_is_no_json(#[case] text: &str, #[case] blanked: &str) {
        assert_eq!(CREDENTIALS.blank_in(text), blanked);
    }

    #[test]
    fn nothing_is_blanked_where_there_are_none() {
        assert_eq!(Credentials::NONE.blank_in(r#"{"otp":1"#), r#"{"otp":1"#);
    }
}
