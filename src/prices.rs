//! List prices of AWS, to compute what a million events cost.

/// When and where the prices were looked up. Other regions have other prices.
pub const AS_OF: &str = "November 2026, us-east-1, on demand, without free tiers";

/// A price.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// Its name for `--price`.
    pub name: &'static str,
    /// US dollars for `per` units.
    pub usd: f64,
    /// How many units that is.
    pub per: f64,
    /// What is counted.
    pub unit: &'static str,
    /// The AWS page that lists it.
    pub source: &'static str,
}

const fn price(name: &'static str, usd: f64, per: f64, unit: &'static str, source: &'static str) -> Price {
    Price { name, usd, per, unit, source }
}

/// All prices that the computation uses.
pub const PRICES: [Price; 13] = [
    price("api-requests", 1.00, 1e6, "requests", "https://aws.amazon.com/api-gateway/pricing/"),
    price("lambda-requests", 0.20, 1e6, "requests", "https://aws.amazon.com/lambda/pricing/"),
    price("lambda-x86", 16.6667, 1e6, "GB-seconds", "https://aws.amazon.com/lambda/pricing/"),
    price("lambda-arm", 13.3334, 1e6, "GB-seconds", "https://aws.amazon.com/lambda/pricing/"),
    price("dynamodb-write", 0.625, 1e6, "write request units", "https://aws.amazon.com/dynamodb/pricing/on-demand/"),
    price("sqs-requests", 0.40, 1e6, "requests", "https://aws.amazon.com/sqs/pricing/"),
    price("custom-events", 1.00, 1e6, "events of up to 64 KB", "https://aws.amazon.com/eventbridge/pricing/"),
    price("logs", 0.50, 1.0, "GB", "https://aws.amazon.com/cloudwatch/pricing/"),
    price("traces", 5.00, 1e6, "traces", "https://aws.amazon.com/xray/pricing/"),
    price("metrics", 0.30, 1.0, "metric-months", "https://aws.amazon.com/cloudwatch/pricing/"),
    price("alarms", 0.10, 1.0, "alarm-metric-months", "https://aws.amazon.com/cloudwatch/pricing/"),
    price("dashboards", 3.00, 1.0, "dashboard-months", "https://aws.amazon.com/cloudwatch/pricing/"),
    price("secrets", 0.40, 1.0, "secret-months", "https://aws.amazon.com/secrets-manager/pricing/"),
];
