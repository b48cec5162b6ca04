//! The file.

use std::{fs, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Layers, NotSet, Origin, Settings, nearest, value::Raw};

/// Reads a file; what is wrong with it is all told at once.
pub(super) fn read(path: &Path, layers: &mut Layers) {
    match fs::read_to_string(path) {
        Ok(text) => File { path, text: &text, layers, wrong: vec![] }.read(),
        Err(error) => layers.wrong.push(format!("cannot read {}: {error}", path.display())),
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    layers: &'a mut Layers,
    /// By their lines.
    wrong: Vec<(usize, String)>,
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl File<'_> {
    fn read(&mut self) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let line = self.line(error.span().map_or(0, |span| span.start));
            self.wrong(line, error.message());
        }
        for (name, value) in table.get_ref() {
            self.take_top(name, value);
        }
        self.wrong.sort_by_key(|(line, _)| *line);
        let path = self.path.display();
        let wrong = self.wrong.iter().map(|(line, what)| format!("{path}:{line}: {what}"));
        self.layers.wrong.extend(wrong);
    }

    fn take_top(&mut self, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let section = name.get_ref();
        let sections = Settings::SECTIONS.iter();
        let is_section =
            sections.filter(|one| !one.name().is_empty()).any(|one| one.name() == *section);
        match value.get_ref() {
            DeValue::Table(table) if is_section => {
                for (name, value) in table {
                    let key = format!("{section}.{}", name.get_ref());
                    self.take(&key, name, value);
                }
            }
            _ if is_section => {
                let line = self.line(name.span().start);
                self.wrong(line, &format!("`{section}` is a section: write [{section}]"));
            }
            _ => self.take(section, name, value),
        }
    }

    fn take(&mut self, key: &str, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let line = self.line(name.span().start);
        let origin = Origin::File { path: self.path.into(), line };
        match self.layers.settings.set(key, Raw::Toml(value.get_ref()), origin) {
            Ok(()) => {}
            Err(NotSet::Unknown) => {
                let hint = hint(key);
                self.wrong(line, &format!("unknown key `{key}`{hint}"));
            }
            Err(NotSet::Wrong(why)) => self.wrong(line, &format!("{key}: {why}")),
        }
    }

    fn wrong(&mut self, line: usize, what: &str) {
        self.wrong.push((line, what.to_owned()));
    }

    /// The number of the line of a byte.
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// Suggests a key of the same section, a section, or a key of any section with that name.
fn hint(key: &str) -> String {
    let keys = Settings::keys();
    let Some((section, name)) = key.split_once('.') else {
        let sections = Settings::SECTIONS.iter().map(table_name);
        let anywhere = keys.iter().copied().find(|one| one.rsplit('.').next() == Some(key));
        let anywhere = anywhere.map(|key| format!(": did you mean `{key}`?"));
        let tops = sections.chain(["retention", "relay"]).filter(|name| !name.is_empty());
        return anywhere.unwrap_or_else(|| nearest::hint(key, tops));
    };
    let prefix = format!("{section}.");
    let siblings = keys.iter().filter_map(|key| key.strip_prefix(&*prefix));
    match nearest::nearest(name, siblings) {
        Some(sibling) => format!(": did you mean `{prefix}{sibling}`?"),
        None => nearest::hint(key, keys.iter().copied()),
    }
}

fn table_name(section: &super::table::Section) -> &'static str {
    section.name()
}
