//! Standard error: what people are told, a line each.

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write},
};

use anstyle::Style;

use crate::escaped::Escaped;

pub(crate) fn say(text: impl Display) {
    say_in(Style::new(), text);
}

/// Who has closed stderr wants to be told nothing, so that is no error.
pub(crate) fn say_in(style: Style, text: impl Display) {
    let text = text.to_string();
    let line = format!("{style}fanfare: {}{style:#}\n", Escaped(&text));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// An error with what led to it, each said once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.ends_with(&why) {
            text.push_str(": ");
            text.push_str(&why);
        }
        cause = error.source();
    }
    text
}
