use std::process::Stdio;

use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::support::{Folder, numbers, output, within};

#[tokio::test]
async fn the_lines_that_it_prints_work_when_they_are_copied() {
    let folder = Folder::new();
    let hub = folder.serve(&["--data", "data"]).await;
    let published = output(folder.shell(hub.line("publish"))).await;
    assert!(published.stdout.starts_with("{\"id\":\""), "{published:?}");
    let mut following = folder.shell(hub.line("subscribe")).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let hello = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line == "data: hello" {
                return;
            }
        }
        panic!("the stream ended");
    };
    within("the event", hello).await;
    let page = output(folder.shell(&format!("curl -s '{}'", hub.line("page")))).await;
    assert!(page.stdout.contains("<html"), "{page:?}");
    assert_eq!(hub.line("log"), "data, events: 0, topics: 0, durability: sync");
}

#[tokio::test]
async fn events_survive_a_kill_and_the_next_start_says_what_it_found() {
    let folder = Folder::new();
    let mut hub = folder.serve(&["--data", "data"]).await;
    let end = folder.feed(&["pub", &hub.url("/sse/a"), "--lines"], &numbers(500)).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    hub.signal(Signal::KILL);
    hub.ended().await;
    let hub = folder.serve(&["--data", "data"]).await;
    assert!(hub.line("log").starts_with("data, events: 500, topics: 1"), "{:?}", hub.greeting);
    assert!(hub.said().contains("The log had not been closed"), "{hub:?}");
    let events = folder.events(&hub, "/sse/a?from=earliest", 500).await;
    for (number, event) in events.iter().enumerate() {
        assert!(event.contains(&format!("\"data\":\"{number}\"")), "{number}: {event}");
    }
}

#[tokio::test]
async fn in_memory_it_leaves_nothing_behind() {
    let folder = Folder::new();
    let mut hub = folder.serve(&["--memory"]).await;
    assert_eq!(hub.line("log"), "in memory: nothing outlives this process");
    assert_eq!(folder.run(&["pub", &hub.url("/sse/a"), "x"]).await.status, Some(0));
    hub.signal(Signal::TERM);
    assert_eq!(hub.ended().await.code(), Some(0));
    assert!(!hub.said().contains("WARN"), "{hub:?}");
    assert!(!folder.path().join("fanfare-data").exists());
}

#[tokio::test]
async fn others_are_not_served_without_authentication_unless_told() {
    let folder = Folder::new();
    let end = folder.run(&["serve", "--memory", "--listen", "0.0.0.0:0"]).await;
    assert_eq!((end.status, &*end.stdout), (Some(2), ""));
    assert!(end.stderr.contains("refusing to serve 0.0.0.0:0 without authentication"), "{end:?}");
    assert!(end.stderr.contains("--insecure"), "{end:?}");

    let hub = folder.serve(&["--memory", "--set", "server.listen=0.0.0.0:0", "--insecure"]).await;
    assert!(hub.url("").starts_with("http://127.0.0.1:"), "{:?}", hub.greeting);
    hub.says("others are served without authentication").await;
    hub.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let end = folder.run(&["serve", "--memory", "--listen", &address]).await;
    let expected = format!(
        "fanfare: {address} is in use by another program: stop it, or --listen on another port\n"
    );
    assert_eq!((end.status, &*end.stderr), (Some(1), &*expected));
}

#[tokio::test]
async fn a_folder_that_is_in_use_is_told() {
    let folder = Folder::new();
    let _hub = folder.serve(&["--data", "data"]).await;
    let end = folder.run(&["serve", "--data", "data", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(end.status, Some(1));
    assert!(end.stderr.contains("the folder data is in use by another hub (process "), "{end:?}");
}

#[tokio::test]
async fn files_with_keys_and_certificates_that_cannot_be_used_are_told() {
    let folder = Folder::new();
    folder.write("short.txt", "short\n");
    let end = folder.run(&["serve", "--memory", "--secret-file", "short.txt"]).await;
    assert_eq!(end.status, Some(1));
    assert!(end.stderr.contains("the secret in short.txt cannot be used"), "{end:?}");
    assert!(end.stderr.contains("at least 32 bytes long"), "{end:?}");
    let words = ["serve", "--memory", "--tls-certificate", "absent.pem", "--tls-key", "absent.pem"];
    let end = folder.run(&words).await;
    assert_eq!(end.status, Some(1));
    assert!(end.stderr.contains("the certificate absent.pem cannot be read"), "{end:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    let mut hub = folder.serve(&["--memory", "--set", "server.grace=10m"]).await;
    // A publish that never ends.
    let address = hub.url("").replace("http://", "");
    let mut publisher = TcpStream::connect(address).await.unwrap();
    let head = "POST /sse/a HTTP/1.1\r\nhost: a\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n";
    publisher.write_all(head.as_bytes()).await.unwrap();
    folder.events(&hub, "/sse/a?from=earliest", 1).await;
    hub.signal(Signal::TERM);
    hub.says("a second time ends it at once").await;
    hub.signal(Signal::INT);
    assert_eq!(hub.ended().await.code(), Some(130));
}

#[tokio::test]
async fn a_hang_up_has_the_certificate_read_again() {
    let folder = Folder::new();
    let certify = |name: &str| {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        folder.write("key.pem", &certified.signing_key.serialize_pem());
        folder.write("certificate.pem", &certified.cert.pem());
        folder.write(name, &certified.cert.pem());
    };
    certify("first.pem");
    let words = ["--memory", "--tls-certificate", "certificate.pem", "--tls-key", "key.pem"];
    let hub = folder.serve(&words).await;
    let ask = |trusted: &str| {
        let url = hub.url("/healthz");
        output(folder.shell(&format!("curl -s --cacert {trusted} '{url}'")))
    };
    assert_eq!(ask("first.pem").await.stdout, "ok\n", "{hub:?}");
    certify("second.pem");
    assert_eq!(ask("second.pem").await.stdout, "");
    hub.signal(Signal::HUP);
    hub.says("certificates and keys have been read again").await;
    assert_eq!(ask("second.pem").await.stdout, "ok\n", "{hub:?}");

    folder.write("certificate.pem", "nonsense");
    hub.signal(Signal::HUP);
    hub.says("the certificate stays the one it was").await;
    assert_eq!(ask("second.pem").await.stdout, "ok\n", "{hub:?}");
}

#[tokio::test]
async fn messages_can_be_json() {
    let folder = Folder::new();
    let hub = folder.serve(&["--memory", "--log-format", "json"]).await;
    hub.signal(Signal::TERM);
    hub.says("\"message\":\"ended in good order\"").await;
    for line in hub.said().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}
