//! `clientele secret`: the secrets of a provider in a deployed stack. They come on standard input and are not shown, but
//! for one that was made here.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use clientele_aws::Clients;
use clientele_model::{Provider, Scheme, Secrets, TokenPlace};
use clientele_providers::PROVIDERS;

use super::services::deployed;
use crate::deployed::Deployed;
use crate::http::path_segment;

/// Bytes of a secret that is made here: 160 bits, and as hexadecimal text within the 45 characters of SmarterPay.
const SECRET_BYTES: usize = 20;

/// Set, rotate and count the secrets of a deployed stack.
///
/// A stack refuses every delivery of a provider until it has a secret of it. Several may be valid at once: to rotate
/// one, add the new, let the provider use it, and remove the old when the metric Verified has no more of its position.
#[derive(Args, Debug)]
pub struct Secret {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say how many secrets each provider has
    List {
        #[command(flatten)]
        stack: InStack,
    },
    /// Add a secret, read from standard input. It becomes the first; those before it stay valid
    Add {
        #[arg(value_parser = clientele_providers::parse)]
        provider: &'static Provider,
        /// Make one instead of reading it: for a provider to whom you tell the secret (Metrifox, SmarterPay). It is shown once
        #[arg(long)]
        generate: bool,
        #[command(flatten)]
        stack: InStack,
    },
    /// Remove the secret at a position, counted from 1
    Remove {
        #[arg(value_parser = clientele_providers::parse)]
        provider: &'static Provider,
        position: usize,
        /// Remove it even if it is the only one, after which every delivery is refused
        #[arg(long)]
        last: bool,
        #[command(flatten)]
        stack: InStack,
    },
}

/// Which deployed stack.
#[derive(Args, Clone, Debug)]
pub(crate) struct InStack {
    /// The name of the deployed stack, in the ordinary AWS environment (region, profile, credentials)
    #[arg(long = "stack", env = "CLIENTELE_STACK", value_name = "NAME")]
    pub(crate) name: String,
}

/// Runs `clientele secret`.
///
/// # Errors
/// When the stack or its secrets cannot be read or written, or a secret does not fit the provider's scheme.
pub async fn secret(secret: Secret) -> Result<()> {
    match secret.action {
        Action::List { stack } => list(&Store::open(&stack).await?).await,
        Action::Add { provider, generate, stack } => {
            let store = Store::open(&stack).await?;
            add(&store, provider, if generate { make()? } else { read_secret()? }, generate).await
        }
        Action::Remove { provider, position, last, stack } => {
            remove(&Store::open(&stack).await?, provider, position, last).await
        }
    }
}

async fn list(store: &Store) -> Result<()> {
    for &provider in PROVIDERS {
        let count = store.read(provider).await?.len();
        let state = if count == 0 { ": every delivery is refused" } else { "" };
        anstream::println!("{:<11}{count}{state}", provider.name);
    }
    Ok(())
}

async fn add(store: &Store, provider: &Provider, new: String, was_made: bool) -> Result<()> {
    let name = provider.name;
    let mut secrets = store.read(provider).await?;
    if secrets.contains(&new) {
        bail!("{name} has this secret already");
    }
    secrets.insert(0, new.clone());
    store.write(provider, &secrets).await?;
    match secrets.len() {
        1 => anstream::println!("{name} has its first secret."),
        count => anstream::println!("{name} has {count} secrets; the new one is at position 1, all are valid."),
    }
    anstream::println!("Functions look for it when a delivery matches none they know, at most once a minute.");
    // A secret that came on standard input is not shown.
    let shown = if was_made { path_segment(&new) } else { "YOUR-SECRET".to_owned() };
    if store.stack.scheme(provider)? == Scheme::Token(TokenPlace::Path) {
        let url = store.stack.output("ApiUrl")?;
        anstream::println!("The URL to give to {name}, which is a secret itself:\n{url}/webhooks/{name}/{shown}");
    } else if was_made {
        anstream::println!("The secret to give to {name}:\n{new}");
    }
    Ok(())
}

async fn remove(store: &Store, provider: &Provider, position: usize, last: bool) -> Result<()> {
    let name = provider.name;
    let mut secrets = store.read(provider).await?;
    if position == 0 || position > secrets.len() {
        bail!("{name} has no secret at position {position}; it has {}", secrets.len());
    }
    if secrets.len() == 1 && !last {
        bail!("it is the only secret of {name}: without it every delivery is refused; --last if that is meant");
    }
    secrets.remove(position - 1);
    store.write(provider, &secrets).await?;
    anstream::println!(
        "{name} has {} secrets left. Functions forget the removed one within five minutes.",
        secrets.len()
    );
    Ok(())
}

/// The secrets of a stack.
pub(crate) struct Store {
    pub(crate) stack: Deployed,
    pub(crate) clients: Clients,
}

impl Store {
    pub(crate) async fn open(stack: &InStack) -> Result<Self> {
        let (clients, stack) = deployed(&stack.name).await?;
        Ok(Self { stack, clients })
    }

    /// The secrets of a provider, as their functions read them.
    pub(crate) async fn read(&self, provider: &Provider) -> Result<Vec<String>> {
        let name = provider.name;
        let request = self.clients.secrets_manager.get_secret_value().secret_id(self.stack.secret_arn(provider)?);
        let output = request.send().await.with_context(|| format!("the secret of {name} cannot be read"))?;
        let text = output.secret_string().with_context(|| format!("the secret of {name} is no text"))?;
        let secrets = Secrets::split(text).map_err(|error| anyhow!("the secret of {name} {error}"))?;
        Ok(secrets.iter().map(|secret| secret.to_string()).collect())
    }

    async fn write(&self, provider: &Provider, secrets: &[String]) -> Result<()> {
        let (name, text) = (provider.name, serde_json::to_string(secrets)?);
        // What a function could not read would stop it.
        Secrets::parse(&text, &self.stack.scheme(provider)?)
            .with_context(|| format!("nothing was changed: for {name}"))?;
        let request = self
            .clients
            .secrets_manager
            .put_secret_value()
            .secret_id(self.stack.secret_arn(provider)?)
            .secret_string(text);
        request.send().await.with_context(|| format!("the secret of {name} cannot be written"))?;
        Ok(())
    }
}

fn read_secret() -> Result<String> {
    if std::io::stdin().is_terminal() {
        anstream::eprintln!("Paste the secret, then press Enter and Ctrl-D:");
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("the secret on standard input is no text")?;
    let secret = text.trim();
    if secret.is_empty() {
        bail!("no secret came on standard input");
    }
    if secret.starts_with('[') || secret.contains('\n') {
        bail!("one secret at a time, as it is: no list, no second line");
    }
    Ok(secret.to_owned())
}

fn make() -> Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).ok().context("the system gives no random bytes")?;
    Ok(hex::encode(bytes))
}
