//! The core of Clientele: how a webhook is verified, how events are ordered, and what a customer is.
//!
//! Everything here is a pure function of its arguments. This crate uses no AWS, no async runtime, no clock and no
//! environment: the current time and the secrets are arguments.
//!
//! A delivery is processed in these steps, each of which consumes the result of the previous one:
//!
//! 1. [`Delivery::accept`] takes a request, decodes base64 and limits the size. The bytes cannot be read yet.
//! 2. [`verify`] checks the proof and returns a [`Verified`], which can be read.
//! 3. A [`Provider`]'s `translate` turns it into [`CustomerEvent`]s.
//! 4. [`CustomerEvent::item`] is the item that one conditional write puts into the table.
//! 5. [`ResponseRules::respond`] turns the [`Outcome`]s into the response that the provider expects.

#[macro_use]
mod redacted_debug;

mod change_event;
mod cleanup;
mod comparison;
mod customer;
mod customer_change;
mod decimal;
mod delivery;
mod email_key;
mod erasure;
mod event;
mod event_family;
mod event_time;
mod extra;
mod fields;
mod item;
mod json;
mod kept;
mod key;
mod listing;
mod profile;
mod provider;
mod rank;
mod redaction;
mod rejection;
mod response;
mod sample;
#[cfg(feature = "schema")]
pub mod schema;
mod schema_version;
mod scheme;
mod secret;
mod secrets;
mod sensitive_names;
mod table_limits;
mod time;
mod unknown_fields;
mod untranslatable;
mod verification;

pub use change_event::{
    ChangeData, ChangeEvent, ChangedStatus, DATA_SCHEMA, FeedContent, FeedSettings, ItemWrite, OmissionReason,
    REQUEST_BYTES_MAX, RefusedChange,
};
pub use cleanup::{CleanupMessage, CleanupType, Deletion, Identifiers};
pub use comparison::{Comparison, differing_fields, remove_path};
pub use customer::{Customer, CustomerStatus};
pub use customer_change::{ChangeType, CustomerChange};
pub use delivery::{BODY_BYTES_MAX, Delivery, EVENTS_MAX, Proof, Request, Verified};
pub use email_key::email_key;
pub use erasure::{DeleteDecision, ErasureSettings, Receipt, ReceiptMessage, Receipts};
pub use event::{Change, ChangeKind, CustomerEvent, EventFacts, Translated, Translation};
pub use event_family::EventFamily;
pub use event_time::EventTime;
pub use extra::ExtraFields;
pub use fields::Fields;
pub use item::{CustomerItem, DeletedStatus, Item, ItemError, LastEvent, SORT_KEY, Tombstone};
pub use json::{parse as parse_json, remove_one_dollar, text_at as json_text_at, with_one_more_dollar};
pub use kept::{BodyEncoding, Fingerprint, KeptDelivery, KeptDeliveryError, KeptPart, MESSAGE_BYTES_MAX};
pub use key::{CustomerKey, Id};
pub use listing::{
    AccountSource, ApiAnswer, ApiMethod, ApiRequest, ListApi, Listed, Listing, ListingError, Lookup, Page, Position,
    PositionError, RecordContext, Walk, WalkScope, WalkStart,
};
pub use profile::{Actor, Address, Contact, CustomerKind, Email, Group, Phone, Profile, SpamMark, TaxId};
pub use provider::Provider;
pub use rank::{EpochMicros, Rank, RankError, Sequence, Verb};
pub use redaction::CredentialFields;
pub use rejection::Rejection;
pub use response::{Outcome, ResponseRules, WebhookResponse};
pub use sample::{ListStandIn, SampleDelivery, SampleEvent};
pub use scheme::{Scheme, SchemeError, SignatureEncoding, SignedTime, TokenPlace};
pub use secret::{Secret, SecretError, Weakness};
pub use secrets::{SecretEntry, SecretProblem, SecretProblems, Secrets};
pub use sensitive_names::is_sensitive;
pub use time::Time;
pub use unknown_fields::UnknownFields;
pub use untranslatable::Untranslatable;
pub use verification::{RejectedDelivery, verify};
