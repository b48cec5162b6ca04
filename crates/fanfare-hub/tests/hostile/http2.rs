use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Running, memory, within};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that is not compressed.
fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![];
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => bytes.push(length),
        _ => {
            bytes.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn head(headers: &[(&str, &str)]) -> Vec<u8> {
    headers.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/sse/smuggled")];
const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/sse/a")];

async fn connect(hub: &Running) -> TcpStream {
    let mut socket = hub.connect().await;
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    within("the preface", socket.write_all(&hello)).await.unwrap();
    socket
}

/// The status of an answer on the first stream, or 0 when that or the connection is ended.
async fn fate(socket: &mut TcpStream) -> u16 {
    loop {
        let mut begun = [0; 9];
        if within("a frame", socket.read_exact(&mut begun)).await.is_err() {
            return 0;
        }
        let length = u32::from_be_bytes([0, begun[0], begun[1], begun[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if within("a frame", socket.read_exact(&mut payload)).await.is_err() {
            return 0;
        }
        match begun[3] {
            HEADERS => return status(&payload),
            RESET | GO_AWAY => return 0,
            _ => {}
        }
    }
}

/// The status is the first header: one of the table's, or three digits behind the name's index.
fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let block = if block[0] & 0xe0 == 0x20 { &block[1..] } else { block };
    match block[0] {
        first @ 0x88..=0x8e => INDEXED[usize::from(first - 0x88)],
        _ => digits(&block[1..]),
    }
}

/// Three digits, plain or in Huffman's code, in which those up to 2 have five bits and others six.
fn digits(text: &[u8]) -> u16 {
    if text[0] & 0x80 == 0 {
        return std::str::from_utf8(&text[1..4]).unwrap().parse().unwrap();
    }
    let bits = text[1..=usize::from(text[0] & 0x7f)]
        .iter()
        .fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
    let mut left = 8 * u32::from(text[0] & 0x7f);
    let mut number = 0;
    for _ in 0..3 {
        let five = bits >> (left - 5) & 31;
        let digit = if five < 3 {
            left -= 5;
            five
        } else {
            left -= 6;
            (bits >> left & 63) - 0x19 + 3
        };
        number = number * 10 + u16::try_from(digit).unwrap();
    }
    number
}

#[tokio::test]
async fn heads_that_are_no_requests_are_refused() {
    let hub = Running::open().await;
    let without = |name: &str| POST.into_iter().filter(|one| one.0 != name).collect::<Vec<_>>();
    let with = |name, value| [&POST[..], &[(name, value)]].concat();
    let instead = |name: &'static str, value| {
        let mut headers = without(name);
        headers.insert(0, (name, value));
        headers
    };
    let long = "x".repeat(10_000);
    for (headers, statuses) in [
        (without(":method"), [0, 400]),
        (without(":path"), [0, 400]),
        (without(":scheme"), [0, 400]),
        (vec![], [0, 400]),
        (instead(":method", "CONNECT"), [0, 405]),
        (vec![(":method", "CONNECT"), (":authority", "a:80")], [0, 404]),
        (instead(":method", "PO ST"), [0, 400]),
        (instead(":path", ""), [0, 400]),
        (instead(":path", "*"), [0, 404]),
        (instead(":path", "sse/smuggled"), [0, 404]),
        (instead(":path", "/sse/smuggled HTTP/1.1\r\nx: y"), [0, 400]),
        (instead(":path", "/sse/\0"), [0, 400]),
        (instead(":authority", "a\r\nx: y"), [0, 400]),
        (with(":path", "/sse/other"), [0, 400]),
        (with(":status", "200"), [0, 400]),
        (with(":unknown", "x"), [0, 400]),
        (with("X-Upper", "x"), [0, 400]),
        (with("connection", "keep-alive"), [0, 400]),
        (with("transfer-encoding", "chunked"), [0, 400]),
        (with("te", "gzip"), [0, 400]),
        ([with("host", "a"), vec![("host", "b")]].concat(), [0, 400]),
        (with("x", "y\r\nz: w"), [0, 400]),
        (with("x y", "z"), [0, 400]),
        (with("", "z"), [0, 400]),
        (with("content-length", "5"), [0, 400]),
        (with("content-length", "0, 1"), [0, 400]),
        (with("content-length", "-1"), [0, 400]),
        ([with("content-length", "1"), vec![("content-length", "2")]].concat(), [0, 400]),
        ([with("x", &long), vec![("y", &long)]].concat(), [0, 431]),
        ([&[("x", "before the pseudo-headers")], &POST[..]].concat(), [0, 400]),
    ] {
        let mut socket = connect(&hub).await;
        let request =
            [frame(HEADERS, END_HEADERS, 1, &head(&headers)), frame(DATA, END_STREAM, 1, b"x")];
        // It may be refused before all of it is written.
        let _ = within("a write", socket.write_all(&request.concat())).await;
        let status = fate(&mut socket).await;
        assert!(statuses.contains(&status), "{status} for {:.200}", format!("{headers:?}"));
    }
    assert_eq!(hub.topics().await, [""; 0], "nothing of it was published");
    let mut socket = connect(&hub).await;
    let right = [
        frame(HEADERS, END_HEADERS, 1, &head(&[&POST[..], &[("content-length", "1")]].concat())),
        frame(DATA, END_STREAM, 1, b"x"),
    ];
    socket.write_all(&right.concat()).await.unwrap();
    assert_eq!(fate(&mut socket).await, 200);
    hub.end().await;
}

/// Writes frames until the hub has ended the connection or has taken them all, and reads what comes.
async fn flood(hub: &Running, frames: impl Iterator<Item = Vec<u8>>) -> bool {
    let (mut read, mut write) = connect(hub).await.into_split();
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while matches!(read.read(&mut buffer).await, Ok(1..)) {}
    });
    for frame in frames {
        if within("a write", write.write_all(&frame)).await.is_err() {
            within("the end", reading).await.unwrap();
            return true;
        }
    }
    drop(write);
    within("the end", reading).await.unwrap();
    false
}

#[tokio::test]
async fn floods_of_frames_end_their_connection_or_cost_nothing() {
    const FRAMES: u32 = 20_000;

    let hub = Running::open().await;
    let streams = || (0..FRAMES).map(|index| index * 2 + 1);
    let before = memory();
    // Rapid reset: each request is taken back at once.
    let get = head(&GET);
    let resets = streams().map(|stream| {
        let open = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get);
        [open, frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    assert!(flood(&hub, resets).await, "rapid reset");
    // The hub is made to reset: a window that overflows.
    let overflows = streams().map(|stream| {
        let open = frame(HEADERS, END_HEADERS, stream, &get);
        [open, frame(WINDOW_UPDATE, 0, stream, &i32::MAX.to_be_bytes())].concat()
    });
    assert!(flood(&hub, overflows).await, "resets of the hub's own");
    // A head without an end.
    let begun = std::iter::once(frame(HEADERS, 0, 1, &get));
    let more = literal("x", &"y".repeat(1000));
    let endless = begun.chain((0..FRAMES).map(|_| frame(CONTINUATION, 0, 1, &more)));
    assert!(flood(&hub, endless).await, "continuations");
    let begun = std::iter::once(frame(HEADERS, 0, 1, &get));
    let empty = begun.chain((0..FRAMES).map(|_| frame(CONTINUATION, 0, 1, &[])));
    assert!(flood(&hub, empty).await, "empty continuations");
    // What has to be answered, or thought of.
    for kind in [PING, SETTINGS, PRIORITY] {
        let payload: &[u8] = match kind {
            PING => &[0; 8],
            SETTINGS => &[0, 4, 0, 0, 255, 255],
            _ => &[0; 5],
        };
        let stream = u32::from(kind == PRIORITY);
        flood(&hub, (0..FRAMES).map(|_| frame(kind, 0, stream, payload))).await;
    }
    // Data that is none.
    let open = std::iter::once(frame(HEADERS, END_HEADERS, 1, &head(&POST)));
    flood(&hub, open.chain((0..FRAMES).map(|_| frame(DATA, 0, 1, &[])))).await;
    // Frames of kinds that there are not, and frames that are too large.
    flood(&hub, (0..FRAMES).map(|_| frame(99, 255, 0, b"?"))).await;
    assert!(flood(&hub, (0..100).map(|_| frame(DATA, 0, 1, &vec![0; 100_000]))).await, "too large");
    let grown = memory().saturating_sub(before);
    println!("floods of HTTP/2 frames: memory has grown by {grown} bytes");
    assert!(grown < 32 << 20, "memory has grown by {grown} bytes");
    assert_eq!(hub.topics().await, [""; 0]);
    hub.end().await;
}
