//! The invented customers of a list API, and what happens to them.

use clientele_model::{ApiAnswer, ApiRequest, ChangeKind, ListStandIn, SampleEvent, Verb};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

const FIRST_NAMES: [&str; 32] = [
    "Amara", "Bela", "Cleo", "Dario", "Edda", "Femi", "Greta", "Hiro", "Ines", "Jonas", "Kaya", "Leif", "Mara", "Nils",
    "Oona", "Pavel", "Quinn", "Rosa", "Sami", "Tilda", "Umar", "Vera", "Wanda", "Xenia", "Yara", "Zoran", "Alma",
    "Bruno", "Celia", "Dara", "Emil", "Flora",
];
const LAST_NAMES: [&str; 32] = [
    "Abara",
    "Brandt",
    "Castel",
    "Dahl",
    "Eriksen",
    "Farkas",
    "Grieg",
    "Haas",
    "Ibarra",
    "Jansen",
    "Kovac",
    "Lindqvist",
    "Moreau",
    "Novak",
    "Okafor",
    "Petit",
    "Quist",
    "Rossi",
    "Sato",
    "Tanaka",
    "Ueda",
    "Varga",
    "Weiss",
    "Yilmaz",
    "Zeman",
    "Alder",
    "Birch",
    "Cedar",
    "Dove",
    "Elm",
    "Finch",
    "Grove",
];

/// How many people the names make. Greater numbers stand for people with the same names.
const PEOPLE: u32 = 32 * 32;
/// The people of two providers that follow each other in the list of providers begin so many apart. Providers have more
/// customers than that, so some people are customers of several.
const APART: u32 = 60;
/// The first change: 2026-02-02T08:00:00Z.
const FIRST_CHANGE: Timestamp = Timestamp::constant(1_770_019_200, 0);
/// The time from the first change to the last one before the stack was started.
const HISTORY: SignedDuration = SignedDuration::from_hours(24 * 200);
/// An update or delete comes so long after the customer was created.
const LATER: SignedDuration = SignedDuration::from_mins(40);
/// These customers were created at the same moment, as a provider's own import does it. They are more than a page.
const SAME_MOMENT: std::ops::Range<u32> = 100..170;
/// Times are multiples of this, because Flexprice's message ids have this resolution.
const RESOLUTION_MS: i64 = 4;
/// How many customers have a past of their own, and are left alone while the list is read.
const WITH_A_PAST: u32 = 8;

const CREATED: ChangeKind = ChangeKind::Snapshot(Verb::Created);
const UPDATED: ChangeKind = ChangeKind::Snapshot(Verb::Updated);

/// The customers of one provider.
#[derive(Debug)]
pub(super) struct Customers {
    stand_in: ListStandIn,
    /// Whether the API also lists deleted customers.
    keeps_deleted: bool,
    /// The last change of each customer.
    last_changes: Vec<SampleEvent>,
    /// The customers as the API lists them, and what else it returns.
    records: Vec<Value>,
    /// The ids of the listed customers, in the same order.
    listed: Vec<String>,
    /// The changes before the stack was started that webhooks reported, oldest first.
    reported: Vec<SampleEvent>,
    /// The person that becomes a customer next.
    next_person: u32,
    /// How many events there were. Each one gets its number.
    events: u32,
    changes_while_read: u32,
}

/// What happened to a customer before the stack was started.
#[derive(Clone, Copy)]
struct Past {
    /// What happened after the customer was created.
    then: Option<ChangeKind>,
    /// How many of these changes a webhook reported. The others are not in the table.
    reported: usize,
}

impl Past {
    /// Of the customer with that number.
    fn of(number: u32) -> Self {
        let (then, reported) = match number {
            0 => (None, 1),
            1 => (Some(UPDATED), 2),
            // The webhook of the update is lost,
            2 => (Some(UPDATED), 1),
            // and here that of the delete.
            3 => (Some(ChangeKind::Deletion), 1),
            // Deleted before anybody was listening.
            4..WITH_A_PAST => (Some(ChangeKind::Deletion), 0),
            number => ((number % 4 == 0).then_some(UPDATED), 0),
        };
        Self { then, reported }
    }
}

