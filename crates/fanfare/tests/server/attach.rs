use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{Router, routing::get};
use bytes::Bytes;
use fanfare::{End, Rejection, Sse};
use futures_util::{FutureExt, StreamExt, future};
use http::{Request, Response, StatusCode, Version, header::HeaderMap};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt, service_fn as tower_fn, util::BoxCloneService};

use crate::support::{Local, Server, echo, pending, request, until, within};

const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\n\
    cache-control: no-cache, no-transform\r\n\
    x-accel-buffering: no\r\n\
    connection: keep-alive\r\n\
    transfer-encoding: chunked\r\n\
    \r\n";

fn greeting() -> Sse {
    let sse = Sse::new();
    sse.on_connection(|client| async move { client.send("hi there!").await });
    sse
}

#[tokio::test]
async fn a_stream_is_a_head_then_ok_then_what_is_sent() {
    let server = Server::of(&greeting()).await;
    let mut peer = server.peer().await;
    peer.get("/sse", "").await;

    assert_eq!(peer.head().await.timeless(), HEAD);
    assert_eq!(peer.chunk().await.unwrap().unwrap(), ":ok\n\n");
    assert_eq!(peer.chunk().await.unwrap().unwrap(), "data: hi there!\n\n");
    assert!(peer.is_silent());
}

#[tokio::test]
async fn head_and_ok_come_before_anything_is_sent() {
    let server = Server::of(&Sse::new()).await;
    let mut peer = server.peer().await;
    peer.get("/sse", "").await;

    assert_eq!(peer.head().await.timeless(), HEAD);
    assert_eq!(peer.chunk().await.unwrap().unwrap(), ":ok\n\n");
    assert!(peer.is_silent());
}

#[tokio::test]
async fn leading_slashes_and_the_query_do_not_matter() {
    let server = Server::of(&greeting()).await;
    for target in ["//sse?x=1", "////sse", "/sse?", "/sse?a=/b", "http://elsewhere/sse"] {
        let mut peer = server.open(target).await;
        assert_eq!(peer.data().await, "hi there!", "{target}");
    }
}

#[tokio::test]
async fn the_path_may_hold_wildcards_and_what_does_not_match_reaches_the_app() {
    let sse = Sse::builder().path("/rooms/*/events*").build();
    let server = Server::with_app(&sse, Router::new().fallback(|| async { "app" })).await;

    for target in ["/rooms/7/events", "/rooms/a/b/events.json", "//rooms/7/events?x"] {
        server.open(target).await;
    }
    for target in ["/sse", "/rooms/events", "/rooms/7/event", "/a/rooms/7/events"] {
        assert_eq!(app_answer(&server, target).await, "app", "{target}");
    }
}

async fn app_answer(server: &Server, target: &str) -> Bytes {
    let mut peer = server.peer().await;
    peer.get(target, "").await;
    let head = peer.head().await;
    peer.sized(head.header("content-length").unwrap().parse().unwrap()).await
}

#[tokio::test]
async fn every_other_request_reaches_the_app_untouched() {
    let server = Server::of_tower(greeting().attach(tower_fn(echo))).await;
    for (method, target) in [
        ("POST", "/sse"),
        ("PUT", "/sse"),
        ("DELETE", "/sse"),
        ("OPTIONS", "/sse"),
        ("PATCH", "//sse?x=1"),
        ("GET", "/"),
        ("GET", "/sse/more"),
        ("GET", "/SSE"),
        ("REPORT", "/sse"),
    ] {
        let mut peer = server.peer().await;
        let request =
            format!("{method} {target} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab");
        peer.write(request).await;

        let head = peer.head().await;
        assert_eq!(head.header("x-method"), Some(method));
        assert_eq!(head.header("x-target"), Some(target));
        assert_eq!(head.header("cache-control"), None);
        assert_eq!(peer.sized(2).await, "ab", "{method} {target}");
    }
}

