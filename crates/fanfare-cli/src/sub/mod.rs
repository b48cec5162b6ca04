//! `fanfare sub`: follows an event stream.

// From the command line to an event source.
mod arguments;
mod data;
mod options;
mod resume;
mod tee;

// From its items to stdout, and to what stderr tells.
mod explained;
mod follower;
mod news;
mod printer;

use std::{io, sync::mpsc, time::SystemTime};

use fanfare_client::transport::Reqwest;
use tokio::runtime;

pub(crate) use arguments::{Header, header, url};
pub(crate) use explained::Explained;
pub(crate) use options::Options;

use crate::{failure::Failure, output, readable::Readable, signals};
use follower::{Follower, stop};
use news::News;
use printer::{Format, Printer};
use resume::Resume;
use tee::Tee;

pub(crate) fn run(options: &Options, now: fn() -> SystemTime) -> Result<(), Failure> {
    let follower = follower(options, now)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::Begin)?;
    let signal = signals::watch().map_err(Failure::Begin)?;
    let unread = output::watch().map_err(Failure::Begin)?;
    let outcome = runtime.block_on(follower.run(stop(options.time, signal, unread)));
    // A host's name that is being looked up is not waited for.
    runtime.shutdown_background();
    outcome
}

fn follower(options: &Options, now: fn() -> SystemTime) -> Result<Follower, Failure> {
    let resume = options.resume.as_deref().map(Resume::open).transpose()?;
    let kept = resume.as_ref().and_then(Resume::id);
    let mut source = options.source(kept.or_else(|| options.last_event_id.clone()))?;
    let format = if options.raw {
        let (copies, chunks) = mpsc::channel();
        source = source.transport(Tee::new(Reqwest::new()?, copies));
        Format::Raw(chunks)
    } else if options.json {
        Format::Json
    } else {
        Format::Readable(Readable::new(now, output::is_coloured(&io::stdout())))
    };
    Ok(Follower {
        source: source.build()?,
        printer: Printer::new(format),
        news: News::new(options.quiet, options.explainer()),
        resume,
        names: options.events.clone(),
        left: options.count,
    })
}
