use crate::support::Running;

fn post(target: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_name_is_what_is_written_decoded_once_or_refused() {
    let hub = Running::open().await;
    let longest = "x".repeat(256);
    // Whatever a path or a database would make of it, it is a name like others.
    for (path, name) in [
        ("..", ".."),
        ("../../etc/passwd", "../../etc/passwd"),
        ("%2e%2e%2fa", "../a"),
        ("%2F", "/"),
        ("a//b/", "a//b/"),
        ("%252e%2500", "%2e%00"),
        ("%5c", "\\"),
        ("%25", "%"),
        ("%zz", "%zz"),
        ("a+b", "a+b"),
        ("*a", "*a"),
        (" 24stats".trim(), "24stats"),
        ("%C3%BC", "ü"),
        ("%E2%80%AE", "\u{202e}"),
        ("'%22%3Cscript%3E", "'\"<script>"),
        (longest.as_str(), longest.as_str()),
    ] {
        let answers = hub.ask(post(&format!("/sse/{path}"), "x")).await;
        assert_eq!(answers[0].status, 200, "{path}");
        assert_eq!(hub.topics().await, [name], "{path}");
        hub.erase(name).await;
    }
    hub.end().await;
}

#[tokio::test]
async fn what_is_no_name_is_refused_and_published_nowhere() {
    let hub = Running::open().await;
    let too_long = "x".repeat(257);
    let far_too_long = "x".repeat(30_000);
    for (path, status) in [
        ("", 400),
        ("%00", 400),
        ("a%00b", 400),
        ("%0d%0aset-cookie:x", 400),
        ("%7f", 400),
        ("%C2%85", 400),
        // Overlong, a surrogate, beyond Unicode, half a letter.
        ("%C0%AF", 400),
        ("%E0%80%AF", 400),
        ("%ED%A0%80", 400),
        ("%F4%90%80%80", 400),
        ("%C3", 400),
        ("%FF", 400),
        ("*", 400),
        ("a*", 400),
        ("%2A", 400),
        ("$stats", 403),
        ("%24stats", 403),
        ("$", 403),
        ("%24*", 400),
        (too_long.as_str(), 400),
        (far_too_long.as_str(), 431),
    ] {
        for method in ["POST", "DELETE"] {
            let request =
                format!("{method} /sse/{path} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
            assert_eq!(hub.ask(request).await[0].status, status, "{method} {path}");
        }
    }
    for (line, status) in [
        (r#"{"topic":"$stats","data":1}"#, 403),
        (r#"{"topic":"\u0024stats","data":1}"#, 403),
        (r#"{"topic":"a*","data":1}"#, 400),
        (r#"{"topic":"a\u0000","data":1}"#, 400),
        (r#"{"topic":"\ud800","data":1}"#, 400),
        (r#"{"topic":"","data":1}"#, 400),
        (r#"{"topic":"a","topic":"b","data":1}"#, 400),
        (r#"{"topic":"a","data":1,"id":"7"}"#, 400),
        (r#"{"topic":"a","event":"x\ny","data":1}"#, 400),
    ] {
        // The first line alone would be published.
        let body = format!("{}\n{line}\n", r#"{"topic":"first","data":1}"#);
        let length = body.len();
        let request = format!(
            "POST /sse HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        assert_eq!(hub.ask(request).await[0].status, status, "{line}");
    }
    for body in [b"\xff".as_slice(), b"a\xc0\xaf", b"\xed\xa0\x80"] {
        let head =
            format!("POST /sse/a HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        assert_eq!(hub.ask([head.as_bytes(), body].concat()).await[0].status, 400);
    }
    assert_eq!(hub.topics().await, [""; 0]);
    hub.end().await;
}

#[tokio::test]
async fn the_hubs_own_topics_are_selected_by_nothing_else() {
    let hub = Running::open().await;
    for target in ["/sse/*", "/sse?topic=*", "/sse/s*?topic=*", "/topics/*/events"] {
        let request =
            format!("GET {target}?from=earliest HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let (wire, _) = hub.send(&request).await;
        let text = String::from_utf8_lossy(&wire);
        assert!(!text.contains("subscribers"), "{target} tells the figures: {text}");
    }
    let figures = "GET /sse/%24stats?last=1 HTTP/1.1\r\nhost: a\r\n\r\n";
    let (mut wire, mut stream) = hub.send(figures).await;
    crate::support::until(&mut stream, &mut wire, b"\"subscribers\"").await;
    hub.end().await;
}

#[tokio::test]
async fn bombs_of_headers_are_refused() {
    let hub = Running::open().await;
    let name = "x".repeat(17_000);
    for headers in [
        "x: x\r\n".repeat(101),
        format!("{name}: x\r\n"),
        format!("x: {name}\r\n"),
        format!("cookie: {}\r\n", "a=b; ".repeat(4000)),
        format!("authorization: Bearer {name}\r\n"),
        format!("last-event-id: {name}\r\n"),
    ] {
        let request = format!("POST /sse/a HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        let answers = hub.ask(&request).await;
        assert_eq!((answers.len(), answers[0].status), (1, 431), "{headers:.40}");
    }
    assert_eq!(hub.topics().await, [""; 0]);
    hub.end().await;
}
