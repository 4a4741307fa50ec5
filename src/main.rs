//! The `clientele` command.

use std::process;

use clap::Parser;
use clientele::cli::{self, Cli};
use clientele::exit_code::ExitCode;
use clientele::terminal;

#[tokio::main]
async fn main() -> process::ExitCode {
    match cli::run(Cli::parse()).await.and_then(|()| terminal::check_output()) {
        Ok(()) => process::ExitCode::SUCCESS,
        Err(error) => {
            terminal::error(&error);
            (ExitCode::of(&error) as u8).into()
        }
    }
}
