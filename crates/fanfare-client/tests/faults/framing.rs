use fanfare_client::Item;

use crate::support::{Answer, Server, chunk, next, told, with_each};

const STREAM: &str = "\u{feff}: hello\r\nid: 1\r\nevent: größe\r\ndata: 👋\rdata: b\n\ndata: c\n\n";
const EVENTS: [&str; 3] = ["opened", "größe: 👋\nb", "message: c"];

#[tokio::test]
async fn one_byte_at_a_time_is_a_stream() {
    with_each(async |carrier| {
        let answer = Answer::new()
            .write_slowly("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            .write_slowly(STREAM);
        let server = Server::new([answer]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 3).await, EVENTS);
        assert_eq!(told(&mut source, 1).await, ["lost: ended"]);
    })
    .await;
}

#[tokio::test]
async fn one_byte_a_chunk_is_a_stream() {
    with_each(async |carrier| {
        let bytes = STREAM.as_bytes().chunks(1);
        let server = Server::new([Answer::chunked(bytes).last_chunk()]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 3).await, EVENTS);
        assert_eq!(told(&mut source, 1).await, ["lost: ended"]);
    })
    .await;
}

#[tokio::test]
async fn chunk_framing_that_comes_byte_by_byte_is_no_content() {
    with_each(async |carrier| {
        let answer = Answer::chunked([""; 0])
            .write_slowly(chunk("data: a\n"))
            .write_slowly("00008;name=\"va;lue\"\r\ndata: b\n\r\n")
            .write_slowly("1\r\n\n\r\n0\r\n\r\n");
        let server = Server::new([answer.keep()]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 3).await, ["opened", "message: a\nb", "lost: ended"]);
    })
    .await;
}

#[tokio::test]
async fn trailers_are_passed_over_and_the_connection_is_used_again() {
    with_each(async |carrier| {
        let trailed = Answer::chunked(["data: a\n\n"]).write("0\r\ndata: b\r\nx-check: 1\r\n\r\n");
        let server = Server::new([trailed.keep(), Answer::stream("data: c\n\n").stall()]).await;
        let mut source = carrier.source(&server);
        let seen = told(&mut source, 5).await;
        assert_eq!(seen, ["opened", "message: a", "lost: ended", "opened", "message: c"]);
        assert_eq!(server.connections(), 1);
    })
    .await;
}

#[tokio::test]
async fn http_1_0_without_a_length_goes_to_the_end_of_the_connection() {
    with_each(async |carrier| {
        let head = "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        let server = Server::new([Answer::new().write(head).write("data: a\n\ndata: b")]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 3).await, ["opened", "message: a", "lost: ended"]);
    })
    .await;
}

fn sized(length: usize, body: &str) -> Answer {
    let head = "200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ";
    Answer::head(&format!("{head}{length}\r\n")).write(body)
}

#[tokio::test]
async fn a_length_that_is_reached_is_the_end() {
    with_each(async |carrier| {
        let server = Server::new([sized(9, "data: a\n\n").keep(), sized(0, "").keep()]).await;
        let mut source = carrier.source(&server);
        let seen = told(&mut source, 5).await;
        assert_eq!(seen, ["opened", "message: a", "lost: ended", "opened", "lost: ended"]);
        assert_eq!(server.connections(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_length_that_is_not_reached_is_a_broken_connection() {
    with_each(async |carrier| {
        let server = Server::new([sized(10, "data: a\n\n")]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 3).await, ["opened", "message: a", "lost: connection"]);
    })
    .await;
}

#[tokio::test]
async fn what_follows_behind_the_length_is_no_content() {
    with_each(async |carrier| {
        let server = Server::new([sized(9, "data: a\n\ndata: b\n\n").stall()]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 3).await, ["opened", "message: a", "lost: ended"]);
        server.left(0).await;
    })
    .await;
}

#[tokio::test]
async fn broken_framing_is_a_broken_connection() {
    let broken = ["x\r\n", "-1\r\n", "\r\n", "fffffffffffffffff\r\n", "1\r\n\n0"];
    with_each(async |carrier| {
        for framing in broken {
            let answer = Answer::chunked(["data: a\n\n"]).write(framing).stall();
            let server = Server::new([answer]).await;
            let mut source = carrier.source(&server);
            let seen = told(&mut source, 3).await;
            assert_eq!(seen, ["opened", "message: a", "lost: connection"], "{framing:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_http_is_a_broken_connection() {
    let strange = [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent type: text/event-stream\r\n\r\n",
        "data: a\n\n",
        "\u{0}",
    ];
    with_each(async |carrier| {
        for bytes in strange {
            let server =
                Server::new([Answer::new().write(bytes), Answer::stream("data: a\n\n").stall()]);
            let server = server.await;
            let mut source = carrier.source(&server);
            let seen = told(&mut source, 3).await;
            assert_eq!(seen, ["lost: connection", "opened", "message: a"], "{bytes:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_head_without_end_is_a_broken_connection() {
    with_each(async |carrier| {
        let line = format!("x-more: {}\r\n", "x".repeat(1000));
        let endless =
            (0..3000).fold(Answer::new().write("HTTP/1.1 200 OK\r\n"), |head, _| head.write(&line));
        let server = Server::new([endless.stall(), Answer::stream("").stall()]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 2).await, ["lost: connection", "opened"]);
    })
    .await;
}

#[tokio::test]
async fn answers_before_the_answer_are_passed_over() {
    with_each(async |carrier| {
        let first = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: a\n\n";
        let server = Server::new([Answer::new().write(first).write(last)]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 3).await, ["opened", "message: a", "lost: ended"]);
    })
    .await;
}

#[tokio::test]
async fn a_byte_order_mark_is_dropped_from_each_connection() {
    with_each(async |carrier| {
        let marked = "\u{feff}data: a\n\n\u{feff}data: not a field\n\n";
        let again = Answer::chunked(marked.as_bytes().chunks(1));
        let server = Server::new([Answer::stream(marked), again.last_chunk()]).await;
        let mut source = carrier.source(&server);
        let connection = ["opened", "message: a", "lost: ended"];
        assert_eq!(told(&mut source, 6).await, [connection, connection].concat());
    })
    .await;
}

#[tokio::test]
async fn an_event_of_14_megabytes_is_delivered_whole() {
    const BYTES: usize = 14 << 20;
    with_each(async |carrier| {
        let line = format!("data: {}\n\n", "x".repeat(BYTES));
        let server = Server::new([Answer::stream(line)]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 1).await, ["opened"]);
        let Some(Ok(Item::Event(event))) = next(&mut source).await else { panic!("no event") };
        assert_eq!(event.data().len(), BYTES);
        assert!(event.data().bytes().all(|byte| byte == b'x'));
        assert_eq!(told(&mut source, 1).await, ["lost: ended"]);
    })
    .await;
}

#[tokio::test]
async fn the_opening_tells_of_the_answer() {
    with_each(async |carrier| {
        let head = "200 OK\r\ncontent-type: text/event-stream\r\nx-who: a server\r\n";
        let server = Server::new([Answer::head(head).stall()]).await;
        let mut source = carrier.source(&server);
        let Some(Ok(Item::Opened(opened))) = next(&mut source).await else { panic!("not opened") };
        assert_eq!(opened.url.as_str(), server.url("/sse"));
        assert_eq!(opened.headers["x-who"], "a server");
    })
    .await;
}
