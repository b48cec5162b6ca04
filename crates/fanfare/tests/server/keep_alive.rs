use std::{convert::Infallible, pin::Pin, time::Duration};

use bytes::Bytes;
use fanfare::{Channel, Sse};
use futures_util::{FutureExt, stream};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, advance, timeout};

use crate::support::{Local, Step, request};

const SILENCE: Duration = Duration::from_secs(15);
const COMMENT: &str = ":\n\n";
const A_DAY: Duration = Duration::from_hours(24);

async fn frame<B>(body: &mut Pin<Box<B>>) -> Bytes
where
    B: Body<Data = Bytes, Error = Infallible>,
{
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

/// A stream that has been given its `:ok`.
async fn opened(sse: &Sse) -> (fanfare::Client, Pin<Box<fanfare::Body>>) {
    let (client, response) = sse.accept(request("/sse")).unwrap();
    let mut body = Box::pin(response.into_body());
    assert_eq!(frame(&mut body).await, ":ok\n\n");
    (client, body)
}

#[tokio::test(start_paused = true)]
async fn a_comment_comes_after_each_15_seconds_of_silence() {
    let (_client, mut body) = opened(&Sse::new()).await;
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(frame(&mut body).await, COMMENT);
        assert_eq!(start.elapsed(), SILENCE);
    }
}

#[tokio::test(start_paused = true)]
async fn it_does_not_come_a_moment_earlier() {
    let mut local = Local::open(&Sse::new());
    assert!(local.bytes().is_empty());
    advance(Duration::from_millis(14_999)).await;
    assert!(local.bytes().is_empty());
    assert!(!local.was_woken());
    advance(Duration::from_millis(1)).await;
    assert!(local.was_woken());
    assert_eq!(local.bytes(), COMMENT);
    assert!(local.bytes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_breaks_the_silence() {
    let (client, mut body) = opened(&Sse::new()).await;
    for _ in 0..100 {
        let silent = timeout(Duration::from_secs(14), body.frame()).await;
        assert!(silent.is_err(), "nothing to keep alive");
        client.send("x").await.unwrap();
        assert_eq!(frame(&mut body).await, "data: x\n\n");
    }
    let start = Instant::now();
    assert_eq!(frame(&mut body).await, COMMENT);
    assert_eq!(start.elapsed(), SILENCE);
}

#[tokio::test(start_paused = true)]
async fn what_channels_have_breaks_the_silence_but_not_what_they_have_for_others() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let (client, mut body) = opened(&sse).await;
    channel.join(&client).unwrap();
    assert!(frame(&mut body).await.starts_with(b"id: "));
    assert!(timeout(Duration::from_secs(10), body.frame()).await.is_err());
    channel.broadcast("x").unwrap();
    frame(&mut body).await;

    let start = Instant::now();
    assert!(timeout(Duration::from_secs(10), body.frame()).await.is_err());
    channel.broadcast_to("others", |_| false).unwrap();
    assert!(frame(&mut body).await.starts_with(b"id: "));
    assert_eq!(start.elapsed(), SILENCE);
}

#[tokio::test(start_paused = true)]
async fn without_keep_alive_the_silence_lasts() {
    let sse = Sse::builder().keep_alive(None).build();
    let (client, mut body) = opened(&sse).await;
    assert!(timeout(A_DAY, body.frame()).await.is_err());
    client.send("x").await.unwrap();
    assert_eq!(frame(&mut body).await, "data: x\n\n");
}

#[tokio::test(start_paused = true)]
async fn it_can_be_set() {
    for silence in [Duration::from_millis(20), Duration::from_mins(10)] {
        let (_client, mut body) = opened(&Sse::builder().keep_alive(silence).build()).await;
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(frame(&mut body).await, COMMENT);
        }
        assert_eq!(start.elapsed(), 3 * silence);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_never_ends_is_allowed() {
    let (_client, mut body) = opened(&Sse::builder().keep_alive(Duration::MAX).build()).await;
    assert!(timeout(A_DAY, body.frame()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn no_silence_at_all_does_not_flood_the_peer() {
    let mut local = Local::open(&Sse::builder().keep_alive(Duration::ZERO).build());
    let comments = (0..1000).take_while(|_| local.step() != Step::Waits).count();
    assert!(comments < 1000, "as fast as the peer reads");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_another_task_goes_on_with_keeps_its_timer() {
    let (_client, mut body) = opened(&Sse::new()).await;
    assert!(body.frame().now_or_never().is_none());
    advance(Duration::from_secs(10)).await;
    let start = Instant::now();
    let moved = tokio::spawn(async move { frame(&mut body).await });
    assert_eq!(moved.await.unwrap(), COMMENT);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn streams_without_a_client_are_kept_alive_too() {
    let mut body = Box::pin(Sse::stream(stream::pending::<String>()).into_body());
    assert_eq!(frame(&mut body).await, ":ok\n\n");
    let start = Instant::now();
    assert_eq!(frame(&mut body).await, COMMENT);
    assert_eq!(start.elapsed(), SILENCE);

    let response = Sse::stream(stream::pending::<String>());
    let shorter = response.map(|body| body.with_keep_alive(Some(Duration::from_secs(1))));
    let mut body = Box::pin(shorter.into_body());
    frame(&mut body).await;
    let start = Instant::now();
    assert_eq!(frame(&mut body).await, COMMENT);
    assert_eq!(start.elapsed(), Duration::from_secs(1));

    let without = Sse::stream(stream::pending::<String>()).map(|body| body.with_keep_alive(None));
    let mut body = Box::pin(without.into_body());
    frame(&mut body).await;
    assert!(timeout(A_DAY, body.frame()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn it_tells_the_place_behind_events_that_were_for_others() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).history(5).build();
    let (client, mut body) = opened(&sse).await;
    channel.join(&client).unwrap();
    channel.broadcast("for all").unwrap();
    frame(&mut body).await;
    for _ in 0..50 {
        channel.broadcast_to("for nobody", |_| false).unwrap();
        assert!(body.frame().now_or_never().is_none());
    }
    let place = frame(&mut body).await;
    let place = str::from_utf8(&place).unwrap().strip_prefix("id: ").unwrap().trim_end();
    assert!(place.ends_with("-51"), "{place}");
    assert_eq!(frame(&mut body).await, COMMENT, "once is enough");

    let mut resumed = Local::after(&sse, place);
    channel.join(&resumed.client).unwrap();
    channel.broadcast("next").unwrap();
    assert_eq!(resumed.data(), ["next"], "no gap");
}
