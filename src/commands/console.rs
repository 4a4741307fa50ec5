//! `clientele console`: the page for a deployed stack.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use clap::Args;

use crate::console;
use crate::target::Target;
use crate::terminal;

/// Show customers, queues and quarantine of a deployed stack on a page
///
/// The page has the address 127.0.0.1 and acts with your AWS credentials. It changes nothing, except that it can redrive
/// messages from quarantine. Only who has the printed URL, with the token in it, can use it.
///
/// The local stack serves its page itself. Without --stack, this prints the URL of that page.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele console --stack clientele

The only line on standard output is the URL of the page. Ctrl-C ends the command.")]
pub struct Console {
    /// The port of the page (0: any free port)
    #[arg(long, default_value_t = 9011)]
    port: u16,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele console`.
///
/// # Errors
/// When the stack cannot be found, or the port is taken.
pub async fn console(console: Console) -> Result<()> {
    let target = console.target.open().await?;
    if let Some(admin_url) = target.admin_url() {
        terminal::note("the local stack serves its page itself");
        terminal::line(format!("{admin_url}/"));
        return Ok(());
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, console.port));
    let url = console::serve_deployed(&target, address)?;
    terminal::note("the page acts with your credentials until Ctrl-C; do not pass on its URL");
    terminal::line(url);
    tokio::signal::ctrl_c().await?;
    Ok(())
}
