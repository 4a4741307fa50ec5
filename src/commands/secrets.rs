//! `clientele secrets`: manages the secrets of a provider in a deployed stack. Secrets are read from standard input and
//! never shown, except for one that was generated here.

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use clientele_model::{Provider, Scheme, Secret, SecretEntry, Secrets, TokenPlace};
use clientele_providers::PROVIDERS;

use super::target::DeployedTarget;
use crate::deployed::DeployedStack;
use crate::exit_code::ExitCode;
use crate::signing::token_path;
use crate::terminal;

/// Size of a generated secret: 160 bits, whose hexadecimal form fits into the 45 characters that SmarterPay allows.
const SECRET_BYTES: usize = 20;

/// Add, remove and count the secrets of a deployed stack.
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
    /// Show how many secrets each provider has, and what is wrong with them
    List {
        #[command(flatten)]
        target: DeployedTarget,
    },
    /// Add a secret, read from standard input. It becomes the first one; the others stay valid. A weak one is
    /// refused, or only warned about if the provider generates it
    Add {
        #[arg(value_parser = clientele_providers::parse, help = format!("The provider: {}", clientele_providers::names().join(", ")))]
        provider: &'static Provider,
        /// Generate the secret instead of reading it, for a provider that lets you choose the secret (Metrifox,
        /// SmarterPay). It is shown once
        #[arg(long)]
        generate: bool,
        #[command(flatten)]
        target: DeployedTarget,
    },
    /// Remove the secret at a position, counted from 1
    Remove {
        #[arg(value_parser = clientele_providers::parse, help = format!("The provider: {}", clientele_providers::names().join(", ")))]
        provider: &'static Provider,
        /// The position of the secret
        position: usize,
        /// Remove it even if it is the only one. All deliveries are refused from then on
        #[arg(long)]
        last: bool,
        #[command(flatten)]
        target: DeployedTarget,
    },
}

/// Runs `clientele secrets`.
///
/// # Errors
/// When the stack or its secrets cannot be read or written, or a secret is unusable or too weak.
pub async fn secrets(manage: ManageSecrets) -> Result<()> {
    match manage.action {
        Action::List { target } => list(&target.open().await?).await,
        Action::Add { provider, generate, target } => {
            let stack = target.open().await?;
            let new = if generate { generated_secret()? } else { read_secret()? };
            add(&stack, provider, new, generate).await
        }
        Action::Remove { provider, position, last, target } => {
            remove(&target.open().await?, provider, position, last).await
        }
    }
}

async fn list(stack: &DeployedStack) -> Result<()> {
    for provider in PROVIDERS {
        let secrets = stack.secrets(provider).await?;
        let note = if secrets.is_empty() { ": every delivery is refused" } else { "" };
        terminal::line(format!("{:<11}{}{note}", provider.name, secrets.len()));
        let parsed = Secrets::parse(&SecretEntry::array(&secrets), &stack.scheme(provider)?);
        for problem in parsed.map_or_else(|problems| problems, |secrets| secrets.problems().clone()).0 {
            terminal::line(format!("           {problem}"));
        }
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

async fn add(stack: &DeployedStack, provider: &Provider, new: String, is_generated: bool) -> Result<()> {
    let name = provider.name;
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
    match secrets.len() {
        1 => terminal::line(format!("{name} has its first secret.")),
        count => terminal::line(format!("{name} has {count} secrets, all valid; the new one is at position 1.")),
    }
    terminal::line("The function reads it when a delivery matches no secret it knows, at most once a minute.");
    let shown = if is_generated { &new } else { "YOUR-SECRET" };
    if scheme == Scheme::Token(TokenPlace::Path) {
        let url = stack.output("ApiUrl")?;
        let path = token_path(provider, shown);
        terminal::line(format!("Enter this URL at {name}. It contains the secret:\n{url}{path}"));
    } else if is_generated {
        terminal::line(format!("Enter this secret at {name}:\n{new}"));
    }
    Ok(())
}

async fn remove(stack: &DeployedStack, provider: &Provider, position: usize, last: bool) -> Result<()> {
    let name = provider.name;
    let mut secrets = stack.secrets(provider).await?;
    if position == 0 || position > secrets.len() {
        let error = format!("{name} has no secret at position {position}; it has {}", secrets.len());
        bail!(ExitCode::NotFound.error(error));
    }
    if secrets.len() == 1 && !last {
        bail!("this is the only secret of {name}; without it every delivery is refused. To remove it, add --last");
    }
    secrets.remove(position - 1);
    stack.set_secrets(provider, &secrets).await?;
    let left = secrets.len();
    terminal::line(format!(
        "{name} has {left} secrets left. The function rejects the removed one within five minutes."
    ));
    Ok(())
}

fn read_secret() -> Result<String> {
    let text = terminal::read_secret("Secret (it is not shown): ")?;
    let secret = SecretEntry::new(&text).text().unwrap_or_default();
    if secret.is_empty() {
        bail!("there is no secret on standard input");
    }
    if secret.starts_with('[') || secret.contains('\n') {
        bail!("standard input must hold one secret on one line, not a list");
    }
    Ok(secret.to_string())
}

fn generated_secret() -> Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).ok().context("the operating system returned no random bytes")?;
    Ok(hex::encode(bytes))
}
