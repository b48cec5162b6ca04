use crate::support::Folder;

#[tokio::test]
async fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let folder = Folder::new();
    folder.write("fanfare.toml", "[http]\nkeep_alive = \"1s\"\n[log]\nmemory = true\n\n[limits]\nmax_topics = 1\nmax_clients = 1\n");
    let words = ["serve", "--print-config", "--set", "limits.max_topics=3"];
    let environment = [("FANFARE_LIMITS_MAX_TOPICS", "2"), ("FANFARE_LIMITS_MAX_CLIENTS", "2")];
    let printed = folder.run_with(&words, &environment).await;
    assert_eq!((printed.status, &*printed.stderr), (Some(0), ""));
    for line in [
        "keep_alive = \"1s\"  # fanfare.toml:2",
        "memory = true  # fanfare.toml:4",
        "max_topics = 3  # flag --set",
        "max_clients = 2  # env FANFARE_LIMITS_MAX_CLIENTS",
        "listen = \"127.0.0.1:8080\"  # default",
    ] {
        assert!(printed.stdout.lines().any(|one| one == line), "{line}: {}", printed.stdout);
    }
}

#[tokio::test]
async fn what_is_printed_is_a_file_that_yields_it_again() {
    let folder = Folder::new();
    let rules = "[{ topics = \"news/*\", max_events = 10, max_age = \"7d\", max_bytes = \"1GiB\" }, { topics = \"*\" }]";
    let environment = [
        ("FANFARE_RETENTION", rules),
        ("FANFARE_LISTEN", "[::1]:80"),
        ("FANFARE_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1"),
        ("FANFARE_HTTP_ORIGINS", "https://a.example,http://localhost:3000"),
        ("FANFARE_HTTP_RETRY", "250ms..1m 30s"),
        ("FANFARE_LOG_DURABILITY", "interval"),
        ("FANFARE_LOG_MAX_BYTES", "10GB"),
        ("FANFARE_AUTH_ANONYMOUS_SUBSCRIBE", "a \"b\"\\c,*"),
        ("FANFARE_AUTH_ALGORITHMS", "ES256,EdDSA"),
        ("FANFARE_LIMITS_PUBLISH_RATE", "100"),
    ];
    let printed = folder.run_with(&["serve", "--print-config"], &environment).await;
    assert_eq!((printed.status, &*printed.stderr), (Some(0), ""));
    folder.write("again.toml", &printed.stdout);
    let again = folder.run(&["serve", "--config", "again.toml", "--print-config"]).await;
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  #").next().unwrap().to_owned()).collect()
    };
    assert_eq!(values(&again.stdout), values(&printed.stdout), "{}", again.stderr);
    assert!(again.stdout.contains("retry = \"250ms..1m 30s\"  # again.toml:"), "{}", again.stdout);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_file_is_told_at_once_with_its_line() {
    let folder = Folder::new();
    folder.write(
        "bad.toml",
        r#"listen = "127.0.0.1:80"
retention = [{ topics = "a*", max_event = 3, max_age = "x" }, {}]
[server]
listen = "8080"
grace = 5
[limit]
max_clients = 3
[limits]
max_client = 3
max_body = "1XB"
max_topics = 0
[log]
durability = "always"
max_age = ["1d"]
[tls]
key = "key.pem"
[http]
keep_alive = "0s"
[messages]
level = "wran"
"#,
    );
    let end = folder.run(&["config", "check", "bad.toml"]).await;
    let expected = r#"fanfare: bad.toml:1: unknown key `listen`: did you mean `server.listen`?
fanfare: bad.toml:2: retention: rule 1: unknown key `max_event`: did you mean `max_events`?, max_age: "x" is not a duration such as "15s", "10m" or "7d"; rule 2: it has no `topics`, such as topics = "news/*"
fanfare: bad.toml:4: server.listen: "8080" is not an address and a port such as "127.0.0.1:8080" or "[::]:8080"
fanfare: bad.toml:5: server.grace: "5" is not a duration such as "15s", "10m" or "7d"
fanfare: bad.toml:6: unknown key `limit`: did you mean `limits`?
fanfare: bad.toml:9: unknown key `limits.max_client`: did you mean `limits.max_clients`?
fanfare: bad.toml:10: limits.max_body: "1XB" is not a size such as "64KiB", "1MiB" or "10GB"
fanfare: bad.toml:11: limits.max_topics: "0" is not a number from 1
fanfare: bad.toml:13: log.durability: "always" is not "sync", "interval" or "none"
fanfare: bad.toml:14: log.max_age: an array is not a duration such as "15s", "10m" or "7d", or "none"
fanfare: bad.toml:20: messages.level: "wran" is not a level ("error", "warn", "info", "debug", "trace", "off")
fanfare: bad.toml:16: tls.certificate and tls.key go together: one is missing
fanfare: bad.toml:18: http.keep_alive: it cannot be zero
"#;
    assert_eq!((end.status, &*end.stdout, &*end.stderr), (Some(2), "", expected));
}

