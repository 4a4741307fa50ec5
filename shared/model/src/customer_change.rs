//! What has changed between two images of a customer's item.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::comparison::are_same;
use crate::item::{CustomerItem, Item};
use crate::profile::Profile;
use crate::rank::{Rank, Verb};

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// The most characters of a name in `extra` that is part of a path.
const NAME_CHARS_MAX: usize = 64;
/// The most names in `extra` that are paths.
const EXTRA_NAMES_MAX: usize = 100;
/// The path of all fields in `extra` together, and the beginning of the path of each.
const EXTRA: &str = "extra";

/// What kind of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub enum ChangeType {
    /// The customer is new.
    #[serde(rename = "customer.created")]
    Created,
    /// The customer as it is now, which is not news: it was imported, or sent again.
    #[serde(rename = "customer.snapshot")]
    Snapshot,
    /// The customer has changed.
    #[serde(rename = "customer.updated")]
    Updated,
    /// The customer was deleted.
    #[serde(rename = "customer.deleted")]
    Deleted,
    /// The item was removed from the table, so its rank is forgotten.
    #[serde(rename = "customer.removed")]
    Removed,
}

impl ChangeType {
    /// The type as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "customer.created",
            Self::Snapshot => "customer.snapshot",
            Self::Updated => "customer.updated",
            Self::Deleted => "customer.deleted",
            Self::Removed => "customer.removed",
        }
    }
}

/// How an item has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerChange {
    /// What kind of change it is.
    pub kind: ChangeType,
    /// The paths of the fields of an update that differ, in alphabetical order.
    pub changed: Vec<String>,
}

impl CustomerChange {
    /// Compares the images of an item before and after a write. `None` if the customer's state is the same: there is no
    /// image, or both have the same rank, as when a sent cleanup message is removed from its tombstone.
    #[must_use]
    pub fn between(old: Option<&Item>, new: Option<&Item>) -> Option<Self> {
        let of = |kind| Some(Self { kind, changed: vec![] });
        match (old, new) {
            (None, None) => None,
            (Some(_), None) => of(ChangeType::Removed),
            (Some(old), Some(new)) if old.rank() == new.rank() => None,
            (_, Some(Item::Tombstone(_))) => of(ChangeType::Deleted),
            (Some(Item::Customer(old)), Some(Item::Customer(new))) => {
                Some(Self { kind: ChangeType::Updated, changed: changed_paths(old, new) })
            }
            (None | Some(Item::Tombstone(_)), Some(Item::Customer(new))) => {
                of(if is_observation(&new.rank) { ChangeType::Snapshot } else { ChangeType::Created })
            }
        }
    }
}

fn is_observation(rank: &str) -> bool {
    rank.parse::<Rank>().is_ok_and(|rank| rank.verb == Verb::Observed)
}

/// The paths of the fields that differ: attributes of the item, fields of `profile`, and fields of `extra`. What is inside
/// of such a field is not named, because its names may be personal data. For the same reason `extra` stands for all of its
/// fields if one that differs has an unusual name, or if many differ.
fn changed_paths(old: &CustomerItem, new: &CustomerItem) -> Vec<String> {
    // Each field is named, so that a new one cannot be forgotten. Those that are ignored are the key, which is the same, and
    // what every event changes: the change event has fields for it.
    let CustomerItem {
        external_id,
        status,
        name,
        email,
        profile,
        extra,
        created_at,
        pk: _,
        sk: _,
        provider: _,
        account: _,
        customer_id: _,
        updated_at: _,
        rank: _,
        last_event: _,
        schema: _,
    } = new;
    let attributes = [
        ("created_at", old.created_at != *created_at),
        ("email", old.email != *email),
        ("external_id", old.external_id != *external_id),
        ("name", old.name != *name),
        ("status", old.status != *status),
    ];
    let mut changed: Vec<_> =
        attributes.iter().filter(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned()).collect();
    changed.extend(changed_profile_paths(&old.profile, profile));
    changed.extend(changed_extra_paths(&old.extra, extra));
    changed.sort_unstable();
    changed
}

fn changed_profile_paths(old: &Profile, new: &Profile) -> Vec<String> {
    if old == new {
        return vec![];
    }
    let fields = |profile| match serde_json::to_value(profile) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    differing_names(&fields(old), &fields(new)).into_iter().map(|name| format!("profile.{name}")).collect()
}

fn changed_extra_paths(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let names = differing_names(old, new);
    if names.len() > EXTRA_NAMES_MAX || !names.iter().all(|name| is_usual_name(name)) {
        return vec![EXTRA.to_owned()];
    }
    names.into_iter().map(|name| format!("{EXTRA}.{name}")).collect()
}

fn differing_names<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> Vec<&'a str> {
    let differs = |(name, value): &(&String, &Value)| !are_same(Some(value), new.get(*name));
    let in_old = old.iter().filter(differs).map(|(name, _)| name.as_str());
    in_old.chain(new.keys().filter(|name| !old.contains_key(*name)).map(String::as_str)).collect()
}

/// Whether a name looks like that of a field in a program, as opposed to an address or a number of a person.
fn is_usual_name(name: &str) -> bool {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(is_usual)
}
