use fanfare_client::EventId;
use http::Method;
use tokio::net::TcpListener;
use url::{Position, Url};

use crate::support::{Answer, Server, told, with_each};

#[tokio::test]
async fn a_request_says_what_the_standard_asks_for_and_nothing_else() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("").stall()]).await;
        let mut source = carrier.follow(&server.url("/a%20b?c=d&e#f")).build().unwrap();
        told(&mut source, 1).await;
        let request = server.requests().remove(0);
        assert_eq!(request.line(), "GET /a%20b?c=d&e HTTP/1.1");
        assert_eq!(request.header("accept"), Some("text/event-stream"));
        assert_eq!(request.header("cache-control"), Some("no-cache"));
        assert_eq!(request.header("host"), Some(&*server.address.to_string()));
        let names = ["accept", "accept-encoding", "cache-control", "host"];
        assert_eq!(request.header_names(), names, "no id, no body, no length");
    })
    .await;
}

#[tokio::test]
async fn a_target_may_have_any_character_that_a_url_may_have() {
    with_each(async |carrier| {
        let printable: String = ('!'..='~').filter(|c| !"#?\\".contains(*c)).collect();
        let server = Server::new([Answer::stream("").stall()]).await;
        let url = server.url(&format!("/{printable}\u{e9}?{printable}\u{e9}??#\u{e9}"));
        let mut source = carrier.follow(&url).build().unwrap();
        told(&mut source, 1).await;
        let sent = Url::parse(&url).unwrap();
        let target = &sent[Position::BeforePath..Position::AfterQuery];
        assert_eq!(server.requests()[0].line(), format!("GET {target} HTTP/1.1"));
    })
    .await;
}

#[tokio::test]
async fn a_url_that_no_request_can_carry_is_not_tried_again_and_again() {
    with_each(async |carrier| {
        let server = Server::new([]).await;
        let url = server.url(&format!("/?{}", "x".repeat(70_000)));
        if let Ok(mut source) = carrier.follow(&url).build() {
            let seen = told(&mut source, 1).await;
            assert!(seen[0].starts_with("error: "), "{seen:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_address_may_be_one_of_ipv6() {
    // Not every machine has them.
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let server = Server::on(listener, []);
    with_each(async |carrier| {
        server.answer([Answer::stream("data: a\n\n").stall()]);
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
    })
    .await;
    let host = Some(server.address.to_string());
    assert_eq!(server.headers("host"), [host.clone(), host]);
}

#[tokio::test]
async fn a_reconnection_asks_as_before_and_adds_the_id() {
    with_each(async |carrier| {
        let answers = [Answer::stream("id: 1\ndata: a\n\n"), Answer::stream("").stall()];
        let server = Server::new(answers).await;
        let builder = carrier.follow(&server.url("/sse")).header("x-own", "1");
        let mut source = builder.build().unwrap();
        told(&mut source, 4).await;
        let [first, second] = &server.requests()[..] else { panic!("two requests") };
        assert_eq!(first.line(), second.line());
        let names = ["accept", "accept-encoding", "cache-control", "host", "x-own"];
        assert_eq!(first.header_names(), names);
        let names =
            ["accept", "accept-encoding", "cache-control", "host", "last-event-id", "x-own"];
        assert_eq!(second.header_names(), names);
    })
    .await;
}

#[tokio::test]
async fn headers_of_the_program_replace_those_of_the_standard() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("").stall()]).await;
        let builder = carrier.follow(&server.url("/sse"));
        let builder = builder.header("Accept", "text/event-stream, application/json");
        let builder = builder.header("cache-control", "no-store").header("host", "example.com");
        let builder = builder.header("accept-encoding", "identity").header("user-agent", "tests");
        told(&mut builder.build().unwrap(), 1).await;
        let request = server.requests().remove(0);
        let says = |name| request.header(name).unwrap();
        assert_eq!(says("accept"), "text/event-stream, application/json");
        assert_eq!(says("cache-control"), "no-store");
        assert_eq!(says("host"), "example.com");
        assert_eq!(says("accept-encoding"), "identity");
        assert_eq!(says("user-agent"), "tests");
    })
    .await;
}

