//! Who hangs: when a test has waited in vain, everyone tells how they are before it fails.

use std::{
    any::Any,
    fs,
    panic::{AssertUnwindSafe, resume_unwind},
    path::Path,
    time::Duration,
};

use futures_util::FutureExt;
use reqwest::Client;

use super::{broker::Broker, hubs::Hubs};

/// How long somebody is listened to.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of what somebody has written, the last lines.
const LINES: usize = 40;

/// What is said again and again while something is not well.
const NOISE: [&str; 2] = ["Healthcheck failed", "nothing can be published"];

/// What a test has come to, or why it has failed.
pub(crate) type Outcome<T> = Result<T, Box<dyn Any + Send>>;

pub(crate) async fn outcome<T>(test: impl Future<Output = T>) -> Outcome<T> {
    AssertUnwindSafe(test).catch_unwind().await
}

/// Fails as the test has failed, when hubs and servers have told how they are.
pub(crate) async fn or_tell<T>(outcome: Outcome<T>, broker: &Broker, hubs: &Hubs) -> T {
    match outcome {
        Ok(done) => done,
        Err(failure) => {
            broker.tell().await;
            hubs.tell().await;
            resume_unwind(failure)
        }
    }
}

/// Prints what is answered there, whatever the status is.
pub(crate) async fn tell(client: &Client, url: &str) {
    let asking = async {
        let answer = client.get(url).timeout(PATIENCE).send().await?;
        Ok::<_, reqwest::Error>(format!("{} {}", answer.status(), answer.text().await?))
    };
    let text = asking.await.unwrap_or_else(|error| format!("{error:?}"));
    println!("--- {url}\n{text}");
}

/// Prints the end of what somebody has written.
pub(crate) fn tell_end(file: &Path) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let is_said_again = |line: &&str| NOISE.iter().any(|noise| line.contains(noise));
    let lines: Vec<_> = text.lines().filter(|line| !is_said_again(line)).collect();
    let end = &lines[lines.len().saturating_sub(LINES)..];
    println!("--- {}\n{}", file.display(), end.join("\n"));
}
