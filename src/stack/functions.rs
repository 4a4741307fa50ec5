//! Starts the functions with the environment of the template, and connects them with what calls them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use clientele_aws::{
    CallTimeouts, ChangeClients, ChangePublisher, ChangesConfig, Clients, LogWriter, ReceiptRecorder, ReceiptsConfig,
    Receiver, ReceiverConfig, Replayer, SecretSource, Sweeper, WorkerConfig,
};
use clientele_providers::{PROVIDERS, local_secret};
use jiff::Timestamp;

use super::change_stream::{self, ChangeStream, StreamSettings};
use super::options::StackOptions;
use super::secrets_manager::SecretsManager;
use super::workers::{EventSourceMapping, QueueFunction};
use super::{LAMBDA_VARIABLES, LocalStack};
use crate::template::{Function, QueueSource, StreamSource};

/// The function that a schedule calls here. Another one with a schedule, `reconcile`, runs on demand only.
const SWEEP: &str = "sweep";
/// The function that records receipts. The other one with a queue is `replay`.
const RECEIPTS: &str = "receipts";
/// The value of `CHANGE_FEED` with which a deployed stack has no change feed.
const NO_FEED: &str = "off";

type Variables = BTreeMap<String, String>;

impl LocalStack {
    pub(super) async fn start_functions(&mut self, options: &StackOptions) -> Result<()> {
        let [dynamodb, sqs] = [self.dynamodb, self.sqs].map(|address| format!("http://{address}"));
        let secrets = SecretsManager::default();
        let http_client = self.faults.http_client(secrets.clone(), self.event_bus.clone(), self.deliveries.clone());
        let clients = Clients::local_with_http(http_client.clone(), &dynamodb, &sqs, CallTimeouts::Function);
        // The HTTP client answers for EventBridge itself, so the URL does not matter.
        let change_clients = ChangeClients::local_with_http(http_client, &sqs, &sqs, CallTimeouts::Function);
        for function in &self.template.functions {
            let name = function.name.as_str();
            let environment = self.environment(function, options)?;
            let variable = |variable: &str| environment.get(variable).cloned();
            let lines = self.deliveries.writer(name, options.log.writer());
            if let Some(provider) = clientele_providers::find(name) {
                let mut config = ReceiverConfig::read(provider, variable)?;
                // As in a deployed stack, the function gets its secrets from Secrets Manager.
                let arn = environment.get("WEBHOOK_SECRET_ARN").cloned().unwrap_or_default();
                secrets.set(arn.clone(), environment["WEBHOOK_SECRETS"].clone());
                config.secrets = SecretSource::SecretsManager(arn);
                let receiver = Receiver::start(provider, config, &clients, lines, Timestamp::now()).await;
                self.receivers.insert(provider.name, Arc::new(receiver));
            } else if let (RECEIPTS, Some(source)) = (name, &function.source) {
                // Without systems, a deployed stack does not have the function.
                if variable("ERASURE_SYSTEMS").is_some_and(|systems| !systems.is_empty()) {
                    let recorder = ReceiptRecorder::new(ReceiptsConfig::read(variable)?, &clients, lines);
                    let function = QueueFunction::Receipts(Arc::new(recorder));
                    self.receipts_mapping = Some(self.event_source_mapping(name, source, function)?);
                }
            } else if let Some(source) = &function.source {
                let config = WorkerConfig::read(name, variable)?;
                let function = QueueFunction::Replay(Arc::new(Replayer::new(PROVIDERS, config, &clients, lines)));
                self.event_source_mapping = Some(self.event_source_mapping(name, source, function)?);
            } else if let Some(source) = &function.stream {
                self.change_stream = self.change_stream(source, &environment, &change_clients, lines, options)?;
            } else if let (SWEEP, Some(every)) = (name, function.every) {
                let sweeper = Arc::new(Sweeper::new(WorkerConfig::read(name, variable)?, &clients, lines));
                self.sweeper = Some(sweeper);
                self.sweep_interval = every;
            }
            self.environments.insert(name.to_owned(), environment);
        }
        Ok(())
    }

    /// The environment of a function: that of the template, and what replaces it.
    fn environment(&self, function: &Function, options: &StackOptions) -> Result<Variables> {
        let name = function.name.as_str();
        let mut environment = self.template.environment(function, |id| self.resolve(id))?;
        environment.extend(LAMBDA_VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        if let Some(provider) = clientele_providers::find(name) {
            environment.insert("WEBHOOK_SECRETS".to_owned(), local_secret(provider));
        }
        environment.extend(options.overrides.get(name).cloned().unwrap_or_default());
        Ok(environment)
    }

    fn event_source_mapping(
        &self,
        name: &str,
        source: &QueueSource,
        function: QueueFunction,
    ) -> Result<EventSourceMapping> {
        Ok(EventSourceMapping {
            name: name.to_owned(),
            function,
            client: (*self.clients.sqs).clone(),
            queue_url: self.queue_url(&source.queue)?,
            batch_size: source.batch_size,
            in_flight: Arc::default(),
            deliveries: self.deliveries.clone(),
        })
    }

    /// The event source mapping of `changes`; `None` if the template switches the change feed off.
    fn change_stream(
        &self,
        source: &StreamSource,
        environment: &Variables,
        clients: &ChangeClients,
        lines: LogWriter,
        options: &StackOptions,
    ) -> Result<Option<ChangeStream>> {
        if environment.get("CHANGE_FEED").is_some_and(|content| content == NO_FEED) {
            return Ok(None);
        }
        let config = ChangesConfig::read(|variable| environment.get(variable).cloned())?;
        let table = self.template.tables.iter().find(|table| table.logical_id == source.table);
        let settings = StreamSettings {
            streams: change_stream::client(&format!("http://{}", self.dynamodb)),
            table: table.with_context(|| format!("no table {}", source.table))?.name.clone(),
            batch_size: source.batch_size,
            record_age_max: source.record_age_max,
            sqs: (*self.clients.sqs).clone(),
            discarded_queue_url: self.queue_url(&source.discarded_queue)?,
            position_file: options.data_dir.as_ref().map(|folder| folder.join("stream-position")),
        };
        Ok(Some(ChangeStream::new(ChangePublisher::new(config, clients, lines), settings)?))
    }

    fn queue_url(&self, logical_id: &str) -> Result<String> {
        self.resolve(logical_id).with_context(|| format!("no queue {logical_id}"))
    }
}
