use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fanfare_client::{
    EventSource, Policy,
    transport::{Reqwest, Sending, Transport},
};
use http::Request;
use reqwest::Client;

/// The hubs that are asked, each time one of them at random. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Rotation(Arc<Mutex<Vec<String>>>);

/// Sends each request to one of the hubs, as what balances the load would.
struct Balanced {
    client: Reqwest,
    rotation: Rotation,
}

impl Rotation {
    pub(crate) fn new(urls: impl IntoIterator<Item = String>) -> Self {
        Self(Arc::new(Mutex::new(urls.into_iter().collect())))
    }

    /// The URL of one of the hubs, also of one that has just been killed.
    pub(crate) fn pick(&self) -> String {
        fastrand::choice(&*self.0.lock().unwrap()).expect("a hub in rotation").clone()
    }

    pub(crate) fn take_out(&self, url: &str) {
        self.0.lock().unwrap().retain(|other| other != url);
    }

    pub(crate) fn put_back(&self, url: String) {
        self.0.lock().unwrap().push(url);
    }

    /// A subscriber of whichever hub there is.
    pub(crate) fn follow(&self, client: &Client, target: &str, policy: Policy) -> EventSource {
        let transport = Balanced { client: client.clone().into(), rotation: self.clone() };
        let builder = EventSource::builder(&format!("http://hubs{target}")).transport(transport);
        let builder = builder.connect_timeout(super::hubs::SILENCE * 2);
        builder.idle_timeout(super::hubs::SILENCE * 2).policy(policy).build().unwrap()
    }
}

impl Transport for Balanced {
    fn send(&self, mut request: Request<Bytes>) -> Sending {
        let target = request.uri().path_and_query().unwrap();
        *request.uri_mut() = format!("{}{target}", self.rotation.pick()).parse().unwrap();
        self.client.send(request)
    }
}
