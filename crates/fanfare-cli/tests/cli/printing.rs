use crate::support::{Fanfare, Peer, Server, Terminal};

/// `sub` with these options, quiet, and the stream that it follows.
async fn following(server: &Server, options: &[&str]) -> (Fanfare, Peer) {
    let url = server.url();
    let fanfare = Fanfare::run(["sub", &url, "--quiet"].iter().chain(options));
    (fanfare, server.open().await)
}

/// All lines that `sub` prints of a stream that has two events at most.
async fn printed(options: &[&str], stream: &str) -> String {
    let server = Server::start().await;
    let (fanfare, mut peer) = following(&server, options).await;
    peer.write(stream).await;
    let end = fanfare.end().await;
    assert_eq!((end.status, &*end.stderr), (Some(0), ""));
    end.stdout
}

/// What follows the time at the beginning of lines that have one.
fn timeless(lines: &str) -> String {
    let without_time = |line: &str| {
        let (time, rest) = line.split_at_checked("12:03:55.120Z".len()).unwrap_or(("", line));
        let shape: String =
            time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        if shape == "00:00:00.000Z" { rest.to_owned() } else { line.to_owned() }
    };
    lines.split_inclusive('\n').map(without_time).collect()
}

#[tokio::test]
async fn people_see_time_name_id_and_data() {
    let stream = "data: plain\n\nevent: tick\nid: 42\ndata: {\"a\":1}\n\n";
    let lines = printed(&["--count", "2"], stream).await;
    assert_eq!(timeless(&lines), " message  plain\n tick #42  {\"a\":1}\n");
    assert_ne!(timeless(&lines), lines, "there should be times");
}

#[tokio::test]
async fn people_see_the_lines_of_longer_data_below() {
    let stream = "data: first\ndata:\ndata:   third\n\ndata\n\n";
    let lines = printed(&["--count", "2"], stream).await;
    assert_eq!(timeless(&lines), " message\n    first\n    \n      third\n message\n");
}

#[tokio::test]
async fn people_see_comments_and_reconnection_times_if_asked_for() {
    let stream = ": hello\n:\nretry: 3000\ndata: a\n\n";
    assert_eq!(timeless(&printed(&["--count", "1"], stream).await), " message  a\n");
    let lines = printed(&["--count", "1", "--all"], stream).await;
    assert_eq!(timeless(&lines), " : hello\n :\n retry: 3000\n message  a\n");
}

#[tokio::test]
async fn a_server_cannot_control_the_terminal() {
    let stream = ": \x1b[2J\nevent: \x1b]0;a\x07\nid: \x08\u{9b}2J\ndata: a\tb\x1b[31m\x7f\0ü\n\n";
    let lines = printed(&["--count", "1", "--all"], stream).await;
    assert_eq!(
        timeless(&lines),
        " : \\u{1b}[2J\n \\u{1b}]0;a\\u{7} #\\u{8}\\u{9b}2J  a\tb\\u{1b}[31m\\u{7f}\\u{0}ü\n"
    );
}

#[tokio::test]
async fn a_server_cannot_control_the_terminal_by_its_head_either() {
    let server = Server::start().await;
    let fanfare = Fanfare::run(["sub", &server.url()]);
    let mut peer = server.accept().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-type: \u{9b}2J\r\ncontent-length: 0\r\n\r\n").await;
    let end = fanfare.end().await;
    assert_eq!(end.status, Some(3));
    assert!(end.stderr.contains("its content-type is \\u{9b}2J,"), "{}", end.stderr);
}

#[tokio::test]
async fn json_is_one_object_a_line() {
    let stream = ": hello\nretry: 5\nid: 1\nevent: x\ndata: a\ndata: \x1b\n\ndata: b\n\n";
    let events = "{\"event\":\"x\",\"data\":\"a\\n\\u001b\",\"id\":\"1\"}\n\
                  {\"event\":\"message\",\"data\":\"b\",\"id\":\"1\"}\n";
    assert_eq!(printed(&["--count", "2", "--json"], stream).await, events);
    let all = format!("{{\"comment\":\" hello\"}}\n{{\"retry\":5}}\n{events}");
    assert_eq!(printed(&["--count", "2", "--json", "--all"], stream).await, all);
}

