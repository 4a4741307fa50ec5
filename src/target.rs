//! The stack that a command works on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches};
use clientele_api::ApiUrl;
use clientele_aws::{CallTimeouts, Clients, Resources};
use clientele_model::ErasureSettings;
use http::Uri;
use serde::Deserialize;
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::changes::access::{DISCARDED_CHANGES, LocalChangeFeed, REFUSED_CHANGES};
use crate::deployed::DeployedStack;
use crate::exit_code::{CommandError, ExitCode};
use crate::terminal;

/// The admin port of a local stack that uses the default ports.
pub const LOCAL_URL: &str = "http://127.0.0.1:9010";

/// How long the admin port may take to answer.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The stack that a command works on. An explicit flag takes precedence over the variable `CLIENTELE_STACK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The local stack whose admin port has this URL.
    Local(String),
    /// The deployed stack of this name or ARN.
    Deployed(String),
}

#[derive(Args)]
#[group(skip)]
#[command(next_help_heading = "Stack")]
struct TargetArgs {
    /// Use the local stack, whatever `CLIENTELE_STACK` says; the URL is that of its admin port. This is the default
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = LOCAL_URL, value_parser = admin_url)]
    local: Option<String>,
    /// Use the deployed stack of this name or ARN; credentials come from the AWS environment, and so does the region of
    /// a name
    #[arg(long, env = "CLIENTELE_STACK", value_name = "NAME")]
    stack: Option<String>,
}

/// The local stack, for commands that work on no other.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Stack")]
pub struct LocalTarget {
    /// The URL of the admin port of the local stack
    #[arg(long = "local", value_name = "URL", num_args = 0..=1, default_value = LOCAL_URL,
        default_missing_value = LOCAL_URL, value_parser = admin_url)]
    pub url: String,
}

/// A deployed stack, for commands that make no sense locally.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Stack")]
pub struct DeployedTarget {
    /// The name or ARN of the deployed stack; credentials come from the AWS environment, and so does the region of a
    /// name
    #[arg(long = "stack", env = "CLIENTELE_STACK", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
}

