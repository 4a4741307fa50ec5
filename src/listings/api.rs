//! Which list API a command calls, and with which key.

use std::env;

use anyhow::{Result, bail};
use clap::Args;
use clientele_api::{ApiKey, ApiUrl, HttpListApi, Limits};
use clientele_flow::ListRunError;
use clientele_model::{AccountSource, Id, ListApi, Listing, ListingError};

use crate::exit_code::ExitCode;
use crate::target::OpenTarget;
use crate::terminal;

/// The options of commands that call a list API.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "List API")]
pub struct ListApiArgs {
    /// The URL of the list API, if it is not the provider's usual one: another region, or an installation of your own
    #[arg(long, value_name = "URL")]
    pub api_url: Option<ApiUrl>,
    /// Read the API key from standard input instead of the environment; on a terminal it is not shown
    #[arg(long)]
    pub key_stdin: bool,
    /// Send at most this many requests per second
    #[arg(long, value_name = "NUMBER", value_parser = rate)]
    pub rate: Option<f64>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite());
    rate.ok_or_else(|| "expected a number of requests per second greater than 0".to_owned())
}

/// Reads an account from the command line.
///
/// # Errors
/// When it is empty or too long for a key.
pub fn account(text: &str) -> Result<Id, String> {
    Id::new(text.to_owned()).map_err(|_| "expected an account's id".to_owned())
}

/// The help of the argument that names a provider.
#[must_use]
pub fn provider_help() -> String {
    format!("The provider: {}", clientele_providers::names().join(", "))
}

/// A provider's list API with its key.
#[derive(Debug)]
pub struct ListApiAccess {
    /// Sends the requests.
    pub client: HttpListApi,
    /// Where the API is.
    pub url: ApiUrl,
    /// Where the key came from, as error messages name it.
    key_source: String,
    /// What the key must be allowed to do.
    permission: &'static str,
}

/// The list API of a provider.
///
/// # Errors
/// When the provider has none that can be used, or it needs an account that was not given.
pub fn list_api<'a>(listing: &'a Listing, account: Option<&Id>) -> Result<&'a ListApi> {
    let name = listing.provider.name;
    let Some(api) = &listing.api else {
        bail!(ExitCode::Usage.error(format!(
            "{name} has no list API that can be relied on: `clientele import {name} --from FILE` imports its customers \
             from a file"
        )));
    };
    match api.account {
        AccountSource::Operator if account.is_none() => bail!(ExitCode::Usage.error(format!(
            "the list of {name} does not say to which account its customers belong: name it with --account. It is the \
             account in the pk of {name}'s customers"
        ))),
        AccountSource::Operator | AccountSource::Answer => Ok(api),
    }
}

impl ListApiAccess {
    /// The list API that belongs to a stack. For a local stack it is always its own stand-in, so that a key in the
    /// environment never leads to a real API.
    ///
    /// # Errors
    /// When there is no key, or it cannot be used.
    pub async fn open(provider: &str, api: &ListApi, target: &OpenTarget, args: &ListApiArgs) -> Result<Self> {
        let (url, key, key_source) = if target.is_local() {
            Self::stand_in(provider, target, args)?
        } else {
            let url = args.api_url.clone().map_or_else(|| default_url(api), Ok)?;
            let (key, source) = Self::key(provider, api, args.key_stdin).await?;
            (url, key, source)
        };
        let key = ApiKey::parse(&key).map_err(|error| {
            ExitCode::Usage.error(format!("the API key of {provider} in {key_source} cannot be used: {error}"))
        })?;
        let client = HttpListApi::new(url.clone(), &key, api.key_header, Limits::default());
        let client = client.map_err(|error| ExitCode::Usage.error(error.to_string()))?;
        Ok(Self { client, url, key_source, permission: api.key_permission })
    }

    fn stand_in(provider: &str, target: &OpenTarget, args: &ListApiArgs) -> Result<(ApiUrl, String, String)> {
        if args.api_url.is_some() || args.key_stdin {
            bail!(ExitCode::Usage.error(
                "--api-url and --key-stdin are for deployed stacks: name one with --stack. The local stack has list APIs \
                 and keys of its own"
            ));
        }
        let Some(stand_in) = target.local_list_api(provider) else {
            bail!(
                ExitCode::Failed
                    .error(format!("the local stack has no list API of {provider}: is it an older version?"))
            );
        };
        Ok((stand_in.url.clone(), stand_in.key.clone(), "the local stack".to_owned()))
    }

    async fn key(provider: &str, api: &ListApi, from_stdin: bool) -> Result<(String, String)> {
        if from_stdin {
            let prompt = format!("The API key of {provider} (it is not shown): ");
            let key = tokio::task::spawn_blocking(move || terminal::read_secret(&prompt)).await??;
            return Ok((key, "standard input".to_owned()));
        }
        let variable = api.key_variable;
        match env::var(variable) {
            Ok(key) if !key.trim().is_empty() => Ok((key, variable.to_owned())),
            _ => bail!(ExitCode::Usage.error(format!(
                "there is no API key of {provider}: set {variable}, or pass the key on standard input with --key-stdin. \
                 It needs {}",
                api.key_permission
            ))),
        }
    }

    /// Why a run failed, in one line that says what to do about it.
    #[must_use]
    pub fn explain(&self, error: &ListRunError) -> String {
        let Self { url, key_source, permission, .. } = self;
        match error {
            ListRunError::Answer(ListingError::Denied) => {
                format!("{url} does not accept the API key from {key_source}: it needs {permission}")
            }
            ListRunError::Unreachable(why) => format!("{url} cannot be reached: {why}"),
            other => format!("{url}: {other}"),
        }
    }
}

fn default_url(api: &ListApi) -> Result<ApiUrl> {
    let Some(url) = api.urls.first() else { bail!(ExitCode::Usage.error("name the API with --api-url")) };
    Ok(url.parse()?)
}
