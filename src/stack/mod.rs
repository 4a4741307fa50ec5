//! The local stack: DynamoDB, SQS, the gateway and the functions in one process.
//!
//! The functions are the same [`Receiver`]s, [`Replayer`](clientele_aws::Replayer),
//! [`ReceiptRecorder`](clientele_aws::ReceiptRecorder), [`ChangePublisher`](clientele_aws::ChangePublisher) and [`Sweeper`]
//! that Lambda runs, configured with the environment
//! that template.yaml gives them.

mod admin;
mod change_stream;
pub mod deliveries;
mod doctor;
mod dynamodb;
pub mod event_bus;
pub mod faults;
mod functions;
mod gateway;
mod journal;
mod large_messages;
pub mod list_apis;
mod log;
mod options;
mod secrets_manager;
mod sending;
mod sqs;
mod stream_records;
mod workers;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clientele_aws::{CallTimeouts, Clients, Receiver, Resources, Sweeper};
use clientele_model::{ErasureSettings, Provider, Scheme, SecretEntry};
use clientele_providers::PROVIDERS;
use jiff::Timestamp;
use serde_json::{Value, json};

pub use change_stream::ChangeStream;
pub use log::{CapturedLog, LogOutput};
pub use options::StackOptions;
pub use workers::EventSourceMapping;

use crate::console::{self, ShownStack};
use crate::customers_table::CustomersTable;
use crate::erasure_state::system_names;
use crate::events::Case;
use crate::exit_code::ExitCode;
use crate::hosts::AllowedHosts;
use crate::message_ages::MessageAges;
use crate::oldest_message::OldestMessages;
use crate::server;
use crate::template::{Queue, Template};
use admin::Admin;
use deliveries::Deliveries;
use doctor::Patient;
use event_bus::EventBus;
use faults::Faults;
use list_apis::ListApis;
use sending::Sender;

/// What Lambda sets for each function. The emulators accept any region and credentials.
pub const LAMBDA_VARIABLES: [(&str, &str); 3] =
    [("AWS_REGION", REGION), ("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")];

/// The region and the account of the local stack, as in the ARNs of its queues.
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";
/// The name of the local stack.
const STACK_NAME: &str = "clientele";
/// The function that announces changes.
const CHANGES: &str = "changes";
/// The local name of the customers' table.
const CUSTOMERS_TABLE: &str = "customers";

/// The running local stack. Its servers run until the process ends.
#[derive(Debug)]
pub struct LocalStack {
    /// The address at which this machine reaches the gateway, which takes webhooks.
    pub gateway: SocketAddr,
    /// The address at which this machine reaches DynamoDB.
    pub dynamodb: SocketAddr,
    /// The address at which this machine reaches SQS.
    pub sqs: SocketAddr,
    /// The address at which this machine reaches the admin port.
    pub admin: SocketAddr,
    /// The template that the stack was created from.
    pub template: Template,
    /// The URLs of the queues by local name.
    pub queue_urls: BTreeMap<String, String>,
    message_ages: MessageAges,
    /// SDK clients for this stack with the timeouts of a function, without injected faults.
    pub clients: Clients,
    /// The faults that are injected into the calls of the functions.
    pub faults: Faults,
    /// What the functions did.
    pub deliveries: Deliveries,
    /// The bus on which changes of customers are announced.
    pub event_bus: EventBus,
    /// The stand-ins of the providers' list APIs.
    pub list_apis: ListApis,
    /// The environment of each function, by function.
    pub environments: BTreeMap<String, BTreeMap<String, String>>,
    /// The functions that receive webhooks, by provider.
    pub receivers: BTreeMap<&'static str, Arc<Receiver>>,
    /// Calls `replay` with the messages of the inbox queue, if the template has that function.
    pub event_source_mapping: Option<EventSourceMapping>,
    /// Calls `receipts` with the messages of its queue, if the stack awaits receipts.
    pub receipts_mapping: Option<EventSourceMapping>,
    /// Calls `changes` with the records of the table's stream, if the template has that function.
    pub change_stream: Option<ChangeStream>,
    /// The function `sweep`, if the template has it.
    pub sweeper: Option<Arc<Sweeper>>,
    sweep_interval: Duration,
    /// Keeps other local stacks from using the data folder.
    _lock: Option<File>,
}

