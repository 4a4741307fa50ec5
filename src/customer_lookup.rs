//! Finds one customer by what messages, log lines and the provider call it.

use std::ops::ControlFlow;

use anyhow::Result;
use clientele_aws::{CUSTOMER_HASH_DIGITS, customer_hash};
use clientele_model::{CustomerKey, Id, Provider};
use serde_json::Value;

use crate::customers_table::{CustomersTable, SAME_PERSON_READ_MAX};

/// The parts of a `pk` are separated by this character.
const SEPARATOR: char = '#';

/// What an operator knows of a customer.
#[derive(Clone, Debug)]
pub enum CustomerReference {
    /// The `pk` of its item.
    Key(String),
    /// The provider's id, in any of the provider's accounts.
    ProviderId(&'static Provider, String),
    /// The attribute `customer` of a log line.
    LogHash(String),
}

/// Why a text does not name a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceError(String);

impl std::fmt::Display for ReferenceError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ReferenceError {}

impl CustomerReference {
    /// Reads a `pk` or the hash of a log line; or a provider's name, if an `id` follows it.
    ///
    /// # Errors
    /// When the text is none of these, or the parts do not fit together. The message says what to write.
    pub fn parse(text: &str, id: Option<&str>, account: Option<&str>) -> Result<Self, ReferenceError> {
        let error = |message: String| Err(ReferenceError(message));
        if let Some(id) = id {
            let provider = clientele_providers::parse(text).map_err(ReferenceError)?;
            let Some(account) = account else { return Ok(Self::ProviderId(provider, id.to_owned())) };
            let (Ok(account), Ok(id)) = (Id::new(account.to_owned()), Id::new(id.to_owned())) else {
                return error("the account or the id is blank".to_owned());
            };
            let key = CustomerKey::new(provider.name, account, id);
            return Ok(Self::Key(key.map_err(|error| ReferenceError(error.to_string()))?.to_string()));
        }
        if account.is_some() {
            return error("--account is for a provider and an id; a pk already contains the account".to_owned());
        }
        if text.matches(SEPARATOR).count() == 2 {
            return Ok(Self::Key(text.to_owned()));
        }
        if text.len() == CUSTOMER_HASH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self::LogHash(text.to_ascii_lowercase()));
        }
        if clientele_providers::find(text).is_some() {
            return error(format!("the provider's id of the customer is missing after `{text}`"));
        }
        error(format!(
            "`{text}` is neither a pk such as plain{SEPARATOR}w_1{SEPARATOR}c_1 nor the {CUSTOMER_HASH_DIGITS} \
             hexadecimal digits of a log line's customer; with the provider's id, write the provider before it"
        ))
    }
}

/// The key of a customer who need not be in the table, by its `pk`, or by a provider with an id and an account.
///
/// # Errors
/// As [`CustomerReference::parse`], and when the account is missing or no provider has such a `pk`.
pub fn customer_key(text: &str, id: Option<&str>, account: Option<&str>) -> Result<CustomerKey, ReferenceError> {
    match CustomerReference::parse(text, id, account)? {
        CustomerReference::Key(pk) => key_of_pk(&pk),
        CustomerReference::ProviderId(..) => {
            Err(ReferenceError("add --account: an id alone may belong to several customers".to_owned()))
        }
        CustomerReference::LogHash(hash) => Err(ReferenceError(format!(
            "`clientele customers get {hash}` finds the pk of the customer: write that instead"
        ))),
    }
}

/// The key that a `pk` stands for.
///
/// # Errors
/// When no customer of any provider can have it.
pub fn key_of_pk(pk: &str) -> Result<CustomerKey, ReferenceError> {
    let provider =
        clientele_providers::parse(pk.split(SEPARATOR).next().unwrap_or_default()).map_err(ReferenceError)?;
    CustomerKey::of_pk(provider.name, pk).ok_or_else(|| {
        let example = format!("{}{SEPARATOR}ACCOUNT{SEPARATOR}ID", provider.name);
        ReferenceError(format!(
            "`{pk}` is not a pk: it has the form {example}, with a # or % inside a part as %23 or %25"
        ))
    })
}

