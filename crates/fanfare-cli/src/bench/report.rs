//! What has been measured, for people and as JSON.

use std::fmt::{self, Display, Formatter, Write};

use serde::Serialize;

use super::{check::Wrong, latency::Quantiles, process::as_f64};
use crate::escaped::Escaped;

/// Beyond this share of its time, what is measured is this program.
const BUSY: f64 = 0.8;
/// Short of this share of the rate, publishing did not keep up.
const KEPT_UP: f64 = 0.95;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) subscribers: u32,
    pub(super) topics: u32,
    pub(super) publishers: u32,
    pub(super) payload_bytes: usize,
    pub(super) connect: Connect,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) published: Option<Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delivered: Option<Delivered>,
    /// Absent where nothing could be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wrong: Option<Wrong>,
    /// Nanoseconds.
    pub(super) latency: Latencies,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server: Option<Server>,
    /// The share of the time for which the reading thread did not wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) busy: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Connect {
    pub(super) seconds: f64,
    pub(super) per_second: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Published {
    pub(super) events: u64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Delivered {
    pub(super) events: u64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) bytes_per_second: f64,
    /// Events that are not of this run.
    pub(super) foreign: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Latencies {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subscriber: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_subscriber: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_subscriber: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<Quantiles>,
}

#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) cpu_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_seconds_per_delivery: Option<f64>,
    pub(super) memory_before: u64,
    pub(super) memory_connected: u64,
    pub(super) memory_at_end: u64,
    pub(super) memory_per_connection: f64,
}

impl Report {
    pub(super) fn to_json(&self) -> String {
        // Numbers and strings always serialise.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(f, "connected", &[&self.connected()])?;
        if let Some(published) = &self.published {
            line(f, "published", &[&self.sent(published)])?;
        }
        if let Some(delivered) = &self.delivered {
            line(f, "delivered", &[&delivered.in_words()])?;
        }
        if let Some(wrong) = &self.wrong {
            line(f, "checked", &[&wrong.in_words()])?;
            wrong.first.iter().try_for_each(|named| line(f, "", &[&named.in_words()]))?;
        }
        self.latency.fmt(f)?;
        if let Some(server) = &self.server {
            line(f, "server CPU", &[&server.cpu_in_words()])?;
            line(f, "server memory", &[&server.memory_in_words()])?;
        }
        if let Some(busy) = self.busy {
            line(f, "this program", &[&busy_in_words(busy)])?;
        }
        Ok(())
    }
}

impl Report {
    fn connected(&self) -> String {
        let Connect { seconds, per_second } = self.connect;
        let subscribers = grouped(f64::from(self.subscribers));
        let topics = plural(self.topics.into(), "topic");
        format!(
            "{subscribers} subscribers of {topics} in {seconds:.2} s, {} a second",
            grouped(per_second)
        )
    }

    fn sent(&self, published: &Published) -> String {
        let Published { events, seconds, per_second, rate } = *published;
        let events = plural(events, "event");
        let mut text = format!(
            "{events} of {} bytes in {seconds:.2} s, {} a second",
            self.payload_bytes,
            grouped(per_second)
        );
        if let Some(rate) = rate.filter(|rate| per_second < rate * KEPT_UP) {
            let _ = write!(text, " instead of {}: --publishers gives more", grouped(rate));
        }
        text
    }
}

impl Delivered {
    fn in_words(&self) -> String {
        let mut text = format!(
            "{} in {:.2} s, {} a second, {:.1} MB/s",
            plural(self.events, "event"),
            self.seconds,
            grouped(self.per_second),
            self.bytes_per_second / 1e6
        );
        if self.foreign > 0 && self.foreign < self.events {
            let _ = write!(text, ", {} of them not of this run", grouped(as_f64(self.foreign)));
        }
        text
    }
}