impl LocalStack {
    /// Starts everything, and creates the table and the queues if they do not exist.
    ///
    /// # Errors
    /// When a port is taken, the template cannot be read, or a function's environment is incomplete.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let mut template = options.template.read()?;
        template.parameters.extend(options.parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let lock = options.data_dir.as_deref().map(lock).transpose()?;
        let address = |port| SocketAddr::from((options.listen, port));
        let hosts = AllowedHosts::new(options.listen, &options.allow_hosts);
        let dynamodb = dynamodb::serve(address(options.dynamodb_port), options.data_dir.as_deref(), &hosts)?;
        let message_ages = MessageAges::default();
        let sqs = sqs::serve(address(options.sqs_port), options.data_dir.as_deref(), &hosts, message_ages.clone())?;
        let clients = Clients::local(&format!("http://{dynamodb}"), &format!("http://{sqs}"), CallTimeouts::Function);
        let mut queue_urls = create(&clients, &template).await?;
        let event_bus = EventBus::default();
        if let Some(name) = options.changes_queue.clone() {
            let url = create_changes_queue(&clients, &template, name.clone()).await?;
            event_bus.send_to_queue((*clients.sqs).clone(), url.clone());
            queue_urls.insert(name, url);
        }
        let mut stack = Self {
            gateway: address(options.port),
            dynamodb,
            sqs,
            admin: address(options.admin_port),
            template,
            queue_urls,
            message_ages,
            clients,
            faults: Faults::default(),
            deliveries: Deliveries::default(),
            event_bus,
            list_apis: ListApis::default(),
            environments: BTreeMap::new(),
            receivers: BTreeMap::new(),
            event_source_mapping: None,
            receipts_mapping: None,
            change_stream: None,
            sweeper: None,
            sweep_interval: Duration::MAX,
            _lock: lock,
        };
        stack.start_functions(&options).await?;
        stack.gateway = gateway::serve(stack.gateway, &stack.template, &stack.receivers, &stack.deliveries)?;
        stack.list_apis = ListApis::new(options.list_apis, &stack.url());
        stack.serve_admin(options.cases, &hosts)?;
        Ok(stack)
    }

    fn serve_admin(&mut self, cases: Vec<Case>, hosts: &AllowedHosts) -> Result<()> {
        let listener = server::bind(self.admin, "the admin port", "--admin-port")?;
        self.admin = server::address(&listener)?;
        let patient = self.patient()?;
        let admin = Admin {
            deliveries: self.deliveries.clone(),
            started: patient.started,
            event_bus: self.event_bus.clone(),
            faults: self.faults.clone(),
            event_source_mapping: self.event_source_mapping.clone(),
            change_stream: self.change_stream.clone(),
            sweeper: self.sweeper.clone(),
        };
        let sender = self.sender(cases)?;
        let list_apis = self.list_apis.clone().router(sender.clone());
        let doctor = console::doctor_router(move || patient.clone().facts());
        let others = sender.router().merge(list_apis).merge(doctor);
        admin::serve(listener, self.shown(), admin, others, hosts)?;
        Ok(())
    }

    /// Sends events to this stack.
    fn sender(&self, cases: Vec<Case>) -> Result<Sender> {
        let signing =
            |name| Ok((name, self.scheme_and_secret(clientele_providers::find(name).context("no provider")?)?));
        let signing = self.receivers.keys().copied().map(signing).collect::<Result<_>>()?;
        Ok(Sender::new(self.gateway, cases, signing))
    }

    /// Delivers the webhooks that the providers sent about a few customers of their lists before the stack was started,
    /// except for those that get lost: an update and a delete of each provider. Returns how many were delivered.
    ///
    /// # Errors
    /// When the gateway does not answer.
    pub async fn deliver_past_webhooks(&self) -> Result<usize> {
        self.list_apis.deliver_past_webhooks(&self.sender(vec![])?).await
    }