impl CustomersTable {
    /// The customer's key and item. If there is no item, and the key was copied from a terminal, where characters of it are
    /// shown as escapes, those of the key that is meant.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn find_key(&self, key: CustomerKey) -> Result<(CustomerKey, Option<Value>)> {
        let pk = key.to_string();
        let found = self.item(&pk).await?;
        if let (None, Ok(unescaped)) = (&found, key_of_pk(&unescape(&pk)))
            && unescaped != key
            && let Some(item) = self.item(&unescaped.to_string()).await?
        {
            return Ok((unescaped, Some(item)));
        }
        Ok((key, found))
    }

    /// The items of the customer. There is more than one only for an id that several accounts of a provider use.
    ///
    /// Without a complete key the whole table is scanned. The indexes cannot replace that: they contain neither deleted
    /// customers nor those without an e-mail address and an external id.
    ///
    /// `progress` is called with the number of items of each page that is read.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn find(&self, reference: &CustomerReference, mut progress: impl FnMut(usize)) -> Result<Vec<Value>> {
        let mut found = vec![];
        match reference {
            CustomerReference::Key(pk) => {
                found.extend(self.item(pk).await?);
                let unescaped = unescape(pk);
                if found.is_empty() && unescaped != *pk {
                    found.extend(self.item(&unescaped).await?);
                }
            }
            CustomerReference::ProviderId(provider, id) => {
                let wanted = [("provider", provider.name), ("customer_id", id)];
                self.scan_pages(&wanted, |items, read| {
                    found.extend(items);
                    progress(read);
                    ControlFlow::Continue(())
                })
                .await?;
            }
            CustomerReference::LogHash(hash) => {
                self.scan_pages(&[], |items, read| {
                    let is_it = |item: &Value| item["pk"].as_str().is_some_and(|pk| customer_hash(pk) == *hash);
                    found.extend(items.into_iter().find(is_it));
                    progress(read);
                    if found.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })
                .await?;
            }
        }
        Ok(found)
    }

    /// The other items with the external id or e-mail address of this one, at all providers and accounts, by `pk`. At
    /// most `SAME_PERSON_READ_MAX` are read for each.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn items_of_same_person(&self, item: &Value) -> Result<Vec<Value>> {
        let mut others = vec![];
        for (index, attribute) in [("by-external-id", "external_id"), ("by-email", "email")] {
            if let Some(value) = item[attribute].as_str() {
                others.extend(self.query(index, attribute, value, SAME_PERSON_READ_MAX).await?);
            }
        }
        others.retain(|other| {
            let has_same = |attribute: &str| item[attribute].is_string() && other[attribute] == item[attribute];
            other["pk"] != item["pk"] && (has_same("external_id") || has_same("email"))
        });
        others.sort_by_key(|other| other["pk"].as_str().unwrap_or_default().to_owned());
        others.dedup_by(|one, other| one["pk"] == other["pk"]);
        Ok(others)
    }
}

/// The text before its invisible characters were shown as escapes such as `\u{1b}` and `\n`, as in a printed table.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut unescaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = unescaped_character(part).unwrap_or(('\\', part));
        unescaped.push(character);
        unescaped.push_str(rest);
    }
    unescaped
}

/// The character that an escape stands for, whose backslash is removed, and the text behind it.
fn unescaped_character(escape: &str) -> Option<(char, &str)> {
    for (letter, character) in [('n', '\n'), ('r', '\r'), ('t', '\t')] {
        if let Some(rest) = escape.strip_prefix(letter) {
            return Some((character, rest));
        }
    }
    let (digits, rest) = escape.strip_prefix("u{")?.split_once('}')?;
    Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        for (text, expected) in [
            (r"plain#w#c\u{1b}[2J", "plain#w#c\u{1b}[2J"),
            (r"a\\u{7f}b", "a\\\u{7f}b"),
            (r"a\tb\n", "a\tb\n"),
            (r"a\b\u{d800}\u{", r"a\b\u{d800}\u{"),
            ("", ""),
        ] {
            assert_eq!(unescape(text), expected);
        }
    }

    #[test]
    fn a_wrong_reference_says_what_to_write() {
        let error = |text, id, account| CustomerReference::parse(text, id, account).unwrap_err().to_string();
        assert!(error("plane", Some("c_1"), None).starts_with("there is no provider `plane`"));
        assert_eq!(error("plain", None, None), "the provider's id of the customer is missing after `plain`");
        assert!(error("c_1", None, None).contains("write the provider before it"));
        assert!(error("0123456789abcde", None, None).contains("16 hexadecimal digits"));
        assert!(error("plain#w_1#c_1", None, Some("w_1")).contains("already contains the account"));
        assert_eq!(error("plain", Some("c_1"), Some(" ")), "the account or the id is blank");
        let error = |text, id, account| customer_key(text, id, account).unwrap_err().to_string();
        assert!(error("plain", Some("c_1"), None).starts_with("add --account"));
        assert!(error("0123456789abcdef", None, None).starts_with("`clientele customers get 0123456789abcdef` finds"));
        assert!(error("plane#w_1#c_1", None, None).starts_with("there is no provider `plane`"));
        assert!(error("plain#w_1#50%", None, None).starts_with("`plain#w_1#50%` is not a pk"));
        assert_eq!(customer_key("plain", Some("50%"), Some("w")).unwrap().to_string(), "plain#w#50%25");
    }
}