impl Wrong {
    fn in_words(&self) -> String {
        if self.is_nothing() {
            return "every event at every subscriber: all came once and in order".to_owned();
        }
        let all = [
            (self.lost, "lost"),
            (self.doubled, "doubled"),
            (self.out_of_order, "out of order"),
            (self.astray, "at subscribers of other topics"),
            (self.ended_streams, "streams ended early"),
        ];
        let told = all.iter().filter(|(count, _)| *count > 0);
        let told: Vec<_> =
            told.map(|(count, what)| format!("{} {what}", grouped(as_f64(*count)))).collect();
        told.join(", ")
    }
}

impl super::check::Named {
    fn in_words(&self) -> String {
        let Self { what, subscriber, topic, publisher, number } = self;
        format!(
            "{what}: event {number} of publisher {publisher} to topic {topic}, at subscriber {subscriber}"
        )
    }
}

impl Display for Latencies {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows = [
            ("  a subscriber", self.subscriber),
            ("  the first one", self.first_subscriber),
            ("  the last one", self.last_subscriber),
            ("  the answer", self.answer),
        ];
        if rows.iter().all(|(_, quantiles)| quantiles.is_none()) {
            return Ok(());
        }
        columns(f, "publishing to", &["p50", "p99", "p99.9", "max"].map(str::to_owned))?;
        for (name, quantiles) in rows {
            if let Some(Quantiles { p50, p99, p999, max }) = quantiles {
                columns(f, name, &[p50, p99, p999, max].map(time))?;
            }
        }
        Ok(())
    }
}

impl Server {
    fn cpu_in_words(&self) -> String {
        let each = self.cpu_seconds_per_delivery;
        let each = each.map(|each| format!("{:.2} us a delivery, ", each * 1e6));
        format!("{}{:.2} s in all", each.unwrap_or_default(), self.cpu_seconds)
    }

    fn memory_in_words(&self) -> String {
        format!(
            "{:.1} KiB a connection: {} before, {} connected, {} at the end",
            self.memory_per_connection / 1024.0,
            mebibytes(self.memory_before),
            mebibytes(self.memory_connected),
            mebibytes(self.memory_at_end)
        )
    }
}

fn busy_in_words(busy: f64) -> String {
    let hint = if busy > BUSY { ": times and rates may be its own" } else { "" };
    format!("busy with reading for {:.0} % of the time{hint}", busy * 100.0)
}

fn line(f: &mut Formatter<'_>, name: &str, words: &[&str]) -> fmt::Result {
    writeln!(f, "{name:<16}{}", Escaped(&words.join(", ")))
}

fn columns(f: &mut Formatter<'_>, name: &str, cells: &[String]) -> fmt::Result {
    write!(f, "{name:<16}")?;
    cells.iter().try_for_each(|cell| write!(f, "{cell:>11}"))?;
    writeln!(f)
}

/// Nanoseconds with a unit in which they have three digits or so.
fn time(nanoseconds: u64) -> String {
    let microseconds = as_f64(nanoseconds) / 1e3;
    match microseconds {
        ..1e3 => format!("{microseconds:.0} us"),
        ..10e3 => format!("{:.2} ms", microseconds / 1e3),
        ..1e6 => format!("{:.1} ms", microseconds / 1e3),
        _ => format!("{:.2} s", microseconds / 1e6),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", as_f64(bytes) / 1024.0 / 1024.0)
}

fn plural(count: u64, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {what}{ending}", grouped(as_f64(count)))
}

/// With a comma between thousands, and a decimal where there are few.
pub(super) fn grouped(number: f64) -> String {
    if number < 100.0 && number.fract() != 0.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            [0.0, 2.54, 100.0, 1e3, 1_234_567.0].map(grouped),
            ["0", "2.5", "100", "1,000", "1,234,567"]
        );
        assert_eq!(
            [1_500, 1_500_000, 25_000_000, 2_500_000_000].map(time),
            ["2 us", "1.50 ms", "25.0 ms", "2.50 s"]
        );
        assert_eq!([1, 2000].map(|count| plural(count, "event")), ["1 event", "2,000 events"]);
    }
}