impl Customers {
    /// So many customers of the provider at that place in the list of providers.
    pub(super) fn new(stand_in: ListStandIn, keeps_deleted: bool, others: Vec<Value>, place: u32, number: u32) -> Self {
        let first_person = place * APART;
        let mut customers = Self {
            stand_in,
            keeps_deleted,
            last_changes: vec![],
            records: others,
            listed: vec![],
            reported: vec![],
            next_person: first_person + number,
            events: 0,
            changes_while_read: 0,
        };
        for index in 0..number {
            let past = Past::of(index);
            let at = if SAME_MOMENT.contains(&index) { SAME_MOMENT.start } else { index };
            let created_at =
                FIRST_CHANGE + SignedDuration::from_secs(HISTORY.as_secs() / i64::from(number) * i64::from(at));
            let created = customers.event(first_person + index, CREATED, created_at);
            let mut events = vec![created];
            if let Some(change) = past.then {
                events.push(customers.event(first_person + index, change, created_at + LATER));
            }
            customers.reported.extend(events.iter().take(past.reported).cloned());
            for event in events {
                customers.apply(event);
            }
        }
        customers
    }

    pub(super) fn last_changes(&self) -> &[SampleEvent] {
        &self.last_changes
    }

    pub(super) fn reported(&self) -> &[SampleEvent] {
        &self.reported
    }

    pub(super) fn answer(&self, request: &ApiRequest, page_max: usize) -> ApiAnswer {
        (self.stand_in.answer)(&self.records, request, page_max)
    }

    /// Lets something happen to a customer, perhaps to a new one.
    pub(super) fn apply(&mut self, change: SampleEvent) {
        let place = self.listed.iter().position(|id| *id == change.customer_id);
        let is_listed = self.keeps_deleted || change.change != ChangeKind::Deletion;
        match (place, is_listed) {
            (Some(place), true) => self.records[place] = (self.stand_in.record)(&change),
            (Some(place), false) => {
                self.records.remove(place);
                self.listed.remove(place);
            }
            (None, true) => {
                self.records.insert(self.listed.len(), (self.stand_in.record)(&change));
                self.listed.push(change.customer_id.clone());
            }
            (None, false) => {}
        }
        match self.last_changes.iter_mut().find(|last| last.customer_id == change.customer_id) {
            Some(last) => *last = change,
            None => self.last_changes.push(change),
        }
    }

    /// Changes a customer, deletes one or creates one, in turn, and returns what it did. A walk by time has read the
    /// customers that it changes already, because they have not changed for the longest time.
    pub(super) fn change_one(&mut self, now: Timestamp) -> SampleEvent {
        let now = Timestamp::from_millisecond(now.as_millisecond() / RESOLUTION_MS * RESOLUTION_MS).unwrap_or(now);
        let change = match self.changes_while_read % 3 {
            0 => self.change_of_old(UPDATED, now),
            1 => self.change_of_old(ChangeKind::Deletion, now),
            _ => None,
        };
        let change = change.unwrap_or_else(|| {
            self.next_person += 1;
            self.event(self.next_person - 1, CREATED, now)
        });
        self.changes_while_read += 1;
        self.apply(change.clone());
        change
    }

    /// A change of a customer that exists, has no past of its own, and has not been changed here.
    fn change_of_old(&mut self, kind: ChangeKind, changed_at: Timestamp) -> Option<SampleEvent> {
        let place = WITH_A_PAST + self.changes_while_read;
        let last = self.last_changes.get(usize::try_from(place).ok()?)?;
        let mut change = SampleEvent { change: kind, changed_at, number: self.events, ..last.clone() };
        if kind == UPDATED {
            change.name.push_str(" Jr.");
        }
        self.events += 1;
        Some(change)
    }

    fn event(&mut self, person: u32, change: ChangeKind, changed_at: Timestamp) -> SampleEvent {
        let (id, mut name) = person_of(person);
        if change == UPDATED {
            name.push_str(" Jr.");
        }
        self.events += 1;
        SampleEvent { customer_id: id, name, change, changed_at, number: self.events - 1 }
    }
}

/// Id and name of a person. The id is the same at every provider, and so is the e-mail address, which contains it.
fn person_of(person: u32) -> (String, String) {
    let (first, row) = (person % 32, person / 32);
    let name = |names: [&'static str; 32], place: u32| names[usize::try_from(place % 32).unwrap_or_default()];
    // In each row of 32 people the last names are shifted, so that families do not follow each other.
    let (first_name, last_name) = (name(FIRST_NAMES, first), name(LAST_NAMES, row + 5 * first));
    let id = format!("{first_name}.{last_name}").to_lowercase();
    match person / PEOPLE {
        0 => (id, format!("{first_name} {last_name}")),
        namesakes => (format!("{id}.{namesakes}"), format!("{first_name} {last_name}")),
    }
}
