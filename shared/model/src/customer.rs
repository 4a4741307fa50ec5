//! The state of a customer, as every service describes it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::email_key::email_key;
use crate::profile::Profile;
use crate::time::Time;

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// A complete snapshot of a customer, taken from one event.
#[derive(Clone, Default, PartialEq)]
pub struct Customer {
    /// Your own key for the customer.
    pub external_id: Option<String>,
    /// The status of the record at the provider.
    pub status: CustomerStatus,
    /// The primary e-mail, where the provider has a field for it.
    pub primary_email: Option<String>,
    /// The primary phone number, where the provider has a field for it.
    pub primary_phone: Option<String>,
    /// When the provider created the record.
    pub created_at: Option<Time>,
    /// The common model.
    pub profile: Profile,
    /// Every field that has no place in the common model, under its own name.
    pub extra: Map<String, Value>,
    /// Such fields of a batch's envelope. All events of the batch share one copy, since there may be many of both.
    pub extra_of_batch: Arc<Map<String, Value>>,
}

redacted_debug!(Customer);

impl Customer {
    /// The key of the e-mail to index by: of the provider's primary e-mail, else the first in the list that is marked as
    /// primary, else the first that is not marked, else the first. Blank addresses do not count.
    #[must_use]
    pub fn email(&self) -> Option<String> {
        let marked = |mark| self.profile.emails.iter().filter(move |email| email.primary == mark);
        let listed = [Some(true), None, Some(false)].into_iter().flat_map(marked).map(|email| &email.email);
        self.primary_email.iter().chain(listed).find_map(|address| email_key(address))
    }

    /// A name for the customer: the first of display name, first and last name, company name, legal name and e-mail.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let Profile { display_name, first_name, last_name, company_name, legal_name, .. } = &self.profile;
        let full = [first_name.as_deref(), last_name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let full = (!full.is_empty()).then_some(full);
        [display_name.clone(), full, company_name.clone(), legal_name.clone()]
            .into_iter()
            .flatten()
            .next()
            .or_else(|| self.email())
    }
}

/// The status of a customer that is not deleted. (`deleted` is the status of a tombstone.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CustomerStatus {
    /// In use.
    #[default]
    Active,
    /// No longer in use: SmarterPay `inactive`, Flexprice `archived`.
    Inactive,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Email;
    use rstest::rstest;
    use serde_json::json;

    fn email(email: &str, primary: Option<bool>) -> Email {
        Email { email: email.into(), primary, ..Email::default() }
    }

    #[rstest]
    #[case(Some("P@x.y"), vec![email("a@x.y", Some(true))], Some("p@x.y"))]
    #[case(None, vec![email("a@x.y", Some(false)), email("B@x.y", Some(true))], Some("b@x.y"))]
    #[case(None, vec![email("A@x.y", Some(false)), email("B@x.y", None)], Some("b@x.y"))]
    #[case(None, vec![email("A@x.y", Some(false)), email("b@x.y", Some(false))], Some("a@x.y"))]
    #[case(None, vec![email("a@x.y", None), email("b@x.y", None)], Some("a@x.y"))]
    #[case(None, vec![email("a@x.y", Some(true)), email("b@x.y", Some(true))], Some("a@x.y"))]
    #[case(Some(" P@x.y "), vec![], Some("p@x.y"))]
    #[case(Some(" "), vec![email("a@x.y", None), email("b@x.y", Some(true))], Some("b@x.y"))]
    #[case(Some(" "), vec![email("\t", Some(true)), email("b@x.y", Some(false))], Some("b@x.y"))]
    #[case(Some("\u{a0}"), vec![email(" ", None)], None)]
    #[case(None, vec![], None)]
    fn primary_email_is_chosen(
        #[case] primary: Option<&str>,
        #[case] emails: Vec<Email>,
        #[case] expected: Option<&str>,
    ) {
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
    fn name_is_chosen(#[case] profile: Value, #[case] name: Option<&str>) {
        let customer = Customer { profile: serde_json::from_value(profile).unwrap(), ..Customer::default() };
        assert_eq!(customer.name().as_deref(), name);
    }
}
