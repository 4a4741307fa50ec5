//! Random deliveries, and the events that they should end in.

use std::collections::BTreeMap;
use std::time::Duration;

use clientele::events::signed_at;
use clientele_aws::HttpEvent;
use clientele_model::{CustomerEvent, Delivery, SampleEvent, Secrets, Translated, verify};
use clientele_providers::{find, local_secret, names};
use jiff::Timestamp;
use proptest::strategy::{Strategy, ValueTree};
use serde::Deserialize;

use crate::support::deliveries::{CREATED, DELETED, UPDATED, change, deliver};

/// A provider, and the changes that it sends in one delivery.
pub(crate) type RandomDelivery = (&'static str, Vec<SampleEvent>);

/// Deliveries of each provider, the same ones in every run. Customers, versions and kinds collide often.
pub(crate) fn random_deliveries(number: u32) -> Vec<RandomDelivery> {
    let rng = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(proptest::test_runner::Config::default(), rng);
    let any = (0..names().len(), 0..60u32, 0..40i64, 0..20u32, 1..4usize);
    let one = |event: u32| {
        let (provider, customer, version, kind, batch) = any.new_tree(&mut runner).unwrap().current();
        let provider = names()[provider];
        let sends_batches = find(provider).unwrap().response_rules.batch_field.is_some();
        let batch = if sends_batches { u32::try_from(batch).unwrap() } else { 1 };
        // One in twenty is a delete: often enough to meet everything else, and rarely enough to leave customers.
        let kind = [CREATED, DELETED].get(kind as usize).copied().unwrap_or(UPDATED);
        let changes = (0..batch).map(|place| {
            change(&format!("{provider}-{}", (customer + place) % 60), version * 400, event * 4 + place, kind)
        });
        (provider, changes.collect())
    };
    (0..number).map(one).collect()
}

/// The event with the greatest rank of each customer, found without a table.
pub(crate) fn customer_events(deliveries: &[RandomDelivery]) -> BTreeMap<String, Box<CustomerEvent>> {
    customer_events_at(deliveries, signed_at())
}

/// The same of deliveries that were made by that time.
pub(crate) fn customer_events_at(
    deliveries: &[RandomDelivery],
    now: Timestamp,
) -> BTreeMap<String, Box<CustomerEvent>> {
    let mut last = BTreeMap::<String, Box<CustomerEvent>>::new();
    for (provider, change) in deliveries {
        let event = deliver(provider, change, now);
        let request = HttpEvent::deserialize(&event).unwrap().into();
        let delivery = Delivery::accept(request, usize::MAX).unwrap();
        let provider = find(provider).unwrap();
        let scheme = (provider.scheme)(None).unwrap();
        let secrets = Secrets::parse(&local_secret(provider), &scheme).unwrap();
        let verified = verify(delivery, &scheme, &secrets, now, Duration::ZERO).unwrap();
        for translation in (provider.translate)(&verified) {
            let Ok(Translated::Event(event)) = translation else { panic!("an event") };
            let key = event.key().to_string();
            if last.get(&key).is_none_or(|last| last.rank() < event.rank()) {
                last.insert(key, event);
            }
        }
    }
    last
}

/// The number in an environment variable.
pub(crate) fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |number| number.parse().unwrap())
}
