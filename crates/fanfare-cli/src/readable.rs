//! What is printed for people.

use std::{
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use anstyle::{AnsiColor, Style};

use crate::{escaped::Escaped, line::Line};

/// Writes lines such as `12:03:55.120Z tick #42  some data`, with the lines of longer data below.
#[derive(Debug)]
pub(crate) struct Readable {
    now: fn() -> SystemTime,
    styles: Styles,
}

#[derive(Debug, Default)]
struct Styles {
    time: Style,
    name: Style,
    id: Style,
    note: Style,
}

impl Readable {
    pub(crate) fn new(now: fn() -> SystemTime, is_coloured: bool) -> Self {
        let styles = if is_coloured { Styles::coloured() } else { Styles::default() };
        Self { now, styles }
    }

    pub(crate) fn write(&self, line: &Line<'_>, out: &mut impl Write) -> io::Result<()> {
        self.write_time(out)?;
        match *line {
            Line::Event { event, data, id } => {
                let Styles { name: style, id: id_style, .. } = self.styles;
                write!(out, " {style}{}{style:#}", Escaped(event))?;
                if !id.is_empty() {
                    write!(out, " {id_style}#{}{id_style:#}", Escaped(id))?;
                }
                write_data(data, out)
            }
            Line::Comment { comment } => self.write_note(":", comment, out),
            Line::Retry { retry } => self.write_note("retry: ", &retry.to_string(), out),
        }
    }

    /// The time of the day, in UTC.
    fn write_time(&self, out: &mut impl Write) -> io::Result<()> {
        let since = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, milliseconds) = (since.as_secs() % 86_400, since.subsec_millis());
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let style = self.styles.time;
        write!(out, "{style}{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}Z{style:#}")
    }

    fn write_note(&self, before: &str, text: &str, out: &mut impl Write) -> io::Result<()> {
        let style = self.styles.note;
        writeln!(out, " {style}{before}{}{style:#}", Escaped(text))
    }
}

fn write_data(data: &str, out: &mut impl Write) -> io::Result<()> {
    if !data.contains('\n') {
        let gap = if data.is_empty() { "" } else { "  " };
        return writeln!(out, "{gap}{}", Escaped(data));
    }
    writeln!(out)?;
    data.split('\n').try_for_each(|line| writeln!(out, "    {}", Escaped(line)))
}

impl Styles {
    fn coloured() -> Self {
        Self {
            time: Style::new().dimmed(),
            name: AnsiColor::Cyan.on_default().bold(),
            id: AnsiColor::Yellow.on_default(),
            note: Style::new().dimmed(),
        }
    }
}
