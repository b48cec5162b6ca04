use fanfare::Sse;

use crate::support::{Local, Server, request, until};

#[tokio::test]
async fn who_is_one_too_many_is_told_to_come_back_later() {
    let sse = Sse::builder().max_clients(2).build();
    let server = Server::of(&sse).await;
    let (first, _second) = (server.open("/sse").await, server.open("/sse").await);

    let mut third = server.peer().await;
    third.get("/sse", "").await;
    let head = third.head().await;
    assert_eq!(head.status(), 503);
    assert_eq!(head.header("retry-after"), Some("5"));
    assert_eq!(third.sized(24).await, "503 Service Unavailable\n");
    assert_eq!(sse.len(), 2);

    drop(first);
    until("the free place", || sse.len() == 1).await;
    third.get("/sse", "").await;
    assert_eq!(third.head().await.status(), 200, "on the same connection");
}

#[tokio::test]
async fn handlers_do_not_see_who_is_one_too_many() {
    let sse = Sse::builder().max_clients(0).build();
    sse.on_connection(|_| async { panic!("there is no room") });
    let server = Server::of(&sse).await;
    let mut peer = server.peer().await;
    peer.get("/sse", "").await;
    assert_eq!(peer.head().await.status(), 503);
    peer.get("/", "").await;
    assert_eq!(peer.sized(24).await, "503 Service Unavailable\n");
    assert_eq!(peer.head().await.status(), 200, "the app has room");
}

#[test]
fn a_place_is_given_back_however_the_stream_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    let sse = Sse::builder().max_clients(1).build();
    for end in 0..30 {
        let mut local = Local::unread(&sse, request("/sse"));
        assert_eq!(sse.accept(request("/sse")).unwrap_err().status(), 503);
        match end % 3 {
            0 => drop(local),
            1 => {
                local.client.close();
                assert!(local.read_to_wait().1);
            }
            _ => {
                local.client.close();
                drop(local);
            }
        }
    }
    assert!(sse.is_empty());
}
