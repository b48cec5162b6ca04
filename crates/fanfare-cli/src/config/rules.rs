//! The rules of retention: `[[retention]]`.

use std::time::Duration;

use fanfare_hub::{
    Selector,
    log::{Limits, Rule},
};
use toml::de::DeValue;

use super::{
    tables::{self, get},
    value::{Raw, Size, Value, not_a},
};

/// Limits for topics; the first rule that selects a topic counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules(pub(crate) Vec<Rule>);

const NAMES: &[&str] = &["topics", "max_events", "max_age", "max_bytes"];

impl Value for Rules {
    const READS: &'static str = "a list of rules such as { topics = \"news/*\", max_events = 1000, max_age = \"7d\", max_bytes = \"1GiB\" }";

    fn read(raw: Raw<'_>) -> Result<Self, String> {
        tables::read(raw, Self::READS, "rule", read_rule).map(Self)
    }

    fn to_toml(&self) -> String {
        tables::write(self.0.iter().map(write_rule))
    }
}

/// A rule, or all that is wrong with it.
fn read_rule(value: &DeValue<'_>) -> Result<Rule, Vec<String>> {
    let DeValue::Table(table) = value else {
        return Err(vec![not_a("a table with `topics`", Raw::Toml(value))]);
    };
    let mut wrong: Vec<String> = tables::unknown_names(table, NAMES).collect();
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

fn write_rule(rule: &Rule) -> Vec<(&'static str, String)> {
    let Limits { max_events, max_age, max_bytes } = rule.limits;
    let fields = [
        Some(("topics", rule.topics.to_toml())),
        max_events.map(|events| ("max_events", events.to_toml())),
        max_age.map(|age| ("max_age", age.to_toml())),
        max_bytes.map(|bytes| ("max_bytes", Size(bytes).to_toml())),
    ];
    fields.into_iter().flatten().collect()
}
