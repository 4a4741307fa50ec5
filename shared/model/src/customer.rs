//! The common model: what Clientele knows of a customer, whichever service told it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// A whole snapshot of a customer, as one event told it.
#[derive(Clone, Default, PartialEq)]
pub struct Customer {
    /// Your own key for the customer.
    pub external_id: Option<String>,
    /// What the provider says of the record.
    pub status: Status,
    /// The provider's own primary e-mail, where it has such a field.
    pub primary_email: Option<String>,
    /// The provider's own primary phone number, where it has such a field.
    pub primary_phone: Option<String>,
    /// When the provider made the record.
    pub created_at: Option<Time>,
    /// The common model.
    pub profile: Profile,
    /// Every field with no place in the model, under its own name.
    pub extra: Map<String, Value>,
    /// Such fields of the envelope of a batch: one copy for all its events, since there may be many of both.
    pub extra_of_batch: Arc<Map<String, Value>>,
}

crate::private::private_debug!(Customer, Profile, Email, Phone, Address, TaxId, Contact, Group, Spam, Actor);

impl Customer {
    /// The e-mail to index by, in lower case: the provider's own primary field, else the entry marked primary, else
    /// the first.
    #[must_use]
    pub fn email(&self) -> Option<String> {
        let emails = &self.profile.emails;
        let listed = || emails.iter().find(|email| email.primary == Some(true)).or(emails.first());
        let email = self.primary_email.as_deref().or_else(|| listed().map(|email| email.email.as_str()));
        email.map(str::to_lowercase)
    }

    /// What to call the customer: the first of display name, first and last name, company, legal name, e-mail.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let Profile { display_name, first_name, last_name, company_name, legal_name, .. } = &self.profile;
        let full = [first_name.as_deref(), last_name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let full = (!full.is_empty()).then_some(full);
        [display_name.clone(), full, company_name.clone(), legal_name.clone()]
            .into_iter()
            .find_map(|name| name)
            .or_else(|| self.email())
    }
}

/// The status of a record that is there. (`deleted` is that of a [`Tombstone`](crate::Tombstone).)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    #[default]
    Active,
    /// Out of use: SmarterPay `inactive`, Flexprice `archived`.
    Inactive,
}

/// A person or a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person.
    Individual,
    /// A company.
    Business,
}

