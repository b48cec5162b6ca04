use std::{
    env::{consts::EXE_SUFFIX, current_exe},
    process::{Output, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::support::{ask, within};

/// The program, as cargo has built it beside the tests.
fn program(port: &str) -> Command {
    let mut path = current_exe().unwrap();
    path.pop();
    path.set_file_name(format!("examples/contract_service{EXE_SUFFIX}"));
    let hint = "cargo test builds it, but cargo test --test contract does not";
    assert!(path.is_file(), "{} is missing: {hint}", path.display());
    let mut program = Command::new(path);
    program.env("PORT", port).kill_on_drop(true);
    program
}

#[tokio::test]
async fn it_says_where_it_listens_and_ends_when_it_is_told_to() {
    let mut running = program("0").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let line = within("a line", lines.next_line()).await.unwrap().unwrap();
    let address = line.strip_prefix("listening on http://").unwrap().parse().unwrap();

    assert_eq!(ask(address, "GET", "/", "").await.status, 200);
    assert_eq!(ask(address, "DELETE", "/", "").await.status, 204);

    assert!(within("the end", running.wait()).await.unwrap().success());
}

#[tokio::test]
async fn it_says_why_it_cannot_run() {
    let Output { status, stderr, .. } = within("the end", program("none").output()).await.unwrap();
    assert_eq!(status.code(), Some(1));
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(stderr.starts_with("cannot listen on 127.0.0.1:none: "), "{stderr}");
}