#[tokio::test]
async fn bodies_pass_through_piece_by_piece() {
    let server = Server::of_tower(greeting().attach(tower_fn(echo))).await;
    let mut peer = server.peer().await;
    peer.write("POST /sse HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    peer.head().await;
    for piece in ["first", "secnd"] {
        peer.write(format!("5\r\n{piece}\r\n")).await;
        assert_eq!(peer.chunk().await.unwrap().unwrap(), piece);
    }
    peer.write("0\r\n\r\n").await;
    assert_eq!(peer.chunk().await, Ok(None));
}

#[tokio::test]
async fn one_connection_serves_the_app_and_then_a_stream() {
    let server = Server::of(&greeting()).await;
    let mut peer = server.peer().await;
    for _ in 0..2 {
        peer.get("/", "").await;
        peer.head().await;
        assert_eq!(peer.sized(4).await, "okay");
    }
    peer.get("/sse", "").await;
    peer.head().await;
    assert_eq!(peer.data().await, "hi there!");
}

#[tokio::test]
async fn a_closed_stream_leaves_its_connection_for_the_next_request() {
    let sse = Sse::new();
    sse.on_connection(|client| async move { client.close() });
    let server = Server::of(&sse).await;
    let mut peer = server.open("/sse").await;
    assert_eq!(peer.next().await, Ok(None));

    peer.get("/", "").await;
    peer.head().await;
    assert_eq!(peer.sized(4).await, "okay");
}

#[tokio::test]
async fn a_connection_that_is_to_be_closed_is_not_promised_to_be_kept() {
    let sse = Sse::new();
    sse.on_connection(|client| async move { client.close() });
    let server = Server::of(&sse).await;
    for wish in ["close", "Close", "TE, close"] {
        let mut peer = server.peer().await;
        peer.get("/sse", &format!("connection: {wish}\r\n")).await;
        assert_eq!(peer.head().await.header("connection"), Some("close"), "{wish}");
        assert_eq!(peer.raw_rest().await, "5\r\n:ok\n\n\r\n0\r\n\r\n");
    }
}

#[tokio::test]
async fn head_requests_get_the_head_alone_and_make_no_client() {
    let called = Arc::new(AtomicUsize::new(0));
    let sse = Sse::new();
    sse.on_connection({
        let called = called.clone();
        move |_| future::ready(called.fetch_add(1, Ordering::SeqCst))
    });
    let server = Server::of(&sse).await;
    let mut peer = server.peer().await;
    peer.write("HEAD /sse HTTP/1.1\r\nhost: a\r\n\r\n").await;

    let head = peer.head().await;
    let of_this_connection = "connection: keep-alive\r\ntransfer-encoding: chunked\r\n";
    assert_eq!(head.timeless(), HEAD.replace(of_this_connection, ""));
    peer.get("/", "").await;
    assert_eq!(peer.head().await.status(), 200, "nothing came in between");
    assert_eq!((sse.len(), called.load(Ordering::SeqCst)), (0, 0));
}

#[tokio::test]
async fn what_verify_turns_down_reaches_the_app() {
    let sse = Sse::builder().verify(|request| request.headers.contains_key("x-pass")).build();
    let server = Server::of_tower(sse.attach(tower_fn(echo))).await;

    let _peer = server.open_with("/sse", "x-pass: 1\r\n").await;
    assert_turned_down(&server, &sse).await;
}

#[tokio::test]
async fn what_verify_async_turns_down_reaches_the_app() {
    let sse = Sse::builder()
        .verify_async(|request| async move {
            tokio::task::yield_now().await;
            request.headers.contains_key("x-pass")
        })
        .build();
    let server = Server::of_tower(sse.attach(tower_fn(echo))).await;

    let _peer = server.open_with("/sse", "x-pass: 1\r\n").await;
    assert_turned_down(&server, &sse).await;
}

async fn assert_turned_down(server: &Server, sse: &Sse) {
    let clients = sse.len();
    let mut peer = server.peer().await;
    peer.get("/sse?x=1", "content-length: 4\r\n").await;
    peer.write("body").await;
    assert_eq!(peer.head().await.header("x-target"), Some("/sse?x=1"));
    assert_eq!(peer.sized(4).await, "body");
    assert_eq!(sse.len(), clients);
}

#[tokio::test]
async fn both_ways_to_verify_have_to_agree() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let sse = Sse::builder()
        .verify(|request| request.uri.query() != Some("no"))
        .verify_async(move |_| future::ready(count.fetch_add(1, Ordering::SeqCst) > 0))
        .build();
    let server = Server::of(&sse).await;
    for (target, status) in [("/sse?no", 404), ("/sse", 404), ("/sse", 200)] {
        let mut peer = server.peer().await;
        peer.get(target, "").await;
        assert_eq!(peer.head().await.status(), status, "{target}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2, "not asked after a `verify` that said no");
}

#[tokio::test]
async fn authorize_answers_with_a_status_of_its_own() {
    let sse = Sse::builder()
        .authorize(|request| async move {
            Err(match request.uri.query().unwrap() {
                "429" => {
                    let response = Response::builder().status(429).header("retry-after", "10");
                    Rejection::from(response.body("slow down\n").unwrap())
                }
                status => status.parse::<StatusCode>().unwrap().into(),
            })
        })
        .build();
    sse.on_connection(|_| async { panic!("nobody is let in") });
    let server = Server::of(&sse).await;
    for (target, body, retry_after) in [
        ("/sse?401", "401 Unauthorized\n", None),
        ("/sse?403", "403 Forbidden\n", None),
        ("/sse?429", "slow down\n", Some("10")),
    ] {
        let mut peer = server.peer().await;
        peer.get(target, "").await;
        let head = peer.head().await;
        assert_eq!(head.status().to_string(), target[5..]);
        assert_eq!(head.header("retry-after"), retry_after);
        assert_eq!(head.header("content-length"), Some(&*body.len().to_string()));
        assert_eq!(peer.sized(body.len()).await, body);
    }
    assert!(sse.is_empty());
}

#[tokio::test]
async fn a_204_has_no_body_and_leaves_the_connection_usable() {
    let reject = |_| future::ready(Err(StatusCode::NO_CONTENT.into()));
    let server = Server::of(&Sse::builder().authorize(reject).build()).await;
    let mut peer = server.peer().await;
    peer.get("/sse", "").await;
    let head = peer.head().await;
    assert_eq!(head.status(), 204);
    assert_eq!((head.header("content-length"), head.header("transfer-encoding")), (None, None));

    peer.get("/", "").await;
    assert_eq!(peer.head().await.status(), 200);
}

#[tokio::test]
async fn authorize_is_asked_for_event_streams_only_and_hands_on_what_it_found_out() {
    #[derive(Clone)]
    struct User(&'static str);

    let sse = Sse::builder()
        .verify(|request| request.uri.query() != Some("app"))
        .authorize(|mut request| async move {
            request.extensions.insert(User("Ada"));
            Ok(request)
        })
        .build();
    sse.on_connection(|client| async move {
        let User(name) = client.request().extensions.get().unwrap();
        client.send(*name).await
    });
    let server = Server::of_tower(sse.attach(tower_fn(|request: Request<_>| {
        assert!(request.extensions().get::<User>().is_none());
        echo::<Incoming>(request)
    })))
    .await;

    assert_eq!(server.open("/sse").await.data().await, "Ada");
    for target in ["/", "/sse?app"] {
        let mut peer = server.peer().await;
        peer.get(target, "").await;
        assert_eq!(peer.head().await.header("x-target"), Some(target));
    }
}

#[tokio::test]
async fn the_client_knows_its_request() {
    let sse = Sse::new();
    let server = Server::of(&sse).await;
    let _peer = server.open_with("//sse?a=1&b=%20x&a=2", "x-of-mine: yes\r\n").await;

    let client = &sse.clients()[0];
    assert_eq!(client.request().method, "GET");
    assert_eq!(client.request().uri, "//sse?a=1&b=%20x&a=2");
    assert_eq!(client.request().version, Version::HTTP_11);
    assert_eq!(client.request().headers["x-of-mine"], "yes");
    assert_eq!(client.query().get("b").unwrap(), " x");
    assert_eq!(client.query().get_all("a").collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn http_1_0_gets_a_stream_that_ends_with_its_connection() {
    let sse = Sse::new();
    sse.on_connection(|client| async move {
        client.send("a\nb").await.unwrap();
        client.close();
    });
    let server = Server::of(&sse).await;
    let mut peer = server.peer().await;
    peer.write("GET /sse HTTP/1.0\r\n\r\n").await;

    let head = peer.head().await;
    assert!(head.0.starts_with("HTTP/1.0 200 OK\r\n"), "{head:?}");
    assert_eq!((head.header("transfer-encoding"), head.header("connection")), (None, None));
    assert_eq!(peer.raw_rest().await, ":ok\n\ndata: a\ndata: b\n\n");
}

type H2 = http2::SendRequest<Empty<Bytes>>;

async fn http2(server: &Server) -> H2 {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (requests, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    requests
}

async fn ask(requests: &mut H2, target: &str) -> Response<Incoming> {
    let request = Request::get(format!("http://a{target}")).body(Empty::new()).unwrap();
    within("an answer", requests.send_request(request)).await.unwrap()
}

async fn frame(body: &mut Incoming) -> Bytes {
    within("a frame", body.frame()).await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn http_2_carries_many_streams_at_once() {
    let sse = greeting();
    let server = Server::of(&sse).await;
    let mut requests = http2(&server).await;
    let mut bodies = vec![];
    for _ in 0..20 {
        let response = ask(&mut requests, "//sse?x=1").await;
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("connection"), "an error in HTTP/2");
        bodies.push(response.into_body());
    }
    for body in &mut bodies {
        assert_eq!(frame(body).await, ":ok\n\n");
        assert_eq!(frame(body).await, "data: hi there!\n\n");
    }
    assert_eq!(sse.len(), 20);
    assert_eq!(ask(&mut requests, "/").await.status(), 200, "the app is there too");
}

#[tokio::test]
async fn a_stream_of_http_2_that_is_reset_ends_its_client_alone() {
    let sse = Sse::new();
    let server = Server::of(&sse).await;
    let mut requests = http2(&server).await;
    let first = ask(&mut requests, "/sse?first").await.into_body();
    let mut second = ask(&mut requests, "/sse?second").await.into_body();
    assert_eq!(frame(&mut second).await, ":ok\n\n");
    let gone = sse.clients().into_iter().find(|client| client.query().get("first").is_some());

    drop(first);

    assert_eq!(within("the end", gone.unwrap().closed()).await, End::Peer);
    assert_eq!(sse.len(), 1);
    sse.clients()[0].send("still here").await.unwrap();
    assert_eq!(frame(&mut second).await, "data: still here\n\n");
}

#[tokio::test]
async fn a_stream_of_http_2_that_is_closed_ends_in_order() {
    let sse = greeting();
    let server = Server::of(&sse).await;
    let mut requests = http2(&server).await;
    let body = ask(&mut requests, "/sse").await.into_body();
    until("the client", || !sse.is_empty()).await;
    sse.clients()[0].close();
    let all = within("the end", body.collect()).await.unwrap().to_bytes();
    assert!(all.starts_with(b":ok\n\n"));
    assert!(sse.is_empty());
}

#[tokio::test]
async fn it_goes_in_front_of_a_hyper_service() {
    let app = service_fn(|request: Request<Incoming>| async move {
        let text = format!("{} {}", request.method(), request.uri());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let server = Server::of_hyper(greeting().attach(app)).await;

    assert_eq!(server.open("/sse").await.data().await, "hi there!");
    assert_eq!(app_answer(&server, "/any?x").await, "GET /any?x");
    let mut requests = http2(&server).await;
    let mut body = ask(&mut requests, "/sse").await.into_body();
    assert_eq!(frame(&mut body).await, ":ok\n\n");
}

#[tokio::test]
async fn it_is_a_layer_of_a_router() {
    let sse = greeting();
    let router = Router::new().route("/", get(|| async { "okay" })).layer(sse.clone());
    let server = Server::of_router(router).await;

    assert_eq!(server.open("//sse?x=1").await.data().await, "hi there!");
    assert_eq!(app_answer(&server, "/").await, "okay");
}

#[tokio::test]
async fn it_goes_in_front_of_a_boxed_service_whose_bodies_end_with_trailers() {
    let call = |_: Request<Incoming>| async {
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let frames = [Frame::data(Bytes::from("message")), Frame::trailers(trailers)];
        let frames = futures_util::stream::iter(frames.map(Ok::<_, std::io::Error>));
        Ok::<_, Infallible>(Response::new(UnsyncBoxBody::new(StreamBody::new(frames))))
    };
    let server = Server::of_tower(greeting().attach(BoxCloneService::new(tower_fn(call)))).await;

    let mut requests = http2(&server).await;
    let answer = ask(&mut requests, "/package.Service/Call").await.into_body();
    let answer = within("the answer", answer.collect()).await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(answer.to_bytes(), "message");
    let mut stream = ask(&mut requests, "/sse").await.into_body();
    assert_eq!(frame(&mut stream).await, ":ok\n\n");
}

#[tokio::test]
async fn the_errors_of_a_service_stay_what_they_are() {
    let failing = tower_fn(|_: Request<()>| future::err::<Response<String>, _>("broken"));
    for path in ["/sse", "/other"] {
        let sse = Sse::builder().verify_async(|_| future::ready(false)).build();
        let request = Request::get(path).body(()).unwrap();
        assert_eq!(sse.attach(failing).oneshot(request).await.unwrap_err(), "broken");
    }
}

/// Panics when it is called without having been asked whether it is ready, as tower allows.
#[derive(Default)]
struct ReadyFirst(AtomicBool);

impl Clone for ReadyFirst {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for ReadyFirst {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        *self.0.get_mut() = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(self.0.get_mut()), "called before it was ready");
        future::ok(Response::new("app".to_owned()))
    }
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let sse = Sse::builder().verify_async(|_| future::ready(false)).build();
    let mut service = sse.attach(ReadyFirst::default());
    for path in ["/other", "/sse", "/other", "/sse"] {
        let request = Request::get(path).body(()).unwrap();
        let ready = ServiceExt::<Request<()>>::ready(&mut service).await.unwrap();
        let response = ready.call(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "app", "{path}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_leaves_no_client() {
    let sse = Sse::new();
    let mut service = sse.attach(tower_fn(echo));
    let answer = service.call(Request::get("/sse").body(axum::body::Body::empty()).unwrap());
    let response = answer.now_or_never().expect("nothing to wait for").unwrap();
    assert_eq!(sse.len(), 1);
    let client = sse.clients().remove(0);

    drop(response);

    assert!(sse.is_empty());
    assert_eq!(client.closed().now_or_never(), Some(End::Peer));
}

#[tokio::test]
async fn a_request_that_is_dropped_while_it_is_checked_leaves_no_client() {
    let sse = Sse::builder().authorize(|_| future::pending()).build();
    let mut service = sse.attach(tower_fn(echo));
    let answer = service.call(Request::get("/sse").body(axum::body::Body::empty()).unwrap());
    drop(pending(answer));
    assert!(sse.is_empty());
}

#[tokio::test]
async fn a_handler_that_panics_harms_nobody_else() {
    let sse = Sse::new();
    sse.on_connection(|client| async move {
        assert!(client.query().get("bad").is_none(), "a panic on purpose");
        client.send("fine").await
    });
    let server = Server::of(&sse).await;
    let bad = server.open("/sse?bad").await;
    assert_eq!(server.open("/sse").await.data().await, "fine");
    drop(bad);
    until("no clients", || sse.is_empty()).await;
}

#[tokio::test]
async fn accept_serves_a_route_of_the_apps_own() {
    let sse = Sse::builder().verify(|_| false).path("/elsewhere").build();
    sse.on_connection(|_| async { panic!("plays no part in it") });
    let accepting = sse.clone();
    let server = Server::of_hyper(service_fn(move |request: Request<Incoming>| {
        let (parts, _) = request.into_parts();
        let (client, response) = accepting.accept(parts).unwrap();
        tokio::spawn(async move { client.send("accepted").await });
        future::ok::<_, Infallible>(response)
    }))
    .await;
    assert_eq!(server.open("/mine").await.data().await, "accepted");
}

#[tokio::test]
async fn the_extractor_of_axum_makes_a_client_and_its_response() {
    use axum::extract::Path;
    use fanfare::Accept;

    async fn room(
        Path(room): Path<String>,
        Accept { client, response }: Accept,
    ) -> Response<fanfare::Body> {
        client.send(format!("welcome to {room}")).await.unwrap();
        response
    }

    let sse = Sse::builder().max_clients(1).build();
    let router = Router::new().route("/rooms/{room}", get(room)).with_state(sse.clone());
    let server = Server::of_router(router).await;
    let mut peer = server.open("/rooms/7").await;
    assert_eq!(peer.data().await, "welcome to 7");

    let mut other = server.peer().await;
    other.get("/rooms/8", "").await;
    assert_eq!(other.head().await.status(), 503);
}

#[tokio::test]
async fn the_body_can_be_asked_again_after_its_end() {
    let sse = Sse::new();
    let mut local = Local::of(&sse, request("/sse"));
    local.client.close();
    assert!(local.last_data().is_empty());
    assert!(local.last_data().is_empty());
    assert!(sse.is_empty(), "the client has left although its body is still there");
}

#[tokio::test]
async fn streams_of_bodies_are_sent_to_other_tasks() {
    fn assert_send<T: Send + 'static>(_: &T) {}

    let (client, response) = Sse::new().accept(request("/sse")).unwrap();
    assert_send(&client);
    assert_send(&response);
    assert_send(&Sse::stream(futures_util::stream::pending::<String>().boxed()));
}
