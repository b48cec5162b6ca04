//! Lists of tables, such as `[[retention]]`.

use toml::de::{DeTable, DeValue};

use super::{
    nearest,
    value::{Raw, Value, not_a},
};

/// Reads all items, or tells all that is wrong, each with the number of its item.
pub(super) fn read<T>(
    raw: Raw<'_>,
    kind: &str,
    item: &str,
    read_one: impl Fn(&DeValue<'_>) -> Result<T, Vec<String>>,
) -> Result<Vec<T>, String> {
    let items = match raw {
        Raw::Text(text) => {
            let value = DeValue::parse(text).map_err(|_| not_a(kind, raw))?;
            return read(Raw::Toml(value.get_ref()), kind, item, read_one);
        }
        Raw::Toml(DeValue::Array(items)) => items,
        Raw::Toml(_) => return Err(not_a(kind, raw)),
    };
    let (mut good, mut wrong) = (vec![], vec![]);
    for (index, one) in items.iter().enumerate() {
        match read_one(one.get_ref()) {
            Ok(one) => good.push(one),
            Err(why) => wrong.push(format!("{item} {}: {}", index + 1, why.join(", "))),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(wrong.join("; ")) }
}

/// What is wrong with the names of a table's keys.
pub(super) fn unknown_names<'a>(
    table: &'a DeTable<'_>,
    names: &'a [&'static str],
) -> impl Iterator<Item = String> + 'a {
    let found = table.keys().map(toml::Spanned::get_ref);
    let unknown = found.filter(|name| !names.contains(&name.as_ref()));
    unknown.map(|name| format!("unknown key `{name}`{}", nearest::hint(name, names.to_vec())))
}

/// A value, if there is one that is as it should be; else what is wrong with it is noted.
pub(super) fn get<T: Value>(table: &DeTable<'_>, name: &str, wrong: &mut Vec<String>) -> Option<T> {
    let value = T::read(Raw::Toml(table.get(name)?.get_ref()));
    value.map_err(|why| wrong.push(format!("{name}: {why}"))).ok()
}

/// Tables of names and values.
pub(super) fn write(tables: impl IntoIterator<Item = Vec<(&'static str, String)>>) -> String {
    let line = |fields: Vec<(&str, String)>| {
        let fields = fields.iter().map(|(name, value)| format!("{name} = {value}"));
        format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
    };
    let lines: Vec<String> = tables.into_iter().map(line).collect();
    if lines.is_empty() { "[]".into() } else { format!("[\n  {},\n]", lines.join(",\n  ")) }
}