fn admin_url(text: &str) -> Result<String, String> {
    let error = || {
        format!(
            "expected the URL of an admin port, as in {LOCAL_URL}; without a URL, write --local after the other arguments"
        )
    };
    let uri: Uri = text.parse().map_err(|_| error())?;
    if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) || uri.path() != "/" {
        return Err(error());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

impl FromArgMatches for Target {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let TargetArgs { local, stack } = TargetArgs::from_arg_matches(matches)?;
        let is_explicit = matches.value_source("stack") == Some(ValueSource::CommandLine);
        match (local, stack) {
            (Some(_), Some(_)) if is_explicit => {
                let message = "--local and --stack exclude each other\n";
                Err(clap::Error::raw(ErrorKind::ArgumentConflict, message))
            }
            (None, Some(stack)) if stack.is_empty() && is_explicit => {
                Err(clap::Error::raw(ErrorKind::InvalidValue, "--stack needs the name of a stack\n"))
            }
            (None, Some(stack)) if !stack.is_empty() => Ok(Self::Deployed(stack)),
            (local, _) => Ok(Self::Local(local.unwrap_or_else(|| LOCAL_URL.to_owned()))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Target {
    fn augment_args(command: clap::Command) -> clap::Command {
        TargetArgs::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        TargetArgs::augment_args_for_update(command)
    }
}

impl Target {
    /// Finds the table and the queues of the stack. A deployed stack is announced on standard error.
    ///
    /// # Errors
    /// When the stack does not exist or cannot be reached.
    pub async fn open(&self) -> Result<OpenTarget> {
        match self {
            Self::Local(url) => open_local(url).await,
            Self::Deployed(name) => OpenTarget::deployed(announced(name).await?),
        }
    }
}

impl DeployedTarget {
    /// Looks the stack up, and announces it on standard error.
    ///
    /// # Errors
    /// When the stack does not exist or cannot be reached.
    pub async fn open(&self) -> Result<DeployedStack> {
        announced(&self.name).await
    }
}

async fn announced(name: &str) -> Result<DeployedStack> {
    let progress = terminal::progress("looking up the stack", None);
    let stack = DeployedStack::find(name).await?;
    drop(progress);
    terminal::note(stack.announcement());
    Ok(stack)
}

/// The stand-in for a provider's list API that a local stack serves.
#[derive(Clone, Debug)]
pub struct LocalListApi {
    /// Where it is.
    pub url: ApiUrl,
    /// Its key, which is public.
    pub key: String,
}

/// A stack that was found.
#[derive(Clone, Debug)]
pub struct OpenTarget {
    /// SDK clients with the timeouts of an operator.
    pub clients: Clients,
    /// The table and the queues that functions use.
    pub resources: Resources,
    /// The URLs of all queues by the names that they have on the local stack: `cleanup`, `cleanup-dead-letter`, `inbox` and
    /// `quarantine`, with a change feed `refused-changes` and `discarded-changes`, and with receipts `receipts` and
    /// `receipts-dead-letter`.
    pub queue_urls: BTreeMap<String, String>,
    /// The systems that confirm that they have erased a deleted customer.
    pub erasure_systems: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Local(Box<LocalKind>),
    Deployed(Box<DeployedStack>),
}

/// What is known of a local stack only.
#[derive(Clone, Debug)]
struct LocalKind {
    admin_url: String,
    dynamodb_url: String,
    list_apis: BTreeMap<String, LocalListApi>,
    change_feed: Option<LocalChangeFeed>,
    erasure: ErasureSettings,
    erasure_systems: Vec<String>,
}

impl Kind {
    /// How the stack erases customers.
    fn erasure(&self) -> Result<ErasureSettings> {
        match self {
            Self::Local(local) => Ok(local.erasure),
            Self::Deployed(stack) => stack.erasure(),
        }
    }

    fn erasure_systems(&self) -> Vec<String> {
        match self {
            Self::Local(local) => local.erasure_systems.clone(),
            Self::Deployed(stack) => stack.erasure_systems(),
        }
    }
}

impl OpenTarget {
    /// A deployed stack that was found.
    ///
    /// # Errors
    /// When it lacks an output of template.yaml.
    pub fn deployed(stack: DeployedStack) -> Result<Self> {
        let outputs = [
            ("cleanup", "CleanupQueueUrl"),
            ("cleanup-dead-letter", "CleanupDeadLetterQueueUrl"),
            ("inbox", "InboxQueueUrl"),
            ("quarantine", "QuarantineQueueUrl"),
        ];
        let url = |(role, output): (&str, &str)| Ok((role.to_owned(), stack.output(output)?.to_owned()));
        let mut queue_urls = outputs.into_iter().map(url).collect::<Result<BTreeMap<_, _>>>()?;
        // They exist only with a change feed, and with receipts.
        let of_changes = [(REFUSED_CHANGES, "RefusedChangesQueueUrl"), (DISCARDED_CHANGES, "DiscardedChangesQueueUrl")];
        let of_receipts = [("receipts", "ReceiptsQueueUrl"), ("receipts-dead-letter", "ReceiptsDeadLetterQueueUrl")];
        let optional = of_changes.into_iter().chain(of_receipts);
        queue_urls.extend(optional.filter_map(|queue| url(queue).ok()));
        let (clients, table) = (stack.clients.clone(), stack.output("CustomersTableName")?.to_owned());
        Self::new(clients, table, queue_urls, Kind::Deployed(Box::new(stack)))
    }

    fn new(
        clients: Clients,
        customers_table: String,
        queue_urls: BTreeMap<String, String>,
        kind: Kind,
    ) -> Result<Self> {
        let url = |name: &str| queue_urls.get(name).cloned().with_context(|| format!("the stack has no queue {name}"));
        let resources = Resources {
            customers_table,
            cleanup_queue_url: url("cleanup")?,
            inbox_queue_url: url("inbox")?,
            quarantine_queue_url: url("quarantine")?,
            erasure: kind.erasure()?,
        };
        Ok(Self { clients, resources, queue_urls, erasure_systems: kind.erasure_systems(), kind })
    }

    /// How a question names the stack: a deployed one with its region and account.
    #[must_use]
    pub fn announcement(&self) -> String {
        self.deployed_stack().map_or("the local stack".to_owned(), DeployedStack::announcement)
    }

    /// The URL of the queue that has this name on the local stack.
    ///
    /// # Errors
    /// When the stack has no such queue.
    pub fn queue_url(&self, name: &str) -> Result<&str> {
        let url = self.queue_urls.get(name).with_context(|| format!("the stack has no queue {name}"))?;
        Ok(url)
    }

    /// Whether it is a local stack.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.admin_url().is_some()
    }

    /// The URL of the admin port of a local stack.
    #[must_use]
    pub fn admin_url(&self) -> Option<&str> {
        match &self.kind {
            Kind::Local(local) => Some(&local.admin_url),
            Kind::Deployed(_) => None,
        }
    }

    /// The URLs of the admin port and of DynamoDB of a local stack.
    #[must_use]
    pub fn local_urls(&self) -> Option<[&str; 2]> {
        match &self.kind {
            Kind::Local(local) => Some([&local.admin_url, &local.dynamodb_url]),
            Kind::Deployed(_) => None,
        }
    }

    /// The change feed, if it is a local stack that has one.
    #[must_use]
    pub fn local_change_feed(&self) -> Option<&LocalChangeFeed> {
        match &self.kind {
            Kind::Local(local) => local.change_feed.as_ref(),
            Kind::Deployed(_) => None,
        }
    }

    /// The stand-in for a provider's list API, if it is a local stack.
    #[must_use]
    pub fn local_list_api(&self, provider: &str) -> Option<&LocalListApi> {
        match &self.kind {
            Kind::Local(local) => local.list_apis.get(provider),
            Kind::Deployed(_) => None,
        }
    }

    /// The id of the table. A table that is created again under the same name has another one.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn table_id(&self) -> Result<String> {
        let request = self.clients.dynamodb.describe_table().table_name(&self.resources.customers_table);
        let output = request.send().await.with_context(|| self.cannot_read("the table"))?;
        output.table.and_then(|table| table.table_id).context("DynamoDB did not return the id of the table")
    }

    /// About how many items the table has. DynamoDB counts them every six hours.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn item_count(&self) -> Result<u64> {
        let request = self.clients.dynamodb.describe_table().table_name(&self.resources.customers_table);
        let output = request.send().await.with_context(|| self.cannot_read("the table"))?;
        let count = output.table.and_then(|table| table.item_count).unwrap_or_default();
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The deployed stack, unless it is a local one.
    #[must_use]
    pub fn deployed_stack(&self) -> Option<&DeployedStack> {
        match &self.kind {
            Kind::Local(_) => None,
            Kind::Deployed(stack) => Some(stack),
        }
    }

    /// What it is called in messages: `the local stack`, or the name of a deployed one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.deployed_stack().map_or("the local stack", |stack| &stack.name)
    }

    /// The error when `what` of the stack cannot be read, as in `the table`.
    #[must_use]
    pub fn cannot_read(&self, what: &str) -> CommandError {
        let advice = match &self.kind {
            Kind::Local(local) => format!("is the local stack at {} still running?", local.admin_url),
            Kind::Deployed(_) => "check the credentials and their permissions".to_owned(),
        };
        ExitCode::Unreachable.error(format!("{what} of {} cannot be read: {advice}", self.name()))
    }
}

/// What the admin port says about its stack.
#[derive(Deserialize)]
struct Description {
    kind: String,
    #[serde(default)]
    ports: BTreeMap<String, u16>,
    table: String,
    queues: BTreeMap<String, String>,
    /// By provider. Older versions have none.
    #[serde(default)]
    list_apis: BTreeMap<String, ListApiDescription>,
    /// Absent if the change feed is off. Older versions have none.
    #[serde(default)]
    change_feed: Option<LocalChangeFeed>,
    erasure: ErasureDescription,
}

#[derive(Deserialize)]
struct ErasureDescription {
    awaits_receipts: bool,
    hold_minutes: u64,
    systems: Vec<String>,
}

#[derive(Deserialize)]
struct ListApiDescription {
    url: String,
    key: String,
}

impl ListApiDescription {
    /// The list API under the host that this command uses for the admin port. It may run on another machine than the
    /// stack, or in a container.
    fn at(self, admin_url: &str) -> Result<LocalListApi> {
        let uri: Uri = self.url.parse()?;
        let url = ApiUrl::of_stand_in(&format!("{admin_url}{}", uri.path()))?;
        Ok(LocalListApi { url, key: self.key })
    }
}

async fn open_local(admin_url: &str) -> Result<OpenTarget> {
    let url = format!("{admin_url}/stack");
    let answer = tokio::task::spawn_blocking(move || agent().get(url).call()).await?;
    let description = admin_answer(answer, admin_url)?;
    let description: Description = serde_json::from_value(description).map_err(|_| not_an_admin_port(admin_url))?;
    if description.kind != "local" {
        bail!(ExitCode::Usage.error(format!("{admin_url} shows a deployed stack: name it with --stack")));
    }
    let uri: Uri = admin_url.parse()?;
    let host = uri.host().context("the URL has no host")?;
    let endpoint = |name: &str| {
        let port = description.ports.get(name).with_context(|| format!("the local stack has no port for {name}"))?;
        anyhow::Ok(format!("http://{host}:{port}"))
    };
    let dynamodb_url = endpoint("dynamodb")?;
    let clients = Clients::local(&dynamodb_url, &endpoint("sqs")?, CallTimeouts::Operator);
    let list_apis = description.list_apis.into_iter().map(|(name, api)| Ok((name, api.at(admin_url)?)));
    let list_apis = list_apis.collect::<Result<_>>()?;
    let ErasureDescription { awaits_receipts, hold_minutes, systems: erasure_systems } = description.erasure;
    let erasure = ErasureSettings { awaits_receipts, hold: Duration::from_mins(hold_minutes) };
    let (admin_url, change_feed) = (admin_url.to_owned(), description.change_feed);
    let kind =
        Kind::Local(Box::new(LocalKind { admin_url, dynamodb_url, list_apis, change_feed, erasure, erasure_systems }));
    OpenTarget::new(clients, description.table, description.queues, kind)
}

/// An HTTP client for the admin port of a local stack. It uses no proxy, and returns answers of any status.
pub(crate) fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).proxy(None);
    Agent::new_with_config(config.timeout_global(Some(ADMIN_TIMEOUT)).build())
}

