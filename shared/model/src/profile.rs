//! The common model of a customer. All providers' records are translated into it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

redacted_debug!(Profile, Email, Phone, Address, TaxId, Contact, Group, SpamMark, Actor);

/// A person or a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CustomerKind {
    /// A person.
    Individual,
    /// A company.
    Business,
}

/// Declares a struct that leaves out its empty fields when it is serialized.
macro_rules! sparse {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty $(,)?)* }) => {
        $(#[$meta])*
        #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(JsonSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "Sparse::is_absent")]
                pub $field: $type,
            )*
        }

        impl $name {
            /// `None` if all fields are empty.
            #[must_use]
            pub fn if_any(self) -> Option<Self> {
                (!self.is_absent()).then_some(self)
            }
        }

        impl Sparse for $name {
            fn is_absent(&self) -> bool {
                $(self.$field.is_absent())&&*
            }
        }
    };
}

/// A field's value that may be empty.
trait Sparse {
    fn is_absent(&self) -> bool;
}

impl<T> Sparse for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Sparse for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

sparse! {
    /// The common model of a customer. Every key is absent when empty.
    Profile {
        /// A person or a company, where the provider has a field for it.
        kind: Option<CustomerKind>,
        /// The full name, or the name to display.
        display_name: Option<String>,
        /// The registered name.
        legal_name: Option<String>,
        /// The company's name.
        company_name: Option<String>,
        /// A title such as "Dr".
        title: Option<String>,
        /// The given name.
        first_name: Option<String>,
        /// The middle name.
        middle_name: Option<String>,
        /// The family name.
        last_name: Option<String>,
        /// A name to address the customer by.
        short_name: Option<String>,
        /// E-mail addresses, in the letter case in which they were sent.
        emails: Vec<Email>,
        /// Phone numbers.
        phones: Vec<Phone>,
        /// The billing address, or the only one.
        billing_address: Option<Address>,
        /// The address for goods.
        shipping_address: Option<Address>,
        /// The e-mail address for invoices.
        billing_email: Option<String>,
        /// The date of birth, as the provider writes it.
        date_of_birth: Option<String>,
        /// The registration number of a company.
        legal_number: Option<String>,
        /// The primary tax number.
        tax_id: Option<String>,
        /// All tax numbers.
        tax_ids: Vec<TaxId>,
        /// The tax status, as the provider names it.
        tax_status: Option<String>,
        /// The time zone, as the provider writes it; not always an IANA name.
        timezone: Option<String>,
        /// The language, as the provider writes it.
        language: Option<String>,
        /// The currency, as the provider writes it.
        currency: Option<String>,
        /// The customer's web site.
        website_url: Option<String>,
        /// The URL of the customer's logo.
        logo_url: Option<String>,
        /// Contact persons at the customer.
        contacts: Vec<Contact>,
        /// The groups to which the customer belongs.
        groups: Vec<Group>,
        /// The mark as spam, if there is one.
        spam: Option<SpamMark>,
        /// Who is responsible for the customer.
        account_manager: Option<String>,
        /// How the provider got the record.
        source: Option<String>,
        /// Who created the record.
        created_by: Option<Actor>,
        /// Who last changed the record.
        updated_by: Option<Actor>,
        /// Free-form data, as it was sent.
        metadata: Option<Value>,
        /// Your own key for the customer, only where it is too long for its index.
        external_id: Option<String>,
    }
}

/// An e-mail address.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// The address.
    pub email: String,
    /// Whether it is the primary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
    /// Whether the provider has verified it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// When the provider verified it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
}

impl Email {
    /// The only address that a provider has for a customer.
    #[must_use]
    pub fn only(email: String) -> Self {
        Self { email, primary: Some(true), ..Self::default() }
    }
}

/// A phone number.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Phone {
    /// The number as it was sent; it may already contain the country code.
    pub number: String,
    /// The country code, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
    /// Whether it is the primary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

