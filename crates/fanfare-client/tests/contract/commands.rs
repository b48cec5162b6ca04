use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Callbacks, Contract, Service, StreamServer, event, within};

#[tokio::test]
async fn its_status_names_the_client_and_what_it_can_do() {
    let answer = Service::start().await.ask("GET", "/", "").await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let status: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(status["name"], "fanfare-client");
    let capabilities = [
        "bom",
        "comments",
        "headers",
        "last-event-id",
        "post",
        "read-timeout",
        "report",
        "restart",
        "server-directed-shutdown-request",
    ];
    assert_eq!(status["capabilities"], json!(capabilities));
}

#[tokio::test]
async fn it_ends_when_it_is_told_to_whatever_is_open() {
    let (contract, _stream) = Contract::open().await;
    let _silent = TcpStream::connect(contract.service.address).await.unwrap();
    let mut unfinished = TcpStream::connect(contract.service.address).await.unwrap();
    let request = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    unfinished.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within("a go", unfinished.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100", "the service waits for the body");

    assert_eq!(contract.service.ask("DELETE", "/", "").await.status, 204);

    contract.service.ended().await;
}

#[tokio::test]
async fn malformed_parameters_are_refused_with_a_reason() {
    let service = Service::start().await;
    let with = |name: &str, value: Value| {
        let mut params =
            json!({ "streamUrl": "http://127.0.0.1:1/", "callbackUrl": "http://127.0.0.1:1/" });
        params[name] = value;
        params.to_string()
    };
    for body in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        json!({ "streamUrl": "http://127.0.0.1:1/" }).to_string(),
        json!({ "callbackUrl": "http://127.0.0.1:1/" }).to_string(),
        with("streamUrl", json!("")),
        with("streamUrl", json!("/stream")),
        with("streamUrl", json!("ftp://127.0.0.1/")),
        with("callbackUrl", json!("/callbacks")),
        with("callbackUrl", json!("http://")),
        with("callbackUrl", json!("ftp://127.0.0.1/")),
        with("initialDelayMs", json!(-1)),
        with("initialDelayMs", json!("0")),
        with("readTimeoutMs", json!(0)),
        with("lastEventId", json!("a\nb")),
        with("method", json!("GET /")),
        with("headers", json!({ "a name": "value" })),
        with("headers", json!({ "name": "a\r\nvalue" })),
        with("body", json!({})),
    ] {
        let answer = service.ask("POST", "/", &body).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.body.ends_with('\n'), "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn null_is_as_good_as_missing_and_what_it_does_not_know_is_ignored() {
    let params = json!({
        "initialDelayMs": null,
        "readTimeoutMs": null,
        "lastEventId": null,
        "method": null,
        "headers": null,
        "body": null,
        "anything": "else",
    });
    let contract = Contract::with(params).await;
    assert_eq!(contract.server.connection().await.request.method, "GET");
}

#[tokio::test]
async fn listening_to_a_type_changes_nothing_because_events_of_all_types_are_told() {
    let (mut contract, mut stream) = Contract::open().await;
    let listen = json!({ "command": "listen", "listen": { "type": "greeting" } });
    assert_eq!(contract.command(listen).await.status, 202);

    stream.send("event: greeting\ndata: a\n\nevent: other\ndata: b\n\ndata: c\n\n").await;

    contract.tells(event("greeting", "a", "")).await;
    contract.tells(event("other", "b", "")).await;
    contract.tells(event("message", "c", "")).await;
}

#[tokio::test]
async fn commands_that_it_does_not_know_are_refused() {
    let (contract, _stream) = Contract::open().await;
    for command in [
        json!({}),
        json!({ "command": "dance" }),
        json!({ "command": "listen" }),
        json!({ "command": "listen", "listen": {} }),
        json!("restart"),
    ] {
        assert_eq!(contract.command(command.clone()).await.status, 400, "{command}");
    }
}

#[tokio::test]
async fn streams_that_are_not_there_are_not_found() {
    let (contract, _stream) = Contract::open().await;
    let restart = json!({ "command": "restart" }).to_string();
    for nowhere in [format!("{}0", contract.location), "/streams/none".to_owned()] {
        assert_eq!(contract.service.ask("POST", &nowhere, &restart).await.status, 404);
        assert_eq!(contract.service.ask("DELETE", &nowhere, "").await.status, 404);
    }
}

#[tokio::test]
async fn there_is_no_room_for_any_number_of_streams_that_nobody_closes() {
    let service = Service::start().await;
    let url = "http://127.0.0.1:1/nobody-is-there";
    let params = json!({ "streamUrl": url, "callbackUrl": url }).to_string();
    for _ in 0..100 {
        assert_eq!(service.ask("POST", "/", &params).await.status, 201);
    }
    assert_eq!(service.ask("POST", "/", &params).await.status, 503);

    service.ask("DELETE", "/streams/7", "").await;

    assert_eq!(service.ask("POST", "/", &params).await.status, 201);
}

#[tokio::test]
async fn closing_a_stream_closes_its_connection() {
    let (contract, stream) = Contract::open().await;
    let delete = || contract.service.ask("DELETE", &contract.location, "");

    assert_eq!(delete().await.status, 204);

    stream.closed().await;
    assert_eq!(delete().await.status, 404, "it is gone");
}

#[tokio::test]
async fn closing_a_stream_does_not_wait_for_a_callback() {
    let (service, server) = (Service::start().await, StreamServer::start().await);
    let callbacks = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let callback_url = format!("http://{}", callbacks.local_addr().unwrap());
    let location = service.begin(&server, &callback_url, json!({})).await;
    let mut stream = server.open().await;
    stream.send("data: a\n\n").await;
    let _unanswered = within("a callback", callbacks.accept()).await.unwrap();

    assert_eq!(service.ask("DELETE", &location, "").await.status, 204);

    stream.closed().await;
}

#[tokio::test]
async fn a_stream_whose_callbacks_nobody_takes_is_closed() {
    let (service, server) = (Service::start().await, StreamServer::start().await);
    let callbacks = Callbacks::start().await;
    let wrong = format!("{}/elsewhere", callbacks.url);
    service.begin(&server, &wrong, json!({})).await;
    let mut stream = server.open().await;

    stream.send("data: a\n\n").await;

    stream.closed().await;
}

#[tokio::test]
async fn streams_do_not_know_of_each_other() {
    let (mut contract, mut first) = Contract::open().await;
    let mut callbacks = Callbacks::start().await;
    contract.service.begin(&contract.server, &callbacks.url, json!({})).await;
    let mut second = contract.server.open().await;
    first.send("data: of the first\n\n").await;
    second.send("data: of the second\n\n").await;

    contract.tells(event("message", "of the first", "")).await;
    assert_eq!(callbacks.next().await, event("message", "of the second", ""));
    contract.service.ask("DELETE", &contract.location, "").await;

    first.closed().await;
    second.send("data: still here\n\n").await;
    assert_eq!(callbacks.next().await, event("message", "still here", ""));
}
