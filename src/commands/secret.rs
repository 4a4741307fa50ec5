//! `clientele secret`: manages the secrets of a provider in a deployed stack. Secrets are read from standard input and
//! never shown, except for one that was generated here.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use clientele_model::{Provider, Scheme, SecretEntry, Secrets, TokenPlace};
use clientele_providers::PROVIDERS;

use super::target::DeployedTarget;
use crate::deployed::DeployedStack;
use crate::signing::token_path;

/// Size of a generated secret: 160 bits, whose hexadecimal form fits into the 45 characters that SmarterPay allows.
const SECRET_BYTES: usize = 20;

/// Add, remove and count the secrets of a deployed stack.
///
/// A stack refuses every delivery of a provider until it has a secret for it. Several secrets may be valid at once. To
/// rotate a secret, add the new one, set it at the provider, and remove the old one when the metric Verified no longer
/// counts its position.
#[derive(Args, Debug)]
pub struct Secret {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how many secrets each provider has
    List {
        #[command(flatten)]
        target: DeployedTarget,
    },
    /// Add a secret, read from standard input. It becomes the first one; the others stay valid
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

/// Runs `clientele secret`.
///
/// # Errors
/// When the stack or its secrets cannot be read or written, or a secret does not fit the provider's scheme.
pub async fn secret(secret: Secret) -> Result<()> {
    match secret.action {
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
        let count = stack.secrets(provider).await?.len();
        let note = if count == 0 { ": every delivery is refused" } else { "" };
        anstream::println!("{:<11}{count}{note}", provider.name);
    }
    Ok(())
}

async fn add(stack: &DeployedStack, provider: &Provider, new: String, is_generated: bool) -> Result<()> {
    let name = provider.name;
    let (mut secrets, entry) = (stack.secrets(provider).await?, SecretEntry::new(&new));
    // Only the new one is checked, so that one which cannot be used can be replaced.
    Secrets::parse(&format!("[{}]", entry.json()), &stack.scheme(provider)?)
        .with_context(|| format!("nothing was changed: for {name}"))?;
    if secrets.iter().any(|known| known.text().is_some_and(|text| *text == new)) {
        bail!("{name} has this secret already");
    }
    secrets.insert(0, entry);
    stack.set_secrets(provider, &secrets).await?;
    match secrets.len() {
        1 => anstream::println!("{name} has its first secret."),
        count => anstream::println!("{name} has {count} secrets, all valid; the new one is at position 1."),
    }
    anstream::println!("The function reads it when a delivery matches no secret it knows, at most once a minute.");
    let shown = if is_generated { &new } else { "YOUR-SECRET" };
    if stack.scheme(provider)? == Scheme::Token(TokenPlace::Path) {
        let url = stack.output("ApiUrl")?;
        let path = token_path(provider, shown);
        anstream::println!("Enter this URL at {name}. It contains the secret:\n{url}{path}");
    } else if is_generated {
        anstream::println!("Enter this secret at {name}:\n{new}");
    }
    Ok(())
}

async fn remove(stack: &DeployedStack, provider: &Provider, position: usize, last: bool) -> Result<()> {
    let name = provider.name;
    let mut secrets = stack.secrets(provider).await?;
    if position == 0 || position > secrets.len() {
        bail!("{name} has no secret at position {position}; it has {}", secrets.len());
    }
    if secrets.len() == 1 && !last {
        bail!("this is the only secret of {name}; without it every delivery is refused. To remove it, add --last");
    }
    secrets.remove(position - 1);
    stack.set_secrets(provider, &secrets).await?;
    let left = secrets.len();
    anstream::println!("{name} has {left} secrets left. The function rejects the removed one within five minutes.");
    Ok(())
}

fn read_secret() -> Result<String> {
    if std::io::stdin().is_terminal() {
        anstream::eprintln!("Paste the secret, then press Enter and Ctrl-D:");
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("the secret on standard input is not text")?;
    let secret = text.trim();
    if secret.is_empty() {
        bail!("there is no secret on standard input");
    }
    if secret.starts_with('[') || secret.contains('\n') {
        bail!("standard input must hold one secret on one line, not a list");
    }
    Ok(secret.to_owned())
}

fn generated_secret() -> Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).ok().context("the operating system returned no random bytes")?;
    Ok(hex::encode(bytes))
}
