use serde_json::json;

use crate::support::{Break, Contract, event};

#[tokio::test]
async fn it_asks_for_an_event_stream_that_no_cache_has_kept() {
    let contract = Contract::with(json!({})).await;
    let request = contract.server.connection().await.request;

    assert_eq!((&*request.method, &*request.target, &*request.body), ("GET", "/stream", ""));
    assert_eq!(request.headers("accept"), ["text/event-stream"]);
    assert_eq!(request.headers("cache-control"), ["no-cache"]);
    assert!(request.headers("last-event-id").is_empty());
}

#[tokio::test]
async fn headers_are_sent_as_they_are_given() {
    let headers = json!({ "header-name-1": "value-1", "header-name-2": "value-2" });
    let contract = Contract::with(json!({ "headers": headers })).await;
    let request = contract.server.connection().await.request;

    assert_eq!(request.headers("header-name-1"), ["value-1"]);
    assert_eq!(request.headers("header-name-2"), ["value-2"]);
    assert_eq!(request.headers("accept"), ["text/event-stream"]);
    assert_eq!(request.headers("cache-control"), ["no-cache"]);
}

#[tokio::test]
async fn a_post_and_a_report_are_sent_with_their_body() {
    for method in ["POST", "REPORT"] {
        let params = json!({
            "method": method,
            "headers": { "content-type": "application/json; charset=utf-8" },
            "body": r#"{"hello": "world"}"#,
        });
        let (mut contract, mut stream) = Contract::open_with(params).await;

        assert_eq!(stream.request.method, method);
        assert_eq!(stream.request.headers("content-type"), ["application/json; charset=utf-8"]);
        assert_eq!(stream.request.body, r#"{"hello": "world"}"#);
        stream.send("data: a\n\n").await;
        contract.tells(event("message", "a", "")).await;
    }
}

#[tokio::test]
async fn redirects_are_followed_and_reconnections_ask_the_first_url_again() {
    for status in ["301 Moved Permanently", "307 Temporary Redirect"] {
        for is_absolute in [true, false] {
            let mut contract = Contract::with(json!({})).await;
            let location =
                if is_absolute { contract.server.url("/new") } else { "/new".to_owned() };
            let first = contract.server.connection().await;
            assert_eq!(first.request.target, "/stream");
            first.answer(status, &format!("location: {location}\r\n")).await;

            let mut stream = contract.server.open().await;
            assert_eq!(stream.request.target, "/new", "{status}");
            stream.send("data: a\n\n").await;
            contract.tells(event("message", "a", "")).await;

            contract.restart().await;
            assert_eq!(contract.server.connection().await.request.target, "/stream");
        }
    }
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_an_error_and_the_end() {
    let nowhere = ["", "location: \r\n", "location: ftp://127.0.0.1/\r\n", "location: http://\r\n"];
    let redirects = ["301 Moved Permanently", "307 Temporary Redirect"];
    let mut all = vec![];
    for (status, location) in redirects.into_iter().flat_map(|s| nowhere.map(|n| (s, n))) {
        let mut contract = Contract::with(json!({})).await;
        contract.server.connection().await.answer(status, location).await;
        let error = contract.error().await;
        assert!(error.starts_with("cannot follow a redirect: "), "{status} {location:?}: {error}");
        all.push(contract);
    }
    futures_util::future::join_all(all.iter().map(|one| one.server.stays_quiet())).await;
}

#[tokio::test]
async fn a_server_ends_it_with_204() {
    let mut contract = Contract::with(json!({})).await;
    contract.server.connection().await.answer("204 No Content", "").await;

    assert_eq!(contract.error().await, "the server answered 204 No Content");
    contract.server.stays_quiet().await;
}

#[tokio::test]
async fn a_server_ends_a_stream_that_was_open_with_204() {
    let (mut contract, mut stream) = Contract::open().await;
    stream.send("data: a\n\n").await;
    contract.tells(event("message", "a", "")).await;
    stream.end(Break::Orderly).await;
    assert_eq!(contract.error().await, "the event stream ended");

    contract.server.connection().await.answer("204 No Content", "").await;

    assert_eq!(contract.error().await, "the server answered 204 No Content");
    contract.server.stays_quiet().await;
}
