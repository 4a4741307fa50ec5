//! A provider has its answer in time, whatever hangs: on a clock that moves only when everything waits for it.

use std::time::Duration;

use clientele_flow::{Deadlines, Queue};
use clientele_model::Outcome;
use tokio::time::Instant;

use crate::actors::run;
use crate::faulty::{Fault, Faulty, Port};
use crate::history::History;
use crate::provider::{ACME, Said, What};
use crate::world::{World, flow};

use Outcome::{Applied, Parked, Quarantined, Unavailable};

/// Outcome, reason, warning and milliseconds of a delivery while some ports hang.
async fn settled(what: What, hangs: fn(Port) -> bool) -> (Outcome, String, String, u128) {
    let history = History::of_singles(&[Said::new("e", "ada", 1, what)]);
    let world = World::new(&history);
    let ports = Faulty::always(&world.memory, Fault::HangsBefore, hangs);
    let started = Instant::now();
    let verified = &history.posts[0].verified;
    let mut settled = flow(&ports).receive(&ACME, verified, Deadlines::of_delivery(started)).await;
    let settled = settled.remove(0);
    let (reason, warning) = (settled.reason.unwrap_or_default(), settled.warning.unwrap_or_default());
    (settled.outcome, reason, warning, started.elapsed().as_millis())
}

#[test]
fn an_answer_comes_in_time() {
    let table = "the table did not answer in time";
    run(async {
        let all_well = settled(What::Deleted, |_| false).await;
        assert_eq!(all_well, (Applied, String::new(), String::new(), 0));
        let (outcome, reason, _, ms) = settled(What::Updated, |port| port == Port::Put).await;
        assert_eq!((outcome, reason.as_str(), ms / 10), (Parked, table, 250));
        let (outcome, reason, _, ms) = settled(What::Updated, |_| true).await;
        let both = format!("{table}; the inbox queue did not answer in time");
        assert_eq!((outcome, reason, ms / 10), (Unavailable, both, 360));
        let (outcome, _, warning, ms) = settled(What::Deleted, |port| port == Port::Send(Queue::Cleanup)).await;
        let left = "cleanup message left to the sweep: no time left";
        assert_eq!((outcome, warning.as_str(), ms / 10), (Applied, left, 360));
        let (outcome, _, warning, ms) = settled(What::Deleted, |port| port == Port::Clear).await;
        let mark = format!("cleanup message sent but not removed from the tombstone: {table}");
        assert_eq!((outcome, warning, ms / 10), (Applied, mark, 50));
        let (outcome, reason, _, ms) = settled(What::Unreadable, |port| matches!(port, Port::Send(_))).await;
        assert!(reason.ends_with("; the quarantine queue did not answer in time"), "{reason}");
        assert_eq!((outcome, ms / 10), (Unavailable, 360));
        assert_eq!(settled(What::Unreadable, |_| false).await.0, Quarantined);
    });
}

/// Two hundred events of as many customers, none of which can be written, are kept in one message, in time.
#[test]
fn a_large_batch_is_parked_in_time() {
    let said: Vec<_> =
        (0..200).map(|number| Said::new(&format!("e{number}"), &format!("c{number}"), 1, What::Updated)).collect();
    let history = History::of_batch(&said);
    run(async {
        let world = World::new(&history);
        let ports = Faulty::always(&world.memory, Fault::HangsBefore, |port| port == Port::Put);
        let started = Instant::now();
        let outcomes = world.deliver(&ports, 0).await;
        assert_eq!(outcomes, [Parked; 200]);
        assert!(started.elapsed() <= Duration::from_millis(2_600), "{:?}", started.elapsed());
        assert_eq!(world.memory.messages(Queue::Inbox).len(), 1);
        world.settle_down().await;
        world.assert_converged();
    });
}
