//! What CloudWatch charges for in the log lines of a function: their bytes, and the metrics in them.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

/// The size that CloudWatch adds to each line.
pub(crate) const LINE_OVERHEAD_BYTES: f64 = 26.0;
const DURATION_DIGITS: usize = "12.345".len();

/// What one line consumes.
pub(crate) struct LineConsumption {
    /// Its size.
    pub(crate) bytes: f64,
    /// Every metric in it with its dimensions, as text.
    pub(crate) metrics: BTreeSet<String>,
}

impl LineConsumption {
    /// Of a line as the functions write it.
    ///
    /// # Errors
    /// When it is too long to count.
    pub(crate) fn of(line: &str, json: &Value) -> Result<Self> {
        // The duration has a different number of digits in every run.
        let digits = json["duration_ms"].as_str().map_or(0, str::len);
        let bytes = f64::from(u32::try_from(line.len() - digits + DURATION_DIGITS)?) + LINE_OVERHEAD_BYTES;
        Ok(Self { bytes, metrics: metrics_of(json).into_iter().collect() })
    }
}

/// The metrics that CloudWatch extracts from a line: each name once per set of dimensions.
fn metrics_of(line: &Value) -> Vec<String> {
    let mut metrics = vec![];
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
        for set in directive["Dimensions"].as_array().into_iter().flatten() {
            let names = set.as_array().into_iter().flatten().filter_map(Value::as_str);
            let Some(values) = names.map(|name| line[name].as_str()).collect::<Option<Vec<_>>>() else { continue };
            let listed = directive["Metrics"].as_array().into_iter().flatten();
            let present = listed.filter_map(|metric| metric["Name"].as_str()).filter(|name| line[*name].is_number());
            metrics.extend(present.map(|name| format!("{name} {}", values.join(" "))));
        }
    }
    metrics
}
