//! The secrets and schemes of the local stack, and whether others could send webhooks to it.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use clientele_model::{Provider, Scheme, SecretEntry};
use clientele_providers::{PROVIDERS, local_secret};

use super::secrets;
use crate::exit_code::ExitCode;
use crate::terminal;

/// A value that a flag sets for a provider.
pub(super) type Assignment = (&'static Provider, String);

/// Reads `<provider>=<value>`.
pub(super) fn assignment(text: &str) -> Result<Assignment, String> {
    let (provider, value) = text.split_once('=').ok_or("expected <provider>=<value>")?;
    Ok((clientele_providers::parse(provider)?, value.to_owned()))
}

/// The list of secrets of each provider for which `--secret` is given, in the format that functions read. All secrets
/// of a provider are valid; the first one signs.
///
/// # Errors
/// When a secret cannot be used or is too weak for the provider's scheme.
pub(super) fn secret_lists(secrets: &[Assignment], signatures: &[Assignment]) -> Result<Vec<Assignment>> {
    let list = |provider| Ok(list(provider, secrets, signatures)?.map(|list| (provider, list)));
    let lists = PROVIDERS.iter().copied().map(list).filter_map(Result::transpose).collect::<Result<_>>();
    lists.map_err(|error| ExitCode::Usage.error(format!("{error:#}")).into())
}

fn list(provider: &'static Provider, secrets: &[Assignment], signatures: &[Assignment]) -> Result<Option<String>> {
    let mut settings = values(signatures, provider);
    let setting = settings.next();
    if settings.next().is_some() {
        bail!("--signature is given twice for {}, which has one scheme at a time", provider.name);
    }
    let texts: Vec<_> = values(secrets, provider).collect();
    if texts.is_empty() {
        return Ok(None);
    }
    let scheme = (provider.scheme)(setting).context("--signature")?;
    let mut entries = vec![];
    for text in &texts {
        entries.extend(checked(text, provider, &scheme)?);
    }
    Ok(Some(if let [text] = texts[..] { text.to_owned() } else { SecretEntry::array(&entries) }))
}

fn values<'a>(assignments: &'a [Assignment], provider: &'static Provider) -> impl Iterator<Item = &'a str> {
    let of_provider = assignments.iter().filter(|(other, _)| other.name == provider.name);
    of_provider.map(|(_, value)| value.as_str())
}

/// The secrets of one flag.
fn checked(text: &str, provider: &'static Provider, scheme: &Scheme) -> Result<Vec<SecretEntry>> {
    let name = provider.name;
    let entries = SecretEntry::list(text).with_context(|| format!("--secret: the value for {name}"))?;
    if entries.is_empty() {
        bail!("--secret: the secret for {name} is empty");
    }
    for entry in &entries {
        let text = entry.text().with_context(|| format!("--secret: a secret for {name} is not text"))?;
        secrets::check(&text, provider, scheme).context("--secret")?;
    }
    Ok(entries)
}

/// Warns when the stack listens on an address that other machines can reach.
///
/// # Errors
/// When others could also sign webhooks, because a provider has its well-known local secret, and `is_confirmed` is
/// false.
pub(super) fn check_exposure(listen: IpAddr, lists: &[Assignment], is_confirmed: bool) -> Result<()> {
    if listen.to_canonical().is_loopback() {
        return Ok(());
    }
    let has_local_secret = |provider: &&&Provider| {
        let list = lists.iter().find(|(other, _)| other.name == provider.name);
        let entries = list.map(|(_, list)| SecretEntry::list(list).unwrap_or_default());
        let secret = local_secret(provider);
        entries.is_none_or(|entries| entries.iter().filter_map(SecretEntry::text).any(|text| **text == *secret))
    };
    let providers: Vec<_> = PROVIDERS.iter().filter(has_local_secret).map(|provider| provider.name).collect();
    if !providers.is_empty() && !is_confirmed {
        bail!(ExitCode::Usage.error(format!(
            "--listen {listen} lets others send webhooks with the well-known local secrets of {}: set other secrets with \
             --secret, or confirm with --yes",
            providers.join(", ")
        )));
    }
    terminal::note(format!(
        "Warning: whoever reaches {listen} can read and change the table and the queues of this stack."
    ));
    Ok(())
}
