//! `clientele send` and `clientele event`: sign a checked-in event now and deliver or print it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use clientele_model::{Provider, Scheme};
use clientele_providers::local_secret;
use jiff::Timestamp;
use serde_json::Value;

use crate::events::{self, Case, Expected};
use crate::http;

/// How to sign.
#[derive(Args, Debug)]
pub struct Signing {
    /// Sign with this secret instead of the local stack's secret
    #[arg(long, env = "WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Sign by this scheme, written as in the function's environment, for example token:X-Api-Key
    #[arg(long, value_name = "SCHEME")]
    signature: Option<String>,
    /// The folder with the event files
    #[arg(long, default_value = "events", value_name = "FOLDER")]
    events: PathBuf,
}

/// Sign an event now and deliver it.
#[derive(Args, Debug)]
pub struct Send {
    #[arg(value_parser = clientele_providers::parse, help = format!("The provider: {}", clientele_providers::names().join(", ")))]
    provider: &'static Provider,
    /// The name of one of the provider's event files, or the path of an API Gateway event that ends in .json
    case: String,
    /// The URL of the API, without a path
    #[arg(long, default_value = "http://127.0.0.1:9000", value_name = "URL")]
    to: String,
    #[command(flatten)]
    signing: Signing,
}

/// Sign an event now and print it as an API Gateway event, as input for `sam local invoke --event -`.
#[derive(Args, Debug)]
pub struct Event {
    /// Provider and event file, as in plain/customer-updated
    case: String,
    #[command(flatten)]
    signing: Signing,
}

/// Runs `clientele send`.
///
/// # Errors
/// When the event cannot be delivered, or is not accepted.
pub fn send(send: &Send) -> Result<()> {
    let case = if Path::new(&send.case).extension().is_some_and(|extension| extension == "json") {
        let text = std::fs::read_to_string(&send.case).with_context(|| format!("cannot read {}", send.case))?;
        let event: Value = serde_json::from_str(&text).with_context(|| format!("in {}", send.case))?;
        Case { provider: send.provider, name: send.case.clone(), event, expected: Expected::default() }
    } else {
        events::load_one(&send.signing.events, send.provider, &send.case)?
    };
    let answer = http::deliver(&send.to, &sign(&case, &send.signing)?, http::proxy_for(&send.to))?;
    anstream::println!("{} {}", answer.status, answer.body);
    match answer.status {
        401 | 498 if case.expected.forged => Ok(()),
        _ if case.expected.forged => bail!("the event is forged and should have been refused"),
        200..=299 => Ok(()),
        401 | 498 => bail!("refused: use the secret (--secret) and the scheme (--signature) of the function"),
        404 => bail!("no such route: --to must be the URL of the API, without a path"),
        status => bail!("the delivery was not accepted: status {status}"),
    }
}

/// Runs `clientele event`.
///
/// # Errors
/// When there is no such event.
pub fn event(event: &Event) -> Result<()> {
    let (provider, name) =
        event.case.split_once('/').context("expected <provider>/<case>, as in plain/customer-updated")?;
    let provider = clientele_providers::parse(provider).map_err(anyhow::Error::msg)?;
    let case = events::load_one(&event.signing.events, provider, name)?;
    anstream::println!("{}", serde_json::to_string_pretty(&sign(&case, &event.signing)?)?);
    Ok(())
}

fn sign(case: &Case, signing: &Signing) -> Result<Value> {
    let provider = case.provider;
    if provider.scheme_variable.is_none() && signing.signature.is_some() {
        bail!("{} has only one scheme; omit --signature", provider.name);
    }
    let scheme: Scheme = (provider.scheme)(signing.signature.as_deref()).context("--signature")?;
    let secret = signing.secret.clone().unwrap_or_else(|| local_secret(provider));
    case.sign(&scheme, &secret, Timestamp::now())
}
