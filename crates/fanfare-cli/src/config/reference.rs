//! `fanfare config reference`: docs/configuration.md.

use std::fmt::Write;

use super::{Settings, table::Entry};

const INTRODUCTION: &str = "\
# Configuration

`fanfare serve` takes its settings from four places; whoever comes later wins:

1. the defaults below,
2. a TOML file: `--config FILE`, else the one that `FANFARE_CONFIG` names, else `fanfare.toml` in the
   working directory, if it is there,
3. the environment: the variable that is named with each setting,
4. flags: `--set KEY=VALUE` for any setting, and shorter ones for some (`fanfare serve --help`).

`fanfare serve --print-config` prints the outcome as a file, with where each value came from;
`fanfare config check FILE` tells all that is wrong with a file. An unknown key is an error. An unknown
variable `FANFARE_…` is a warning, because the environment is shared.

Durations are written `250ms`, `15s`, `10m`, `1h 30m` or `7d`; sizes `64KiB`, `1MiB` or `10GB`. In the
environment and in `--set` the items of a list are separated by commas, and `[[retention]]` and
`[[relay]]` are written as TOML: `[{ topics = \"news/*\", max_age = \"7d\" }]`. Paths are relative to
the working directory.

This page is printed by `fanfare config reference`; a test holds it against the program.
";

pub(super) fn reference() -> String {
    let mut settings = Settings::default();
    let mut text = INTRODUCTION.to_owned();
    for (section, entries) in Settings::by_section(settings.entries()) {
        let title = match section.name() {
            "" => "`[[retention]]` and `[[relay]]`".to_owned(),
            name => format!("`[{name}]`"),
        };
        let _ = writeln!(text, "\n## {title}\n");
        if !section.name().is_empty() {
            let _ = write!(text, "{}", unindent(section.doc));
        }
        for entry in &entries {
            let _ = write!(text, "{}", paragraph(entry));
        }
    }
    text
}

fn paragraph(entry: &Entry<'_>) -> String {
    let (key, doc) = (entry.key, unindent(entry.doc));
    let (kind, default, variable) =
        (entry.setting.kind(), entry.setting.to_toml(), entry.variable());
    format!(
        "\n### `{key}`\n\n{doc}\n- Value: {kind}\n- Default: `{default}`\n- Variable: `{variable}`\n"
    )
}

fn unindent(doc: &str) -> String {
    doc.lines().flat_map(|line| [line.trim(), "\n"]).collect()
}
