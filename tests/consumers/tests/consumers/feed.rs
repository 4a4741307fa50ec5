use std::time::{Duration, Instant};

use clap::Parser;
use clientele::cli::{self, Cli};

use crate::consumer_process::{Consumer, Language};

/// Webhooks of all that can happen: new, repeated, late, forged and deleted customers, some with the same e-mail address,
/// some without one. The consumer sees the first half of them before the second half arrives.
async fn follow_every_webhook(consumer: &Consumer) {
    let mut sent = 0;
    for cases in consumer.cases.chunks(consumer.cases.len().div_ceil(2)) {
        consumer.receive_webhooks(cases);
        consumer.stack.change_stream.as_ref().unwrap().publish_now().await.unwrap();
        let events = consumer.stack.event_bus.recent().len();
        wait_for_messages(consumer, events - sent).await;
        consumer.consume_changes();
        sent = events;
    }
}

/// The local bus sends events to its queue in the background.
async fn wait_for_messages(consumer: &Consumer, number: usize) {
    let start = Instant::now();
    while consumer.messages(consumer.changes_queue_url()).await < number {
        assert!(start.elapsed() < Duration::from_secs(20), "there are not {number} messages");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whatever the events contain, a consumer that follows them knows what is in the table.
pub(crate) async fn a_follower_knows_the_table(language: Language) {
    for content in ["keys", "full"] {
        let consumer = Consumer::start_with_feed(language, content).await;
        follow_every_webhook(&consumer).await;
        let everything = consumer.everything().await;
        assert!(everything.as_object().unwrap().len() > 20);
        assert_eq!(consumer.knowledge()["customers"], everything, "{content}");
    }
}

/// A consumer that starts when everything has happened gets the customers by a resend.
pub(crate) async fn a_late_start_knows_the_table(language: Language) {
    let consumer = Consumer::start_with_feed(language, "full").await;
    consumer.receive_webhooks(&consumer.cases);
    consumer.stack.change_stream.as_ref().unwrap().publish_now().await.unwrap();
    wait_for_messages(&consumer, consumer.stack.event_bus.recent().len()).await;
    consumer.purge_changes().await;
    let admin = format!("http://{}", consumer.stack.admin);
    let resend = ["clientele", "changes", "resend", "--yes", "--local", &admin];
    cli::run(Cli::try_parse_from(resend).unwrap()).await.unwrap();
    let everything = consumer.everything().await;
    wait_for_messages(&consumer, everything.as_object().unwrap().len()).await;
    consumer.consume_changes();
    assert_eq!(consumer.knowledge()["customers"], everything);
}
