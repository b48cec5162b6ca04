use std::{env, sync::Arc};

use fanfare_client::{Event, EventId, EventSource, Item, Policy, transport::Reqwest};
use futures_util::StreamExt;
use reqwest::Client;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use crate::command::{Folder, Hub, output, within};

/// One proof at a time: they would measure each other.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Whether the long version is asked for.
pub(crate) fn is_soak() -> bool {
    env::var_os("FANFARE_SOAK").is_some_and(|value| value == "1")
}

/// What is drawn at random hangs on this; setting `FANFARE_SEED` draws the same again.
pub(crate) fn seed() -> u64 {
    let set = env::var("FANFARE_SEED").ok();
    let seed = set.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("FANFARE_SEED={seed}");
    seed
}

/// A client for plain HTTP.
pub(crate) fn client() -> Client {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

/// A stream that is given up when it is lost, so that the test sees it.
pub(crate) fn follow(client: &Client, url: &str, last_event_id: &str) -> EventSource {
    follow_with(Policy::never(), client, url, last_event_id)
}

pub(crate) fn follow_with(
    policy: Policy,
    client: &Client,
    url: &str,
    last_event_id: &str,
) -> EventSource {
    let transport = Reqwest::from(client.clone());
    let builder = EventSource::builder(url).transport(transport).policy(policy);
    let builder = match EventId::new(last_event_id) {
        Ok(id) if !last_event_id.is_empty() => builder.last_event_id(id),
        _ => builder,
    };
    builder.build().unwrap()
}

/// The next event; `None` when the stream is lost.
pub(crate) async fn next(source: &mut EventSource) -> Option<Event> {
    loop {
        match source.next().await? {
            Ok(Item::Event(event)) => return Some(event),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.status(), None, "a stream was refused");
                return None;
            }
        }
    }
}

/// Epoch and position of an id on the wire.
pub(crate) fn parts(id: &str) -> (&str, u64) {
    let (epoch, position) = id.rsplit_once('-').unwrap();
    (epoch, position.parse().unwrap())
}
