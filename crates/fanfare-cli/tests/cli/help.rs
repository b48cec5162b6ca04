use crate::support::Fanfare;

const VERBS: [&str; 5] = ["sub", "bench", "decode", "completions", "man"];

async fn shown(arguments: &[&str]) -> String {
    let end = Fanfare::run(arguments).end().await;
    assert_eq!((end.status, &*end.stderr), (Some(0), ""), "{arguments:?}");
    end.stdout
}

#[tokio::test]
async fn help_names_all_verbs_and_has_examples() {
    let help = shown(&["--help"]).await;
    for verb in VERBS {
        assert!(help.contains(&format!("  {verb} ")), "{verb}: {help}");
        let help = shown(&[verb, "--help"]).await;
        assert!(help.contains("Examples:\n  "), "{help}");
    }
}

#[tokio::test]
async fn help_lists_the_exit_statuses() {
    let statuses = |help: String| -> Vec<u8> {
        let (_, list) = help.split_once("Exit status:\n").unwrap();
        let (list, _) = list.split_once("\n\n").unwrap();
        list.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
    };
    assert_eq!(statuses(shown(&["sub", "--help"]).await), [0, 1, 2, 3, 4, 130, 143]);
    assert_eq!(statuses(shown(&["bench", "--help"]).await), [0, 1, 2, 3, 4, 5]);
    assert_eq!(statuses(shown(&["decode", "--help"]).await), [0, 1, 2, 5]);
}

#[tokio::test]
async fn short_help_has_one_line_an_option() {
    let help = shown(&["sub", "-h"]).await;
    assert!(help.contains("--resume <FILE>"), "{help}");
    assert!(!help.contains("kill -9"), "{help}");
}

#[tokio::test]
async fn without_a_verb_it_shows_help_as_wrong_usage() {
    let end = Fanfare::run::<&str>([]).end().await;
    assert_eq!((end.status, &*end.stdout), (Some(2), ""));
    assert!(end.stderr.contains("Usage: fanfare"), "{}", end.stderr);
}

#[tokio::test]
async fn completions_for_every_shell_know_the_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = shown(&["completions", shell]).await;
        assert!(script.contains("idle-timeout"), "{shell}");
    }
}

#[tokio::test]
async fn the_manual_has_a_page_of_the_command_and_of_each_verb() {
    let page = shown(&["man"]).await;
    assert!(page.contains(".TH fanfare 1"), "{page}");
    for verb in VERBS {
        assert!(page.contains(verb), "{page}");
        let page = shown(&["man", verb]).await;
        assert!(page.contains(&format!(".TH fanfare-{verb} 1")), "{page}");
        assert!(page.contains(".SH NOTES\n.nf\n"), "{page}");
    }
}

#[tokio::test]
async fn a_page_of_no_verb_is_wrong_usage() {
    let end = Fanfare::run(["man", "subscribe"]).end().await;
    assert_eq!((end.status, &*end.stdout), (Some(2), ""));
    assert!(end.stderr.contains("there is no verb \"subscribe\""), "{}", end.stderr);
}

#[tokio::test]
async fn help_whose_reader_leaves_ends_quietly() {
    for arguments in [&["--help"][..], &["completions", "zsh"], &["man"]] {
        let mut fanfare = Fanfare::run(arguments);
        fanfare.stop_reading();
        fanfare.end().await.is_quietly(0);
    }
}
