use std::time::Duration;

use fanfare_client::{Item, Policy};

use crate::support::{Answer, Server, next, silent_until, told, with_each};

#[tokio::test]
async fn the_time_that_the_server_has_set_is_used_from_then_on() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("retry: 7\ndata: a\n\n")]).await;
        server.answer([Answer::stream("data: b\n\n"), Answer::stream("data: c\n\nretry: 9\n")]);
        let mut source = carrier.source(&server);
        assert_eq!(source.reconnection_time(), Duration::from_millis(1));
        for milliseconds in [7, 7, 9] {
            assert_eq!(told(&mut source, 2).await[0], "opened");
            let lost = next(&mut source).await;
            let Some(Ok(Item::Reconnecting { delay, .. })) = lost else { panic!("{lost:?}") };
            assert_eq!(delay, Duration::from_millis(milliseconds));
            assert_eq!(source.reconnection_time(), delay);
        }
    })
    .await;
}

#[tokio::test]
async fn a_huge_time_is_waited_for_and_can_be_cut_short() {
    let times = [
        ("4294967296", Duration::from_millis(4_294_967_296)),
        ("18446744073709551615", Duration::from_millis(u64::MAX)),
        ("99999999999999999999999999999", Duration::from_millis(u64::MAX)),
    ];
    with_each(async |carrier| {
        for (digits, time) in times {
            for policy in [Policy::standard(), Policy::resilient()] {
                let answer = Answer::stream(format!("data: a\n\nretry: {digits}\n\n"));
                let server = Server::new([answer, Answer::stream("data: b\n\n").stall()]).await;
                let builder = carrier.follow(&server.url("/sse")).policy(policy);
                let mut source = builder.build().unwrap();
                told(&mut source, 2).await;
                let lost = next(&mut source).await;
                let Some(Ok(Item::Reconnecting { delay, .. })) = lost else { panic!("{lost:?}") };
                assert_eq!(delay, time, "{digits}");
                silent_until(&mut source, tokio::time::sleep(Duration::from_millis(20))).await;
                source.reconnect();
                assert_eq!(told(&mut source, 2).await, ["opened", "message: b"]);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn no_time_at_all_is_no_wait_behind_a_connection_that_has_held() {
    with_each(async |carrier| {
        let server = Server::always(Answer::stream("retry: 0\ndata: a\n\n")).await;
        let mut source = carrier.source(&server);
        for _ in 0..20 {
            assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
            let lost = next(&mut source).await;
            let Some(Ok(Item::Reconnecting { delay, .. })) = lost else { panic!("{lost:?}") };
            assert_eq!(delay, Duration::ZERO);
        }
    })
    .await;
}

#[tokio::test]
async fn no_time_at_all_is_no_reason_to_ask_a_broken_server_without_pause() {
    with_each(async |carrier| {
        let server = Server::always(Answer::stream("retry: 0\n\n")).await;
        let builder = carrier.follow(&server.url("/sse")).policy(Policy::standard());
        let mut source = builder.build().unwrap();
        let mut delays = vec![];
        for _ in 0..4 {
            assert_eq!(told(&mut source, 1).await, ["opened"]);
            let lost = next(&mut source).await;
            let Some(Ok(Item::Reconnecting { delay, .. })) = lost else { panic!("{lost:?}") };
            delays.push(delay);
            source.reconnect();
        }
        assert!(delays.iter().any(|delay| !delay.is_zero()), "{delays:?}");
        assert!(delays.iter().all(|&delay| delay <= Duration::from_millis(1600)), "{delays:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_number_sets_no_time() {
    with_each(async |carrier| {
        let lines = ["+5", "-5", "5 ", "5x", "1_0", "1.0", "0x5", "", "٥"];
        let lines = lines.map(|time| format!("retry: {time}\n")).concat();
        let server = Server::new([Answer::stream(lines + "retry\ndata: a\n\n").stall()]).await;
        let builder = carrier.follow(&server.url("/sse")).retries(true);
        let mut source = builder.build().unwrap();
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
        assert_eq!(source.reconnection_time(), Duration::from_millis(1));
    })
    .await;
}

#[tokio::test]
async fn a_time_counts_as_soon_as_it_is_read_and_is_given_when_asked_for() {
    with_each(async |carrier| {
        let stream = Answer::stream("data: a\nretry: 00012\nretry:13\n").stall();
        let server = Server::new([stream]).await;
        let builder = carrier.follow(&server.url("/sse")).retries(true);
        let mut source = builder.build().unwrap();
        assert_eq!(told(&mut source, 3).await, ["opened", "retry: 12ms", "retry: 13ms"]);
        assert_eq!(source.reconnection_time(), Duration::from_millis(13));
    })
    .await;
}
