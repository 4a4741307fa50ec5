//! `clientele completions`: prints a script that completes the command line.

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;

use crate::terminal;

/// Print a script that completes the command line in a shell.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele completions bash >~/.local/share/bash-completion/completions/clientele
  clientele completions zsh >~/.zfunc/_clientele        # a folder of $fpath
  clientele completions fish >~/.config/fish/completions/clientele.fish
  clientele completions powershell >>$PROFILE")]
pub struct Completions {
    /// The shell
    shell: SupportedShell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SupportedShell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

/// Runs `clientele completions`, for that command line.
pub fn completions(completions: &Completions, mut command: Command) {
    let shell = match completions.shell {
        SupportedShell::Bash => Shell::Bash,
        SupportedShell::Zsh => Shell::Zsh,
        SupportedShell::Fish => Shell::Fish,
        SupportedShell::Powershell => Shell::PowerShell,
    };
    let mut script = vec![];
    clap_complete::generate(shell, &mut command, "clientele", &mut script);
    terminal::script(&script);
}
