//! The queues as commands and the page show them.

use clientele::queue_depth::QueueDepth;

use crate::support::stack;

#[tokio::test]
async fn depth_is_counted_by_state() {
    let stack = stack().await;
    let (sqs, url) = (&stack.clients.sqs, &stack.queue_urls["inbox"]);
    assert_eq!(QueueDepth::read(sqs, url).await.unwrap(), QueueDepth::default());
    for delay in [0, 0, 0, 600] {
        sqs.send_message().queue_url(url).message_body("{}").delay_seconds(delay).send().await.unwrap();
    }
    sqs.receive_message().queue_url(url).max_number_of_messages(1).visibility_timeout(600).send().await.unwrap();
    let depth = QueueDepth::read(sqs, url).await.unwrap();
    assert_eq!(depth, QueueDepth { visible: 2, in_flight: 1, delayed: 1 });
    assert_eq!(depth.total(), 4);
    // Nothing was received by counting.
    let message = sqs.receive_message().queue_url(url).message_system_attribute_names("ApproximateReceiveCount".into());
    let message = message.send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(message.attributes.unwrap().values().collect::<Vec<_>>(), ["1"]);
}
