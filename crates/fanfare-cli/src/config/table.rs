//! How settings are declared: once, for the file, the environment, flags, the reference and
//! `--print-config` alike.

use std::{fmt, ops::Deref, path::Path, sync::Arc};

use super::value::{Raw, Value};

/// A value, and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Setting<T> {
    value: T,
    origin: Origin,
}

/// Where a value came from, from the weakest to the strongest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Default,
    File { path: Arc<Path>, line: usize },
    Environment(String),
    Flag(String),
}

/// A setting of the table, whatever its type.
pub(crate) trait AnySetting {
    /// Sets it, or says why the value is none of its values.
    fn set(&mut self, raw: Raw<'_>, origin: Origin) -> Result<(), String>;
    fn to_toml(&self) -> String;
    fn origin(&self) -> &Origin;
    /// What can be written.
    fn kind(&self) -> &'static str;
}

/// A row of the table.
pub(crate) struct Entry<'a> {
    /// Such as `server.listen`.
    pub(crate) key: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) setting: &'a mut dyn AnySetting,
}

/// What is said of a section, or of the keys outside of all sections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    /// Its name and a dot; empty for the keys outside.
    pub(crate) prefix: &'static str,
    pub(crate) doc: &'static str,
}

impl Section {
    pub(crate) fn name(&self) -> &'static str {
        self.prefix.trim_end_matches('.')
    }
}

impl Entry<'_> {
    pub(crate) fn section(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(section, _)| section)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }

    /// The variable of the environment that sets it: those of `[server]` go without the section.
    pub(crate) fn variable(&self) -> String {
        let key = self.key.strip_prefix("server.").unwrap_or(self.key);
        format!("FANFARE_{}", key.replace('.', "_").to_ascii_uppercase())
    }
}

impl<T> Setting<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Value> AnySetting for Setting<T> {
    fn set(&mut self, raw: Raw<'_>, origin: Origin) -> Result<(), String> {
        self.value = T::read(raw)?;
        self.origin = origin;
        Ok(())
    }

    fn to_toml(&self) -> String {
        self.value.to_toml()
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn kind(&self) -> &'static str {
        T::READS
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Declares sections of settings. A comment is the text of the reference; behind the `=` is the
/// default.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        $prefix:literal $section:ident: $type:ident {
            $( $(#[doc = $doc:literal])+ $name:ident: $value:ty = $default:expr, )+
        }
    )+) => {
        /// All settings.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct Settings {
            $( pub(crate) $section: $type, )+
        }

        impl Settings {
            pub(crate) const SECTIONS: &[Section] = &[$(
                Section { prefix: $prefix, doc: concat!($($about, "\n"),+) },
            )+];

            /// The table.
            pub(crate) fn entries(&mut self) -> Vec<Entry<'_>> {
                vec![$($(
                    Entry {
                        key: concat!($prefix, stringify!($name)),
                        doc: concat!($($doc, "\n"),+),
                        setting: &mut self.$section.$name,
                    },
                )+)+]
            }
        }

        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone)]
            pub(crate) struct $type {
                $( $(#[doc = $doc])+ pub(crate) $name: Setting<$value>, )+
            }

            impl Default for $type {
                fn default() -> Self {
                    Self { $( $name: Setting::new($default), )+ }
                }
            }
        )+
    };
}

pub(super) use settings;
