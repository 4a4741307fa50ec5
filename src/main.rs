//! The `clientele` command.

use std::process;

use clap::Parser;
use clientele::cli::{self, Cli};
use clientele::exit_code::ExitCode;
use clientele::terminal;

#[tokio::main]
async fn main() -> process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.exit_code() != 0 => {
            // It quotes arguments, which may have been copied from what a customer wrote.
            terminal::note(error.render().to_string().trim_end());
            return (ExitCode::Usage as u8).into();
        }
        // Help and version.
        Err(error) => error.exit(),
    };
    match cli::run(cli).await.and_then(|()| terminal::check_output()) {
        Ok(()) => process::ExitCode::SUCCESS,
        Err(error) => {
            terminal::error(&error);
            (ExitCode::of(&error) as u8).into()
        }
    }
}
