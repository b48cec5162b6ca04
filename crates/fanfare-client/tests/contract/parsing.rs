use serde_json::{Value, json};

use crate::support::{Callbacks, Contract, Service, StreamServer, comment, event};

/// Streams to a service that are sent in chunks of all kinds, with what it tells of them.
struct Streams {
    service: Service,
    server: StreamServer,
}

impl Streams {
    async fn start() -> Self {
        Self { service: Service::start().await, server: StreamServer::start().await }
    }

    /// Has the service tell exactly this of a stream, however it is cut.
    async fn tell(&self, stream: impl AsRef<[u8]>, expected: &[Value]) {
        let stream = stream.as_ref();
        for size in [stream.len(), 1, 2] {
            let chunks = stream.chunks(size).collect::<Vec<_>>();
            self.tell_of_chunks(&chunks, expected).await;
        }
    }

    async fn tell_of_chunks(&self, chunks: &[&[u8]], expected: &[Value]) {
        let mut callbacks = Callbacks::start().await;
        let location = self.service.begin(&self.server, &callbacks.url, json!({})).await;
        let mut connection = self.server.open().await;
        for chunk in chunks {
            connection.send(chunk).await;
        }
        // What comes before this one is all there is.
        connection.send("event: last\nid: last\ndata\n\n").await;
        for expected in expected.iter().chain([&event("last", "", "last")]) {
            let sent = chunks.concat();
            assert_eq!(
                &callbacks.next().await,
                expected,
                "of {:?}",
                sent.escape_ascii().to_string()
            );
        }
        self.service.ask("DELETE", &location, "").await;
    }
}

/// What tells of an event with nothing but data.
fn data(data: &str) -> Value {
    event("message", data, "")
}

#[tokio::test]
async fn events_have_data_a_type_and_an_id() {
    let streams = Streams::start().await;
    streams.tell("data: a\n\n", &[data("a")]).await;
    streams.tell("data: a\n\ndata: b\n\n", &[data("a"), data("b")]).await;
    streams.tell("data: a\ndata:b\n\n", &[data("a\nb")]).await;
    streams.tell("data:\n\n", &[data("")]).await;
    streams.tell("data\n\ndata\ndata\n\n", &[data(""), data("\n")]).await;
    streams.tell("event: hi\ndata: a\n\n", &[event("hi", "a", "")]).await;
    streams.tell("id: 7\ndata: a\n\n", &[event("message", "a", "7")]).await;
    streams.tell("event: hi\nid: 7\ndata: a\n\n", &[event("hi", "a", "7")]).await;
    streams.tell("data: a\nid: 7\nevent: hi\n\n", &[event("hi", "a", "7")]).await;
    streams.tell("event:hi\ndata:a\n\n", &[event("hi", "a", "")]).await;
    streams.tell("event:  hi\ndata:  a\n\n", &[event(" hi", " a", "")]).await;
    streams.tell("event: hi\ncolour: blue\ndata: a\n\n", &[event("hi", "a", "")]).await;
    streams.tell("data: €豆腐\n\n", &[data("€豆腐")]).await;
    streams.tell("data: \"quoted\"\t\0\u{2028}\n\n", &[data("\"quoted\"\t\0\u{2028}")]).await;
}

#[tokio::test]
async fn an_id_stays_until_another_comes() {
    let streams = Streams::start().await;
    let with_id = |data, id| event("message", data, id);
    let first = with_id("a", "7");
    streams.tell("id: 7\ndata: a\n\ndata: b\n\n", &[first.clone(), with_id("b", "7")]).await;
    streams.tell("id: 7\ndata: a\n\nid\ndata: b\n\n", &[first.clone(), data("b")]).await;
    streams.tell("id: 7\ndata: a\n\nid: \ndata: b\n\n", &[first, data("b")]).await;
    streams.tell("id: a\0b\ndata: a\n\n", &[data("a")]).await;
}

