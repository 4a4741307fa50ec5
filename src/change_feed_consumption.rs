//! What the function `changes` consumes.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use clientele_aws::{CallTimeouts, ChangeClients, ChangePublisher, ChangesConfig, Invocation, StreamEvent};
use serde_json::{Value, json};

use crate::events::signed_at;
use crate::log_consumption::LineConsumption;
use crate::stack::{CapturedLog, LocalStack};

/// What one batch of changes consumes besides its events.
#[derive(Debug, Default)]
pub(crate) struct ChangeFeedConsumption {
    pub(crate) log_bytes: f64,
    /// Every metric with its dimensions, as text.
    pub(crate) metrics: BTreeSet<String>,
}

impl ChangeFeedConsumption {
    /// Of the template's change feed; `None` if it is off. The line of a batch has the same size whatever its changes are, so
    /// an empty one shows it, for which nothing is called.
    ///
    /// # Errors
    /// When the template's environment of the function is incomplete.
    pub(crate) async fn measure(stack: &LocalStack, captured: &CapturedLog) -> Result<Option<Self>> {
        if !stack.template.resources.contains_key("AWS::Events::EventBus") {
            return Ok(None);
        }
        let environment = stack.environments.get("changes").context("the template has no function `changes`")?;
        let config = ChangesConfig::read(|variable| environment.get(variable).cloned())?;
        let clients = ChangeClients::local(&stack.url(), &stack.url(), CallTimeouts::Function);
        let publisher = ChangePublisher::new(config, &clients, captured.writer());
        let mut consumed = Self::default();
        // The first line is that of a cold start, which has one metric more. The second is the usual one.
        for _ in 0..2 {
            let invocation = Invocation {
                request_id: "00000000-0000-0000-0000-000000000000".into(),
                trace_id: None,
                received_at: signed_at(),
            };
            let empty: StreamEvent = serde_json::from_value(json!({ "Records": [] }))?;
            publisher.handle(empty, &invocation).await;
            let text = captured.take();
            let line = text.trim_end();
            let json: Value = serde_json::from_str(line)?;
            let LineConsumption { bytes, metrics } = LineConsumption::of(line, &json)?;
            consumed.log_bytes = bytes;
            consumed.metrics.extend(metrics);
        }
        Ok(Some(consumed))
    }
}
