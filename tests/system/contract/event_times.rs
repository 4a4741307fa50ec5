//! The times that order events: they do not depend on when a delivery is sent again.

use clientele::events::signed_at;
use clientele_model::SampleEvent;
use jiff::SignedDuration;

use crate::support::deliveries::{UPDATED, change, deliver, pk};
use crate::support::{handle, item, stack};

/// The time of a Svix message is that in its id, however late it is sent again.
#[tokio::test]
async fn an_old_message_is_stale_whenever_it_is_sent_again() {
    let stack = stack().await;
    let [old, new] = [change("ada", 0, 1, UPDATED), change("ada", 7_000, 2, UPDATED)];
    let send = async |change: &SampleEvent, days: i64| {
        let now = signed_at() + SignedDuration::from_hours(days * 24);
        let event = deliver("flexprice", std::slice::from_ref(change), now);
        handle(&stack.receivers["flexprice"], &event, now).await.body.unwrap()
    };
    assert_eq!(send(&old, 0).await, r#"{"outcome":"applied"}"#);
    assert_eq!(send(&new, 0).await, r#"{"outcome":"applied"}"#);
    for days in [1, 29, 30, 31, 200, 4_000] {
        assert_eq!(send(&old, days).await, r#"{"outcome":"stale"}"#, "after {days} days");
    }
    assert_eq!(send(&new, 31).await, r#"{"outcome":"duplicate"}"#);
    assert_eq!(item(&stack, &pk("flexprice", "ada")).await.unwrap()["name"], new.name.as_str());
}
