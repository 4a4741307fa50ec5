//! The local stack: DynamoDB, SQS, the gateway and the functions in one process.
//!
//! The functions are the very [`Receiver`]s, [`Replayer`] and [`Sweeper`] that Lambda runs, made from the environment
//! that template.yaml gives them.

mod admin;
mod dynamodb;
pub mod faults;
mod gateway;
mod journal;
mod log;
mod sqs;
mod workers;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clientele_aws::{CallTimeouts, Clients, Receiver, ReceiverConfig, Replayer, SecretSource, Sweeper, WorkerConfig};
use clientele_model::{Provider, Scheme, Secrets};
use clientele_providers::local_secret;
use jiff::Timestamp;

pub use log::{Captured, Log};
pub use workers::Mapping;

use crate::stack::admin::Admin;
use crate::stack::faults::Faults;
use crate::template::{Function, Template};

/// How to run the local stack.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on.
    pub listen: IpAddr,
    /// The gateway's port; 0 for any.
    pub port: u16,
    /// DynamoDB's port; 0 for any.
    pub dynamodb_port: u16,
    /// SQS' port; 0 for any.
    pub sqs_port: u16,
    /// The admin port; 0 for any.
    pub admin_port: u16,
    /// Whether `replay` and `sweep` are called by themselves, as the template says, and not only on demand.
    pub workers: bool,
    /// Where to keep data between runs; in memory if `None`.
    pub data_dir: Option<PathBuf>,
    /// The template.
    pub template: PathBuf,
    /// What becomes of the functions' lines.
    pub log: Log,
    /// Other values for variables of a function's environment, by provider.
    pub overrides: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl Options {
    /// Everything in memory, on ports that are free.
    #[must_use]
    pub fn ephemeral(template: PathBuf) -> Self {
        Self {
            listen: [127, 0, 0, 1].into(),
            port: 0,
            dynamodb_port: 0,
            sqs_port: 0,
            admin_port: 0,
            workers: false,
            data_dir: None,
            template,
            log: Log::Nothing,
            overrides: BTreeMap::new(),
        }
    }

    /// Sets a variable of a provider's function.
    pub fn set(&mut self, provider: &Provider, variable: &str, value: String) {
        self.overrides.entry(provider.name).or_default().insert(variable.to_owned(), value);
    }
}

/// The running local stack. Its servers end with the process.
#[derive(Debug)]
pub struct Stack {
    /// Where webhooks go.
    pub gateway: SocketAddr,
    /// DynamoDB.
    pub dynamodb: SocketAddr,
    /// SQS.
    pub sqs: SocketAddr,
    /// Faults, replay and sweep on demand.
    pub admin: SocketAddr,
    /// The template that it was made from.
    pub template: Template,
    /// URLs of the queues by local name.
    pub queue_urls: BTreeMap<String, String>,
    /// SDK clients for it, with the timeouts of a function. No fault strikes them.
    pub clients: Clients,
    /// What goes wrong with the calls of the functions.
    pub faults: Faults,
    /// The environment of each function, by the name of its folder: for a receiver that of its provider.
    pub environments: BTreeMap<String, BTreeMap<String, String>>,
    /// The functions that receive webhooks, by provider.
    pub receivers: BTreeMap<&'static str, Arc<Receiver>>,
    /// The function behind the inbox queue, if the template has it.
    pub mapping: Option<Mapping>,
    /// The function on a schedule, if the template has it.
    pub sweeper: Option<Arc<Sweeper>>,
    /// Held as long as the stack uses its folder.
    _lock: Option<File>,
}

