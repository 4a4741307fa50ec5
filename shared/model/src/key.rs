//! The key of a customer in the table.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::table_limits::fits_key;
use crate::untranslatable::Untranslatable;

/// A provider's id of an account or a customer: text that is not blank. Two ids are the same if all their bytes are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(String);

/// A customer in one account of one provider. Displayed as the item's `pk`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerKey {
    provider: &'static str,
    account: Id,
    customer_id: Id,
}

redacted_debug!(Id, CustomerKey);

impl Id {
    /// The id.
    ///
    /// # Errors
    /// The text, when it is blank.
    pub fn new(text: String) -> Result<Self, String> {
        if text.chars().all(is_blank) { Err(text) } else { Ok(Self(text)) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text).map_err(|_| "an id must not be blank")
    }
}

impl CustomerKey {
    /// The key of a customer. There is no default for a part: with it, one customer could have two keys, and a delete
    /// could miss the customer.
    ///
    /// # Errors
    /// When the key is too long for the table.
    pub fn new(provider: &'static str, account: Id, customer_id: Id) -> Result<Self, Untranslatable> {
        let key = Self { provider, account, customer_id };
        if fits_key(&key.to_string()) { Ok(key) } else { Err(Untranslatable::KeyTooLong) }
    }

    /// The key of the provider's customer whose item has this `pk`. `None` if no customer of that provider has it.
    #[must_use]
    pub fn of_pk(provider: &'static str, pk: &str) -> Option<Self> {
        let (account, id) = pk.strip_prefix(provider)?.strip_prefix('#')?.split_once('#')?;
        let part = |part: &str| Id::new(part.replace("%23", "#").replace("%25", "%")).ok();
        let key = Self::new(provider, part(account)?, part(id)?).ok()?;
        (key.to_string() == pk).then_some(key)
    }

    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// The provider's account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account.0
    }

    /// The provider's id of the customer.
    #[must_use]
    pub fn customer_id(&self) -> &str {
        &self.customer_id.0
    }
}

/// Whether a character shows nothing: white space, a control character, or a character without width.
pub(crate) fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

impl fmt::Display for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#{}", self.provider, escaped(self.account()), escaped(self.customer_id()))
    }
}

/// Percent-encodes the separator and the escape character itself, so that no two customers share a key.
fn escaped(part: &str) -> Cow<'_, str> {
    if part.contains(['#', '%']) { part.replace('%', "%25").replace('#', "%23").into() } else { part.into() }
}

/// Provider, account and customer id of a `pk`; nothing if it is not one.
pub(crate) fn parts(pk: &str) -> Option<[String; 3]> {
    let parts: Vec<_> = pk.split('#').map(unescaped).collect::<Option<_>>()?;
    parts.try_into().ok()
}

/// The text that [`escaped`] has encoded.
fn unescaped(part: &str) -> Option<String> {
    let (plain, encoded) = part.split_once('%').unwrap_or((part, ""));
    let mut text = plain.to_owned();
    for piece in encoded.split('%').filter(|_| part.contains('%')) {
        let rest = piece.strip_prefix("23").map(|rest| ('#', rest)).or_else(|| Some(('%', piece.strip_prefix("25")?)));
        let (character, rest) = rest?;
        text.push(character);
        text.push_str(rest);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn key(account: &str, customer_id: &str) -> Result<CustomerKey, Untranslatable> {
        CustomerKey::new("plain", Id::new(account.into()).unwrap(), Id::new(customer_id.into()).unwrap())
    }

    #[rstest]
    #[case("w_1", "c_1", "plain#w_1#c_1")]
    #[case("W_1", "C_1", "plain#W_1#C_1")]
    #[case("-", " c_1 ", "plain#-# c_1 ")]
    #[case("a#b", "50%", "plain#a%23b#50%25")]
    #[case("%23", "#", "plain#%2523#%23")]
    fn displayed_as_pk(#[case] account: &str, #[case] id: &str, #[case] pk: &str) {
        assert_eq!(key(account, id).unwrap().to_string(), pk);
        assert_eq!(parts(pk), Some(["plain", account, id].map(str::to_owned)));
    }

    #[rstest]
    #[case("")]
    #[case("plain#w_1")]
    #[case("plain#w_1#c#1")]
    #[case("plain#w_1#50%")]
    #[case("plain#w_1#%2")]
    #[case("plain#w_1#%41")]
    #[case("plain#%#c_1")]
    fn other_text_is_no_pk(#[case] text: &str) {
        assert_eq!(parts(text), None);
    }

    #[rstest]
    #[case("")]
    #[case(" ")]
    #[case("\t\r\n\u{a0}\u{3000}")]
    #[case("\0\u{7f}")]
    #[case("\u{200b} \u{feff}\u{2060}\u{ad}")]
    fn blank_text_is_no_id(#[case] text: &str) {
        assert_eq!(Id::new(text.into()), Err(text.to_owned()));
    }

    #[rstest]
    #[case(2048, Ok(2048))]
    #[case(2049, Err(Untranslatable::KeyTooLong))]
    fn the_length_of_a_key_is_limited(#[case] bytes: usize, #[case] expected: Result<usize, Untranslatable>) {
        let id = "x".repeat(bytes - "plain#w#".len());
        assert_eq!(key("w", &id).map(|key| key.to_string().len()), expected);
    }

    #[rstest]
    #[case("flexprice#w#c")]
    #[case("plainer#w#c")]
    #[case("plain#w")]
    #[case("plain#w#c#d")]
    #[case("plain##c")]
    #[case("plain#w# ")]
    #[case("plain#w#50%")]
    #[case("")]
    fn text_that_is_no_pk_has_no_key(#[case] text: &str) {
        assert_eq!(CustomerKey::of_pk("plain", text), None);
    }

    proptest! {
        #[test]
        fn the_key_of_a_pk_is_its_customers(account in "[#%235a]{1,6}", id in "[#%235a]{1,6}") {
            let key = key(&account, &id).unwrap();
            prop_assert_eq!(CustomerKey::of_pk("plain", &key.to_string()), Some(key));
        }

        #[test]
        fn no_two_customers_share_a_key(a in "[#%23a]{1,4}", b in "[#%23a]{1,4}", c in "[#%23a]{1,4}", d in "[#%23a]{1,4}") {
            let [x, y] = [(a, b), (c, d)].map(|(account, id)| key(&account, &id).unwrap());
            prop_assert_eq!(x.to_string() == y.to_string(), x == y);
        }
    }
}
