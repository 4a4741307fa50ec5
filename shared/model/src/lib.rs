//! The heart of Clientele: how a webhook is proved, how events are ordered, and what a customer is.
//!
//! Everything here is a pure function of its arguments. There is no AWS, no async runtime, no clock and no
//! environment in this crate: `now` is an argument, and so are the secrets.
//!
//! The way of one delivery, each step consuming what the one before made:
//!
//! 1. [`Delivery::accept`] takes a request: exact bytes, base64 undone, size bounded; unreadable.
//! 2. [`verify`] turns it into [`Verified`], the only door from untrusted to trusted.
//! 3. A [`Provider`]'s `translate` turns its words into ours: [`CustomerEvent`]s.
//! 4. [`CustomerEvent::item`] is what the one conditional write puts into the table.
//! 5. [`Outcome`] says what came of it, and [`Dialect::answer`] how the provider wants to hear it.

mod answer;
mod cleanup;
mod customer;
mod delivery;
mod event;
mod extra;
mod fields;
mod item;
mod json;
mod kept;
mod key;
mod private;
mod provider;
mod rank;
mod redact;
#[cfg(feature = "schema")]
pub mod schema;
mod secret;
mod signature;
mod storable;
mod time;

pub use answer::{Answer, Dialect, Outcome};
pub use cleanup::{CleanupMessage, CleanupType, Identifiers};
pub use customer::{Actor, Address, Contact, Customer, Email, Group, Kind, Phone, Profile, Spam, Status, TaxId};
pub use delivery::{Delivery, Proof, Request, Verified};
pub use event::{Change, CustomerEvent, Deletion, Event, Meaning, Translated, Translation, Untranslatable};
pub use extra::Extra;
pub use fields::Fields;
pub use item::{CustomerItem, DeletedStatus, Item, LastEvent, SORT_KEY, Tombstone};
pub use kept::{Encoding as KeptEncoding, Kept, KeptError, Part};
pub use key::CustomerKey;
pub use provider::Provider;
pub use rank::{Micros, Rank, RankError, Sequence, Verb};
pub use redact::Credentials;
pub use secret::{SecretError, Secrets};
pub use signature::{Encoding, Rejected, Scheme, SchemeError, SignedTime, TokenPlace, Unverified, verify};
pub use time::Time;

/// The version of the shapes that are written: the item and both messages.
pub const SCHEMA: u8 = 1;
