//! When something was last measured by CloudWatch. A measurement covers a period, and CloudWatch keeps short periods for a
//! short time only, so the answer is less exact the longer ago it was.

use anyhow::Result;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::get_metric_statistics::GetMetricStatisticsError;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Statistic};
use jiff::{SignedDuration, Timestamp};

use super::facts::{Fact, LastSeen, ReconcileRun};

const ACTION: &str = "cloudwatch:GetMetricStatistics";

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Periods, and how far back each of them is looked for, in seconds. One request returns at most 1,440 measurements.
/// CloudWatch keeps those of a minute for 15 days, and those of an hour for 455 days
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html>).
const PERIODS: [(i64, i64); 3] = [(MINUTE, 3 * HOUR), (HOUR, 59 * DAY), (DAY, 454 * DAY)];

/// The metrics that the functions of a stack write.
pub(super) struct Metrics<'a> {
    pub(super) client: &'a Client,
    /// The name of the stack.
    pub(super) namespace: &'a str,
    pub(super) now: Timestamp,
}

/// The name and the dimensions of a metric.
pub(super) type Metric<'a> = (&'a str, &'a [(&'a str, &'a str)]);

impl Metrics<'_> {
    /// When the metric was last written.
    pub(super) async fn last_seen(&self, metric: Metric<'_>) -> Fact<LastSeen> {
        Fact::read::<GetMetricStatisticsError>(ACTION, async { Ok(self.last(metric).await?.0) }).await
    }

    /// The last run of the reconciliation for a provider.
    pub(super) async fn last_reconciliation(&self, provider: &str) -> Fact<ReconcileRun> {
        let dimensions = [("service", "clientele-reconcile"), ("provider", provider)];
        let read = async {
            let (at, period, checked) = self.last(("ReconcileChecked", &dimensions)).await?;
            let mut run = ReconcileRun { at, checked, recovered: 0, untranslatable: 0, failed: 0 };
            if let LastSeen::Within { from, .. } = at {
                let until = from + SignedDuration::from_secs(period);
                for (name, number) in [
                    ("Recovered", &mut run.recovered),
                    ("ReconcileUntranslatable", &mut run.untranslatable),
                    ("ReconcileFailed", &mut run.failed),
                ] {
                    let measured = self.measured((name, &dimensions), period, from, until).await?;
                    *number = measured.iter().map(sum).sum();
                }
            }
            Ok(run)
        };
        Fact::read::<GetMetricStatisticsError>(ACTION, read).await
    }

    /// The newest measurement, with its period in seconds and its value.
    async fn last(&self, metric: Metric<'_>) -> Result<(LastSeen, i64, u64)> {
        let mut since = self.now;
        for (period, seconds) in PERIODS {
            // Aligned to the period, as CloudWatch stores measurements.
            let start = (self.now.as_second() - seconds).div_euclid(period) * period;
            since = Timestamp::from_second(start)?;
            let measured = self.measured(metric, period, since, self.now).await?;
            let newest = measured.iter().max_by_key(|point| point.timestamp().map(DateTime::secs));
            if let Some((point, time)) = newest.and_then(|point| Some((point, point.timestamp()?))) {
                let from = Timestamp::from_second(time.secs())?;
                let until = self.now.min(from + SignedDuration::from_secs(period));
                return Ok((LastSeen::Within { from, until }, period, sum(point)));
            }
        }
        Ok((LastSeen::NotSince(since), DAY, 0))
    }

    async fn measured(
        &self,
        metric: Metric<'_>,
        period: i64,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Datapoint>> {
        let (name, dimensions) = metric;
        let dimensions = dimensions.iter().map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
        let request = self.client.get_metric_statistics().namespace(self.namespace).metric_name(name);
        let request = request.set_dimensions(Some(dimensions.collect())).statistics(Statistic::Sum);
        let request = request.period(i32::try_from(period)?).start_time(DateTime::from_secs(from.as_second()));
        Ok(request.end_time(DateTime::from_secs(until.as_second())).send().await?.datapoints.unwrap_or_default())
    }
}

/// Metrics of the functions count something, so they are whole numbers.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count; a cast saturates")]
fn sum(point: &Datapoint) -> u64 {
    point.sum().unwrap_or_default().round() as u64
}
