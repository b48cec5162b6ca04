//! SIGTERM and SIGINT, once and twice.

use std::{io, process};

use tokio::{
    select,
    signal::unix::{Signal as Signals, SignalKind, signal},
    sync::oneshot,
};

use crate::signals::Signal;

/// Ready when the end is asked for. The second time ends the process at once, whatever it does.
pub(super) fn ending() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupts, mut terminations) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        next(&mut interrupts, &mut terminations).await;
        tracing::info!("the end is asked for; a second time ends it at once");
        let _ = tell.send(());
        let signal = next(&mut interrupts, &mut terminations).await;
        signal.tidy();
        process::exit(signal.status().into());
    });
    Ok(async move {
        // The task tells before it ends.
        let _ = told.await;
    })
}

async fn next(interrupts: &mut Signals, terminations: &mut Signals) -> Signal {
    select! {
        _ = interrupts.recv() => Signal::Interrupt,
        _ = terminations.recv() => Signal::Terminate,
    }
}
