//! Reads the depth and the age of queues. No message is received.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::operation::get_metric_statistics::GetMetricStatisticsError;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use futures_util::future::join_all;

use super::facts::{Fact, Queue};
use crate::oldest_message::OldestMessages;
use crate::queue_depth::QueueDepth;

/// Reads the queues with these names and URLs.
pub async fn read(
    client: &Client,
    urls: &BTreeMap<String, String>,
    oldest: &OldestMessages,
) -> BTreeMap<String, Queue> {
    let queues = urls.iter().map(async |(name, url)| (name.clone(), queue(client, url, oldest).await));
    join_all(queues).await.into_iter().collect()
}

async fn queue(client: &Client, url: &str, oldest: &OldestMessages) -> Queue {
    let depth = QueueDepth::read(client, url);
    let depth = Fact::read::<GetQueueAttributesError>("sqs:GetQueueAttributes", depth).await;
    let oldest_seconds = match &depth {
        Fact::Known(depth) => {
            let seconds = oldest.seconds(url, *depth);
            Fact::read::<GetMetricStatisticsError>("cloudwatch:GetMetricStatistics", seconds).await
        }
        Fact::NotApplicable(why) => Fact::NotApplicable(why),
        Fact::Unknown(unread) => Fact::Unknown(unread.clone()),
    };
    Queue { depth, oldest_seconds }
}
