use std::time::Duration;

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::support::{Answer, Gate, Server, silent_until, told, with_each};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// Longer than an answer over loopback takes on a machine that is busy with something else.
const TIMEOUT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_head_that_does_not_come_is_given_up_after_the_connect_timeout() {
    with_each(async |carrier| {
        for begun in ["", "HTTP/1.1 200 OK\r\ncontent-ty"] {
            let answers =
                [Answer::new().write(begun).stall(), Answer::stream("data: a\n\n").stall()];
            let server = Server::new(answers).await;
            let builder = carrier.follow(&server.url("/sse")).connect_timeout(TIMEOUT);
            let mut source = builder.build().unwrap();
            let seen = told(&mut source, 3).await;
            assert_eq!(seen, ["lost: no answer", "opened", "message: a"], "{begun:?}");
            server.left(0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_connect_timeout_a_head_may_take_for_ever() {
    with_each(async |carrier| {
        let gate = Gate::new();
        let answer = Answer::new().pass(&gate).write("HTTP/1.1 204 No Content\r\n\r\n");
        let server = Server::new([answer]).await;
        let builder = carrier.follow(&server.url("/sse")).connect_timeout(None);
        let mut source = builder.build().unwrap();
        silent_until(&mut source, sleep(TIMEOUT)).await;
        gate.open();
        assert_eq!(told(&mut source, 1).await, ["error: status 204"]);
    })
    .await;
}

/// A server that accepts nothing, and whose queue is full.
async fn crowded() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = vec![];
    while let Ok(stream) = timeout(TIMEOUT, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    (listener, waiting)
}

#[tokio::test]
async fn a_connection_that_is_not_made_is_given_up_after_the_connect_timeout() {
    with_each(async |carrier| {
        let (listener, _waiting) = crowded().await;
        let address = listener.local_addr().unwrap();
        let builder = carrier.follow(&format!("http://{address}")).connect_timeout(TIMEOUT);
        let mut source = builder.build().unwrap();
        assert_eq!(told(&mut source, 2).await, ["lost: no answer", "lost: no answer"]);
    })
    .await;
}

#[tokio::test]
async fn a_silent_stream_is_given_up_after_the_idle_timeout() {
    with_each(async |carrier| {
        let silent = Answer::stream("id: 1\ndata: a\n\ndata: b\n").stall();
        let server = Server::new([silent.clone(), silent]).await;
        let builder = carrier.follow(&server.url("/sse")).idle_timeout(TIMEOUT);
        let mut source = builder.build().unwrap();
        let seen = told(&mut source, 5).await;
        assert_eq!(seen, ["opened", "message: a", "lost: idle", "opened", "message: a"]);
        assert_eq!(server.last_event_ids(), ["", "1"]);
        server.left(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_never_says_anything_is_given_up_after_the_idle_timeout() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("").stall(), Answer::stream("").stall()]).await;
        let builder = carrier.follow(&server.url("/sse")).idle_timeout(TIMEOUT);
        let mut source = builder.build().unwrap();
        assert_eq!(told(&mut source, 3).await, ["opened", "lost: idle", "opened"]);
        server.left(0).await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_stream_without_an_idle_timeout_is_waited_for() {
    with_each(async |carrier| {
        let gate = Gate::new();
        let answer = Answer::stream("data: a\n\n").pass(&gate).write("data: b\n\n");
        let server = Server::new([answer]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
        silent_until(&mut source, sleep(TIMEOUT)).await;
        gate.open();
        assert_eq!(told(&mut source, 1).await, ["message: b"]);
    })
    .await;
}

#[tokio::test]
async fn any_byte_keeps_a_stream_from_being_idle() {
    const PIECES: [&str; 7] = [":\n", ": a comment", ", which is long", "\n", "\n", "i", "d"];
    with_each(async |carrier| {
        let pieces = PIECES.into_iter().cycle().take(15);
        let stream =
            pieces.fold(Answer::stream(""), |answer, piece| answer.pause(TIMEOUT / 5).write(piece));
        let server = Server::new([stream.write("\ndata: a\n\n").stall()]).await;
        let builder = carrier.follow(&server.url("/sse")).idle_timeout(TIMEOUT);
        let mut source = builder.build().unwrap();
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
    })
    .await;
}

#[tokio::test]
async fn a_program_that_is_slow_does_not_make_a_stream_idle() {
    with_each(async |carrier| {
        let gate = Gate::new();
        let answer = Answer::stream("data: a\n\n").pass(&gate).write("data: b\n\n").stall();
        let server = Server::new([answer]).await;
        let builder = carrier.follow(&server.url("/sse")).idle_timeout(TIMEOUT);
        let mut source = builder.build().unwrap();
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
        gate.open();
        sleep(2 * TIMEOUT).await;
        assert_eq!(told(&mut source, 1).await, ["message: b"], "it came in time");
    })
    .await;
}

#[tokio::test]
async fn a_program_that_is_slow_does_not_make_an_answer_late() {
    with_each(async |carrier| {
        let gate = Gate::new();
        let answer = Answer::new().pass(&gate).write(HEAD).write("data: a\n\n").stall();
        let server = Server::new([answer]).await;
        let builder = carrier.follow(&server.url("/sse")).connect_timeout(TIMEOUT);
        let mut source = builder.build().unwrap();
        silent_until(&mut source, server.asked(1)).await;
        gate.open();
        sleep(2 * TIMEOUT).await;
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"], "it came in time");
    })
    .await;
}
