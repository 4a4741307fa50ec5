//! `clientele events`: lists the event files, sends one, or signs one.

use std::path::{Path, PathBuf};

use ::http::Uri;
use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use clientele_model::{Provider, Scheme};
use clientele_providers::local_secret;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::events::{Case, EventFiles, Expected};
use crate::exit_code::ExitCode;
use crate::http::{self, Answer};
use crate::target::{LocalTarget, admin_answer, agent, not_an_admin_port};
use crate::terminal;
use crate::text_table::{Cell, TextTable};

/// The event files: webhooks of each provider with their expected results.
#[derive(Args, Debug)]
pub struct Events {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Send(Send),
    Sign(Sign),
}

/// List the event files.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele events list
  clientele events list --json | jq --raw-output .name

Prints the status of the answer that each event gets, and the events that have to be sent before it.

With --json, each line is an object such as
  {\"name\":\"plain/stale\",\"forged\":false,\"status\":200,\"outcome\":\"stale\",\"after\":[\"plain/duplicate\"]}")]
struct List {
    /// Print the events as JSON, one per line
    #[arg(long)]
    json: bool,
    /// A folder with event files to use instead of the embedded ones
    #[arg(long, value_name = "FOLDER")]
    events: Option<PathBuf>,
}

/// Sign an event now and send it.
///
/// The local stack signs it with its own scheme and secret. With --to, it is signed here, with the secret in the variable
/// `WEBHOOK_SECRET` or else from standard input.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele events send plain/customer-updated
  clientele events send --file my-event.json
  clientele events send plain/customer-created --to https://ID.execute-api.REGION.amazonaws.com

Prints the status and the outcome, as in `200 applied: the customer's item was written`. With --json, an object such as
  {\"event\":\"plain/customer-updated\",\"status\":200,\"answer\":{\"outcome\":\"applied\"}}

The exit code is 1 if the delivery is not accepted, or if a forged one is, and 5 if nothing answers.")]
struct Send {
    #[command(flatten)]
    event: EventChoice,
    /// Send it to this API instead of the local stack. The URL has no path
    #[arg(long, value_name = "URL", conflicts_with = "url", value_parser = api_url)]
    to: Option<String>,
    /// With --to: sign by this scheme, written as in the function's environment, for example token:X-Api-Key
    #[arg(long, value_name = "SCHEME", requires = "to")]
    signature: Option<String>,
    /// With --to: sign with the secret that the local stack uses, as `sam local start-api` with events/env.json does
    #[arg(long, requires = "to")]
    local_secret: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: LocalTarget,
}

/// Sign an event now and print it as an API Gateway event, as `sam local invoke --event -` reads it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele events sign plain/customer-updated | sam local invoke PlainFunction --event -
  clientele events sign flexprice/customer-created --own-secret <secret.txt

Prints the event as JSON.")]
struct Sign {
    #[command(flatten)]
    event: EventChoice,
    /// Sign with the secret in the variable `WEBHOOK_SECRET`, or else from standard input, instead of the secret that the
    /// local stack uses
    #[arg(long)]
    own_secret: bool,
    /// Sign by this scheme, written as in the function's environment, for example token:X-Api-Key
    #[arg(long, value_name = "SCHEME")]
    signature: Option<String>,
}

fn api_url(text: &str) -> Result<String, String> {
    let uri = text.parse::<Uri>().ok();
    let is_url =
        |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none();
    uri.filter(is_url).ok_or("expected the URL of an API without a path, as in http://127.0.0.1:3000")?;
    Ok(text.to_owned())
}

/// Which event.
#[derive(Args, Debug)]
struct EventChoice {
    /// The event file, as in plain/customer-updated
    #[arg(value_name = "PROVIDER/CASE", required_unless_present = "file", conflicts_with = "file")]
    case: Option<String>,
    /// An own API Gateway event. Its rawPath names the provider, as in /webhooks/plain
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A folder with event files to use instead of the embedded ones
    #[arg(long, value_name = "FOLDER", conflicts_with = "file")]
    events: Option<PathBuf>,
}

impl EventChoice {
    fn load(&self) -> Result<Case> {
        match (&self.case, &self.file) {
            (_, Some(file)) => own_event(file),
            (Some(title), None) => {
                let (provider, name) = title.split_once('/').with_context(|| {
                    ExitCode::Usage.error(format!("`{title}` is not <provider>/<case>, as in plain/customer-updated"))
                })?;
                let provider = clientele_providers::parse(provider).map_err(|error| ExitCode::Usage.error(error))?;
                EventFiles::from(self.events.clone()).load_one(provider, name)
            }
            (None, None) => bail!(ExitCode::Usage.error("name an event file, or an own event with --file")),
        }
    }
}

fn own_event(file: &Path) -> Result<Case> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // PowerShell writes a byte order mark.
    let json = text.trim_start_matches('\u{feff}');
    let event: Value = serde_json::from_str(json).with_context(|| format!("in {}", file.display()))?;
    let provider = http::provider_of(&event)
        .with_context(|| format!("{}: rawPath is not the path of a webhook, as in /webhooks/plain", file.display()))?;
    Ok(Case { provider, name: file.display().to_string(), event, expected: Expected::default() })
}

/// Runs `clientele events`.
///
/// # Errors
/// When there is no such event, or it cannot be delivered or is not accepted.
pub fn events(events: Events) -> Result<()> {
    match events.action {
        Action::List(list) => self::list(&list),
        Action::Send(send) => self::send(&send),
        Action::Sign(sign) => self::sign(&sign),
    }
}

