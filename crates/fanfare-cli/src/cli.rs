//! What the command line can ask for.

use clap::{Parser, Subcommand};

use crate::{bench, completions, config, decode, log, man, publish, serve, sub, token};

const EXAMPLES: &str = "\
Examples:
  fanfare serve
  fanfare pub http://localhost:8080/sse/news hello
  fanfare sub https://example.com/events
  fanfare sub http://localhost:8080/sse --count 3 --json
  curl -sN http://localhost:8080/sse | fanfare decode --all

`fanfare VERB --help` tells more of each, with its exit statuses.";

/// Server-sent events: a hub that serves them, and verbs to publish, follow and decode them
#[derive(Debug, Parser)]
#[command(
    name = "fanfare",
    version,
    after_help = EXAMPLES,
    max_term_width = 100,
    subcommand_help_heading = "Verbs",
    subcommand_value_name = "VERB"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Serve(Box<serve::Options>),
    Pub(Box<publish::Options>),
    Sub(Box<sub::Options>),
    Bench(Box<bench::Options>),
    Token(Box<token::Options>),
    Config(config::Options),
    Log(log::Options),
    Decode(decode::Options),
    Completions(completions::Options),
    Man(man::Options),
}
