//! The environment: `FANFARE_…`.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use super::{Layers, NotSet, Origin, Settings, nearest, value::Raw};

const PREFIX: &str = "FANFARE_";
/// Names the file.
pub(crate) const FILE: &str = "FANFARE_CONFIG";
/// What other verbs read.
const OTHERS: [&str; 2] = [FILE, "FANFARE_TOKEN"];
/// What Kubernetes sets where a service is called fanfare.
const FOREIGN: [&str; 2] = ["FANFARE_SERVICE_", "FANFARE_PORT"];

type Variable = (OsString, OsString);

pub(super) fn file(environment: &[Variable]) -> Option<PathBuf> {
    let found = environment.iter().find(|(name, _)| name == OsStr::new(FILE));
    found.map(|(_, path)| path.into())
}

pub(super) fn read(environment: &[Variable], layers: &mut Layers) {
    let known = variables();
    let ours = environment.iter().filter_map(|(name, value)| Some((name.to_str()?, value)));
    let mut ours: Vec<_> = ours.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    ours.sort_unstable();
    for (name, value) in ours {
        match (known.iter().find(|(variable, _)| variable == name), value.to_str()) {
            (Some((_, key)), Some(value)) => set(name, key, value, layers),
            (Some(_), None) => layers.wrong.push(format!("{name}: it is no UTF-8")),
            (None, _) if is_foreign(name) => {}
            (None, _) => warn(name, &known, layers),
        }
    }
}

fn set(name: &str, key: &str, value: &str, layers: &mut Layers) {
    let origin = Origin::Environment(name.to_owned());
    if let Err(NotSet::Wrong(why)) = layers.settings.set(key, Raw::Text(value), origin) {
        layers.wrong.push(format!("{name}: {why}"));
    }
}

/// Variables and their keys.
fn variables() -> Vec<(String, &'static str)> {
    let mut settings = Settings::default();
    settings.entries().iter().map(|entry| (entry.variable(), entry.key)).collect()
}

fn is_foreign(name: &str) -> bool {
    OTHERS.contains(&name) || FOREIGN.iter().any(|prefix| name.starts_with(prefix))
}

/// The environment is shared with others, so that what nobody knows is no error.
fn warn(name: &str, known: &[(String, &'static str)], layers: &mut Layers) {
    let hint = nearest::hint(name, known.iter().map(|(variable, _)| &**variable));
    layers.warnings.push(format!("{name} is no setting{hint}"));
}