fn list(list: &List) -> Result<()> {
    let mut table = TextTable::new(["event", "status", "outcome", "after"]);
    for case in EventFiles::from(list.events.clone()).load()? {
        let (status, body) = (case.expected.status, case.expected.answer.as_ref().map(Value::to_string));
        let outcome = Answer { status, body: body.unwrap_or_default() }.outcome();
        let after: Vec<_> = case.expected.after.iter().map(|name| format!("{}/{name}", case.provider.name)).collect();
        if list.json {
            terminal::json(&json!({
                "name": case.title(), "forged": case.expected.forged, "status": status, "outcome": outcome, "after": after,
            }));
        } else {
            table.add_row([Cell::from(case.title()), status.to_string().into(), outcome.into(), after.into()]);
        }
    }
    if !list.json {
        terminal::line(table);
    }
    Ok(())
}

fn send(send: &Send) -> Result<()> {
    let case = send.event.load()?;
    let answer = match &send.to {
        Some(url) => {
            let event = sign_case(&case, send.signature.as_deref(), !send.local_secret)?;
            let _progress = terminal::progress("waiting for the answer", None);
            http::deliver(url, &event, http::proxy_for(url))
                .with_context(|| ExitCode::Unreachable.error("the event could not be delivered"))?
        }
        None => send_through_local_stack(&case, &send.target.url)?,
    };
    let title = if send.event.file.is_some() { &case.name } else { &case.title() };
    if send.json {
        let body = serde_json::from_str(&answer.body).unwrap_or_else(|_| Value::from(answer.body.as_str()));
        terminal::json(&json!({ "event": title, "status": answer.status, "answer": body }));
    } else {
        terminal::line(result(&answer));
    }
    judge(&answer, case.expected.forged, send.to.is_some())
}

/// The result of a delivery in one line.
fn result(answer: &Answer) -> String {
    let outcome = answer.outcome();
    let explanation = match outcome.as_str() {
        "applied" => ": the customer's item was written",
        "duplicate" => ": this event is in the table already",
        "stale" => ": the table has newer data",
        "ignored" => ": the event does not change a customer",
        "parked" => ": the table cannot be written now, so the event waits on the inbox queue",
        "quarantined" => ": the event cannot be translated or stored, so it waits for an operator",
        "unavailable" => ": nothing could be written, so the provider has to send it again",
        "rejected" => ": its signature or token is wrong, or too old",
        // Several outcomes, or an answer of another server.
        _ => "",
    };
    format!("{} {}{explanation}", answer.status, terminal::visible(&outcome)).trim_end().to_owned()
}

/// An outcome that is not accepted is an error, and so is a forged delivery that is accepted.
fn judge(answer: &Answer, is_forged: bool, is_deployed: bool) -> Result<()> {
    match answer.status {
        401 | 498 if is_forged => Ok(()),
        _ if is_forged => bail!("the event is forged and should have been refused"),
        200..=299 => Ok(()),
        401 | 498 if is_deployed => bail!("refused: sign with the secret and the scheme (--signature) of the function"),
        404 if is_deployed => bail!("no such route: is --to the URL of the API?"),
        status => bail!("the delivery was not accepted: status {status}"),
    }
}

/// The local stack signs the event as its functions expect it, and sends it through its own gateway.
fn send_through_local_stack(case: &Case, admin_url: &str) -> Result<Answer> {
    let request = json!({ "event": case.event, "forged": case.expected.forged });
    let _progress = terminal::progress("waiting for the answer", None);
    let answer = agent().post(format!("{admin_url}/send")).send(request.to_string());
    let body = admin_answer(answer, admin_url)?;
    let status = body["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.with_context(|| not_an_admin_port(admin_url))?;
    Ok(Answer { status, body: body["body"].as_str().unwrap_or_default().to_owned() })
}

fn sign(sign: &Sign) -> Result<()> {
    let case = sign.event.load()?;
    let event = sign_case(&case, sign.signature.as_deref(), sign.own_secret)?;
    terminal::json_pretty(&event);
    Ok(())
}

fn sign_case(case: &Case, setting: Option<&str>, has_own_secret: bool) -> Result<Value> {
    let scheme = scheme(case.provider, setting)?;
    let secret = if has_own_secret { own_secret(case.provider)? } else { local_secret(case.provider) };
    case.sign(&scheme, &secret, Timestamp::now())
}

/// The secret in `WEBHOOK_SECRET`, or else from standard input. An argument would be visible to other processes.
fn own_secret(provider: &Provider) -> Result<String> {
    let secret = match std::env::var("WEBHOOK_SECRET").ok().filter(|secret| !secret.is_empty()) {
        Some(secret) => secret,
        None => terminal::read_secret(&format!("Secret for {} (it is not shown): ", provider.name))?,
    };
    match secret.trim() {
        "" => bail!(ExitCode::Usage.error("there is no secret in WEBHOOK_SECRET, nor on standard input")),
        secret => Ok(secret.to_owned()),
    }
}

fn scheme(provider: &Provider, setting: Option<&str>) -> Result<Scheme> {
    if provider.scheme_variable.is_none() && setting.is_some() {
        bail!(ExitCode::Usage.error(format!("{} has only one scheme; omit --signature", provider.name)));
    }
    (provider.scheme)(setting).map_err(|error| anyhow!(ExitCode::Usage.error(format!("--signature: {error}"))))
}