/// The JSON of an answer of the admin port.
///
/// # Errors
/// When no local stack answers, or it answers with an error. A refusal, for example because of the host in the URL, is the
/// error that the stack cannot be reached.
pub(crate) fn admin_answer(answer: Result<Response<Body>, ureq::Error>, admin_url: &str) -> Result<Value> {
    let mut answer = answer.with_context(|| no_local_stack(admin_url))?;
    let text = answer.body_mut().read_to_string().with_context(|| no_local_stack(admin_url))?;
    let json: Value = serde_json::from_str(&text).map_err(|_| not_an_admin_port(admin_url))?;
    let Some(error) = json["error"].as_str() else { return Ok(json) };
    let code = match answer.status().as_u16() {
        400 => ExitCode::Usage,
        403 => ExitCode::Unreachable,
        404 => ExitCode::NotFound,
        _ => ExitCode::Failed,
    };
    bail!(code.error(error))
}

/// The error when something else than the admin port of a local stack answers at the URL.
pub(crate) fn not_an_admin_port(admin_url: &str) -> CommandError {
    ExitCode::Unreachable.error(format!(
        "what answers at {admin_url} is not the admin port of a local stack; the stack prints the port when it starts"
    ))
}

/// The error when no local stack answers at the URL.
fn no_local_stack(admin_url: &str) -> CommandError {
    ExitCode::Unreachable.error(format!(
        "no local stack answers at {admin_url}: start it with `clientele`, or with `cargo run` in the project's folder; \
         --local URL names another admin port"
    ))
}
