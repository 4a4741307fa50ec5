//! How old the oldest message on a queue is. Asking does not receive any message.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Statistic};
use jiff::Timestamp;

use crate::exit_code::ExitCode;
use crate::message_ages::MessageAges;
use crate::queue_depth::QueueDepth;

/// SQS measures the age of a queue's oldest message every minute, but not if nothing uses the queue.
const MEASURED_WITHIN: Duration = Duration::from_mins(10);

/// What knows the age of messages.
#[derive(Clone, Debug)]
pub enum OldestMessages {
    /// The local stack.
    Local(MessageAges),
    /// CloudWatch, for a deployed stack.
    CloudWatch(Client),
}

impl OldestMessages {
    /// The age of the oldest message on a queue of that depth, in seconds. `None` if it is empty, since its last measurement
    /// then says nothing, or if CloudWatch has not measured it lately because the queue has just begun to be used.
    ///
    /// # Errors
    /// When CloudWatch cannot be read.
    pub async fn seconds(&self, queue_url: &str, depth: QueueDepth) -> Result<Option<u64>> {
        if depth.total() == 0 {
            return Ok(None);
        }
        match self {
            Self::Local(ages) => Ok(ages.oldest_seconds(queue_url, Timestamp::now())),
            Self::CloudWatch(client) => measured(client, queue_url).await,
        }
    }
}

async fn measured(client: &Client, queue_url: &str) -> Result<Option<u64>> {
    let queue = Dimension::builder().name("QueueName").value(queue_url.rsplit('/').next().unwrap_or_default());
    let now = SystemTime::now();
    let request = client.get_metric_statistics().namespace("AWS/SQS").dimensions(queue.build());
    let request = request.metric_name("ApproximateAgeOfOldestMessage").statistics(Statistic::Maximum).period(60);
    let output = request.start_time((now - MEASURED_WITHIN).into()).end_time(now.into()).send().await;
    let output = output.with_context(|| {
        ExitCode::Unreachable
            .error("the age of the oldest message cannot be read: is cloudwatch:GetMetricStatistics allowed?")
    })?;
    let newest = output.datapoints().iter().max_by_key(|point| point.timestamp().map(DateTime::secs));
    let age = newest.and_then(Datapoint::maximum).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(age.map(|age| age.as_secs()))
}
