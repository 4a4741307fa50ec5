//! `clientele secrets`: manages the secrets of a provider in a deployed stack. Secrets are read without showing them, and
//! never printed, except for one that was generated here.

use std::num::NonZeroUsize;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use clientele_api::ApiKey;
use clientele_model::{Provider, Scheme, Secret, SecretEntry, TokenPlace};
use clientele_providers::PROVIDERS;
use serde_json::json;

use super::positive;
use crate::exit_code::ExitCode;
use crate::secret_state::SecretState;
use crate::signing::token_path;
use crate::target::DeployedTarget;
use crate::terminal;
use crate::text_table::TextTable;

/// Size of a generated secret: 160 bits, whose hexadecimal form fits into the 45 characters that SmarterPay allows.
const SECRET_BYTES: usize = 20;

/// Add, remove and list the secrets of a deployed stack.
///
/// A stack refuses every delivery of a provider until it has a secret for it. Several secrets may be valid at once. To
/// rotate a secret, add the new one, set it at the provider, and remove the old one when the metric Verified no longer
/// counts its position.
#[derive(Args, Debug)]
pub struct ManageSecrets {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Add(Add),
    Remove(Remove),
    SetApiKey(SetApiKey),
}

/// Show which secrets each provider has by their positions, and what is wrong with them. No secret is shown
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  clientele secrets list --stack clientele

With --json, each line is an object with `provider` and `secrets`: a list of objects with `position`, `is_used` and \
`problem`, which is null if nothing is wrong. Without secrets every delivery is refused.")]
struct List {
    /// Print one JSON object per provider
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: DeployedTarget,
}

/// Add a secret. It becomes the first one; the others stay valid
///
/// The secret is read from the terminal without showing it, or else from standard input. A weak one is refused, or only
/// warned about if the provider generates it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele secrets add plain --stack clientele
  clientele secrets add flexprice --stack clientele < secret.txt
  clientele secrets add metrifox --generate --stack clientele

With --json, the result is an object with `provider` and `secrets` (how many there are now); for a generated secret \
also `secret`; and `url` where the secret is a part of the URL that you enter at the provider.")]
struct Add {
    #[arg(value_parser = clientele_providers::parse, help = format!("The provider: {}", clientele_providers::names().join(", ")))]
    provider: &'static Provider,
    /// Generate the secret instead of reading it, for a provider that lets you choose the secret (Metrifox, SmarterPay).
    /// It is shown once
    #[arg(long)]
    generate: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: DeployedTarget,
}

/// Remove the secret at a position
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele secrets remove plain 2 --stack clientele
  clientele secrets remove plain 1 --last --stack clientele --yes

With --json, the result is an object with `provider` and `secrets` (how many are left). The exit code is 4 if there \
is no secret at that position.")]
struct Remove {
    #[arg(value_parser = clientele_providers::parse, help = format!("The provider: {}", clientele_providers::names().join(", ")))]
    provider: &'static Provider,
    /// The position of the secret, counted from 1
    #[arg(value_parser = positive)]
    position: NonZeroUsize,
    /// Remove it even if it is the only one. All deliveries are refused from then on
    #[arg(long)]
    last: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: DeployedTarget,
}

/// Store the key of a provider's API, with which `reconcile` compares the customers
///
/// The key is read from the terminal without showing it, or else from standard input. It replaces the one before. The
/// stack must have scheduled reconciliations.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele secrets set-api-key plain --stack clientele
  clientele secrets set-api-key flexprice --stack clientele < api-key.txt

With --json, the result is an object with `provider`. The exit code is 4 if the stack has no place for the key.")]
struct SetApiKey {
    #[arg(value_parser = clientele_providers::parse, help = "The provider: plain, flexprice")]
    provider: &'static Provider,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: DeployedTarget,
}

/// Runs `clientele secrets`.
///
/// # Errors
/// When the stack or its secrets cannot be read or written, or a secret is unusable or too weak.
pub async fn secrets(manage: ManageSecrets) -> Result<()> {
    match manage.action {
        Action::List(list) => self::list(list).await,
        Action::Add(add) => self::add(add).await,
        Action::Remove(remove) => self::remove(remove).await,
        Action::SetApiKey(set) => set_api_key(set).await,
    }
}

async fn list(list: List) -> Result<()> {
    let stack = list.target.open().await?;
    let mut table = TextTable::new(["provider", "position", "state"]);
    for provider in PROVIDERS {
        let (secrets, scheme) = (stack.secrets(provider).await?, stack.scheme(provider)?);
        let states: Vec<_> = secrets.iter().map(|entry| SecretState::of(entry, &scheme)).collect();
        if list.json {
            let secrets = states.iter().enumerate().map(
                |(index, state)| json!({ "position": index + 1, "is_used": state.is_used, "problem": state.problem }),
            );
            terminal::json(&json!({ "provider": provider.name, "secrets": secrets.collect::<Vec<_>>() }));
            continue;
        }
        if states.is_empty() {
            table.add_row([provider.name, "-", "no secret: every delivery is refused"]);
        }
        for (index, state) in states.iter().enumerate() {
            table.add_row([provider.name, &(index + 1).to_string(), &state.text()]);
        }
    }
    if !list.json {
        terminal::line(table);
    }
    Ok(())
}

