//! Takes a payload apart without losing anything: each field that is understood is removed, and the rest remains.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use crate::event_time::EventTime;
use crate::json;
use crate::key::Id;
use crate::redaction::CredentialFields;
use crate::table_limits::with_storable_numbers;
use crate::time::Time;
use crate::untranslatable::Untranslatable;

/// The fields of a JSON object that have not been taken yet.
///
/// Each method takes a field, which removes it, if its value has the expected type. `null` and empty values are removed
/// too, and count as absent. A value of another type remains and is stored under its own name, so that nothing is lost
/// when a provider changes the type of a field.
pub struct Fields(Map<String, Value>);

redacted_debug!(Fields);

impl Fields {
    /// Parses the body, which must be an object, and removes the provider's `credentials`.
    ///
    /// # Errors
    /// When the body is not JSON or not an object.
    pub fn parse(body: &[u8], credentials: &CredentialFields) -> Result<Self, Untranslatable> {
        // The parser's message could quote the body, so it is not used.
        let mut body = json::parse(body).ok_or(Untranslatable::NotJson)?;
        credentials.remove_from(&mut body);
        match body {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(Untranslatable::Unreadable("the body")),
        }
    }

    /// Whether the field is present, even as `null`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether the field is present and not `null`.
    #[must_use]
    pub fn has_value(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// Checks that all `names` are present. A partial record must not replace a whole one.
    ///
    /// # Errors
    /// [`Untranslatable::PartialSnapshot`] with the first name that is absent.
    pub fn require(&self, names: &[&'static str]) -> Result<(), Untranslatable> {
        names.iter().find(|name| !self.contains(name)).map_or(Ok(()), |name| Err(Untranslatable::PartialSnapshot(name)))
    }

    /// Takes a field that every event has, with one of the methods below. `path` is where the body has the field; its
    /// last part is the name.
    ///
    /// # Errors
    /// [`Untranslatable::Missing`] or [`Untranslatable::Unreadable`].
    pub fn required<T>(
        &mut self,
        path: &'static str,
        take: impl FnOnce(&mut Self, &str) -> Option<T>,
    ) -> Result<T, Untranslatable> {
        let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
        // A value that cannot be read remains.
        let error = |fields: &Self| {
            if fields.contains(name) { Untranslatable::Unreadable(path) } else { Untranslatable::Missing(path) }
        };
        take(self, name).ok_or_else(|| error(self))
    }

    /// Takes a required time that orders events, with [`Self::time`] or [`Self::time_ms`]. The delivery arrived at
    /// `received_at`.
    ///
    /// # Errors
    /// Those of [`Self::required`] and [`EventTime::new`].
    pub fn event_time(
        &mut self,
        path: &'static str,
        take: impl FnOnce(&mut Self, &str) -> Option<Time>,
        received_at: Timestamp,
    ) -> Result<EventTime, Untranslatable> {
        self.required(path, take).and_then(|time| EventTime::new(path, time, received_at))
    }

    /// Takes text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    /// Takes text if it is one of the `known` words. An undocumented word remains.
    pub fn known_word<T: Copy>(&mut self, name: &str, known: &[(&str, T)]) -> Option<T> {
        self.take(name, |value| {
            let meaning = known.iter().find(|(word, _)| value.as_str() == Some(word));
            meaning.map(|(_, meaning)| *meaning).ok_or(value)
        })
    }

    /// Takes an id: text, or a whole number as its digits.
    pub fn id(&mut self, name: &str) -> Option<String> {
        self.take(name, |value| match value {
            Value::String(text) => Ok(text),
            Value::Number(number) if is_whole(&number) => Ok(number.to_string()),
            other => Err(other),
        })
    }

    /// Takes a part of a customer's key: an id that is not blank.
    pub fn key_part(&mut self, name: &str) -> Option<Id> {
        self.take(name, |value| {
            let id = match &value {
                Value::String(text) => Id::new(text.clone()),
                Value::Number(number) if is_whole(number) => Id::new(number.to_string()),
                _ => None,
            };
            id.ok_or(value)
        })
    }

    /// Takes an RFC 3339 time. Go's zero time counts as absent.
    pub fn time(&mut self, name: &str) -> Option<Time> {
        self.take(name, |value| value.as_str().and_then(|text| text.parse().ok()).ok_or(value)).filter(is_set)
    }

    /// Takes a time in whole milliseconds since the Unix epoch. Go's zero time counts as absent.
    pub fn time_ms(&mut self, name: &str) -> Option<Time> {
        let read = |millis| Timestamp::from_millisecond(millis).ok().map(Time);
        self.take(name, |value| value.as_i64().and_then(read).ok_or(value)).filter(is_set)
    }

    /// Takes a boolean: `true` or `false`, also as text in any letter case, or 1 or 0. Any other value remains.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name, |value| match &value {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) => flag(text).ok_or(value),
            Value::Number(number) => flag(number.as_str()).ok_or(value),
            _ => Err(value),
        })
    }

    /// Takes a value of any type, as it was sent.
    pub fn any(&mut self, name: &str) -> Option<Value> {
        self.take(name, Ok).map(with_storable_numbers)
    }

    /// Drops text that only repeats one of the `modelled` values. Any other value remains.
    pub fn drop_repeated_text<'a>(&mut self, name: &str, modelled: impl IntoIterator<Item = &'a str>) {
        let mut modelled = modelled.into_iter();
        self.take(name, |value| match value.as_str() {
            Some(text) if modelled.any(|known| known == text) => Ok(()),
            _ => Err(value),
        });
    }

    /// Lets `inner` take fields from an object. The object remains with the other fields, if there are any.
    pub fn object<T>(&mut self, name: &str, inner: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let mut fields = self.take_object(name)?;
        let taken = inner(&mut fields);
        if !fields.0.is_empty() {
            self.0.insert(name.to_owned(), Value::Object(fields.0));
        }
        Some(taken)
    }

    /// Lets `inner` take fields from each object of a list. If anything remains in any element, the list remains with
    /// all elements in their places.
    pub fn list<T>(&mut self, name: &str, mut inner: impl FnMut(&mut Self) -> Option<T>) -> Vec<T> {
        let (mut taken, mut remaining, mut is_all_taken) = (vec![], vec![], true);
        for element in self.take_list(name).unwrap_or_default() {
            remaining.push(match element {
                Value::Object(fields) => {
                    let mut fields = Self(fields);
                    taken.extend(inner(&mut fields));
                    is_all_taken &= fields.0.is_empty();
                    Value::Object(fields.0)
                }
                other => {
                    is_all_taken = false;
                    other
                }
            });
        }
        if !is_all_taken {
            self.0.insert(name.to_owned(), Value::Array(remaining));
        }
        taken
    }

    /// Takes an object with all its fields.
    pub fn take_object(&mut self, name: &str) -> Option<Self> {
        match self.0.remove(name) {
            Some(Value::Object(fields)) => Some(Self(fields)),
            other => self.put_back(name, other),
        }
    }

    /// Takes a list with all its elements.
    pub fn take_list(&mut self, name: &str) -> Option<Vec<Value>> {
        match self.0.remove(name) {
            Some(Value::Array(elements)) => Some(elements),
            other => self.put_back(name, other),
        }
    }

    /// The fields that were not taken.
    #[must_use]
    pub fn rest(self) -> Map<String, Value> {
        self.0
    }

    fn take<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Result<T, Value>) -> Option<T> {
        let value = self.0.remove(name)?;
        if is_empty(&value) {
            return None;
        }
        read(value).map_err(|value| self.0.insert(name.to_owned(), value)).ok()
    }

    fn put_back<T>(&mut self, name: &str, value: Option<Value>) -> Option<T> {
        if let Some(value) = value.filter(|value| !is_empty(value)) {
            self.0.insert(name.to_owned(), value);
        }
        None
    }
}

