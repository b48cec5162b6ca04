//! A server that passes on what is published to it, more or less.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    spawn,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// Says which of the events that were published, by their numbers, a subscriber is given after the one
/// of this number has come. Both count from 0.
pub(crate) type Lie = fn(subscriber: usize, number: usize) -> Vec<usize>;

/// Serves until it is dropped. It answers publishing to `/old` in the manner of HTTP/1.0, to `/closed`
/// with a body that the connection's end ends, and to `/silent` not at all.
pub(crate) struct Liar {
    pub(crate) address: String,
    shared: Arc<Mutex<Shared>>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Shared {
    lie: Lie,
    published: Vec<Vec<u8>>,
    subscribers: Vec<UnboundedSender<Vec<u8>>>,
    sources: BTreeSet<IpAddr>,
    last_head: String,
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Liar {
    pub(crate) async fn start(lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared {
            lie,
            published: vec![],
            subscribers: vec![],
            sources: BTreeSet::new(),
            last_head: String::new(),
        }));
        let accepting = spawn(accept(listener, shared.clone()));
        Self { address, shared, accepting }
    }

    /// The addresses that subscribers came from.
    pub(crate) fn sources(&self) -> Vec<IpAddr> {
        self.shared.lock().unwrap().sources.iter().copied().collect()
    }

    /// The head of the newest request that published.
    pub(crate) fn last_head(&self) -> String {
        self.shared.lock().unwrap().last_head.clone()
    }

    /// The body of the newest.
    pub(crate) fn last_body(&self) -> String {
        let shared = self.shared.lock().unwrap();
        String::from_utf8(shared.published.last().unwrap().clone()).unwrap()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        let shared = shared.clone();
        // A connection that the other side has left is of no interest.
        spawn(async move { drop(serve(stream, peer.ip(), shared).await) });
    }
}

async fn serve(stream: TcpStream, peer: IpAddr, shared: Arc<Mutex<Shared>>) -> std::io::Result<()> {
    let (mut input, mut output) = stream.into_split();
    let mut rest = vec![];
    while let Some((head, body)) = request(&mut input, &mut rest).await? {
        if head.starts_with("GET ") {
            let (sender, receiver) = unbounded_channel();
            {
                let mut shared = shared.lock().unwrap();
                shared.subscribers.push(sender);
                shared.sources.insert(peer);
            }
            return stream_events(output, receiver).await;
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        publish(&mut shared.lock().unwrap(), head, body);
        let old = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";
        match &*path {
            "/silent" => break,
            "/old" => return output.write_all(old).await,
            "/closed" => return output.write_all(b"HTTP/1.1 200 OK\r\n\r\nok").await,
            _ => output.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?,
        }
    }
    Ok(())
}

fn publish(shared: &mut Shared, head: String, body: Vec<u8>) {
    let number = shared.published.len();
    shared.published.push(body);
    shared.last_head = head;
    for (subscriber, sender) in shared.subscribers.iter().enumerate() {
        for given in (shared.lie)(subscriber, number) {
            // Whoever has left is given nothing.
            let _ = sender.send(shared.published[given].clone());
        }
    }
}

async fn request(
    input: &mut OwnedReadHalf,
    rest: &mut Vec<u8>,
) -> std::io::Result<Option<(String, Vec<u8>)>> {
    loop {
        if let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(rest[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if rest.len() >= end + 4 + length {
                let body = rest[end + 4..end + 4 + length].to_vec();
                rest.drain(..end + 4 + length);
                return Ok(Some((head, body)));
            }
        }
        if input.read_buf(rest).await? == 0 {
            return Ok(None);
        }
    }
}

/// In many forms, as chunks whose ends mean nothing, in writes whose ends mean nothing.
async fn stream_events(
    mut output: OwnedWriteHalf,
    mut events: UnboundedReceiver<Vec<u8>>,
) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    output.write_all(head.as_bytes()).await?;
    let mut random = fastrand::Rng::with_seed(7);
    while let Some(data) = events.recv().await {
        let form = random.usize(..4);
        let (before, behind): (&[u8], &[u8]) = match form {
            0 => (b"data:", b"\n\n"),
            1 => (b": comment\nid: 7\r\nevent: x\r\ndata: ", b"\r\n\r\n"),
            2 => (b"data: [{\"text\":\"\rdata: ", b"\r\r"),
            _ => (b":\n\nretry: 5\n\ndata: ", b"\nid: 8\nunknown: y\n\n"),
        };
        let mut wire = vec![];
        for piece in cut(&[before, &*data, behind].concat(), &mut random) {
            wire.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
            wire.extend_from_slice(&piece);
            wire.extend_from_slice(b"\r\n");
        }
        for piece in cut(&wire, &mut random) {
            output.write_all(&piece).await?;
        }
    }
    Ok(())
}

/// Cuts at two places.
fn cut(bytes: &[u8], random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let mut cuts = [0, random.usize(..bytes.len()), random.usize(..bytes.len()), bytes.len()];
    cuts.sort_unstable();
    let pieces = cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec());
    pieces.filter(|piece| !piece.is_empty()).collect()
}
