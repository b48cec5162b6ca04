use crate::support::Running;

/// What a proxy in front may take for a part of the body.
const SMUGGLED: &str =
    "POST /sse/smuggled HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nsmuggled";

/// What may become of a request whose length can be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is refused, and so is the connection.
    Refused,
    /// It is one request, and its body is what was sent.
    OneWay,
    /// That too, and what is behind it is not read: one of two lengths counts, which a proxy in front
    /// need not know.
    Last,
}

use Fate::{Last, OneWay, Refused};

fn post(headers: &str, body: &str) -> String {
    format!("POST /sse/a HTTP/1.1\r\nhost: a\r\n{headers}\r\n{body}")
}

/// One chunk that holds the smuggled request, with this in place of its size line.
fn chunk(size: &str) -> String {
    format!("{size}\r\n{SMUGGLED}\r\n0\r\n\r\n")
}

type Shape = (&'static str, String, Fate);

const TE: &str = "transfer-encoding: chunked\r\n";

fn cl() -> String {
    format!("content-length: {}\r\n", SMUGGLED.len())
}

/// An empty body, and behind it the smuggled request.
fn empty() -> String {
    format!("0\r\n\r\n{SMUGGLED}")
}

fn lengths() -> Vec<Shape> {
    let te = TE;
    let cl = cl();
    let length = SMUGGLED.len();
    let hex = format!("{:x}", SMUGGLED.len());
    let empty = empty();
    let whole = empty.len();
    vec![
        ("a body that looks like a request", post(&cl, SMUGGLED), OneWay),
        ("a chunk that looks like a request", post(te, &chunk(&hex)), OneWay),
        ("both, length first", post(&format!("content-length: {whole}\r\n{te}"), &empty), Last),
        ("both, length last", post(&format!("{te}content-length: {whole}\r\n"), &empty), Last),
        ("both, with a length of 0", post(&format!("content-length: 0\r\n{te}"), &empty), Last),
        ("two lengths", post(&format!("content-length: 0\r\n{cl}"), SMUGGLED), Refused),
        (
            "two lengths, the other way",
            post(&format!("{cl}content-length: 0\r\n"), SMUGGLED),
            Refused,
        ),
        ("a list of lengths", post(&format!("content-length: 0, {length}\r\n"), SMUGGLED), Refused),
        (
            "a length with a sign",
            post(&format!("content-length: +{length}\r\n"), SMUGGLED),
            Refused,
        ),
        ("a negative length", post("content-length: -1\r\n", SMUGGLED), Refused),
        (
            "a length in hexadecimal",
            post(&format!("content-length: 0x{hex}\r\n"), SMUGGLED),
            Refused,
        ),
        (
            "a length beyond 64 bits",
            post("content-length: 18446744073709551616\r\n", SMUGGLED),
            Refused,
        ),
        ("an empty length", post("content-length: \r\n", SMUGGLED), Refused),
    ]
}

fn encodings() -> Vec<Shape> {
    let te = TE;
    let cl = cl();
    let length = SMUGGLED.len();
    let empty = empty();
    vec![
        ("chunked twice", post("transfer-encoding: chunked, chunked\r\n", &empty), Refused),
        ("chunked twice in two headers", post(&format!("{te}{te}"), &empty), Refused),
        (
            "chunked is not the last",
            post("transfer-encoding: chunked, identity\r\n", &empty),
            Refused,
        ),
        ("an encoding that is none", post("transfer-encoding: xchunked\r\n", &empty), Refused),
        ("chunked in quotes", post("transfer-encoding: \"chunked\"\r\n", &empty), Refused),
        (
            "chunked behind a vertical tab",
            post("transfer-encoding: \x0bchunked\r\n", &empty),
            Refused,
        ),
        (
            "a space before the colon",
            post(&format!("content-length : {length}\r\n"), SMUGGLED),
            Refused,
        ),
        (
            "an encoding with a space before the colon",
            post(&format!("{cl}transfer-encoding : chunked\r\n"), SMUGGLED),
            Refused,
        ),
        (
            "a name with an underscore",
            post(&format!("{cl}transfer_encoding: chunked\r\n"), SMUGGLED),
            OneWay,
        ),
        ("a folded encoding", post("transfer-encoding:\r\n chunked\r\n", &empty), Refused),
        ("a folded length", post(&format!("x: y\r\n content-length: {length}\r\n"), ""), Refused),
        (
            "a header without a colon",
            post(&format!("{cl}transfer-encoding chunked\r\n"), SMUGGLED),
            Refused,
        ),
        ("a NUL in a header", post(&format!("{cl}x: \0\r\n"), SMUGGLED), Refused),
        (
            "a bare CR in a header",
            post(&format!("{cl}x: y\rtransfer-encoding: chunked\r\n"), SMUGGLED),
            Refused,
        ),
    ]
}

fn chunks() -> Vec<Shape> {
    let te = TE;
    let cl = cl();
    let hex = format!("{:x}", SMUGGLED.len());
    let empty = empty();
    vec![
        ("a chunk size beyond 64 bits", post(te, &chunk("fffffffffffffffff")), Refused),
        (
            "a chunk size that overflows to the right one",
            post(te, &chunk(&format!("1000000000000000{hex:0>2}"))),
            Refused,
        ),
        ("a chunk size with a sign", post(te, &chunk(&format!("+{hex}"))), Refused),
        ("a chunk size with a prefix", post(te, &chunk(&format!("0x{hex}"))), Refused),
        ("a chunk size with an underscore", post(te, &chunk(&format!("0_{hex}"))), Refused),
        ("an empty chunk size", post(te, &chunk("")), Refused),
        ("a chunk extension", post(te, &chunk(&format!("{hex};x=y"))), OneWay),
        ("a chunk extension with a bare LF", post(te, &chunk(&format!("{hex};x\n0"))), Refused),
        ("a chunk that ends in a bare LF", post(te, "1\r\nx\n0\r\n\r\n"), Refused),
        ("a chunk that is longer than it says", post(te, "1\r\nxyz\r\n0\r\n\r\n"), Refused),
        (
            "a trailer that is a request",
            post(te, &format!("1\r\nx\r\n0\r\n{SMUGGLED}\r\n\r\n")),
            Refused,
        ),
        (
            "an absolute target",
            format!("POST http://other/sse/a HTTP/1.1\r\nhost: a\r\n{cl}\r\n{SMUGGLED}"),
            OneWay,
        ),
        (
            "a target with a space",
            format!("POST /sse/a HTTP/1.1 /x HTTP/1.1\r\nhost: a\r\n{cl}\r\n{SMUGGLED}"),
            Refused,
        ),
        (
            "an encoding in HTTP/1.0",
            format!("POST /sse/a HTTP/1.0\r\nconnection: keep-alive\r\n{te}\r\n{empty}"),
            Refused,
        ),
    ]
}

/// A proxy in front may route by another host than a server behind it.
fn hosts() -> Vec<Shape> {
    let cl = cl();
    let asked = |version: &str, hosts: &str| {
        format!("POST /sse/a HTTP/{version}\r\n{hosts}{cl}\r\n{SMUGGLED}")
    };
    let kept = "connection: keep-alive\r\n";
    vec![
        ("two hosts", asked("1.1", "host: a\r\nhost: b\r\n"), Refused),
        ("the same host twice", asked("1.1", "host: a\r\nHOST: a\r\n"), Refused),
        ("no host", asked("1.1", ""), Refused),
        ("two hosts in HTTP/1.0", asked("1.0", &format!("host: a\r\nhost: b\r\n{kept}")), Refused),
        ("no host in HTTP/1.0, which need not have one", asked("1.0", kept), OneWay),
        ("an empty host", asked("1.1", "host:\r\n"), OneWay),
    ]
}

#[tokio::test]
async fn no_request_comes_out_of_a_body() {
    let hub = Running::open().await;
    let mut wrong = vec![];
    for (what, request, fate) in [lengths(), encodings(), chunks(), hosts()].concat() {
        let before = hub.hub.log().newest().0;
        let answers = hub.ask(&request).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        let published = hub.hub.log().newest().0 - before;
        let is_smuggled = hub.topics().await.iter().any(|name| name == "smuggled");
        let is_right = match fate {
            Refused => statuses == [400] && published == 0,
            OneWay => statuses == [200, 200] && published == 1,
            Last => statuses == [200] && published == 1,
        };
        if !is_right || is_smuggled {
            wrong.push(format!("{what}: {statuses:?}, {published} published, not {fate:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    hub.end().await;
}