#[tokio::test]
async fn a_post_sends_its_body_with_its_length() {
    with_each(async |carrier| {
        for body in ["{\"prompt\":\"größe\"}", &"x".repeat(1_000_000)] {
            let server = Server::new([Answer::stream("").stall()]).await;
            let builder = carrier.follow(&server.url("/sse")).method(Method::POST);
            let builder = builder.header("content-type", "application/json");
            let mut source = builder.body(body.to_owned()).build().unwrap();
            told(&mut source, 1).await;
            let request = server.requests().remove(0);
            assert_eq!(request.line(), "POST /sse HTTP/1.1");
            assert_eq!(request.body, body);
            assert_eq!(request.header("content-length"), Some(&*body.len().to_string()));
            assert_eq!(request.header("content-type"), Some("application/json"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_post_without_a_body_says_so() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("").stall()]).await;
        let builder = carrier.follow(&server.url("/sse")).method(Method::POST);
        told(&mut builder.build().unwrap(), 1).await;
        let length = server.headers("content-length").remove(0);
        assert_eq!(length.as_deref(), Some("0"), "or a server may answer 411");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_body_is_read_at_once() {
    with_each(async |carrier| {
        let answer = Answer::stream("data: a\n\n").without_reading_the_body().stall();
        let server = Server::new([answer]).await;
        let builder = carrier.follow(&server.url("/sse")).method(Method::POST);
        let more_than_sockets_hold = "x".repeat(64 << 20);
        let mut source = builder.body(more_than_sockets_hold).build().unwrap();
        assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
    })
    .await;
}

#[tokio::test]
async fn any_method_can_be_used() {
    with_each(async |carrier| {
        for method in ["PUT", "DELETE", "REPORT", "QUERY", "OPTIONS"] {
            let server = Server::new([Answer::stream("data: a\n\n").stall()]).await;
            let builder = carrier.follow(&server.url("/sse")).method(method.parse().unwrap());
            let mut source = builder.body("b").build().unwrap();
            assert_eq!(told(&mut source, 2).await, ["opened", "message: a"]);
            let request = server.requests().remove(0);
            assert_eq!(request.line(), format!("{method} /sse HTTP/1.1"));
            assert_eq!(request.body, "b");
        }
    })
    .await;
}

#[tokio::test]
async fn user_and_password_of_the_url_go_into_a_header_and_not_into_the_request_line() {
    // The user and password as they stand in the URL, and what they are in Base64.
    let credentials = [
        ("aladdin:open%20sesame", "YWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("aladdin", "YWxhZGRpbjo="),
        (":sesame", "OnNlc2FtZQ=="),
        ("gr%C3%B6%C3%9Fe:%40%3A%2F", "Z3LDtsOfZTpAOi8="),
        ("gr\u{f6}\u{df}e:@:%2F", "Z3LDtsOfZTpAOi8="),
    ];
    with_each(async |carrier| {
        for (written, encoded) in credentials {
            let server = Server::new([Answer::stream("").stall()]).await;
            let url = format!("http://{written}@{}/sse", server.address);
            let mut source = carrier.follow(&url).build().unwrap();
            told(&mut source, 1).await;
            let request = server.requests().remove(0);
            assert_eq!(request.line(), "GET /sse HTTP/1.1");
            assert_eq!(request.header("host"), Some(&*server.address.to_string()));
            let authorization = request.header("authorization");
            assert_eq!(authorization, Some(&*format!("Basic {encoded}")), "{written}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_printed_for_debugging_keeps_credentials_to_itself() {
    with_each(async |carrier| {
        let builder = carrier.follow("http://aladdin:sesame@localhost/sse");
        let builder = builder.header("authorization", "Bearer sesame");
        let builder = builder.header("cookie", "session=sesame");
        let printed = format!("{builder:?}");
        assert!(!printed.contains("sesame"), "{printed}");
        let printed = format!("{:?}", builder.build().unwrap());
        assert!(!printed.contains("sesame"), "{printed}");
    })
    .await;
}

#[tokio::test]
async fn a_header_of_the_program_goes_before_the_credentials_of_the_url() {
    with_each(async |carrier| {
        let server = Server::new([Answer::stream("").stall()]).await;
        let url = format!("http://a:b@{}/sse", server.address);
        let builder = carrier.follow(&url).header("authorization", "Bearer 123");
        told(&mut builder.build().unwrap(), 1).await;
        assert_eq!(server.headers("authorization"), [Some("Bearer 123".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn the_id_goes_before_a_header_of_the_program() {
    with_each(async |carrier| {
        let answers = [Answer::stream("id: 2\ndata: a\n\n"), Answer::stream("").stall()];
        let server = Server::new(answers).await;
        let builder = carrier.follow(&server.url("/sse")).header("last-event-id", "0");
        let mut source = builder.last_event_id(EventId::from_static("1")).build().unwrap();
        told(&mut source, 4).await;
        assert_eq!(server.last_event_ids(), ["1", "2"]);
    })
    .await;
}
