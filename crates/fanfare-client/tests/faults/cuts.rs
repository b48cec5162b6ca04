use crate::support::{Answer, Gate, Server, told, with_each};

/// How a connection comes to its end too early.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Without a length, this is the end.
    Ended,
    /// The last chunk is missing.
    Unchunked,
    Reset,
}

impl Cut {
    const ALL: [Self; 3] = [Self::Ended, Self::Unchunked, Self::Reset];

    /// The answer whose body is cut behind these bytes once the gate is passed.
    fn behind(self, bytes: &[u8], gate: &Gate) -> Answer {
        match self {
            Self::Ended => Answer::stream(bytes).pass(gate),
            Self::Unchunked => Answer::chunked([bytes]).pass(gate),
            Self::Reset => Answer::chunked([bytes]).pass(gate).reset(),
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Ended => "lost: ended",
            Self::Unchunked | Self::Reset => "lost: connection",
        }
    }
}

/// Streams whose first event has id 1, cut in the second, none of which counts.
const CUT_IN_THE_SECOND: &[(&str, &[u8])] = &[
    ("a character", b"id: 1\ndata: a\n\nid: 2\ndata: \xf0\x9f\x91"),
    ("a character of the id", b"id: 1\ndata: a\n\nid: 2\xc3"),
    ("a line end", b"id: 1\r\ndata: a\r\n\r\nid: 2\r\ndata: b\r"),
    ("the last line end of the first", b"id: 1\r\ndata: a\r\n\r"),
    ("a field name", b"id: 1\ndata: a\n\nid: 2\nda"),
    ("the field name of the id", b"id: 1\ndata: a\n\ni"),
    ("the id", b"id: 1\ndata: a\n\nid: 2"),
    ("front of the data", b"id: 1\ndata: a\n\nid: 2\n"),
    ("the data", b"id: 1\ndata: a\n\nid: 2\ndata: b"),
    ("front of the empty line", b"id: 1\ndata: a\n\nid: 2\ndata: b\n"),
    ("the name", b"id: 1\ndata: a\n\nid: 2\ndata: b\nevent: na"),
    ("a comment", b"id: 1\ndata: a\n\nid: 2\ndata: b\n: co"),
    ("between", b"id: 1\ndata: a\n\n"),
];

#[tokio::test]
async fn a_cut_anywhere_drops_the_event_that_is_under_way_with_its_id() {
    with_each(async |carrier| {
        for &(place, bytes) in CUT_IN_THE_SECOND {
            for cut in Cut::ALL {
                let gate = Gate::new();
                let rest = Answer::stream("data: again\n\n").stall();
                let server = Server::new([cut.behind(bytes, &gate), rest]).await;
                let mut source = carrier.source(&server);
                let case = format!("{cut:?} in {place}");
                assert_eq!(told(&mut source, 2).await, ["opened", "message: a"], "{case}");
                gate.open();
                let seen = told(&mut source, 3).await;
                assert_eq!(seen, [cut.told(), "opened", "message: again"], "{case}");
                assert_eq!(server.last_event_ids(), ["", "1"], "{case}");
                assert_eq!(source.last_event_id(), "1", "{case}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_cut_behind_an_id_without_an_event_resumes_behind_it() {
    with_each(async |carrier| {
        for cut in Cut::ALL {
            let gate = Gate::new();
            let first = cut.behind(b"data: a\n\nid: 7\n\ndata: b\n\nid: 8\n\n", &gate);
            let server = Server::new([first, Answer::stream("").stall()]).await;
            let mut source = carrier.source(&server);
            assert_eq!(told(&mut source, 3).await, ["opened", "message: a", "message: b"]);
            gate.open();
            assert_eq!(told(&mut source, 2).await, [cut.told(), "opened"]);
            assert_eq!(server.last_event_ids(), ["", "8"], "{cut:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_cut_inside_chunk_framing_is_a_broken_connection() {
    let cuts =
        ["9", "9\r", "9\r\ndata: b\n", "9\r\ndata: b\n\n", "9\r\ndata: b\n\n\r", "0", "0\r\n\r"];
    with_each(async |carrier| {
        for cut in cuts {
            let first = Answer::chunked(["data: a\n\n"]).write(cut);
            let server = Server::new([first, Answer::stream("data: c\n\n").stall()]).await;
            let mut source = carrier.source(&server);
            let mut seen = told(&mut source, 5).await;
            seen.retain(|item| item != "message: b");
            seen.truncate(4);
            assert_eq!(seen, ["opened", "message: a", "lost: connection", "opened"], "{cut:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_end_or_a_reset_before_the_head_is_whole_is_a_broken_connection() {
    let begun = ["", "H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-type: text/ev"];
    with_each(async |carrier| {
        for begun in begun {
            let cut = Answer::new().write(begun);
            let answers = [cut.clone(), cut.reset(), Answer::stream("data: a\n\n").stall()];
            let server = Server::new(answers).await;
            let mut source = carrier.source(&server);
            let seen = told(&mut source, 4).await;
            let lost = "lost: connection";
            assert_eq!(seen, [lost, lost, "opened", "message: a"], "{begun:?}");
            assert_eq!(server.requests().len(), 3, "the transport tries nothing again");
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_reset_when_it_is_accepted_is_a_failure() {
    with_each(async |carrier| {
        let answers = [Answer::new().unasked().reset(), Answer::stream("data: a\n\n").stall()];
        let server = Server::new(answers).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 3).await, ["lost: connection", "opened", "message: a"]);
        assert_eq!(server.requests().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_came_before_a_reset_is_given_before_the_loss() {
    with_each(async |carrier| {
        let events = (0..1000).map(|number| format!("id: {number}\ndata: {number}\n\n"));
        let events = events.collect::<Vec<_>>().concat();
        let gate = Gate::new();
        let server = Server::new([
            Answer::chunked([&events]).pass(&gate).reset(),
            Answer::stream("").stall(),
        ]);
        let server = server.await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 2).await, ["opened", "message: 0"]);
        gate.open();
        let seen = told(&mut source, 1001).await;
        let events: Vec<_> = (1..1000).map(|number| format!("message: {number}")).collect();
        assert_eq!(seen[..999], events);
        assert_eq!(seen[999..], ["lost: connection", "opened"]);
        assert_eq!(server.last_event_ids(), ["", "999"]);
    })
    .await;
}