/// A struct of the profile: every key is absent when empty.
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

        impl Sparse for $name {
            fn is_absent(&self) -> bool {
                $(self.$field.is_absent())&&*
            }
        }
    };
}

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
    /// The common model. Every key is absent when empty.
    Profile {
        /// A person or a company, where the provider says so in words.
        kind: Option<Kind>,
        /// The full name, or the name to show.
        display_name: Option<String>,
        /// The registered name.
        legal_name: Option<String>,
        /// The company's name.
        company_name: Option<String>,
        /// As in "Dr".
        title: Option<String>,
        /// The given name.
        first_name: Option<String>,
        /// The middle name.
        middle_name: Option<String>,
        /// The family name.
        last_name: Option<String>,
        /// A name to address the customer by.
        short_name: Option<String>,
        /// E-mail addresses in the letter case in which they came.
        emails: Vec<Email>,
        /// Phone numbers.
        phones: Vec<Phone>,
        /// The billing address, or the only one.
        billing_address: Option<Address>,
        /// Where goods go.
        shipping_address: Option<Address>,
        /// Where invoices go.
        billing_email: Option<String>,
        /// As the provider writes it.
        date_of_birth: Option<String>,
        /// The registration number of a company.
        legal_number: Option<String>,
        /// The primary tax number.
        tax_id: Option<String>,
        /// All tax numbers.
        tax_ids: Vec<TaxId>,
        /// As the provider names it.
        tax_status: Option<String>,
        /// As the provider writes it; not always an IANA name.
        timezone: Option<String>,
        /// As the provider writes it.
        language: Option<String>,
        /// As the provider writes it.
        currency: Option<String>,
        /// The customer's web site.
        website_url: Option<String>,
        /// The customer's logo.
        logo_url: Option<String>,
        /// People to talk to at the customer.
        contacts: Vec<Contact>,
        /// The groups that the customer is in.
        groups: Vec<Group>,
        /// Whether somebody marked the customer as spam.
        spam: Option<Spam>,
        /// Who looks after the customer.
        account_manager: Option<String>,
        /// How the record came to the provider.
        source: Option<String>,
        /// Who made the record.
        created_by: Option<Actor>,
        /// Who changed it last.
        updated_by: Option<Actor>,
        /// Free data, as it was sent.
        metadata: Option<Value>,
        /// Your own key, only where it is too long for its index.
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
    /// Whether it is the one to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
    /// Whether the provider has checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// When it did.
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
    /// The number as it came; it may hold the country code already.
    pub number: String,
    /// The country code as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
    /// Whether it is the one to use.
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

impl Address {
    /// The address if it says anything.
    #[must_use]
    pub fn if_any(self) -> Option<Self> {
        (!self.is_absent()).then_some(self)
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
        /// Whose it is.
        country: Option<String>,
    }
}

sparse! {
    /// Somebody to talk to at the customer.
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
        /// Whether this is the one to talk to first.
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
    /// That the customer was marked as spam.
    Spam {
        /// When.
        marked_at: Option<Time>,
        /// By whom.
        marked_by: Option<Actor>,
    }
}

impl Spam {
    /// The mark if there is one.
    #[must_use]
    pub fn if_any(self) -> Option<Self> {
        (!self.is_absent()).then_some(self)
    }
}

sparse! {
    /// Who did something.
    Actor {
        /// What it is, as the provider names it: a user, a system, a customer.
        #[serde(rename = "type")]
        kind: Option<String>,
        /// The provider's id of it.
        id: Option<String>,
    }
}

impl Actor {
    /// The actor if anything is known of it.
    #[must_use]
    pub fn if_any(self) -> Option<Self> {
        (!self.is_absent()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn email(email: &str, primary: Option<bool>) -> Email {
        Email { email: email.into(), primary, ..Email::default() }
    }

    #[rstest]
    #[case(Some("P@x.y"), vec![email("a@x.y", Some(true))], Some("p@x.y"))]
    #[case(None, vec![email("a@x.y", Some(false)), email("B@x.y", Some(true))], Some("b@x.y"))]
    #[case(None, vec![email("A@x.y", Some(false)), email("b@x.y", None)], Some("a@x.y"))]
    #[case(None, vec![], None)]
    fn the_primary_email(#[case] primary: Option<&str>, #[case] emails: Vec<Email>, #[case] expected: Option<&str>) {
        let profile = Profile { emails, ..Profile::default() };
        let customer = Customer { primary_email: primary.map(Into::into), profile, ..Customer::default() };
        assert_eq!(customer.email().as_deref(), expected);
    }

    #[rstest]
    #[case(json!({"display_name": "D", "first_name": "F", "company_name": "C"}), Some("D"))]
    #[case(json!({"first_name": "F", "last_name": "L", "company_name": "C"}), Some("F L"))]
    #[case(json!({"last_name": "L", "company_name": "C"}), Some("L"))]
    #[case(json!({"first_name": "F", "legal_name": "Z"}), Some("F"))]
    #[case(json!({"company_name": "C", "legal_name": "Z"}), Some("C"))]
    #[case(json!({"legal_name": "Z", "emails": [{"email": "A@x.y"}]}), Some("Z"))]
    #[case(json!({"emails": [{"email": "A@x.y"}]}), Some("a@x.y"))]
    #[case(json!({"short_name": "S"}), None)]
    fn the_name(#[case] profile: Value, #[case] name: Option<&str>) {
        let customer = Customer { profile: serde_json::from_value(profile).unwrap(), ..Customer::default() };
        assert_eq!(customer.name().as_deref(), name);
    }

    #[rstest]
    #[case(Profile::default(), json!({}))]
    #[case(Profile { title: Some("Dr".into()), ..Profile::default() }, json!({"title": "Dr"}))]
    #[case(Profile { title: Some(String::new()), ..Profile::default() }, json!({"title": ""}))]
    #[case(Profile { emails: vec![email("a", None)], ..Profile::default() }, json!({"emails": [{"email": "a"}]}))]
    #[case(Profile { groups: vec![Group::default()], ..Profile::default() }, json!({"groups": [{}]}))]
    #[case(Profile { spam: Some(Spam::default()), ..Profile::default() }, json!({"spam": {}}))]
    fn what_is_empty_is_absent(#[case] profile: Profile, #[case] written: Value) {
        assert_eq!(serde_json::to_value(&profile).unwrap(), written);
        assert!(serde_json::from_value::<Profile>(written).unwrap() == profile);
    }

    #[test]
    fn the_only_email_is_the_primary_one() {
        assert_eq!(
            serde_json::to_value(Email::only("A@x.y".into())).unwrap(),
            json!({"email": "A@x.y", "primary": true})
        );
    }

    #[rstest]
    #[case(json!({}), None)]
    #[case(json!({"country": "GB"}), Some(json!({"country": "GB"})))]
    #[case(json!({"line1": "1", "country": "GB"}), Some(json!({"line1": "1", "country": "GB"})))]
    fn an_address_if_it_says_anything(#[case] address: Value, #[case] kept: Option<Value>) {
        let address: Address = serde_json::from_value(address).unwrap();
        assert_eq!(address.if_any().map(|address| json!(address)), kept);
    }

    #[rstest]
    #[case(json!({}), None)]
    #[case(json!({"marked_at": "2026-01-02T03:04:05Z"}), Some(json!({"marked_at": "2026-01-02T03:04:05Z"})))]
    #[case(json!({"marked_by": {"id": "u"}}), Some(json!({"marked_by": {"id": "u"}})))]
    fn a_mark_as_spam_if_there_is_one(#[case] spam: Value, #[case] kept: Option<Value>) {
        let spam: Spam = serde_json::from_value(spam).unwrap();
        assert_eq!(spam.if_any().map(|spam| json!(spam)), kept);
    }

    #[rstest]
    #[case(json!({}), None)]
    #[case(json!({"type": "user"}), Some(json!({"type": "user"})))]
    #[case(json!({"id": "u"}), Some(json!({"id": "u"})))]
    fn an_actor_if_anything_is_known(#[case] actor: Value, #[case] kept: Option<Value>) {
        let actor: Actor = serde_json::from_value(actor).unwrap();
        assert_eq!(actor.if_any().map(|actor| json!(actor)), kept);
    }

    #[test]
    fn debug_prints_nothing_personal() {
        let customer = Customer { primary_email: Some("ada@example.com".into()), ..Customer::default() };
        assert_eq!(format!("{customer:?}"), "Customer(..)");
    }
}
