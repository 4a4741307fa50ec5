//! What a provider has to tell, and what it must come to.

use std::collections::{BTreeMap, BTreeSet};

use clientele_model::{CustomerEvent, Item, KeptDelivery, KeptPart, Rank, Translated, Verified};
use serde_json::{Map, Value};

use crate::provider::{ACME, Said, TOO_BIG, What, body, verified};

/// Deliveries, and what they come to: in whatever order, however often they arrive, and whatever fails.
pub(crate) struct History {
    pub(crate) posts: Vec<Post>,
    pub(crate) end: End,
}

/// A delivery.
pub(crate) struct Post {
    pub(crate) verified: Verified,
    pub(crate) facts: Vec<Fact>,
}

/// An event of a delivery that must not be lost.
pub(crate) struct Fact {
    /// By which it is known in a kept message.
    pub(crate) mark: String,
    pub(crate) meaning: Meaning,
}

pub(crate) enum Meaning {
    /// It takes part in the order.
    Event(Box<CustomerEvent>),
    /// Nobody can store it as it is.
    ForQuarantine,
}

/// What a history comes to, computed without the code under test: by sorting.
#[derive(Default)]
pub(crate) struct End {
    /// Every item by `pk`, as [`settled`] has it.
    pub(crate) items: BTreeMap<String, Map<String, Value>>,
    /// The `pk` of the customers who are gone.
    pub(crate) deleted: BTreeSet<String>,
    /// The cleanup messages of their last deletes, which know more than those of earlier ones.
    pub(crate) last_words: BTreeSet<String>,
    /// What ends in quarantine, by its marks.
    pub(crate) quarantined: BTreeSet<String>,
}

impl History {
    /// Of these bodies.
    pub(crate) fn of(bodies: impl IntoIterator<Item = String>) -> Self {
        let posts: Vec<_> = bodies.into_iter().map(|body| Post::new(&body)).collect();
        let end = End::of(&posts);
        Self { posts, end }
    }

    /// Each event in a delivery of its own, all sent at the same time.
    pub(crate) fn of_singles(said: &[Said]) -> Self {
        Self::of(said.iter().map(|said| body(0, &[Some(said.clone())])))
    }

    /// One delivery of several events.
    pub(crate) fn of_batch(said: &[Said]) -> Self {
        let places: Vec<_> = said.iter().cloned().map(Some).collect();
        Self::of([body(0, &places)])
    }
}

impl Post {
    fn new(body: &str) -> Self {
        let verified = verified(body);
        let whole = KeptDelivery::new(&ACME, &verified, "", KeptPart::Whole).to_message();
        let marks = marks(&whole);
        let translations = (ACME.translate)(&verified);
        assert_eq!(marks.len(), translations.len());
        let facts = marks.into_iter().zip(translations).filter_map(|(mark, translation)| {
            let meaning = match translation {
                Ok(Translated::Event(event)) if fits(&event) => Meaning::Event(event),
                Ok(Translated::Event(_)) | Err(_) => Meaning::ForQuarantine,
                Ok(Translated::Ignored(_) | Translated::AlreadySettled) => return None,
            };
            Some(Fact { mark: mark?, meaning })
        });
        let facts = facts.collect();
        Self { verified, facts }
    }
}

fn fits(event: &CustomerEvent) -> bool {
    can_hold(&event.item(jiff::Timestamp::UNIX_EPOCH))
}

/// Whether the table can hold the item.
pub(crate) fn can_hold(item: &Item) -> bool {
    !matches!(item, Item::Customer(item) if item.name.as_deref() == Some(TOO_BIG))
}

impl End {
    fn of(posts: &[Post]) -> Self {
        let mut customers = BTreeMap::<String, Vec<((bool, Rank), Item)>>::new();
        let mut quarantined = BTreeSet::new();
        for post in posts {
            for fact in &post.facts {
                match &fact.meaning {
                    Meaning::Event(event) => {
                        let item = event.item(post.verified.received_at());
                        let is_delete = matches!(item, Item::Tombstone(_));
                        let events = customers.entry(event.key().to_string()).or_default();
                        events.push(((is_delete, event.rank()), item));
                    }
                    Meaning::ForQuarantine => drop(quarantined.insert(fact.mark.clone())),
                }
            }
        }
        let mut end = Self { quarantined, ..Self::default() };
        for (pk, mut events) in customers {
            events.sort_by(|(a, _), (b, _)| a.cmp(b));
            let ((is_delete, _), item) = events.pop().unwrap();
            let Ok(Value::Object(item)) = serde_json::to_value(&item) else { panic!("an item is an object") };
            if is_delete {
                end.deleted.insert(pk.clone());
                end.last_words.insert(item["cleanup"].as_str().unwrap().to_owned());
            }
            end.items.insert(pk, settled(item));
        }
        end
    }
}

/// An item without what depends on when its event came, or is gone once the cleanup message is sent.
pub(crate) fn settled(mut item: Map<String, Value>) -> Map<String, Value> {
    item.remove("cleanup");
    item.remove("cleanup_due");
    item["last_event"].as_object_mut().unwrap().remove("received_at");
    item
}

/// What each place of a kept message holds: the id of the event, or what is not readable; nothing if it is blank.
pub(crate) fn marks(message: &str) -> Vec<Option<String>> {
    let verified = KeptDelivery::from_message(message).unwrap().into_verified().unwrap();
    match serde_json::from_slice::<Value>(verified.body()) {
        Ok(body) => {
            let id = |event: &Value| (!event.is_null()).then(|| event["id"].as_str().unwrap().to_owned());
            body["events"].as_array().unwrap().iter().map(id).collect()
        }
        Err(_) => vec![Some(String::from_utf8_lossy(verified.body()).into_owned())],
    }
}

/// Two customers: ties in the version, in one of them down to the id; a delete that is not the newest, and an update
/// after it.
pub(crate) fn six_events() -> Vec<Said> {
    vec![
        Said::new("a1", "ada", 1, What::Created),
        Said::new("a2", "ada", 1, What::Updated),
        Said::new("a3", "ada", 2, What::Deleted),
        Said::new("a4", "ada", 3, What::Updated),
        Said::new("b1", "bob", 1, What::Updated),
        Said::new("b2", "bob", 1, What::Updated),
    ]
}