sparse! {
    /// An address. Country and state are as the provider writes them.
    Address {
        /// The first line.
        line1: Option<String>,
        /// The second line.
        line2: Option<String>,
        /// The city.
        city: Option<String>,
        /// The state or region.
        state: Option<String>,
        /// The postal code.
        postal_code: Option<String>,
        /// The country.
        country: Option<String>,
    }
}

sparse! {
    /// A tax number.
    TaxId {
        /// Its kind.
        #[serde(rename = "type")]
        kind: Option<String>,
        /// The number.
        number: Option<String>,
        /// The country that issued it.
        country: Option<String>,
    }
}

sparse! {
    /// A contact person at the customer.
    Contact {
        /// The given name.
        first_name: Option<String>,
        /// The family name.
        last_name: Option<String>,
        /// The e-mail address.
        email: Option<String>,
        /// The phone number.
        phone: Option<String>,
        /// The role.
        designation: Option<String>,
        /// The department.
        department: Option<String>,
        /// Whether this is the primary contact.
        primary: Option<bool>,
    }
}

sparse! {
    /// A group of customers.
    Group {
        /// The provider's id of the group.
        id: Option<String>,
        /// Its key.
        key: Option<String>,
        /// Its name.
        name: Option<String>,
    }
}

sparse! {
    /// A mark as spam.
    SpamMark {
        /// When the customer was marked.
        marked_at: Option<Time>,
        /// Who marked the customer.
        marked_by: Option<Actor>,
    }
}

sparse! {
    /// Somebody or something that acted.
    Actor {
        /// The kind of actor, as the provider names it: a user, a system, a customer.
        #[serde(rename = "type")]
        kind: Option<String>,
        /// The provider's id of the actor.
        id: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde::de::DeserializeOwned;
    use serde_json::json;

    fn email(email: &str, primary: Option<bool>) -> Email {
        Email { email: email.into(), primary, ..Email::default() }
    }

    #[rstest]
    #[case(Profile::default(), json!({}))]
    #[case(Profile { title: Some("Dr".into()), ..Profile::default() }, json!({"title": "Dr"}))]
    #[case(Profile { title: Some(String::new()), ..Profile::default() }, json!({"title": ""}))]
    #[case(Profile { emails: vec![email("a", None)], ..Profile::default() }, json!({"emails": [{"email": "a"}]}))]
    #[case(Profile { groups: vec![Group::default()], ..Profile::default() }, json!({"groups": [{}]}))]
    #[case(Profile { spam: Some(SpamMark::default()), ..Profile::default() }, json!({"spam": {}}))]
    fn empty_fields_are_absent(#[case] profile: Profile, #[case] written: Value) {
        assert_eq!(serde_json::to_value(&profile).unwrap(), written);
        assert!(serde_json::from_value::<Profile>(written).unwrap() == profile);
    }

    #[test]
    fn the_only_email_is_primary() {
        assert_eq!(
            serde_json::to_value(Email::only("A@x.y".into())).unwrap(),
            json!({"email": "A@x.y", "primary": true})
        );
    }

    #[test]
    fn structs_without_any_value_are_none() {
        fn check<T: DeserializeOwned + Serialize>(if_any: impl Fn(T) -> Option<T>, values: &[Value]) {
            assert!(if_any(serde_json::from_value(json!({})).unwrap()).is_none());
            for value in values {
                let kept = if_any(serde_json::from_value(value.clone()).unwrap());
                assert_eq!(kept.map(|kept| json!(kept)).as_ref(), Some(value));
            }
        }
        check(Address::if_any, &[json!({"country": "GB"}), json!({"line1": "1", "country": "GB"})]);
        check(SpamMark::if_any, &[json!({"marked_at": "2026-01-02T03:04:05Z"}), json!({"marked_by": {"id": "u"}})]);
        check(Actor::if_any, &[json!({"type": "user"}), json!({"id": "u"})]);
    }
}
