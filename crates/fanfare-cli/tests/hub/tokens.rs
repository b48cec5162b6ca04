use rustix::process::Signal;

use crate::support::Folder;

const SECRET: &str = "a secret of thirty-two bytes or more";

/// The part of a token that can be read by anybody.
fn claims(token: &str) -> String {
    use std::fmt::Write;
    // Enough of base64 for a test.
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = String::new();
    for letter in token.split('.').nth(1).unwrap().chars() {
        write!(bits, "{:06b}", letters.find(letter).unwrap()).unwrap();
    }
    let bytes = bits.as_bytes().chunks_exact(8);
    let byte = |bits| u8::from_str_radix(str::from_utf8(bits).unwrap(), 2).unwrap();
    String::from_utf8(bytes.map(byte).collect()).unwrap()
}

#[tokio::test]
async fn a_token_says_what_was_asked_for() {
    let folder = Folder::new();
    let rights = ["--subscribe", "news/*", "--subscribe", "a", "--publish", "chat", "--admin"];
    let others = ["--expires", "never", "--subject", "me", "--secret", SECRET];
    let made = folder.run(&[&["token"], &rights[..], &others[..]].concat()).await;
    assert_eq!((made.status, &*made.stderr), (Some(0), ""));
    let expected =
        r#"{"sub":"me","fanfare":{"subscribe":["news/*","a"],"publish":["chat"],"admin":true}}"#;
    assert_eq!(claims(made.stdout.trim_end()), expected);
}

#[tokio::test]
async fn a_token_expires_by_itself() {
    let made = Folder::new().run(&["token", "--publish", "a", "--secret", SECRET]).await;
    assert!(claims(made.stdout.trim_end()).contains("\"exp\":"), "{made:?}");
}

#[tokio::test]
async fn keys_that_cannot_be_used_and_no_key_are_told() {
    let folder = Folder::new();
    let short = folder.run(&["token", "--publish", "a", "--secret", "short"]).await;
    assert_eq!(short.status, Some(1));
    assert!(short.stderr.contains("at least 32 bytes"), "{short:?}");
    let absent = folder.run(&["token", "--publish", "a", "--key", "absent.pem"]).await;
    assert_eq!(absent.status, Some(1));
    assert!(absent.stderr.starts_with("fanfare: absent.pem cannot be read: "), "{absent:?}");
    assert_eq!(folder.run(&["token", "--publish", "a"]).await.status, Some(2));
    let both = ["token", "--publish", "a", "--secret", SECRET, "--key", "key.pem"];
    assert_eq!(folder.run(&both).await.status, Some(2));
}

#[tokio::test]
async fn a_hub_takes_the_tokens_of_its_secret_until_it_has_another() {
    let folder = Folder::new();
    folder.write("secret.txt", SECRET);
    let hub = folder.serve(&["--memory", "--secret-file", "secret.txt"]).await;
    let url = hub.url("/sse/news");
    let denied = folder.run(&["pub", &url, "x"]).await;
    assert_eq!(denied.status, Some(3));
    assert!(denied.stderr.contains("401 Unauthorized"), "{denied:?}");

    let words = ["token", "--publish", "news", "--subscribe", "*", "--secret-file", "secret.txt"];
    let made = folder.run(&words).await.stdout;
    let token = made.trim_end();
    assert_eq!(folder.run(&["pub", &url, "x", "--token", token]).await.status, Some(0));
    let published = folder.run_with(&["pub", &url, "y"], &[("FANFARE_TOKEN", token)]).await;
    assert_eq!(published.status, Some(0), "{published:?}");
    let other = folder.run(&["pub", &hub.url("/sse/chat"), "x", "--token", token]).await;
    assert!(other.stderr.contains("403 Forbidden"), "{other:?}");

    let bearer = format!("Authorization: Bearer {token}");
    let all = hub.url("/sse/news?from=earliest");
    let followed = folder.run(&["sub", &all, "-H", &bearer, "--count", "2", "--quiet"]).await;
    assert_eq!((followed.status, followed.stdout.lines().count()), (Some(0), 2), "{followed:?}");

    folder.write("secret.txt", "another secret of thirty-two bytes or more");
    hub.signal(Signal::HUP);
    hub.says("certificates and keys have been read again").await;
    assert_eq!(folder.run(&["pub", &url, "z", "--token", token]).await.status, Some(3));
}
