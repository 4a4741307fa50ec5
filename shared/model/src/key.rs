//! The key of a customer in the table.

use std::borrow::Cow;
use std::fmt;

use crate::table_limits::fits_key;
use crate::untranslatable::Untranslatable;

/// A customer in one account of one provider. Displayed as the item's `pk`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerKey {
    provider: &'static str,
    account: String,
    customer_id: String,
}

redacted_debug!(CustomerKey);

impl CustomerKey {
    /// The key of a customer. An account that the body does not name becomes `-`.
    ///
    /// # Errors
    /// When there is no customer id, or the key is too long for the table.
    pub fn new(
        provider: &'static str,
        account: Option<String>,
        customer_id: Option<String>,
    ) -> Result<Self, Untranslatable> {
        let customer_id = customer_id.ok_or(Untranslatable::Missing("customer id"))?;
        let key = Self { provider, account: account.unwrap_or_else(|| "-".to_owned()), customer_id };
        if fits_key(&key.to_string()) { Ok(key) } else { Err(Untranslatable::KeyTooLong) }
    }

    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// The provider's account, `-` where the body has none.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The provider's id of the customer.
    #[must_use]
    pub fn customer_id(&self) -> &str {
        &self.customer_id
    }
}

impl fmt::Display for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#{}", self.provider, escaped(&self.account), escaped(&self.customer_id))
    }
}

/// Percent-encodes the separator and the escape character itself, so that no two customers share a key.
fn escaped(part: &str) -> Cow<'_, str> {
    if part.contains(['#', '%']) { part.replace('%', "%25").replace('#', "%23").into() } else { part.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(Some("w_1"), "c_1", "plain#w_1#c_1")]
    #[case(None, "c_1", "plain#-#c_1")]
    #[case(Some("a#b"), "50%", "plain#a%23b#50%25")]
    #[case(Some("%23"), "#", "plain#%2523#%23")]
    fn displayed_as_pk(#[case] account: Option<&str>, #[case] id: &str, #[case] pk: &str) {
        let key = CustomerKey::new("plain", account.map(Into::into), Some(id.into())).unwrap();
        assert_eq!(key.to_string(), pk);
    }

    #[rstest]
    #[case(None, Untranslatable::Missing("customer id"))]
    #[case(Some("x".repeat(2048 - "plain#-#".len() + 1)), Untranslatable::KeyTooLong)]
    fn invalid_keys_are_refused(#[case] id: Option<String>, #[case] error: Untranslatable) {
        assert_eq!(CustomerKey::new("plain", None, id).unwrap_err(), error);
    }

    #[test]
    fn the_longest_key_is_accepted() {
        let id = "x".repeat(2048 - "plain#-#".len());
        assert_eq!(CustomerKey::new("plain", None, Some(id)).unwrap().to_string().len(), 2048);
    }

    proptest! {
        #[test]
        fn no_two_customers_share_a_key(a in "[#%23a]{0,4}", b in "[#%23a]{1,4}", c in "[#%23a]{0,4}", d in "[#%23a]{1,4}") {
            let [x, y] = [(a, b), (c, d)].map(|(account, id)| CustomerKey::new("p", Some(account), Some(id)).unwrap());
            prop_assert_eq!(x.to_string() == y.to_string(), x == y);
        }
    }
}
