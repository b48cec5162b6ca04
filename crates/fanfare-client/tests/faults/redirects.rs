use std::time::Duration;

use fanfare_client::{EventId, Item, Policy};
use http::Method;

use crate::support::{Answer, Request, Server, next, told, told_to_end, with_each};

fn redirect(status: u16, location: &str) -> Answer {
    Answer::head(&format!("{status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n"))
        .keep()
}

#[tokio::test]
async fn redirects_are_followed_and_a_reconnection_asks_the_first_url_again() {
    with_each(async |carrier| {
        for status in [301, 302, 303, 307, 308] {
            let answers = [
                redirect(status, "/moved"),
                Answer::stream("id: 1\ndata: a\n\n"),
                redirect(status, "/moved"),
                Answer::stream("").stall(),
            ];
            let server = Server::new(answers).await;
            let mut source = carrier.source(&server);
            let seen = told(&mut source, 4).await;
            assert_eq!(seen, ["opened", "message: a", "lost: ended", "opened"]);
            let requests = server.requests();
            let lines: Vec<_> = requests.iter().map(Request::line).collect();
            let [first, moved] = ["GET /sse HTTP/1.1", "GET /moved HTTP/1.1"];
            assert_eq!(lines, [first, moved, first, moved]);
            assert_eq!(server.last_event_ids(), ["", "", "1", "1"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_location_is_relative_to_the_url_that_was_asked() {
    let locations = [
        ("next", "/a/next"),
        ("/next?b=c", "/next?b=c"),
        ("../next", "/next"),
        ("?d", "/a/sse?d"),
        ("#fragment", "/a/sse?q=1"),
        ("./n%20e xt#f", "/a/n%20e%20xt"),
        ("n\u{e4}chst", "/a/n%C3%A4chst"),
        ("//SERVER/next", "/next"),
        ("http://SERVER/next", "/next"),
        ("HTTP://SERVER", "/"),
        ("http:next", "/a/next"),
    ];
    with_each(async |carrier| {
        for (location, target) in locations {
            let server = Server::new([]).await;
            let location = location.replace("SERVER", &server.address.to_string());
            server.answer([redirect(302, &location), Answer::stream("").stall()]);
            let mut source = carrier.follow(&server.url("/a/sse?q=1")).build().unwrap();
            let Some(Ok(Item::Opened(opened))) = next(&mut source).await else {
                panic!("not opened by {location}")
            };
            assert_eq!(server.requests()[1].line(), format!("GET {target} HTTP/1.1"));
            let url = opened.url.as_str().split('#').next().unwrap();
            assert_eq!(url, server.url(target), "{location}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_redirect_without_a_usable_location_is_the_end() {
    let heads = [
        ("302 a\r\n", "NoLocation(302)"),
        ("301 a\r\nlocation:\r\n", "NoLocation(301)"),
        ("308 a\r\nlocation:   \r\n", "NoLocation(308)"),
        ("302 a\r\nlocation: ftp://a/\r\n", r#"BadLocation { location: "ftp://a/" }"#),
        ("302 a\r\nlocation: data:,x\r\n", r#"BadLocation { location: "data:,x" }"#),
        ("302 a\r\nlocation: http://\r\n", r#"BadLocation { location: "http://" }"#),
        ("302 a\r\nlocation: http://a:x/\r\n", r#"BadLocation { location: "http://a:x/" }"#),
    ];
    with_each(async |carrier| {
        for (head, error) in heads {
            for policy in [Policy::standard(), Policy::resilient()] {
                let server = Server::new([Answer::head(head)]).await;
                let builder = carrier.follow(&server.url("/sse")).policy(policy);
                let mut source = builder.build().unwrap();
                let expected = [&*format!("error: redirect {error}"), "end"];
                assert_eq!(told_to_end(&mut source).await, expected);
                assert_eq!(server.requests().len(), 1);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_circle_of_redirects_ends_at_the_limit() {
    with_each(async |carrier| {
        for (limit, requests) in [(None, 21), (Some(0), 1), (Some(3), 4)] {
            let server = Server::always(redirect(302, "/sse")).await;
            let mut builder = carrier.follow(&server.url("/sse"));
            if let Some(limit) = limit {
                builder = builder.max_redirects(limit);
            }
            let seen = told_to_end(&mut builder.build().unwrap()).await;
            assert_eq!(seen, [&*format!("error: redirect TooMany({})", requests - 1), "end"]);
            assert_eq!(server.requests().len(), requests);
        }
    })
    .await;
}

#[tokio::test]
async fn as_many_redirects_as_the_limit_are_followed_each_time() {
    with_each(async |carrier| {
        let connection = [redirect(302, "/b"), redirect(307, "/c"), Answer::stream("data: a\n\n")];
        let server = Server::new([connection.clone(), connection].concat()).await;
        let builder = carrier.follow(&server.url("/a")).max_redirects(2);
        let mut source = builder.build().unwrap();
        let seen = told(&mut source, 6).await;
        let expected = ["opened", "message: a", "lost: ended"];
        assert_eq!(seen, [expected, expected].concat());
    })
    .await;
}

#[tokio::test]
async fn a_redirect_whose_body_never_ends_is_followed_at_once_and_left() {
    with_each(async |carrier| {
        let endless = Answer::head("302 a\r\nlocation: /b\r\n").write("moved to").stall();
        let server = Server::new([endless, Answer::stream("").stall()]).await;
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 1).await, ["opened"]);
        server.left(0).await;
    })
    .await;
}

#[tokio::test]
async fn each_redirect_has_the_connect_timeout_for_itself() {
    with_each(async |carrier| {
        let timeout = Duration::from_millis(500);
        let answers = [redirect(302, "/b"), Answer::new().stall(), Answer::stream("").stall()];
        let server = Server::new(answers).await;
        let builder = carrier.follow(&server.url("/a")).connect_timeout(timeout);
        let mut source = builder.build().unwrap();
        assert_eq!(told(&mut source, 2).await, ["lost: no answer", "opened"]);
        assert_eq!(server.requests()[2].line(), "GET /a HTTP/1.1");
    })
    .await;
}

/// The method before and after a redirect, and whether the body is still sent.
const METHODS: &[(u16, Method, &str, bool)] = &[
    (301, Method::POST, "GET", false),
    (302, Method::POST, "GET", false),
    (303, Method::POST, "GET", false),
    (307, Method::POST, "POST", true),
    (308, Method::POST, "POST", true),
    (301, Method::PUT, "PUT", true),
    (302, Method::PUT, "PUT", true),
    (303, Method::PUT, "GET", false),
];

#[tokio::test]
async fn a_redirect_changes_method_and_body_as_the_standard_has_it() {
    with_each(async |carrier| {
        for (status, method, after, keeps_body) in METHODS {
            let server = Server::new([redirect(*status, "/b"), Answer::stream("").stall()]).await;
            let builder = carrier.follow(&server.url("/a")).method(method.clone());
            let builder = builder.header("content-type", "application/json").body("{}");
            let mut source = builder.header("x-kept", "yes").build().unwrap();
            assert_eq!(told(&mut source, 1).await, ["opened"]);
            let requests = server.requests();
            assert_eq!(requests[0].line(), format!("{method} /a HTTP/1.1"));
            assert_eq!(requests[0].body, "{}");
            let case = format!("{method} after {status}");
            assert_eq!(requests[1].line(), format!("{after} /b HTTP/1.1"), "{case}");
            assert_eq!(requests[1].body, if *keeps_body { "{}" } else { "" }, "{case}");
            let about_body = ["content-type", "content-length"];
            let about_body = about_body.map(|name| requests[1].header(name));
            let kept = [Some("application/json"), Some("2")];
            assert_eq!(about_body, if *keeps_body { kept } else { [None, None] }, "{case}");
            assert_eq!(requests[1].header("x-kept"), Some("yes"));
            assert_eq!(requests[1].header("accept"), Some("text/event-stream"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_redirected_post_is_sent_again_as_a_post_when_it_may_be() {
    with_each(async |carrier| {
        let answers = [redirect(303, "/b"), Answer::stream("data: a\n\n"), redirect(303, "/b")];
        let server = Server::new(answers).await;
        server.answer([Answer::stream("").stall()]);
        let builder = carrier.follow(&server.url("/a")).method(Method::POST).body("question");
        let mut source = builder.repeatable(true).build().unwrap();
        told(&mut source, 4).await;
        let requests = server.requests();
        let sent = requests.iter().map(|request| (request.line(), &*request.body));
        let [post, get] = ["POST /a HTTP/1.1", "GET /b HTTP/1.1"];
        let (asked, no_body): (&[u8], &[u8]) = (b"question", b"");
        let expected = [(post, asked), (get, no_body), (post, asked), (get, no_body)];
        assert_eq!(sent.collect::<Vec<_>>(), expected);
    })
    .await;
}

const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

#[tokio::test]
async fn credentials_stay_with_their_origin_and_everything_else_moves_on() {
    with_each(async |carrier| {
        let other = Server::new([]).await;
        let own =
            Server::new([redirect(307, "/still-here"), redirect(307, &other.url("/b"))]).await;
        other.answer([redirect(307, &own.url("/back"))]);
        own.answer([Answer::stream("").stall()]);
        let mut builder = carrier.follow(&own.url("/a")).header("x-tenant", "7");
        for name in CREDENTIALS {
            builder = builder.header(name, "secret");
        }
        let builder = builder.last_event_id(EventId::from_static("41"));
        assert_eq!(told(&mut builder.build().unwrap(), 1).await, ["opened"]);
        let [requests, others] = [own.requests(), other.requests()];
        for name in CREDENTIALS {
            assert_eq!(requests[0].header(name), Some("secret"), "{name}");
            assert_eq!(requests[1].header(name), Some("secret"), "{name}: the same origin");
            assert_eq!(others[0].header(name), None, "{name}: another port");
            assert_eq!(requests[2].header(name), None, "{name}: back, by the word of another");
        }
        for request in requests.iter().chain(&others) {
            assert_eq!(request.header("x-tenant"), Some("7"));
            assert_eq!(request.header("last-event-id"), Some("41"));
            assert_eq!(request.header("cache-control"), Some("no-cache"));
        }
        assert_eq!(others[0].header("host"), Some(&*other.address.to_string()));
    })
    .await;
}

#[tokio::test]
async fn a_reconnection_after_a_redirect_to_another_origin_has_its_credentials_again() {
    with_each(async |carrier| {
        let other = Server::always(Answer::stream("data: a\n\n")).await;
        let own = Server::always(redirect(302, &other.url("/b"))).await;
        let builder = carrier.follow(&own.url("/a")).header("authorization", "secret");
        let mut source = builder.build().unwrap();
        let connection = ["opened", "message: a", "lost: ended"];
        assert_eq!(told(&mut source, 6).await, [connection, connection].concat());
        assert_eq!(own.headers("authorization"), [Some("secret".into()), Some("secret".into())]);
        assert_eq!(other.headers("authorization"), [None, None]);
    })
    .await;
}

fn with_user(url: &str) -> String {
    url.replace("http://", "http://aladdin:open%20sesame@")
}

const BASIC: &str = "Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ==";

#[tokio::test]
async fn credentials_in_the_url_follow_redirects_inside_its_origin_only() {
    with_each(async |carrier| {
        let other = Server::new([]).await;
        let own = Server::new([redirect(302, "/relative")]).await;
        own.answer([redirect(302, &own.url("/absolute")), redirect(302, &other.url("/b"))]);
        other.answer([Answer::stream("").stall()]);
        let mut source = carrier.follow(&with_user(&own.url("/a"))).build().unwrap();
        assert_eq!(told(&mut source, 1).await, ["opened"]);
        assert_eq!(other.headers("authorization"), [None], "another port");
        let sent = own.headers("authorization");
        assert_eq!(sent, [BASIC, BASIC, BASIC].map(|basic| Some(basic.to_owned())));
    })
    .await;
}

#[tokio::test]
async fn credentials_in_a_location_are_sent_there() {
    with_each(async |carrier| {
        let server = Server::new([]).await;
        server.answer([redirect(302, &with_user(&server.url("/b"))), Answer::stream("").stall()]);
        let mut source = carrier.source(&server);
        assert_eq!(told(&mut source, 1).await, ["opened"]);
        assert_eq!(server.headers("authorization"), [None, Some(BASIC.to_owned())]);
    })
    .await;
}
