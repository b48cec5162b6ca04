//! The rules of retention: `[[retention]]`.

use std::time::Duration;

use fanfare_hub::{
    Selector,
    log::{Limits, Rule},
};
use toml::de::{DeTable, DeValue};

use super::{
    nearest,
    value::{Raw, Size, Value, not_a},
};

/// Limits for topics; the first rule that selects a topic counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules(pub(crate) Vec<Rule>);

const NAMES: [&str; 4] = ["topics", "max_events", "max_age", "max_bytes"];

impl Value for Rules {
    const READS: &'static str = "a list of rules such as { topics = \"news/*\", max_events = 1000, max_age = \"7d\", max_bytes = \"1GiB\" }";

    fn read(raw: Raw<'_>) -> Result<Self, String> {
        match raw {
            Raw::Text(text) => {
                let value = DeValue::parse(text).map_err(|_| not_a(Self::READS, raw))?;
                Self::read(Raw::Toml(value.get_ref()))
            }
            Raw::Toml(DeValue::Array(items)) => {
                let rules = items.iter().enumerate();
                let rules = rules.map(|(index, item)| {
                    let rule = read_rule(item.get_ref());
                    rule.map_err(|why| format!("rule {}: {why}", index + 1))
                });
                rules.collect::<Result<_, _>>().map(Self)
            }
            Raw::Toml(_) => Err(not_a(Self::READS, raw)),
        }
    }

    fn to_toml(&self) -> String {
        let rules: Vec<String> = self.0.iter().map(write_rule).collect();
        if rules.is_empty() { "[]".into() } else { format!("[\n  {},\n]", rules.join(",\n  ")) }
    }
}

fn read_rule(value: &DeValue<'_>) -> Result<Rule, String> {
    let DeValue::Table(table) = value else {
        return Err(not_a("a table with `topics`", Raw::Toml(value)));
    };
    check_names(table)?;
    let topics: Option<Selector> = get(table, "topics")?;
    let limits = Limits {
        max_events: get::<Option<u64>>(table, "max_events")?.flatten(),
        max_age: get::<Option<Duration>>(table, "max_age")?.flatten(),
        max_bytes: get::<Option<Size>>(table, "max_bytes")?.flatten().map(|size| size.0),
    };
    let topics = topics.ok_or("it has no `topics`, such as topics = \"news/*\"")?;
    Ok(Rule { topics, limits })
}

fn check_names(table: &DeTable<'_>) -> Result<(), String> {
    let unknown = table.keys().find(|name| !NAMES.contains(&name.get_ref().as_ref()));
    unknown.map_or(Ok(()), |name| {
        let name = name.get_ref();
        let hint = nearest::hint(name, NAMES);
        Err(format!("unknown key `{name}`{hint}"))
    })
}

fn get<T: Value>(table: &DeTable<'_>, name: &str) -> Result<Option<T>, String> {
    let value = table.get(name).map(|value| T::read(Raw::Toml(value.get_ref())));
    value.transpose().map_err(|why| format!("{name}: {why}"))
}

fn write_rule(rule: &Rule) -> String {
    let Limits { max_events, max_age, max_bytes } = rule.limits;
    let limits = [
        Some(("topics", rule.topics.to_toml())),
        max_events.map(|events| ("max_events", events.to_toml())),
        max_age.map(|age| ("max_age", age.to_toml())),
        max_bytes.map(|bytes| ("max_bytes", Size(bytes).to_toml())),
    ];
    let limits = limits.into_iter().flatten().map(|(name, value)| format!("{name} = {value}"));
    format!("{{ {} }}", limits.collect::<Vec<_>>().join(", "))
}
