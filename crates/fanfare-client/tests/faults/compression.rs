use std::mem;

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::support::{Answer, Gate, Server, chunk, told, told_to_end, with_each};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// Each event as a block that is flushed, and the end behind the last.
async fn blocks(coding: &str, events: &[&str]) -> Vec<Vec<u8>> {
    match coding {
        "gzip" => flushed(GzipEncoder::new(vec![]), GzipEncoder::get_mut, events).await,
        "br" => flushed(BrotliEncoder::new(vec![]), BrotliEncoder::get_mut, events).await,
        "zstd" => flushed(ZstdEncoder::new(vec![]), ZstdEncoder::get_mut, events).await,
        _ => panic!("{coding}?"),
    }
}

async fn flushed<E: AsyncWrite + Unpin>(
    mut encoder: E,
    written: fn(&mut E) -> &mut Vec<u8>,
    events: &[&str],
) -> Vec<Vec<u8>> {
    let mut blocks = vec![];
    for event in events {
        encoder.write_all(event.as_bytes()).await.unwrap();
        encoder.flush().await.unwrap();
        blocks.push(mem::take(written(&mut encoder)));
    }
    encoder.shutdown().await.unwrap();
    blocks.push(mem::take(written(&mut encoder)));
    blocks
}

/// The head of a compressed stream in chunks.
fn compressed(coding: &str) -> Answer {
    Answer::head(&format!(
        "200 OK\r\ncontent-type: text/event-stream\r\n\
         content-encoding: {coding}\r\ntransfer-encoding: chunked\r\n"
    ))
}

#[tokio::test]
async fn each_event_comes_as_soon_as_its_block_is_flushed() {
    let long = "x".repeat(100_000);
    // What is flushed, and what is given before anything follows.
    let steps = [
        ("data: a\n\n", &["message: a"][..]),
        (": ping\n\ndata: b\n\n", &["message: b"]),
        ("data: ", &[]),
        ("c\n\n", &["message: c"]),
        (&format!("data: {long}\n\n"), &[&format!("message: {long}")]),
        ("data: d\n\ndata: e\n\n", &["message: d", "message: e"]),
    ];
    let events = steps.map(|(event, _)| event);
    with_each(async |carrier| {
        for coding in CODINGS {
            let gate = Gate::new();
            let blocks = blocks(coding, &events).await.into_iter();
            let answer =
                blocks.fold(compressed(coding), |answer, block| answer.pass(&gate).chunk(block));
            let server = Server::new([answer.last_chunk()]).await;
            let mut source = carrier.source(&server);
            assert_eq!(told(&mut source, 1).await, ["opened"], "{coding}: before any block");
            for (_, given) in steps {
                gate.open();
                assert_eq!(told(&mut source, given.len()).await, given, "{coding}");
            }
            gate.open();
            assert_eq!(told(&mut source, 1).await, ["lost: ended"], "{coding}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_compressed_stream_may_come_byte_by_byte() {
    with_each(async |carrier| {
        for coding in CODINGS {
            let blocks = blocks(coding, &["data: ä\n\n", "data: b\n\n"]).await.concat();
            let bytes = blocks.chunks(1);
            let answer =
                bytes.fold(compressed(coding), |answer, byte| answer.write_slowly(chunk(byte)));
            let server = Server::new([answer.last_chunk()]).await;
            let mut source = carrier.source(&server);
            let seen = told(&mut source, 4).await;
            assert_eq!(seen, ["opened", "message: ä", "message: b", "lost: ended"], "{coding}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_compressed_stream_that_is_cut_short_is_a_broken_connection() {
    with_each(async |carrier| {
        for coding in CODINGS {
            let blocks = blocks(coding, &["id: 1\ndata: a\n\n", "id: 2\ndata: b\n\n"]).await;
            let cut = &blocks[1][..blocks[1].len() / 2];
            let answer = compressed(coding).chunk(&blocks[0]).chunk(cut).last_chunk();
            let server = Server::new([answer, Answer::stream("").stall()]).await;
            let mut source = carrier.source(&server);
            let seen = told(&mut source, 4).await;
            assert_eq!(seen, ["opened", "message: a", "lost: connection", "opened"], "{coding}");
            assert_eq!(server.last_event_ids(), ["", "1"], "{coding}");
        }
    })
    .await;
}

#[tokio::test]
async fn garbage_instead_of_a_compressed_stream_is_a_broken_connection() {
    with_each(async |carrier| {
        for coding in CODINGS {
            let answer = compressed(coding).chunk("data: this is plain text\n\n".repeat(100));
            let server = Server::new([answer.stall(), Answer::stream("").stall()]).await;
            let mut source = carrier.source(&server);
            let seen = told(&mut source, 3).await;
            assert_eq!(seen, ["opened", "lost: connection", "opened"], "{coding}");
            server.left(0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_request_offers_the_codings_that_are_understood() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("").stall()]).await;
        let mut source = carrier.source(&server);
        told(&mut source, 1).await;
        let offered = server.headers("accept-encoding").remove(0).unwrap();
        let mut offered: Vec<_> = offered.split(',').map(str::trim).collect();
        offered.sort_unstable();
        assert_eq!(offered, ["br", "gzip", "zstd"]);
    })
    .await;
}

#[tokio::test]
async fn a_coding_that_is_not_understood_is_not_taken_for_silence() {
    with_each(async |carrier| {
        for coding in ["GZip", "x-gzip", "deflate", "unknown"] {
            let blocks = blocks("gzip", &["data: a\n\n"]).await.concat();
            let answer = compressed(coding).chunk(blocks).last_chunk();
            let server = Server::new([answer]).await;
            let seen = told_to_end(&mut carrier.source(&server)).await;
            assert_eq!(seen, [&*format!("error: coding {coding}"), "end"]);
        }
    })
    .await;
}

#[tokio::test]
async fn no_coding_by_its_name_is_none() {
    with_each(async |carrier| {
        let server = Server::new([compressed("identity").chunk("data: a\n\n").last_chunk()]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 3).await, ["opened", "message: a", "lost: ended"]);
    })
    .await;
}
