//! Settings: defaults, a file, the environment, flags; whoever comes later wins.

mod check;
mod environment;
mod file;
mod nearest;
mod print;
mod reference;
mod rules;
mod settings;
mod table;
mod value;

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

use table::Entry;
use value::Raw;

pub(crate) use check::{Options, run};
pub(crate) use print::print;
pub(crate) use settings::{Auth, Limits, Log, Settings};
pub(crate) use table::Origin;
pub(crate) use value::{Durable, Engine, LogFormat, LogUrl, Storage};

/// The file that is read if it is there and no other is named.
const DEFAULT_FILE: &str = "fanfare.toml";

/// What settings are made of.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// What the command line says: the flag as it was written, the key, the value.
    pub(crate) flags: Vec<Flag>,
}

#[derive(Debug, Clone)]
pub(crate) struct Flag {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// All that is wrong with the settings, each in a sentence that begins with where it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wrong(pub(crate) Vec<String>);

/// Settings, and what does not keep them from being used.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) warnings: Vec<String>,
}

/// Reads settings from all sources.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, Wrong> {
    let mut layers = Layers::default();
    let named = sources.file.clone().or_else(|| environment::file(&sources.environment));
    let file = named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists()));
    if let Some(file) = &file {
        file::read(file, &mut layers);
    }
    environment::read(&sources.environment, &mut layers);
    sources.flags.iter().for_each(|flag| layers.set_flag(flag));
    check::values(&layers.settings, &mut layers.wrong);
    let Layers { settings, wrong, warnings } = layers;
    if wrong.is_empty() { Ok(Loaded { settings, warnings }) } else { Err(Wrong(wrong)) }
}

/// Settings while they are being read.
#[derive(Debug, Default)]
struct Layers {
    settings: Settings,
    wrong: Vec<String>,
    warnings: Vec<String>,
}

/// Why a setting was not set.
enum NotSet {
    Unknown,
    Wrong(String),
}

impl Layers {
    fn set_flag(&mut self, flag: &Flag) {
        let Flag { name, key, value } = flag;
        match self.settings.set(key, Raw::Text(value), Origin::Flag(name.clone())) {
            Ok(()) => {}
            Err(NotSet::Unknown) => {
                let hint = nearest::hint(key, Settings::keys());
                self.wrong.push(format!("flag {name}: there is no setting `{key}`{hint}"));
            }
            Err(NotSet::Wrong(why)) => self.wrong.push(format!("flag {name}: {key}: {why}")),
        }
    }
}

/// Where something is wrong, without the word that the comments of `--print-config` have.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::Environment(name) => name.clone(),
        origin => origin.to_string(),
    }
}

impl Settings {
    fn set(&mut self, key: &str, raw: Raw<'_>, origin: Origin) -> Result<(), NotSet> {
        let mut entries = self.entries();
        let entry = entries.iter_mut().find(|entry| entry.key == key).ok_or(NotSet::Unknown)?;
        entry.setting.set(raw, origin).map_err(NotSet::Wrong)
    }

    fn keys() -> Vec<&'static str> {
        Self::default().entries().iter().map(|entry| entry.key).collect()
    }

    /// Entries by section, in the order of the table.
    fn by_section<'a>(entries: Vec<Entry<'a>>) -> Vec<(table::Section, Vec<Entry<'a>>)> {
        let mut by_name: BTreeMap<&str, Vec<Entry<'a>>> = BTreeMap::new();
        for entry in entries {
            by_name.entry(entry.section()).or_default().push(entry);
        }
        let sections = Self::SECTIONS.iter().copied();
        sections
            .map(|section| (section, by_name.remove(section.name()).unwrap_or_default()))
            .collect()
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}
