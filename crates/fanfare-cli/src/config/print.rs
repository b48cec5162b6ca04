//! `fanfare serve --print-config`: the settings as a file that yields them again.

use std::fmt::Write;

use super::{Settings, table::Entry};

/// The settings as TOML, each with where it came from.
pub(crate) fn print(settings: &Settings) -> String {
    let mut settings = settings.clone();
    let mut text = String::new();
    for (section, entries) in Settings::by_section(settings.entries()) {
        if !section.name().is_empty() {
            let _ = writeln!(text, "\n[{}]", section.name());
        }
        for entry in entries {
            let _ = writeln!(text, "{}", line(&entry));
        }
    }
    text
}

fn line(entry: &Entry<'_>) -> String {
    let (name, value) = (entry.name(), entry.setting.to_toml());
    format!("{name} = {value}  # {}", entry.setting.origin())
}