#[tokio::test]
async fn a_file_that_is_no_toml_or_not_there_is_told() {
    let folder = Folder::new();
    folder.write("bad.toml", "[log\nmemory = true\n");
    let end = folder.run(&["config", "check", "bad.toml"]).await;
    assert_eq!(end.status, Some(2));
    assert!(end.stderr.starts_with("fanfare: bad.toml:1: "), "{}", end.stderr);
    let end = folder.run(&["serve", "--config", "absent.toml"]).await;
    assert_eq!(end.status, Some(2));
    assert!(end.stderr.starts_with("fanfare: cannot read absent.toml: "), "{}", end.stderr);
}

#[tokio::test]
async fn a_good_file_is_good_and_the_environment_is_left_aside() {
    let folder = Folder::new();
    folder.write("good.toml", "[[retention]]\ntopics = \"news/*\"\nmax_age = \"7d\"\n");
    let environment = [("FANFARE_LISTEN", "nonsense")];
    let end = folder.run_with(&["config", "check", "good.toml"], &environment).await;
    assert_eq!((end.status, &*end.stdout), (Some(0), "good.toml: nothing is wrong\n"));
}

#[tokio::test]
async fn flags_and_variables_that_are_wrong_are_told_with_their_names() {
    let folder = Folder::new();
    let words = ["serve", "--print-config", "--set", "limits.max_client=3", "--listen", "x"];
    let environment = [("FANFARE_HTTP_KEEP_ALIVE", "15")];
    let end = folder.run_with(&words, &environment).await;
    let expected = r#"fanfare: FANFARE_HTTP_KEEP_ALIVE: "15" is not a duration such as "15s", "10m" or "7d"
fanfare: flag --listen: server.listen: "x" is not an address and a port such as "127.0.0.1:8080" or "[::]:8080"
fanfare: flag --set: there is no setting `limits.max_client`: did you mean `limits.max_clients`?
"#;
    assert_eq!((end.status, &*end.stdout, &*end.stderr), (Some(2), "", expected));
}

#[tokio::test]
async fn an_unknown_variable_is_a_warning_unless_it_is_kubernetes() {
    let folder = Folder::new();
    let environment = [
        ("FANFARE_LOG_DURABILTY", "none"),
        ("FANFARE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("FANFARE_SERVICE_HOST", "10.0.0.1"),
    ];
    let end = folder.run_with(&["serve", "--print-config"], &environment).await;
    let expected =
        "fanfare: FANFARE_LOG_DURABILTY is no setting: did you mean `FANFARE_LOG_DURABILITY`?\n";
    assert_eq!((end.status, &*end.stderr), (Some(0), expected));
}

#[tokio::test]
async fn secrets_are_not_printed() {
    let folder = Folder::new();
    let secret = "a secret of thirty-two bytes or more";
    let environment = [("FANFARE_AUTH_SECRETS", secret)];
    let end = folder.run_with(&["serve", "--print-config"], &environment).await;
    assert!(end.stdout.contains("secrets = [\"(hidden)\"]"), "{}", end.stdout);
    assert!(!end.stdout.contains("thirty-two"), "{}", end.stdout);
}

#[tokio::test]
async fn the_reference_is_that_of_the_program() {
    let printed = Folder::new().run(&["config", "reference"]).await.stdout;
    let page = include_str!("../../../../docs/configuration.md");
    assert!(
        printed == page,
        "docs/configuration.md differs: cargo run -p fanfare-cli --bin fanfare -- config reference > docs/configuration.md"
    );
}
