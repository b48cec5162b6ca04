use crate::support::Folder;

async fn filled(folder: &Folder, data: &str) {
    let hub = folder.serve(&["--data", data]).await;
    let lines = concat!(
        r#"{"topic":"news/a","event":"x","retry":5,"data":"one\ntwo"}"#,
        "\n",
        r#"{"topic":"chat","data":{"a":[1, 2]}}"#,
        "\n",
        r#"{"topic":"news/b","data":""}"#,
        "\n",
    );
    let end = folder.feed(&["pub", &hub.url("/sse"), "--json"], lines).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    hub.stop().await;
}

#[tokio::test]
async fn what_is_exported_can_be_published_again() {
    let folder = Folder::new();
    filled(&folder, "data").await;
    let exported = folder.run(&["log", "export", "data"]).await;
    let expected = concat!(
        r#"{"topic":"news/a","event":"x","retry":5,"data":"one\ntwo"}"#,
        "\n",
        r#"{"topic":"chat","data":"{\"a\":[1, 2]}"}"#,
        "\n",
        r#"{"topic":"news/b","data":""}"#,
        "\n",
    );
    assert_eq!((exported.status, &*exported.stdout), (Some(0), expected), "{exported:?}");

    let numbered = folder.run(&["log", "export", "data", "--ids", "--topic", "chat"]).await.stdout;
    let numbered: serde_json::Value = serde_json::from_str(&numbered).unwrap();
    assert!(numbered["id"].as_str().unwrap().ends_with("-2"), "{numbered}");
    assert!(numbered["time"].as_u64().unwrap() > 1_600_000_000_000, "{numbered}");

    let hub = folder.serve(&["--data", "other"]).await;
    let end = folder.feed(&["pub", &hub.url("/sse"), "--json"], &exported.stdout).await;
    assert_eq!(end.status, Some(0), "{end:?}");
    hub.stop().await;
    assert_eq!(folder.run(&["log", "export", "other"]).await.stdout, expected);

    let some =
        folder.run(&["log", "export", "other", "--topic", "news/*", "--topic", "none"]).await;
    assert_eq!(some.stdout.lines().count(), 2, "{some:?}");
}

#[tokio::test]
async fn a_log_is_shown_and_found_to_be_whole() {
    let folder = Folder::new();
    filled(&folder, "data").await;
    let shown = folder.run(&["log", "inspect", "data"]).await;
    assert_eq!((shown.status, &*shown.stderr), (Some(0), ""));
    for part in ["epoch  ", "-3\n", "topics      3\n", "events      3\n", "  news/a\n"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    let json = folder.run(&["log", "inspect", "data", "--json"]).await.stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let epoch = json["epoch"].as_str().unwrap();
    assert_eq!((&json["events"], &json["newest"]), (&3.into(), &format!("{epoch}-3").into()));
    assert_eq!(json["topics"][1]["topic"], "news/a", "{json}");
    let verified = folder.run(&["log", "verify", "data"]).await;
    let expected = "nothing is wrong: events 3, data bytes 19\n";
    assert_eq!((verified.status, &*verified.stdout, &*verified.stderr), (Some(0), expected, ""));
}

#[tokio::test]
async fn a_log_that_is_in_use_or_absent_is_told() {
    let folder = Folder::new();
    let _hub = folder.serve(&["--data", "data"]).await;
    let end = folder.run(&["log", "verify", "data"]).await;
    assert_eq!(end.status, Some(1));
    assert!(end.stderr.contains("in use by another hub"), "{end:?}");
    let end = folder.run(&["log", "inspect", "absent"]).await;
    assert_eq!((end.status, &*end.stderr), (Some(1), "fanfare: there is no log in absent\n"));
    assert!(!folder.path().join("absent").exists());
}

#[tokio::test]
async fn damage_is_told() {
    let folder = Folder::new();
    filled(&folder, "data").await;
    let log = folder.path().join("data/log");
    for entry in std::fs::read_dir(log).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::write(&path, b"nonsense").unwrap();
        }
    }
    let end = folder.run(&["log", "verify", "data"]).await;
    assert!(matches!(end.status, Some(1 | 5)), "{end:?}");
    assert!(end.stderr.starts_with("fanfare: "), "{end:?}");
}
