//! `fanfare completions`: scripts that let a shell complete the command.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{cli::Cli, failure::Failure, output};

const EXAMPLES: &str = "\
Examples:
  fanfare completions bash > ~/.local/share/bash-completion/completions/fanfare
  fanfare completions zsh > ~/.zfunc/_fanfare
  fanfare completions fish > ~/.config/fish/completions/fanfare.fish";

/// Print a shell's completions for this command
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut script = vec![];
    clap_complete::generate(options.shell, &mut Cli::command(), "fanfare", &mut script);
    output::print(&script)
}