#[tokio::test]
async fn raw_is_what_came_over_all_connections() {
    let server = Server::start().await;
    let (mut fanfare, mut peer) = following(&server, &["--raw", "--count", "2"]).await;
    peer.write(": hello\r\nretry:1\nid: 1\nda").await;
    assert_eq!(fanfare.line().await, ": hello\r");
    peer.write("ta: a\n\ndata: cut").await;
    for line in ["retry:1", "id: 1", "data: a", ""] {
        assert_eq!(fanfare.line().await, line);
    }
    drop(peer);
    let mut peer = server.open().await;
    assert_eq!(peer.header("last-event-id"), Some("1"));
    peer.write("\u{feff}data: \x1b\u{9b}\n\n").await;
    let end = fanfare.end().await;
    assert_eq!((end.status, &*end.stdout), (Some(0), "data: cut\u{feff}data: \x1b\u{9b}\n\n"));
}

#[tokio::test]
async fn raw_bytes_of_an_unfinished_line_are_not_held_back() {
    let server = Server::start().await;
    let (mut fanfare, mut peer) = following(&server, &["--raw"]).await;
    peer.write("data: a").await;
    assert_eq!(fanfare.bytes(7).await, b"data: a");
}

#[tokio::test]
async fn only_events_of_the_wanted_names_are_printed_and_counted() {
    let server = Server::start().await;
    let options = ["--event", "a", "--event", "message", "--count", "3", "--json"];
    let (fanfare, mut peer) = following(&server, &options).await;
    peer.write("event: a\ndata: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\n").await;
    peer.write("event: A\ndata: 4\n\nevent: message\ndata: 5\n\n").await;
    let end = fanfare.end().await;
    assert_eq!(end.status, Some(0));
    let numbers: Vec<_> = end.stdout.lines().filter_map(|line| line.split('"').nth(7)).collect();
    assert_eq!(numbers, ["1", "3", "5"]);
}

#[tokio::test]
async fn an_event_is_printed_as_soon_as_it_has_come() {
    let server = Server::start().await;
    for format in [&["--json"][..], &[]] {
        let (mut fanfare, mut peer) = following(&server, format).await;
        for number in 0..20 {
            peer.write(format!("data: number {number}\n\ndata: next")).await;
            assert!(fanfare.line().await.contains(&format!("number {number}")));
            peer.write("\n\n").await;
            assert!(fanfare.line().await.contains("next"));
        }
    }
}

#[tokio::test]
async fn an_event_of_many_megabytes_comes_whole() {
    let data = "x".repeat(14 << 20);
    let lines = printed(&["--count", "1", "--json"], &format!("data: {data}\n\n")).await;
    assert!(lines == format!("{{\"event\":\"message\",\"data\":\"{data}\",\"id\":\"\"}}\n"));
}

#[tokio::test]
async fn an_oversized_event_is_told_of_even_when_quiet() {
    let server = Server::start().await;
    let (fanfare, mut peer) = following(&server, &["--json", "--count", "1"]).await;
    peer.write(format!("data: {}\n\ndata: after\n\n", "x".repeat(16 << 20))).await;
    let end = fanfare.end().await;
    assert_eq!(end.status, Some(0));
    assert_eq!(end.stdout, "{\"event\":\"message\",\"data\":\"after\",\"id\":\"\"}\n");
    assert!(end.stderr.starts_with("fanfare: an event is larger than"), "{}", end.stderr);
}

/// What a terminal shows of one event.
async fn shown(options: &[&str], environment: &[(&str, &str)]) -> String {
    let (server, terminal) = (Server::start().await, Terminal::new());
    let url = server.url();
    let arguments = ["sub", &url, "--count", "1"];
    let fanfare = Fanfare::run_at(&terminal, arguments.iter().chain(options), environment);
    let mut peer = server.open().await;
    peer.write("id: 7\ndata: hello\n\n").await;
    assert_eq!(fanfare.end().await.status, Some(0));
    terminal.text().await
}

#[tokio::test]
async fn colours_are_for_terminals() {
    let text = shown(&[], &[]).await;
    assert!(text.contains("\x1b[1m\x1b[36mmessage\x1b[0m \x1b[33m#7\x1b[0m  hello\n"), "{text:?}");
    assert!(text.starts_with("\x1b[2mfanfare: open: "), "{text:?}");
}

#[tokio::test]
async fn no_color_turns_colours_off() {
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let text = shown(&[], &[environment]).await;
        assert!(text.contains(" message #7  hello\n"), "{text:?}");
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}

#[tokio::test]
async fn json_has_no_colours() {
    let text = shown(&["--json", "--quiet"], &[]).await;
    assert_eq!(text, "{\"event\":\"message\",\"data\":\"hello\",\"id\":\"7\"}\n");
}