/// Checks a secret before it is set. A weak one is refused, or only causes a warning if the provider generates it.
///
/// # Errors
/// When it cannot be used or is too weak. The error says what is required, and nothing of the secret.
pub(super) fn check(text: &str, provider: &Provider, scheme: &Scheme) -> Result<Secret> {
    let name = provider.name;
    let secret = Secret::parse(text, scheme).map_err(|error| anyhow!("the secret for {name} {error}"))?;
    match secret.weakness() {
        Some(weakness) if provider.accepts_weak_secrets => {
            terminal::note(format!("Warning: the secret for {name} is weak: {weakness}."));
        }
        Some(weakness) => bail!("the secret for {name} is too weak: {weakness}"),
        None => {}
    }
    Ok(secret)
}

async fn add(add: Add) -> Result<()> {
    let Add { provider, generate, json, target } = add;
    let (stack, name) = (target.open().await?, provider.name);
    let new = if generate {
        generated_secret()?
    } else {
        read_secret(&format!("The secret for {name} (it is not shown): "))?
    };
    let (mut secrets, scheme) = (stack.secrets(provider).await?, stack.scheme(provider)?);
    // Only the new one is checked, so that a weak one can be replaced.
    let checked = check(&new, provider, &scheme).context("nothing was changed")?;
    let is_same = |entry: &SecretEntry| {
        let known = entry.text().and_then(|text| Secret::parse(&text, &scheme).ok());
        known.is_some_and(|known| known.key() == checked.key())
    };
    if secrets.iter().any(is_same) {
        bail!("{name} has this secret already");
    }
    secrets.insert(0, SecretEntry::new(&new));
    stack.set_secrets(provider, &secrets).await?;
    let is_in_url = scheme == Scheme::Token(TokenPlace::Path);
    let shown = if generate { &new } else { "YOUR-SECRET" };
    let url = is_in_url.then(|| anyhow::Ok(format!("{}{}", stack.output("ApiUrl")?, token_path(provider, shown))));
    let url = url.transpose()?;
    if json {
        let mut result = json!({ "provider": name, "secrets": secrets.len() });
        if generate {
            result["secret"] = new.into();
        }
        if let Some(url) = url {
            result["url"] = url.into();
        }
        terminal::json(&result);
        return Ok(());
    }
    match secrets.len() {
        1 => terminal::line(format!("{name} has its first secret.")),
        count => terminal::line(format!("{name} has {count} secrets, all valid; the new one is at position 1.")),
    }
    terminal::line("The function reads it when a delivery matches no secret it knows, at most once a minute.");
    match url {
        Some(url) => terminal::line(format!("Enter this URL at {name}. It contains the secret:\n{url}")),
        None if generate => terminal::line(format!("Enter this secret at {name}:\n{new}")),
        None => {}
    }
    Ok(())
}

async fn remove(remove: Remove) -> Result<()> {
    let Remove { provider, position, last, yes, json, target } = remove;
    let position = position.get();
    let (stack, name) = (target.open().await?, provider.name);
    let mut secrets = stack.secrets(provider).await?;
    if position > secrets.len() {
        let error = format!("{name} has no secret at position {position}; it has {}", secrets.len());
        bail!(ExitCode::NotFound.error(error));
    }
    if secrets.len() == 1 && !last {
        bail!("this is the only secret of {name}; without it every delivery is refused. To remove it, add --last");
    }
    let count = secrets.len();
    let question = format!(
        "Remove secret {position} of {count} of {name} from {}? Deliveries signed with it are refused within five minutes.",
        stack.announcement()
    );
    terminal::confirm(&question, yes)?;
    secrets.remove(position - 1);
    stack.set_secrets(provider, &secrets).await?;
    let left = secrets.len();
    if json {
        terminal::json(&json!({ "provider": name, "secrets": left }));
        return Ok(());
    }
    let left = if left == 1 { "1 secret".to_owned() } else { format!("{left} secrets") };
    terminal::line(format!("{name} has {left} left. The function rejects the removed one within five minutes."));
    Ok(())
}

async fn set_api_key(set: SetApiKey) -> Result<()> {
    let SetApiKey { provider, json, target } = set;
    let (stack, name) = (target.open().await?, provider.name);
    let key = read_secret(&format!("The API key for {name} (it is not shown): "))?;
    ApiKey::parse(&key).map_err(|error| anyhow!("the API key cannot be used: {error}; nothing was changed"))?;
    stack.set_api_key(provider, &key).await?;
    if json {
        terminal::json(&json!({ "provider": name }));
    } else {
        terminal::line(format!("{name} has this API key now. The next reconciliation uses it."));
    }
    Ok(())
}

fn read_secret(prompt: &str) -> Result<String> {
    let text = terminal::read_secret(prompt)?;
    let secret = SecretEntry::new(&text).text().unwrap_or_default();
    if secret.is_empty() {
        bail!("no secret was entered: nothing was changed");
    }
    if secret.starts_with('[') || secret.contains('\n') {
        bail!("expected one secret on one line, not a list: nothing was changed");
    }
    Ok(secret.to_string())
}

fn generated_secret() -> Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).ok().context("the operating system returned no random bytes")?;
    Ok(hex::encode(bytes))
}
