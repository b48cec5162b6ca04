use fanfare_client::{EventId, Item};

use crate::support::{Answer, Server, next, told, told_to_end, with_each};

#[tokio::test]
async fn the_last_id_comes_back_as_the_bytes_that_were_sent() {
    let ids: [&[u8]; 8] = [
        b"7",
        "größe-👋-\u{2028}".as_bytes(),
        b"a\tb",
        b"a  b:c",
        b"\"';,%20\\",
        &[b'i'; 5000],
        b"\xc2\x85",
        "\u{feff}1".as_bytes(),
    ];
    with_each(async |carrier| {
        for id in ids {
            let stream = [b"id: ", id, b"\ndata: a\n\n"].concat();
            let server = Server::new([Answer::stream(stream), Answer::stream("").stall()]).await;
            let mut source = carrier.source(&server);
            let seen = told(&mut source, 4).await;
            assert_eq!(seen, ["opened", "message: a", "lost: ended", "opened"]);
            assert_eq!(server.last_event_ids()[1].as_bytes(), id);
            assert_eq!(source.last_event_id().as_bytes(), id);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_utf8_in_an_id_comes_back_replaced() {
    with_each(async |carrier| {
        let stream = Answer::stream(b"id: a\xff\xf0\x9f\x91b\ndata: a\n\n");
        let server = Server::new([stream, Answer::stream("").stall()]).await;
        let mut source = carrier.source(&server);
        told(&mut source, 4).await;
        assert_eq!(server.last_event_ids(), ["", "a\u{fffd}\u{fffd}b"]);
    })
    .await;
}

#[tokio::test]
async fn an_id_that_no_header_can_carry_is_the_end_when_it_would_be_sent() {
    with_each(async |carrier| {
        for id in ["a\u{1}b", "\u{7f}", "a\u{1b}[31m"] {
            let stream = format!("id: {id}\ndata: a\n\ndata: b\n\n");
            let server = Server::new([Answer::stream(stream)]).await;
            let mut source = carrier.source(&server);
            let seen = told_to_end(&mut source).await;
            let error = format!("error: unsendable {id:?}");
            let expected = ["opened", "message: a", "message: b", "lost: ended", &error, "end"];
            assert_eq!(seen, expected);
            assert_eq!(source.last_event_id(), id);
            assert_eq!(server.requests().len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn an_id_that_no_header_can_carry_may_be_followed_by_another() {
    with_each(async |carrier| {
        let stream = Answer::stream("id: \u{1}\ndata: a\n\nid: 2\n\n");
        let server = Server::new([stream, Answer::stream("").stall()]).await;
        let mut source = carrier.source(&server);
        let seen = told(&mut source, 4).await;
        assert_eq!(seen, ["opened", "message: a", "lost: ended", "opened"]);
        assert_eq!(server.last_event_ids(), ["", "2"]);
    })
    .await;
}

#[tokio::test]
async fn an_id_to_begin_behind_that_no_header_can_carry_is_the_end() {
    with_each(async |carrier| {
        let server = Server::new([]).await;
        let builder = carrier.follow(&server.url("/sse"));
        let mut source = builder.last_event_id(EventId::from_static("\u{1}")).build().unwrap();
        assert_eq!(told_to_end(&mut source).await, ["error: unsendable \"\\u{1}\"", "end"]);
        assert_eq!(server.connections(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_id_stays_until_there_is_another_or_an_empty_one() {
    with_each(async |carrier| {
        let streams = [
            "id: 1\ndata: a\n\ndata: b\n\n",
            "data: c\n\n",
            "",
            ": nothing\n\n",
            "id: 2\n\n",
            "id: with\0nul\ndata: d\n\n",
            "id\ndata: e\n\n",
            "data: f\n\n",
        ];
        let server = Server::new(streams.map(Answer::stream)).await;
        let mut source = carrier.source(&server);
        while server.requests().len() <= streams.len() {
            tokio::select! {
                _ = next(&mut source) => {}
                () = server.asked(streams.len() + 1) => {}
            }
        }
        assert_eq!(server.last_event_ids(), ["", "1", "1", "1", "1", "2", "2", "", ""]);
    })
    .await;
}

#[tokio::test]
async fn an_id_to_begin_behind_is_sent_and_replaced_by_newer_ones() {
    with_each(async |carrier| {
        let server = Server::new([Answer::new(), Answer::stream("id: 42\ndata: a\n\n")]).await;
        let builder = carrier.follow(&server.url("/sse"));
        let mut source = builder.last_event_id(EventId::from_static("41")).build().unwrap();
        assert_eq!(source.last_event_id(), "41");
        server.answer([Answer::stream("id:\n\n"), Answer::stream("").stall()]);
        let seen = told(&mut source, 7).await;
        let first = ["lost: connection", "opened", "message: a", "lost: ended"];
        assert_eq!(seen, [&first[..], &["opened", "lost: ended", "opened"]].concat());
        assert_eq!(server.last_event_ids(), ["41", "41", "42", ""]);
    })
    .await;
}

#[tokio::test]
async fn an_id_counts_when_its_event_has_been_given_and_not_before() {
    with_each(async |carrier| {
        let events = "id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\nid: 4\n\n";
        let server = Server::new([Answer::stream(events).stall()]).await;
        let mut source = carrier.source(&server);
        told(&mut source, 1).await;
        assert_eq!(source.last_event_id(), "");
        for (id, data) in [("1", "a"), ("2", "b"), ("3", "c")] {
            let Some(Ok(Item::Event(event))) = next(&mut source).await else { panic!("no event") };
            assert_eq!(event.data(), data);
            assert_eq!(event.id().map(EventId::as_str), Some(id));
            assert_eq!(source.last_event_id(), id);
        }
    })
    .await;
}

#[tokio::test]
async fn a_program_that_kept_the_id_goes_on_where_it_was() {
    with_each(async |carrier| {
        let events = "id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n";
        let server =
            Server::new([Answer::stream(events).stall(), Answer::stream("").stall()]).await;
        let mut source = carrier.source(&server);
        told(&mut source, 3).await;
        let kept = EventId::new(source.last_event_id().to_owned()).unwrap();
        drop(source);
        let builder = carrier.follow(&server.url("/sse")).last_event_id(kept);
        told(&mut builder.build().unwrap(), 1).await;
        assert_eq!(server.last_event_ids(), ["", "2"]);
    })
    .await;
}
