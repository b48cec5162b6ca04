use std::{fs, path::Path};

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::support::{Fanfare, within};

/// What comes of a stream, with these options.
async fn decoded(options: &[&str], stream: impl Into<Vec<u8>>) -> String {
    let end = Fanfare::fed(["decode"].iter().chain(options), stream).await;
    assert_eq!((end.status, &*end.stderr), (Some(0), ""), "{options:?}");
    end.stdout
}

fn event(event: &str, data: &str, id: &str) -> String {
    let [event, data, id] = [event, data, id].map(|text| Value::from(text).to_string());
    format!("{{\"event\":{event},\"data\":{data},\"id\":{id}}}\n")
}

#[tokio::test]
async fn an_event_is_an_object_with_its_keys_in_order() {
    let lines = "{\"event\":\"message\",\"data\":\"a\",\"id\":\"\"}\n\
                 {\"event\":\"message\",\"data\":\"b\",\"id\":\"7\"}\n";
    for options in [&[][..], &["--chunk", "1"], &["--chunk", "2"], &["--chunk", "1000"]] {
        assert_eq!(decoded(options, "data: a\r\rid: 7\ndata: b\n\n").await, lines, "{options:?}");
    }
}

#[tokio::test]
async fn text_is_escaped_as_json_asks() {
    let lines = decoded(&[], "event: \"\\\ndata: \x1b[2J\tü\ndata: \u{2028}\n\n").await;
    let line = "{\"event\":\"\\\"\\\\\",\"data\":\"\\u001b[2J\\tü\\n\u{2028}\",\"id\":\"\"}\n";
    assert_eq!(lines, line);
}

#[tokio::test]
async fn comments_and_reconnection_times_come_if_asked_for() {
    let stream = ": hello\nretry: 3000\n:\ndata: a\n\nretry: x\n\n";
    assert_eq!(decoded(&[], stream).await, event("message", "a", ""));
    let all = "{\"comment\":\" hello\"}\n{\"retry\":3000}\n{\"comment\":\"\"}\n";
    assert_eq!(decoded(&["--all"], stream).await, format!("{all}{}", event("message", "a", "")));
}

#[tokio::test]
async fn the_end_cuts_off_what_is_not_finished() {
    assert_eq!(decoded(&[], "data: a\n\ndata: b\n").await, event("message", "a", ""));
    assert_eq!(decoded(&[], "").await, "");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_replaced() {
    assert_eq!(decoded(&[], b"data: a\xffb\n\n").await, event("message", "a\u{fffd}b", ""));
}

#[tokio::test]
async fn the_wire_vectors_come_out_as_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/wire/decode");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let cases = fs::read(file.unwrap().path()).unwrap();
        for case in serde_json::from_slice::<Vec<Value>>(&cases).unwrap() {
            count += usize::from(check(&case).await);
        }
    }
    assert!(count > 100, "only {count}");
}

/// Whether the case has been checked: the command has no options for some.
async fn check(case: &Value) -> bool {
    let options = &case["options"];
    if options.get("max_event_bytes").or(options.get("last_event_id")).is_some() {
        return false;
    }
    let stream: Vec<u8> = case["chunks"].as_array().unwrap().iter().flat_map(bytes_of).collect();
    let items = case["items"].as_array().unwrap();
    let has_comments = options["comments"] == true;
    let shown: String = items.iter().map(line_of).collect();
    for chunking in [&["--all"][..], &["--all", "--chunk", "1"]] {
        let lines = decoded(chunking, stream.clone()).await;
        let is_asked_for = |line: &&str| has_comments || !line.starts_with("{\"comment\"");
        let lines: String = lines.split_inclusive('\n').filter(is_asked_for).collect();
        assert_eq!(lines, shown, "{}", case["name"]);
    }
    true
}

fn bytes_of(chunk: &Value) -> Vec<u8> {
    match chunk {
        Value::String(text) => text.clone().into_bytes(),
        chunk => {
            let digits = chunk["hex"].as_str().unwrap().split_whitespace();
            digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
        }
    }
}

fn line_of(item: &Value) -> String {
    let text = |name: &str, default: &'static str| -> String {
        item["event"].get(name).map_or(default, |text| text.as_str().unwrap()).to_owned()
    };
    if item.get("event").is_some() {
        return event(&text("name", "message"), &text("data", ""), &text("id", ""));
    }
    match (item.get("comment"), item.get("retry_ms")) {
        (Some(comment), _) => format!("{{\"comment\":{comment}}}\n"),
        (_, Some(retry)) => format!("{{\"retry\":{retry}}}\n"),
        _ => panic!("an unknown item: {item}"),
    }
}

#[tokio::test]
async fn an_event_is_printed_as_soon_as_its_empty_line_was_read() {
    let (mut fanfare, mut stdin) = Fanfare::piped(["decode"]);
    for number in ["1", "2", "3"] {
        let stream = format!("data: {number}\n\ndata: not yet\n");
        stdin.write_all(stream.as_bytes()).await.unwrap();
        let line = fanfare.line().await + "\n";
        let data = if number == "1" { "1".to_owned() } else { format!("not yet\n{number}") };
        assert_eq!(line, event("message", &data, ""));
    }
    drop(stdin);
    fanfare.end().await.is_quietly(0);
}

#[tokio::test]
async fn an_oversized_event_is_told_of_and_the_rest_is_read() {
    let mut stream = b"data: before\n\nid: 1\ndata: ".to_vec();
    stream.resize(stream.len() + (16 << 20), b'x');
    stream.extend_from_slice(b"\n\ndata: after\n\n");
    let end = Fanfare::fed(["decode"], stream).await;
    assert_eq!(end.stdout, event("message", "before", "") + &event("message", "after", "1"));
    assert_eq!(
        end.stderr,
        "fanfare: an event is larger than the limit of 16777216 bytes: it was left out\n\
         fanfare: events left out because of their size: 1\n"
    );
    assert_eq!(end.status, Some(5));
}

#[tokio::test]
async fn a_reader_that_leaves_ends_it_quietly() {
    let (mut fanfare, mut stdin) = Fanfare::piped(["decode"]);
    stdin.write_all(b"data: a\n\n").await.unwrap();
    fanfare.line().await;
    fanfare.stop_reading();
    // A process that another test is about to start may hold the pipe for a moment yet.
    let writing = async { while stdin.write_all(b"data: b\n\n").await.is_ok() {} };
    within("nobody at stdin", writing).await;
    fanfare.end().await.is_quietly(0);
}

#[tokio::test]
async fn a_chunk_of_no_bytes_is_wrong_usage() {
    let end = Fanfare::fed(["decode", "--chunk", "0"], "").await;
    assert_eq!((end.status, &*end.stdout), (Some(2), ""));
    assert!(end.stderr.contains("--chunk"), "{}", end.stderr);
}
