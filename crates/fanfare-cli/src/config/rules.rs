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
                let rules = items.iter().map(|item| read_rule(item.get_ref()));
                let (mut good, mut wrong) = (vec![], vec![]);
                for (index, rule) in rules.enumerate() {
                    match rule {
                        Ok(rule) => good.push(rule),
                        Err(why) => wrong.push(format!("rule {}: {}", index + 1, why.join(", "))),
                    }
                }
                if wrong.is_empty() { Ok(Self(good)) } else { Err(wrong.join("; ")) }
            }
            Raw::Toml(_) => Err(not_a(Self::READS, raw)),
        }
    }

    fn to_toml(&self) -> String {
        let rules: Vec<String> = self.0.iter().map(write_rule).collect();
        if rules.is_empty() { "[]".into() } else { format!("[\n  {},\n]", rules.join(",\n  ")) }
    }
}

/// A rule, or all that is wrong with it.
fn read_rule(value: &DeValue<'_>) -> Result<Rule, Vec<String>> {
    let DeValue::Table(table) = value else {
        return Err(vec![not_a("a table with `topics`", Raw::Toml(value))]);
    };
    let mut wrong: Vec<String> = unknown_names(table).collect();
    let topics: Option<Selector> = get(table, "topics", &mut wrong);
    let limits = Limits {
        max_events: get::<Option<u64>>(table, "max_events", &mut wrong).flatten(),
        max_age: get::<Option<Duration>>(table, "max_age", &mut wrong).flatten(),
        max_bytes: get::<Option<Size>>(table, "max_bytes", &mut wrong).flatten().map(|size| size.0),
    };
    if !table.contains_key("topics") {
        wrong.push("it has no `topics`, such as topics = \"news/*\"".to_owned());
    }
    match topics {
        Some(topics) if wrong.is_empty() => Ok(Rule { topics, limits }),
        _ => Err(wrong),
    }
}

fn unknown_names(table: &DeTable<'_>) -> impl Iterator<Item = String> {
    let names = table.keys().map(toml::Spanned::get_ref);
    let unknown = names.filter(|name| !NAMES.contains(&name.as_ref()));
    unknown.map(|name| format!("unknown key `{name}`{}", nearest::hint(name, NAMES)))
}

/// A value, if there is one that is as it should be; else what is wrong with it is noted.
fn get<T: Value>(table: &DeTable<'_>, name: &str, wrong: &mut Vec<String>) -> Option<T> {
    let value = T::read(Raw::Toml(table.get(name)?.get_ref()));
    value.map_err(|why| wrong.push(format!("{name}: {why}"))).ok()
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