    /// What the doctor looks at.
    fn patient(&self) -> Result<Patient> {
        let providers = PROVIDERS.iter().filter(|provider| self.receivers.contains_key(provider.name));
        let secrets = |provider: &&'static Provider| {
            Ok((provider.name, doctor::secrets(provider, &self.environments[provider.name])?))
        };
        let plain = clientele_plain::PROVIDER.name;
        let access = &self.list_apis.description(&format!("http://{}", self.admin))[plain];
        let [url, key] = ["url", "key"].map(|name| access[name].as_str().unwrap_or_default().to_owned());
        Ok(Patient {
            shown: self.shown(),
            deliveries: self.deliveries.clone(),
            faults: self.faults.clone(),
            started: Timestamp::now(),
            secrets: providers.map(secrets).collect::<Result<_>>()?,
            plain: [url, key, format!("{}/webhooks/{plain}", self.url())],
            indexes: self.template.index_names(),
        })
    }

    /// What the page shows.
    fn shown(&self) -> ShownStack {
        let queue_url = |name: &str| self.queue_urls.get(name).cloned().unwrap_or_default();
        let resources = Resources {
            customers_table: CUSTOMERS_TABLE.to_owned(),
            cleanup_queue_url: queue_url("cleanup"),
            inbox_queue_url: queue_url("inbox"),
            quarantine_queue_url: queue_url("quarantine"),
            erasure: self.erasure(),
        };
        let [dynamodb, sqs] = [self.dynamodb, self.sqs].map(|address| format!("http://{address}"));
        // Looking at a queue takes longer than a function waits.
        let clients = Clients::local(&dynamodb, &sqs, CallTimeouts::Operator);
        ShownStack {
            description: self.description(),
            clients,
            resources,
            erasure_systems: self.erasure_systems(),
            queue_urls: self.queue_urls.clone(),
            oldest_messages: OldestMessages::Local(self.message_ages.clone()),
        }
    }

    /// How the functions erase customers.
    fn erasure(&self) -> ErasureSettings {
        let environments = self.receivers.keys().filter_map(|name| self.environments.get(*name));
        let variable = |name| environments.clone().find_map(|environment| environment.get(name)).map(String::as_str);
        let minutes = variable("CLEANUP_HOLD_MINUTES").and_then(|minutes| minutes.parse().ok()).unwrap_or_default();
        let awaits_receipts = variable("AWAIT_RECEIPTS") == Some("true");
        ErasureSettings { awaits_receipts, hold: Duration::from_mins(minutes) }
    }

    /// The systems whose receipts the function `receipts` accepts.
    fn erasure_systems(&self) -> Vec<String> {
        let systems = self.environments.get("receipts").and_then(|environment| environment.get("ERASURE_SYSTEMS"));
        systems.map_or(vec![], |systems| system_names(systems))
    }

    /// What clients of the admin port get to know: they take the host from the URL that they use, and the ports from here.
    fn description(&self) -> Value {
        let erasure = self.erasure();
        let [webhooks, dynamodb, sqs, admin] =
            [self.gateway, self.dynamodb, self.sqs, self.admin].map(|address| address.port());
        json!({
            "kind": "local",
            "name": STACK_NAME,
            "version": env!("CARGO_PKG_VERSION"),
            "ports": { "webhooks": webhooks, "dynamodb": dynamodb, "sqs": sqs, "admin": admin },
            "table": CUSTOMERS_TABLE,
            "queues": self.queue_urls,
            "providers": self.receivers.keys().collect::<Vec<_>>(),
            "erasure": {
                "awaits_receipts": erasure.awaits_receipts,
                "hold_minutes": erasure.hold.as_secs() / 60,
                "systems": self.erasure_systems(),
            },
            "list_apis": self.list_apis.description(&format!("http://{}", self.admin)),
            "change_feed": self.change_feed_description(),
        })
    }

    /// What is needed to send events as the function `changes` does; null if there is no change feed.
    fn change_feed_description(&self) -> Value {
        let Some(environment) = self.environments.get(CHANGES).filter(|_| self.change_stream.is_some()) else {
            return Value::Null;
        };
        let variable = |name: &str| environment.get(name).map(String::as_str);
        json!({
            "content": variable("CHANGE_FEED").unwrap_or("keys"),
            "bus": variable("EVENT_BUS_NAME"),
            "source": variable("CHANGE_SOURCE"),
        })
    }

    /// From now on, `replay`, `receipts`, `changes` and `sweep` also run in the background as in the template, and not only on demand.
    pub fn start_workers(&self) {
        if let Some(stream) = &self.change_stream {
            tokio::spawn(stream.clone().poll());
        }
        for mapping in [&self.event_source_mapping, &self.receipts_mapping].into_iter().flatten() {
            tokio::spawn(mapping.clone().poll());
        }
        if let Some(sweeper) = &self.sweeper {
            tokio::spawn(workers::sweep_every(sweeper.clone(), self.sweep_interval));
        }
    }

    /// Announces the changes of customers that are not announced yet, until none is left or one has to be tried again.
    /// Returns how many records of the table's stream are settled.
    ///
    /// # Errors
    /// When the stack has no change feed, or the stream cannot be read.
    pub async fn publish_changes_now(&self) -> Result<usize> {
        self.change_stream.as_ref().context("the stack has no change feed")?.publish_now().await
    }

    /// What `!Ref` of a resource stands for locally.
    fn resolve(&self, logical_id: &str) -> Option<String> {
        let table = self.template.tables.iter().find(|table| table.logical_id == logical_id);
        let queue = self.template.queues.iter().find(|queue| queue.logical_id == logical_id);
        match (table, queue) {
            _ if logical_id == "AWS::StackName" => Some(STACK_NAME.to_owned()),
            (Some(table), _) => Some(table.name.clone()),
            (_, Some(queue)) => self.queue_urls.get(&queue.name).cloned(),
            _ => ["Secret", "Bus"].iter().any(|kind| logical_id.ends_with(kind)).then(|| format!("local:{logical_id}")),
        }
    }

    /// How to sign for a provider's function: its scheme, and the first of its secrets that is text.
    ///
    /// # Errors
    /// When the template has no function of that provider.
    pub fn scheme_and_secret(&self, provider: &Provider) -> Result<(Scheme, String)> {
        let environment = self.environments.get(provider.name);
        let environment = environment.with_context(|| format!("the template has no function of {}", provider.name))?;
        let setting = provider.scheme_variable.and_then(|variable| environment.get(variable));
        let secrets = environment.get("WEBHOOK_SECRETS").map_or("", String::as_str);
        let secret = SecretEntry::list(secrets)?.iter().find_map(SecretEntry::text);
        let secret = secret.map_or(String::new(), |secret| secret.to_string());
        Ok(((provider.scheme)(setting.map(String::as_str))?, secret))
    }

    /// The customers' table.
    #[must_use]
    pub fn customers_table(&self) -> CustomersTable {
        CustomersTable::new(&self.clients.dynamodb, CUSTOMERS_TABLE)
    }

    /// The URL of the gateway.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.gateway)
    }
}

/// Creates those tables and queues of the template that do not exist yet. Returns the URLs of all queues by name.
///
/// # Errors
/// When one cannot be created.
pub async fn create(clients: &Clients, template: &Template) -> Result<BTreeMap<String, String>> {
    for table in &template.tables {
        dynamodb::create(&clients.dynamodb, table).await?;
    }
    sqs::create(&clients.sqs, &template.queues).await
}

/// Creates the queue that gets every change.
async fn create_changes_queue(clients: &Clients, template: &Template, name: String) -> Result<String> {
    let is_taken = template.queues.iter().any(|queue| queue.name == name);
    ensure!(!is_taken, ExitCode::Usage.error(format!("the stack has a queue {name} already; name another one")));
    let queue = Queue { logical_id: String::new(), name, attributes: BTreeMap::new(), redrive: None };
    let urls = sqs::create(&clients.sqs, &[queue]).await?;
    urls.into_values().next().context("SQS returned no URL for the new queue")
}

/// Creates the folder and locks it against other local stacks.
fn lock(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = File::create(folder.join("lock"))?;
    file.try_lock().with_context(|| format!("{} is in use by another local stack", folder.display()))?;
    Ok(file)
}