impl TryFrom<Value> for Fields {
    type Error = Untranslatable;

    fn try_from(value: Value) -> Result<Self, Untranslatable> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(Untranslatable::Unreadable("an event")),
        }
    }
}

fn is_set(time: &Time) -> bool {
    *time != Time::ZERO_OF_GO
}

fn is_whole(number: &Number) -> bool {
    number.as_str().bytes().all(|b| b.is_ascii_digit())
}

fn flag(text: &str) -> Option<bool> {
    let is = |words: [&str; 2]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "1"]) { Some(true) } else { is(["false", "0"]).then_some(false) }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn parse(body: &[u8]) -> Result<Fields, Untranslatable> {
        Fields::parse(body, &CredentialFields::NONE)
    }

    fn fields(value: &Value) -> Fields {
        parse(value.to_string().as_bytes()).unwrap()
    }

    #[rstest]
    #[case(json!("x"), Some("x"), None)]
    #[case(json!(""), None, None)]
    #[case(json!(null), None, None)]
    #[case(json!(7), None, Some(json!(7)))]
    #[case(json!({"a": 1}), None, Some(json!({"a": 1})))]
    fn text_is_taken_and_other_values_remain(
        #[case] value: Value,
        #[case] taken: Option<&str>,
        #[case] left: Option<Value>,
    ) {
        let mut fields = fields(&json!({ "f": value }));
        assert_eq!(fields.text("f").as_deref(), taken);
        assert_eq!(fields.rest().get("f"), left.as_ref());
    }

    #[rstest]
    #[case("7", Some("7"))]
    #[case("\"a\"", Some("a"))]
    #[case("123456789012345678901234567890", Some("123456789012345678901234567890"))]
    #[case("7.5", None)]
    #[case("-7", None)]
    #[case("true", None)]
    fn ids_are_text_or_whole_numbers(#[case] value: &str, #[case] id: Option<&str>) {
        let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
        assert_eq!(fields.id("f").as_deref(), id);
        assert_eq!(fields.contains("f"), id.is_none());
    }

    #[rstest]
    #[case("\"a\"", Some("a"))]
    #[case("\" a \"", Some(" a "))]
    #[case("\"-\"", Some("-"))]
    #[case("7", Some("7"))]
    #[case("\" \\u3000\"", None)]
    #[case("1.0", None)]
    #[case("-1", None)]
    #[case("1e3", None)]
    #[case("true", None)]
    #[case("[\"a\"]", None)]
    #[case("{\"id\":\"a\"}", None)]
    fn parts_of_a_key_are_ids(#[case] value: &str, #[case] part: Option<&str>) {
        let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
        assert_eq!(fields.key_part("f"), part.map(|id| Id::new(id.into()).unwrap()));
        assert_eq!(fields.contains("f"), part.is_none());
    }

    #[rstest]
    #[case("\"2024-01-01T01:00:00.5+01:00\"", Some("2024-01-01T00:00:00.5Z"))]
    #[case("\"2024-01-01\"", None)]
    #[case("\"yesterday\"", None)]
    #[case("1704067320000", None)]
    fn times_are_rfc_3339(#[case] value: &str, #[case] time: Option<&str>) {
        let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
        assert_eq!(fields.time("f"), time.map(|time| time.parse().unwrap()));
        assert_eq!(fields.contains("f"), time.is_none());
    }

    #[rstest]
    #[case("1704067320000", Some("2024-01-01T00:02:00Z"))]
    #[case("1e400", None)]
    #[case("9223372036854775807", None)]
    #[case("-99999999999999999999999999", None)]
    #[case("1704067320000.5", None)]
    fn times_in_milliseconds(#[case] value: &str, #[case] time: Option<&str>) {
        let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
        assert_eq!(fields.time_ms("f"), time.map(|time| time.parse().unwrap()));
        assert_eq!(fields.contains("f"), time.is_none());
    }

    #[rstest]
    #[case("0001-01-01T00:00:00Z", None)]
    #[case("0001-01-01T00:00:00.000Z", None)]
    #[case("0001-01-01T00:00:00+00:00", None)]
    #[case("0001-01-01T05:30:00+05:30", None)]
    #[case("0001-01-01t00:00:00.000000000z", None)]
    #[case("0001-01-01T00:00:00.000000001Z", Some("0001-01-01T00:00:00.000000001Z"))]
    #[case("0000-12-31T23:59:59Z", Some("0000-12-31T23:59:59Z"))]
    #[case("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00Z"))]
    fn the_zero_time_of_go_is_no_time(#[case] text: &str, #[case] time: Option<&str>) {
        let mut fields = fields(&json!({"f": text, "ms": -62_135_596_800_000_i64, "g": text}));
        let time = time.map(|time| time.parse().unwrap());
        assert_eq!((fields.time("f"), fields.time_ms("ms")), (time, None));
        assert_eq!(fields.required("g", Fields::time), time.ok_or(Untranslatable::Missing("g")));
        assert!(fields.rest().is_empty());
    }

    #[test]
    fn elements_remain_in_their_places() {
        let mut fields = fields(&json!({"l": [{"a": "1"}, 2, {"a": "3", "b": 4}, {"b": null}]}));
        assert_eq!(fields.list("l", |element| element.text("a")), ["1", "3"]);
        assert_eq!(Value::Object(fields.rest()), json!({"l": [{}, 2, {"b": 4}, {"b": null}]}));
    }

    /// The list remains if only an earlier element has fields left.
    #[test]
    fn a_list_remains_if_any_element_does() {
        let mut fields = fields(&json!({"l": [{"a": "1", "b": 2}, {"a": "3"}]}));
        assert_eq!(fields.list("l", |element| element.text("a")), ["1", "3"]);
        assert_eq!(Value::Object(fields.rest()), json!({"l": [{"b": 2}, {}]}));
    }

    #[rstest]
    #[case(json!(true), Some(true), None)]
    #[case(json!(false), Some(false), None)]
    #[case(json!(null), None, None)]
    #[case(json!("true"), Some(true), None)]
    #[case(json!("False"), Some(false), None)]
    #[case(json!("TRUE"), Some(true), None)]
    #[case(json!("1"), Some(true), None)]
    #[case(json!("0"), Some(false), None)]
    #[case(json!(1), Some(true), None)]
    #[case(json!(0), Some(false), None)]
    #[case(json!(""), None, None)]
    #[case(json!("yes"), None, Some(json!("yes")))]
    #[case(json!(2), None, Some(json!(2)))]
    #[case(json!(-1), None, Some(json!(-1)))]
    #[case(json!(1.0), None, Some(json!(1.0)))]
    #[case(json!({"a": true}), None, Some(json!({"a": true})))]
    #[case(json!([true]), None, Some(json!([true])))]
    fn flags_are_booleans_also_as_text_or_number(
        #[case] value: Value,
        #[case] taken: Option<bool>,
        #[case] left: Option<Value>,
    ) {
        let mut fields = fields(&json!({ "f": value }));
        assert_eq!(fields.flag("f"), taken);
        assert_eq!(fields.rest().get("f"), left.as_ref());
    }

    /// Except that a number which the table cannot hold becomes text.
    #[rstest]
    #[case("7", Some(json!(7)))]
    #[case("[{\"a\":null}]", Some(json!([{"a": null}])))]
    #[case("{\"n\":1e400}", Some(json!({"n": "1e+400"})))]
    #[case("false", Some(json!(false)))]
    #[case("null", None)]
    #[case("[]", None)]
    fn anything_is_taken_as_it_was_sent(#[case] value: &str, #[case] taken: Option<Value>) {
        let mut fields = parse(format!("{{\"f\":{value}}}").as_bytes()).unwrap();
        assert_eq!(fields.any("f"), taken);
        assert!(!fields.contains("f"));
    }

    #[rstest]
    #[case(json!({"a": [1]}), Some(json!({"a": [1]})), None)]
    #[case(json!({}), Some(json!({})), None)]
    #[case(json!(null), None, None)]
    #[case(json!([1]), None, Some(json!([1])))]
    fn whole_objects_are_taken(#[case] value: Value, #[case] taken: Option<Value>, #[case] left: Option<Value>) {
        let mut fields = fields(&json!({ "f": value }));
        assert_eq!(fields.take_object("f").map(|object| Value::Object(object.rest())), taken);
        assert_eq!(fields.rest().get("f"), left.as_ref());
    }

    #[rstest]
    #[case(json!([1, {"a": "b"}]), Some(json!([1, {"a": "b"}])), None)]
    #[case(json!([]), Some(json!([])), None)]
    #[case(json!(null), None, None)]
    #[case(json!({"a": 1}), None, Some(json!({"a": 1})))]
    fn whole_lists_are_taken(#[case] value: Value, #[case] taken: Option<Value>, #[case] left: Option<Value>) {
        let mut fields = fields(&json!({ "f": value }));
        assert_eq!(fields.take_list("f").map(Value::Array), taken);
        assert_eq!(fields.rest().get("f"), left.as_ref());
    }

    #[rstest]
    #[case(json!({"a": 1}), Ok(json!({"a": 1})))]
    #[case(json!([{"a": 1}]), Err(Untranslatable::Unreadable("an event")))]
    #[case(json!(null), Err(Untranslatable::Unreadable("an event")))]
    fn an_event_is_an_object(#[case] event: Value, #[case] fields: Result<Value, Untranslatable>) {
        assert_eq!(Fields::try_from(event).map(|fields| Value::Object(fields.rest())), fields);
    }

    #[test]
    fn objects_and_lists_without_remaining_fields_are_removed() {
        let mut fields = fields(&json!({"l": [{"a": "1"}], "o": {"a": "1"}, "e": [], "n": null, "x": "y"}));
        assert_eq!(fields.list("l", |element| element.text("a")), ["1"]);
        assert_eq!(fields.object("o", |inner| inner.text("a")), Some(Some("1".into())));
        assert_eq!(fields.list("e", |element| element.text("a")).len(), 0);
        assert_eq!(fields.object("n", |_| ()), None);
        assert_eq!(fields.object("x", |_| ()), None);
        assert_eq!(Value::Object(fields.rest()), json!({"x": "y"}));
    }

    #[test]
    fn unknown_words_and_other_texts_remain() {
        let mut fields = fields(&json!({"s": "active", "u": "paused", "same": "a", "other": "b"}));
        let known = [("active", 1), ("inactive", 2)];
        assert_eq!((fields.known_word("s", &known), fields.known_word("u", &known)), (Some(1), None));
        fields.drop_repeated_text("same", ["x", "a"]);
        fields.drop_repeated_text("other", ["x", "a"]);
        assert_eq!(Value::Object(fields.rest()), json!({"u": "paused", "other": "b"}));
    }

    #[test]
    fn required_fields_may_be_null() {
        let fields = fields(&json!({"a": null, "b": 1}));
        assert_eq!(fields.require(&["a", "b"]), Ok(()));
        assert_eq!(fields.require(&["a", "c", "d"]), Err(Untranslatable::PartialSnapshot("c")));
    }

    #[rstest]
    #[case("{}", Err(Untranslatable::Missing("customer.id")))]
    #[case(r#"{"id":null}"#, Err(Untranslatable::Missing("customer.id")))]
    #[case(r#"{"id":""}"#, Err(Untranslatable::Missing("customer.id")))]
    #[case(r#"{"id":7}"#, Err(Untranslatable::Unreadable("customer.id")))]
    #[case(r#"{"id":"7"}"#, Ok("7".to_owned()))]
    fn a_required_field_is_missing_or_unreadable(#[case] body: &str, #[case] expected: Result<String, Untranslatable>) {
        assert_eq!(parse(body.as_bytes()).unwrap().required("customer.id", Fields::text), expected);
    }

    #[rstest]
    #[case(b"{", Untranslatable::NotJson)]
    #[case(b"", Untranslatable::NotJson)]
    #[case(b"\xff", Untranslatable::NotJson)]
    #[case(b"[]", Untranslatable::Unreadable("the body"))]
    #[case(b"1", Untranslatable::Unreadable("the body"))]
    fn the_body_is_an_object(#[case] body: &[u8], #[case] error: Untranslatable) {
        assert_eq!(parse(body).unwrap_err(), error);
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let body = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(parse(body.as_bytes()).unwrap_err(), Untranslatable::NotJson);
    }
}
