//! What has changed between two images of a customer's item.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::comparison::{are_same, fields_of};
use crate::item::{CustomerItem, Item};
use crate::rank::{Rank, Verb};

#[cfg(feature = "schema")]
use schemars::JsonSchema;

/// Attributes that every event of the customer changes. A change event has them in fields of their own.
const OF_EVERY_EVENT: [&str; 4] = ["rank", "last_event", "updated_at", "schema"];
/// The most characters of a name in `extra` that is part of a path.
const NAME_CHARS_MAX: usize = 64;
/// The most names in `extra` that are paths.
const EXTRA_NAMES_MAX: usize = 100;
/// The path of all fields in `extra` together.
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
    let fields = |item| {
        let mut fields = fields_of(serde_json::to_value(item).unwrap_or_default());
        fields.retain(|path, _| !OF_EVERY_EVENT.contains(&path.as_str()));
        fields
    };
    let (old, new) = (fields(old), fields(new));
    let paths: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let differ: Vec<_> = paths.into_iter().filter(|path| !are_same(old.get(*path), new.get(*path))).collect();
    let extra_names = || differ.iter().filter_map(|path| path.strip_prefix("extra."));
    let is_extra_whole = extra_names().count() > EXTRA_NAMES_MAX || !extra_names().all(is_usual_name);
    let mut changed: Vec<_> = differ.iter().map(|path| (*path).clone()).collect();
    if is_extra_whole {
        changed.retain(|path| !path.starts_with("extra."));
        changed.push(EXTRA.to_owned());
        changed.sort_unstable();
    }
    changed
}

/// Whether a name looks like that of a field in a program, as opposed to an address or a number of a person.
fn is_usual_name(name: &str) -> bool {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(is_usual)
}