/// What Lambda sets for each function. The emulators accept any region and credentials.
pub const LAMBDA_VARIABLES: [(&str, &str); 3] =
    [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")];

impl Stack {
    /// Starts everything, and creates what is not there yet.
    ///
    /// # Errors
    /// When a port is taken, the template is not readable, or a function's environment is not complete.
    pub async fn start(options: Options) -> Result<Self> {
        let template = Template::read(&options.template)?;
        let lock = options.data_dir.as_deref().map(lock).transpose()?;
        let address = |port| SocketAddr::from((options.listen, port));
        let dynamodb = dynamodb::serve(address(options.dynamodb_port), options.data_dir.as_deref())?;
        let sqs = sqs::serve(address(options.sqs_port), options.data_dir.as_deref())?;
        let clients = Clients::local(&format!("http://{dynamodb}"), &format!("http://{sqs}"), CallTimeouts::Function);
        let queue_urls = create(&clients, &template).await?;
        let mut stack = Self {
            gateway: address(options.port),
            dynamodb,
            sqs,
            admin: address(options.admin_port),
            template,
            queue_urls,
            clients,
            faults: Faults::default(),
            environments: BTreeMap::new(),
            receivers: BTreeMap::new(),
            mapping: None,
            sweeper: None,
            _lock: lock,
        };
        stack.start_functions(&options).await?;
        stack.gateway = gateway::serve(stack.gateway, &stack.template, &stack.receivers)?;
        let (faults, mapping, sweeper) = (stack.faults.clone(), stack.mapping.clone(), stack.sweeper.clone());
        stack.admin = admin::serve(stack.admin, Admin { faults, mapping, sweeper })?;
        Ok(stack)
    }

    async fn start_functions(&mut self, options: &Options) -> Result<()> {
        let [dynamodb, sqs] = [self.dynamodb, self.sqs].map(|address| format!("http://{address}"));
        let clients = Clients::local_with_http(self.faults.http(), &dynamodb, &sqs, CallTimeouts::Function);
        for function in &self.template.functions {
            let name = name(function)?;
            let mut environment = self.template.environment(function, |id| self.resolve(id))?;
            environment.extend(LAMBDA_VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())));
            if let Some(provider) = provider_of(function) {
                environment.insert("WEBHOOK_SECRETS".to_owned(), local_secret(provider));
            }
            environment.extend(options.overrides.get(name).cloned().unwrap_or_default());
            let variable = |variable: &str| environment.get(variable).cloned();
            let lines = options.log.lines();
            if let Some(provider) = provider_of(function) {
                let mut config = ReceiverConfig::read(provider, variable)?;
                // As when deployed, the secrets come from Secrets Manager.
                let arn = environment.get("WEBHOOK_SECRET_ARN").cloned().unwrap_or_default();
                self.faults.set_secret(arn.clone(), environment["WEBHOOK_SECRETS"].clone());
                config.secrets = SecretSource::SecretsManager(arn);
                let receiver = Receiver::start(provider, config, &clients, lines, Timestamp::now()).await?;
                self.receivers.insert(provider.name, Arc::new(receiver));
            } else if let Some(source) = &function.source {
                let config = WorkerConfig::read(name, variable)?;
                let replayer = Arc::new(Replayer::new(clientele_providers::PROVIDERS, config, &clients, lines));
                let queue_url = self.resolve(&source.queue).with_context(|| format!("no queue {}", source.queue))?;
                let (client, batch_size) = (self.clients.sqs.clone(), source.batch_size);
                let mapping = Mapping { replayer, client, queue_url, batch_size, in_hand: Arc::default() };
                if options.workers {
                    tokio::spawn(mapping.clone().poll());
                }
                self.mapping = Some(mapping);
            } else if let Some(every) = function.every {
                let sweeper = Arc::new(Sweeper::new(WorkerConfig::read(name, variable)?, &clients, lines));
                if options.workers {
                    tokio::spawn(workers::sweep_every(sweeper.clone(), every));
                }
                self.sweeper = Some(sweeper);
            }
            self.environments.insert(name.to_owned(), environment);
        }
        Ok(())
    }

    /// What `!Ref` of a resource is here.
    fn resolve(&self, logical_id: &str) -> Option<String> {
        let table = self.template.tables.iter().find(|table| table.logical_id == logical_id);
        let queue = self.template.queues.iter().find(|queue| queue.logical_id == logical_id);
        match (table, queue) {
            _ if logical_id == "AWS::StackName" => Some("clientele".to_owned()),
            (Some(table), _) => Some(table.name.clone()),
            (_, Some(queue)) => self.queue_urls.get(&queue.name).cloned(),
            // Secrets Manager is not emulated: the functions have their secrets in the environment.
            _ => logical_id.ends_with("Secret").then(|| format!("local:{logical_id}")),
        }
    }

    /// How to sign for a provider's function here: its scheme, and the first of its secrets.
    ///
    /// # Errors
    /// When the template has no function of that provider.
    pub fn proof(&self, provider: &Provider) -> Result<(Scheme, String)> {
        let provider = provider;
        let environment = self.environments.get(provider.name);
        let environment = environment.with_context(|| format!("the template has no function of {}", provider.name))?;
        let setting = provider.scheme_variable.and_then(|variable| environment.get(variable));
        let secrets = environment.get("WEBHOOK_SECRETS").map_or("", String::as_str);
        let secret = Secrets::split(secrets)?.first().map_or(String::new(), |secret| secret.to_string());
        Ok(((provider.scheme)(setting.map(String::as_str))?, secret))
    }

    /// The URL of the gateway.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.gateway)
    }
}

/// Creates tables and queues as the template has them, unless they are there. Gives the URLs of the queues by name.
///
/// # Errors
/// When one cannot be created.
pub async fn create(clients: &Clients, template: &Template) -> Result<BTreeMap<String, String>> {
    for table in &template.tables {
        dynamodb::create(&clients.dynamodb, table).await?;
    }
    sqs::create(&clients.sqs, &template.queues).await
}

/// The provider whose webhooks the function receives.
#[must_use]
pub fn provider_of(function: &Function) -> Option<&'static Provider> {
    clientele_providers::find(function.binary.strip_prefix("clientele-")?)
}

/// The name of the function's folder.
fn name(function: &Function) -> Result<&str> {
    let Function { logical_id, binary, .. } = function;
    binary.strip_prefix("clientele-").with_context(|| format!("{logical_id}: {binary} is none of our binaries"))
}

/// Makes the folder, and sees to it that no other local stack uses it.
fn lock(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = File::create(folder.join("lock"))?;
    file.try_lock().with_context(|| format!("{} is in use by another local stack", folder.display()))?;
    Ok(file)
}

/// A listener on the address; the error says what to do about a port that is taken.
fn bind(address: SocketAddr, what: &str, option: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("{what} cannot listen on {address}; choose another port with {option}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Runs a server on a thread and a runtime of its own, until the process ends.
fn spawn(name: &str, server: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread_name = name.to_owned();
    std::thread::Builder::new().name(thread_name.clone()).spawn(move || {
        if let Err(error) = runtime.block_on(server) {
            anstream::eprintln!("{thread_name} of the local stack ended: {error:#}");
        }
    })?;
    Ok(())
}
