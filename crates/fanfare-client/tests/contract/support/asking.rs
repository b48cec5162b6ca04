//! The service, and requests to it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{StreamServer, within};
use crate::service::serve;

/// A service that runs in the test's process.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    running: JoinHandle<()>,
}

/// What a service answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    head: String,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = tokio::spawn(async { serve(listener).await.unwrap() });
        Self { address, running }
    }

    pub(crate) async fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        ask(self.address, method, target, body).await
    }

    /// Has a stream of `server` followed; the answer's location.
    pub(crate) async fn begin(
        &self,
        server: &StreamServer,
        callback_url: &str,
        params: Value,
    ) -> String {
        let mut all = json!({
            "tag": "a test",
            "streamUrl": server.url("/stream"),
            "callbackUrl": callback_url,
            "initialDelayMs": 0,
        });
        let Value::Object(params) = params else { panic!("no object: {params}") };
        all.as_object_mut().unwrap().extend(params);
        let answer = self.ask("POST", "/", &all.to_string()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.header("location").expect("a location").to_owned()
    }

    /// Waits for the service's end.
    pub(crate) async fn ended(self) {
        within("the end of the service", self.running).await.unwrap();
    }
}

/// Sends a request on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, method: &str, target: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: service\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = within("the service's answer", exchange).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: body.to_owned(), head: head.to_owned() }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}