#[tokio::test]
async fn lines_end_with_lf_or_crlf_or_cr() {
    let streams = Streams::start().await;
    for (stream, expected) in [
        ("data: a||", vec![data("a")]),
        ("data: a||data: b|data: c||", vec![data("a"), data("b\nc")]),
        ("data:|data: b|data: c||", vec![data("\nb\nc")]),
        ("data: a|data:|data: c||", vec![data("a\n\nc")]),
        ("data: a|||data: b||", vec![data("a"), data("b")]),
        ("data: a||||data: b||", vec![data("a"), data("b")]),
    ] {
        for end in ["\n", "\r\n", "\r"] {
            streams.tell(stream.replace('|', end), &expected).await;
        }
    }
}

#[tokio::test]
async fn a_line_end_may_be_cut_in_two() {
    let chunks = ["data: a\r", "\ndata: b\r", "\n\r\ndata: c\r", "\n", "\r", "\n"];
    let chunks = chunks.map(str::as_bytes);
    Streams::start().await.tell_of_chunks(&chunks, &[data("a\nb"), data("c")]).await;
}

#[tokio::test]
async fn chunks_end_where_they_like() {
    let chunks: [&[u8]; 3] = [b"data: a", b"b\n\ndata:", b"c\n\n"];
    Streams::start().await.tell_of_chunks(&chunks, &[data("ab"), data("c")]).await;
}

#[tokio::test]
async fn one_byte_order_mark_at_the_start_is_dropped() {
    let streams = Streams::start().await;
    streams.tell("\u{feff}data: a\n\ndata: b\n\n", &[data("a"), data("b")]).await;
    streams.tell("\u{feff}event: hi\nid: 7\ndata: a\n\n", &[event("hi", "a", "7")]).await;
    streams.tell("\u{feff}data: a\ndata: b\n\n", &[data("a\nb")]).await;
    streams.tell("\u{feff}data:\n\n", &[data("")]).await;
    streams.tell("\u{feff}:a\ndata: b\n\n", &[comment("a"), data("b")]).await;
    streams.tell("\u{feff}data: \u{feff}a\n\n", &[data("\u{feff}a")]).await;
    streams.tell("data: a\n\ndata: \u{feff}b\n\n", &[data("a"), data("\u{feff}b")]).await;
    streams.tell("\u{feff}\u{feff}data: a\n\ndata: b\n\n", &[data("b")]).await;
}

#[tokio::test]
async fn comments_are_told_where_they_come() {
    let streams = Streams::start().await;
    streams.tell(":a\n", &[comment("a")]).await;
    streams.tell(":a\n:b\n", &[comment("a"), comment("b")]).await;
    streams.tell(":\n", &[comment("")]).await;
    streams.tell(":a\ndata: b\n\n", &[comment("a"), data("b")]).await;
    streams.tell("data: a\n\n:b\n", &[data("a"), comment("b")]).await;
    streams.tell("data: a\n:b\ndata: c\n\n", &[comment("b"), data("a\nc")]).await;
}

#[tokio::test]
async fn a_comment_is_told_before_anything_follows_it() {
    let (mut contract, mut stream) = Contract::open().await;
    for text in ["a", "b"] {
        stream.send(format!(":{text}\n")).await;
        contract.tells(comment(text)).await;
    }
}

#[tokio::test]
async fn a_hundred_events_are_told_one_after_the_other() {
    let (mut contract, mut stream) = Contract::open().await;
    let events = (0..100).map(|number| format!("id: {number}\ndata: event {number}\n\n"));
    stream.send(events.collect::<String>()).await;

    for number in 0..100 {
        let expected = event("message", &format!("event {number}"), &number.to_string());
        contract.tells(expected).await;
    }
}

#[tokio::test]
async fn an_event_of_14_megabytes_comes_whole() {
    let printable = (' '..='~').collect::<String>();
    let data = printable.repeat(14_000_000 / printable.len());
    let (first, second) = data.split_at(data.len() / 2);
    let (mut contract, mut stream) = Contract::open().await;
    stream.send(format!("id: 7\ndata: {first}")).await;
    stream.send(format!("{second}\n\n")).await;

    let told = contract.callbacks.next().await;
    assert_eq!(told["event"]["id"], "7");
    assert!(told["event"]["data"] == *data, "the data is not what was sent");
}
