use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::support::{Folder, within};

const MANY: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_who_come_at_once_are_all_served() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let folder = Folder::new();
    let hub = folder.serve(&["--memory"]).await;
    let address = hub.url("").trim_start_matches("http://").parse().unwrap();
    let mut coming = JoinSet::new();
    for _ in 0..MANY {
        coming.spawn(follow(address));
    }
    let mut streams = within("all streams", coming.join_all()).await;
    let end = folder.run(&["pub", &hub.url("/sse/a"), "hello"]).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    for stream in &mut streams {
        within("the event", read_up_to(stream, "data: hello\n\n")).await;
    }
}

/// A stream that was answered.
async fn follow(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("nobody is refused");
    socket.write_all(b"GET /sse/a HTTP/1.1\r\nhost: hub\r\n\r\n").await.unwrap();
    let head = read_up_to(&mut socket, ":ok\n\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    socket
}

async fn read_up_to(socket: &mut TcpStream, text: &str) -> String {
    let mut read = vec![];
    while !String::from_utf8_lossy(&read).contains(text) {
        let len = socket.read_buf(&mut read).await.expect("nobody is cut off");
        assert_ne!(len, 0, "{text:?} is missing behind {read:?}");
    }
    String::from_utf8(read).unwrap()
}
