//! Takes a payload apart without losing anything: each field that is understood is removed, and the rest remains.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use crate::delivery::Verified;
use crate::event_time::EventTime;
use crate::key::Id;
use crate::profile::Address;
use crate::redaction::CredentialFields;
use crate::table_limits::make_numbers_storable;
use crate::time::Time;
use crate::untranslatable::Untranslatable;

/// The fields of a JSON object that have not been taken yet.
///
/// Each method takes a field, which removes it, if its value has the expected type. `null` and empty values are removed
/// too, and count as absent. A value of another type remains and is stored under its own name, so that nothing is lost
/// when a provider changes the type of a field.
pub struct Fields(
    /// `None` if the field was taken. Looking through a list is faster than removing most entries of a map one by one.
    Vec<(String, Option<Value>)>,
);

redacted_debug!(Fields);

impl Fields {
    /// Parses the body of a delivery, which must be an object, and removes the provider's `credentials`.
    ///
    /// # Errors
    /// When the body is not JSON or not an object.
    pub fn parse(verified: &Verified, credentials: &CredentialFields) -> Result<Self, Untranslatable> {
        // The parser's message could quote the body, so it is not used.
        let mut payload = verified.json().ok_or(Untranslatable::NotJson)?;
        credentials.remove_from_body(verified.body(), &mut payload);
        match payload {
            Value::Object(fields) => Ok(Self::of(fields)),
            _ => Err(Untranslatable::Unreadable("the body")),
        }
    }

    fn of(fields: Map<String, Value>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name, Some(value))).collect())
    }

    /// Whether the field is present, even as `null`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the field is present and not `null`.
    #[must_use]
    pub fn has_value(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_null())
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
        self.take(name, id_text)
    }

    /// Takes a part of a customer's key: an id that is not blank.
    pub fn key_part(&mut self, name: &str) -> Option<Id> {
        self.take(name, |value| Id::new(id_text(value)?).map_err(Value::String))
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
        self.take(name, |mut value| {
            make_numbers_storable(&mut value);
            Ok(value)
        })
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
        if !fields.is_empty() {
            self.put_back(name, Value::Object(fields.rest()));
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
                    let mut fields = Self::of(fields);
                    taken.extend(inner(&mut fields));
                    is_all_taken &= fields.is_empty();
                    Value::Object(fields.rest())
                }
                other => {
                    is_all_taken = false;
                    other
                }
            });
        }
        if !is_all_taken {
            self.put_back(name, Value::Array(remaining));
        }
        taken
    }

    /// Takes an address from fields with these names: lines 1 and 2, city, state, postal code and country.
    pub fn address(&mut self, names: [&str; 6]) -> Option<Address> {
        let [line1, line2, city, state, postal_code, country] = names.map(|name| self.text(name));
        Address { line1, line2, city, state, postal_code, country }.if_any()
    }

    /// Takes an object with all its fields.
    pub fn take_object(&mut self, name: &str) -> Option<Self> {
        let slot = self.slot(name)?;
        match slot.take() {
            Some(Value::Object(fields)) => Some(Self::of(fields)),
            other => leave(slot, other),
        }
    }

    /// Takes a list with all its elements.
    pub fn take_list(&mut self, name: &str) -> Option<Vec<Value>> {
        let slot = self.slot(name)?;
        match slot.take() {
            Some(Value::Array(elements)) => Some(elements),
            other => leave(slot, other),
        }
    }

    /// The fields that were not taken.
    #[must_use]
    pub fn rest(self) -> Map<String, Value> {
        self.0.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == name)?.1.as_ref()
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, value)| value.is_none())
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<Value>> {
        self.0.iter_mut().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    fn put_back(&mut self, name: &str, value: Value) {
        if let Some(slot) = self.slot(name) {
            *slot = Some(value);
        }
    }

    fn take<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Result<T, Value>) -> Option<T> {
        let slot = self.slot(name)?;
        let value = slot.take().filter(|value| !is_empty(value))?;
        read(value).map_err(|value| *slot = Some(value)).ok()
    }
}

/// Leaves a value of another type where it was, unless it is empty.
fn leave<T>(slot: &mut Option<Value>, value: Option<Value>) -> Option<T> {
    *slot = value.filter(|value| !is_empty(value));
    None
}

impl TryFrom<Value> for Fields {
    type Error = Untranslatable;

    fn try_from(value: Value) -> Result<Self, Untranslatable> {
        match value {
            Value::Object(fields) => Ok(Self::of(fields)),
            _ => Err(Untranslatable::Unreadable("an event")),
        }
    }
}

fn is_set(time: &Time) -> bool {
    *time != Time::ZERO_OF_GO
}

/// Text, or the digits of a whole number.
fn id_text(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) if is_whole(&number) => Ok(number.to_string()),
        other => Err(other),
    }
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
