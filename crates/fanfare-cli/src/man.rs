//! `fanfare man`: the manual's pages.

use std::io;

use clap::{Args, Command, CommandFactory, error::ErrorKind};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{cli::Cli, failure::Failure, output};

const EXAMPLES: &str = "\
Examples:
  fanfare man sub | man -l -
  fanfare man > ~/.local/share/man/man1/fanfare.1
  fanfare man sub > ~/.local/share/man/man1/fanfare-sub.1";

/// Print a page of the manual
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Verb whose page is wanted [default: that of the command as a whole]
    verb: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let command = match &options.verb {
        None => command,
        Some(verb) => find(&mut command, verb)?,
    };
    let page = page(command).map_err(Failure::Stdout)?;
    output::print(&page)
}

fn find(command: &mut Command, verb: &str) -> Result<Command, Failure> {
    let found = command.find_subcommand(verb).cloned();
    found.ok_or_else(|| {
        let text = format!("there is no verb {verb:?}, and no page of it");
        Failure::Usage(command.error(ErrorKind::InvalidValue, text))
    })
}

/// What comes behind the options is laid out by hand, and stays so.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let more = command.get_after_long_help().or_else(|| command.get_after_help());
    let more = more.map(ToString::to_string).unwrap_or_default();
    let mut page = vec![];
    Man::new(command.after_help(None).after_long_help(None)).render(&mut page)?;

    let mut notes = Roff::new();
    notes.control("SH", ["NOTES"]).control("nf", []);
    for line in more.lines() {
        notes.text([roman(line)]);
    }
    page.extend_from_slice(notes.control("fi", []).to_roff().as_bytes());
    Ok(page)
}
