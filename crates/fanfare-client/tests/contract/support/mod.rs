mod asking;
mod callbacks;
mod stream;
mod wait;

pub(crate) use asking::{Answer, Service, ask};
pub(crate) use callbacks::{Callbacks, comment, event};
pub(crate) use stream::{Break, Connection, StreamServer};
pub(crate) use wait::within;

use serde_json::{Value, json};

/// A service that follows one stream, and both its ends.
pub(crate) struct Contract {
    pub(crate) service: Service,
    pub(crate) server: StreamServer,
    pub(crate) callbacks: Callbacks,
    /// Where the service takes commands for the stream.
    pub(crate) location: String,
}

impl Contract {
    /// Has a stream followed without a delay before reconnections, and with what else `params` say.
    pub(crate) async fn with(params: Value) -> Self {
        let (service, server) = (Service::start().await, StreamServer::start().await);
        let callbacks = Callbacks::start().await;
        let location = service.begin(&server, &callbacks.url, params).await;
        Self { service, server, callbacks, location }
    }

    /// The same, with the stream open.
    pub(crate) async fn open() -> (Self, Connection) {
        Self::open_with(json!({})).await
    }

    pub(crate) async fn open_with(params: Value) -> (Self, Connection) {
        let contract = Self::with(params).await;
        let stream = contract.server.open().await;
        (contract, stream)
    }

    /// Sends the stream a command.
    pub(crate) async fn command(&self, command: Value) -> Answer {
        self.service.ask("POST", &self.location, &command.to_string()).await
    }

    pub(crate) async fn restart(&self) {
        assert_eq!(self.command(json!({ "command": "restart" })).await.status, 202);
    }

    /// The next callback, which is to tell of this.
    #[track_caller]
    pub(crate) fn tells(&mut self, expected: Value) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move { assert_eq!(self.callbacks.next().await, expected, "at {at}") }
    }

    /// The next callback, which is to tell of an error; what it says.
    pub(crate) async fn error(&mut self) -> String {
        let told = self.callbacks.next().await;
        assert_eq!(told["kind"], "error", "{told}");
        told["error"].as_str().unwrap_or_else(|| panic!("says nothing: {told}")).to_owned()
    }
}
