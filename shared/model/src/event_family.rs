//! Which events must not be ignored.

use crate::event::{Translated, Translation};
use crate::untranslatable::Untranslatable;

/// The types with which a provider names its events about customers.
#[derive(Clone, Copy, Debug)]
pub struct EventFamily {
    /// The beginning of all these types, in lower case.
    pub prefix: &'static str,
    /// The types of the family that do not change a customer.
    pub ignored: &'static [&'static str],
}

impl EventFamily {
    /// The translation of an event of a type that changes no customer, as far as the provider's crate knows.
    ///
    /// # Errors
    /// When the type is in the family but not known. A provider can add a type that merges or erases customers, or
    /// rename one. If such an event were ignored, it would be lost, since the provider does not send it again.
    pub fn ignore(&self, kind: String) -> Translation {
        let start = kind.trim_start().as_bytes().get(..self.prefix.len());
        let is_in_family = start.is_some_and(|start| start.eq_ignore_ascii_case(self.prefix.as_bytes()));
        if is_in_family && !self.ignored.contains(&kind.as_str()) {
            return Err(Untranslatable::UnknownType);
        }
        Ok(Translated::Ignored(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("customer.merged", false)]
    #[case("Customer.Updated", false)]
    #[case("CUSTOMER.", false)]
    #[case(" \n customer.updated", false)]
    #[case("customer.group_changed.v2", false)]
    #[case("Customer.Group_Changed", false)]
    #[case("customer.\u{e9}", false)]
    #[case("customer.group_changed", true)]
    #[case("customer", true)]
    #[case("customers.imported", true)]
    #[case("customer_account.update", true)]
    #[case("invoice.customer.paid", true)]
    #[case("custome\u{20ac}", true)]
    #[case("", true)]
    fn only_other_families_and_listed_types_are_ignored(#[case] kind: &str, #[case] is_ignored: bool) {
        let family = EventFamily { prefix: "customer.", ignored: &["customer.group_changed"] };
        let ignored = Translated::Ignored(kind.to_owned());
        assert_eq!(family.ignore(kind.to_owned()), is_ignored.then_some(ignored).ok_or(Untranslatable::UnknownType));
    }
}
