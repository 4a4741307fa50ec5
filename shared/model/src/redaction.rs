//! Removes the secrets that a provider sends in a payload.

use serde_json::Value;

/// Which fields of a payload contain credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialFields {
    /// A field whose name begins with one of these, in any letter case, is a credential.
    pub name_prefixes: &'static [&'static str],
    /// Nothing inside fields with these names is a credential. They are the customer's own and may contain any name.
    pub exempt_fields: &'static [&'static str],
}

impl CredentialFields {
    /// For a provider that sends no credentials.
    pub const NONE: Self = Self { name_prefixes: &[], exempt_fields: &[] };

    /// Removes credentials from every object of a payload.
    pub fn remove_from(&self, payload: &mut Value) {
        match payload {
            _ if self.name_prefixes.is_empty() => {}
            Value::Object(fields) => {
                fields.retain(|name, _| !self.is_name(name));
                let others = fields.iter_mut().filter(|(name, _)| !self.exempt_fields.contains(&name.as_str()));
                others.for_each(|(_, value)| self.remove_from(value));
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.remove_from(element)),
            _ => {}
        }
    }

    /// The text with `null` in place of each value that looks like a credential. This is for text that cannot be parsed
    /// as JSON because it is broken, truncated or nested too deeply.
    pub(crate) fn replace_in(&self, text: &str) -> String {
        let mut redacted = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('"').filter(|_| !self.name_prefixes.is_empty()) {
            let (before, token) = rest.split_at(at);
            let (token, after) = token.split_at(string_len(token));
            redacted.extend([before, token]);
            rest = after;
            if let Some(value) = after.trim_start().strip_prefix(':').filter(|_| self.is_quoted_name(token)) {
                redacted.push_str(":null");
                let value = value.trim_start();
                rest = &value[value_len(value)..];
            }
        }
        redacted + rest
    }

    fn is_name(&self, name: &str) -> bool {
        let start = |prefix: &&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        self.name_prefixes.iter().any(start)
    }

    /// Whether the quoted text is the name of a credential, after its escapes are decoded. With escapes that cannot be
    /// decoded, it is taken for one.
    fn is_quoted_name(&self, token: &str) -> bool {
        let name = serde_json::from_str::<String>(token);
        name.map_or_else(|_| token.contains('\\') || self.is_name(token.trim_matches('"')), |name| self.is_name(&name))
    }
}

/// The length in bytes of the string at the beginning of the text, including its quotes.
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

/// The length in bytes of the value at the beginning of the text; all of the text if the value does not end.
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

    const CREDENTIALS: CredentialFields =
        CredentialFields { name_prefixes: &["otp", "edit_token"], exempt_fields: &["metadata"] };

    #[test]
    fn credentials_are_removed_except_in_exempt_fields() {
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
    fn credentials_are_replaced_in_text_that_is_not_json(#[case] text: &str, #[case] redacted: &str) {
        assert_eq!(CREDENTIALS.replace_in(text), redacted);
    }

    #[test]
    fn nothing_is_replaced_without_credential_fields() {
        assert_eq!(CredentialFields::NONE.replace_in(r#"{"otp":1"#), r#"{"otp":1"#);
    }
}
