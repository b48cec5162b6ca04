//! The load: runs of `fanfare bench`, and what they report.

use std::{
    ffi::OsString,
    io::Read,
    path::Path,
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::Deserialize;

use super::{
    pinned::{self, Cpus},
    system::Running,
};
use crate::program::Outcome;

/// After this time a run hangs.
const LONGEST_RUN: Duration = Duration::from_mins(2);

/// A run of `fanfare bench` that is not begun yet.
#[derive(Debug)]
pub(super) struct Load {
    cpus: Cpus,
    nice: i32,
    arguments: Vec<String>,
}

/// What it reports, as far as it is of use here.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) connect: Connect,
    pub(super) published: Option<Published>,
    pub(super) delivered: Option<Delivered>,
    pub(super) wrong: Option<Wrong>,
    pub(super) latency: Latencies,
    pub(super) server: Option<Usage>,
    pub(super) busy: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Connect {
    pub(super) per_second: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Published {
    pub(super) events: f64,
    pub(super) per_second: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delivered {
    events: f64,
    seconds: f64,
    /// Events that nobody has published, such as durable-streams' control events.
    foreign: f64,
}

impl Delivered {
    /// Of what was published.
    pub(super) fn events(&self) -> f64 {
        self.events - self.foreign
    }

    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    pub(super) fn per_second(&self) -> f64 {
        self.events() / self.seconds
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Wrong {
    pub(super) lost: f64,
    doubled: f64,
    out_of_order: f64,
    astray: f64,
    ended_streams: f64,
}

impl Wrong {
    /// What else is wrong than that events are lost, which a flood may bring about.
    pub(super) fn beside_losses(&self) -> Option<String> {
        let Self { doubled, out_of_order, astray, ended_streams, .. } = self;
        (doubled + out_of_order + astray + ended_streams > 0.0).then(|| {
            format!(
                "{doubled} doubled, {out_of_order} out of order, {astray} at subscribers of other topics, \
                 {ended_streams} streams ended"
            )
        })
    }
}

/// In nanoseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Latencies {
    pub(super) subscriber: Option<Quantiles>,
    pub(super) first_subscriber: Option<Quantiles>,
    pub(super) last_subscriber: Option<Quantiles>,
    pub(super) answer: Option<Quantiles>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) memory_connected: f64,
}

impl Load {
    /// On a system, whose processes it measures.
    pub(super) fn on(system: &Running, subscribers: u32) -> Self {
        let load = Self { cpus: pinned::LOAD, nice: 0, arguments: vec![] };
        load.with(system.subscribe.clone())
            .with("--json")
            .with(format!("--subscribers={subscribers}"))
            .with(format!("--pid={}", system.measured))
    }

    /// Some of the subscribers at this one too, which shares the log.
    pub(super) fn also_on(self, system: &Running) -> Self {
        self.with(system.subscribe.clone()).with(format!("--pid={}", system.measured))
    }

    pub(super) fn publishers(self, publishers: u32) -> Self {
        self.with(format!("--publishers={publishers}"))
    }

    fn with(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Publishes so many events a second, for a time.
    pub(super) fn rate(self, system: &Running, rate: u32, time: Duration) -> Self {
        self.with(format!("--publish=POST {}", system.publish))
            .with(format!("--rate={rate}"))
            .with(duration("--duration", time))
    }

    /// Publishes as fast as it is answered, for a time.
    pub(super) fn flood(self, system: &Running, time: Duration) -> Self {
        self.with(format!("--publish=POST {}", system.publish))
            .with("--rate=max")
            .with(duration("--duration", time))
    }

    pub(super) fn at_most(self, events: u64) -> Self {
        self.with(format!("--events={events}"))
    }

    pub(super) fn warm_up(self, time: Duration) -> Self {
        self.with(duration("--warm-up", time))
    }

    pub(super) fn idle(self, time: Duration) -> Self {
        self.with(duration("--idle", time))
    }

    pub(super) fn topics(self, topics: u32) -> Self {
        self.with(format!("--topics={topics}"))
    }

    /// With a topic that is not numbered.
    pub(super) fn of_topic(mut self, topic: &str) -> Self {
        for argument in &mut self.arguments {
            *argument = argument.replace("{topic}", topic);
        }
        self
    }

    /// Where there is time for it.
    pub(super) fn anywhere(self) -> Self {
        self.running_on(pinned::BOTH)
    }

    pub(super) fn running_on(self, cpus: Cpus) -> Self {
        Self { cpus, ..self }
    }

    /// Gives way to another load on the same CPU.
    pub(super) fn giving_way(self) -> Self {
        Self { nice: 10, ..self }
    }

    /// Runs it to its end.
    pub(super) fn run(self, fanfare: &Path) -> Outcome<Report> {
        self.begin(fanfare)?.report()
    }

    /// Lets it run beside others.
    pub(super) fn begin(self, fanfare: &Path) -> Outcome<Begun> {
        let arguments = [OsString::from("bench")].into_iter();
        let arguments = arguments.chain(self.arguments.into_iter().map(OsString::from));
        let child = pinned::command(self.cpus, self.nice, fanfare.as_os_str(), arguments)?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Begun(child))
    }
}

fn duration(option: &str, time: Duration) -> String {
    format!("{option}={}ms", time.as_millis())
}

/// A run that is under way. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Begun(Child);

impl Begun {
    pub(super) fn is_under_way(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    fn report(mut self) -> Outcome<Report> {
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let stdout = collect(stdout.ok_or("no pipe")?);
        let stderr = collect(stderr.ok_or("no pipe")?);
        let report = stdout.recv_timeout(LONGEST_RUN).map_err(|_| {
            format!("the load did not come to an end in {} s", LONGEST_RUN.as_secs())
        })?;
        let messages = stderr.recv_timeout(LONGEST_RUN).unwrap_or_default();
        parse(&report, &messages)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // It has come to its end already, if not.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = vec![];
        // What came before an error is told too.
        let _ = pipe.read_to_end(&mut bytes);
        let _ = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    told
}

/// A report stands also where events were lost. Without one, the messages say why.
fn parse(report: &str, messages: &str) -> Outcome<Report> {
    if report.trim().is_empty() {
        let last = messages.lines().rfind(|line| !line.trim().is_empty());
        return Err(last.unwrap_or("fanfare bench has told nothing").trim().into());
    }
    let report = serde_json::from_str(report);
    Ok(report.map_err(|error| format!("the report of fanfare bench cannot be read: {error}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"subscribers":10,"connect":{"seconds":0.1,"per_second":100.0},
        "published":{"events":4,"seconds":2.0,"per_second":2.0,"rate":2.0},
        "delivered":{"events":50,"seconds":2.0,"per_second":25.0,"bytes_per_second":1.0,"foreign":10},
        "wrong":{"lost":1,"doubled":0,"out_of_order":2,"astray":0,"ended_streams":0,"first":[]},
        "latency":{"subscriber":{"p50":1,"p99":2,"p99.9":3,"max":4}},
        "server":{"cpu_seconds":0.5,"memory_before":1,"memory_connected":2,"memory_at_end":3,
                  "memory_per_connection":0.1},
        "busy":0.25}"#;

    #[test]
    fn a_report_is_read_without_what_is_foreign() {
        let report = parse(REPORT, "fanfare: lost\n").unwrap();
        let delivered = report.delivered.unwrap();
        assert!((delivered.events() - 40.0).abs() < 1e-9);
        assert!((delivered.per_second() - 20.0).abs() < 1e-9);
        assert!(report.wrong.unwrap().beside_losses().unwrap().contains("2 out of order"));
        assert!(report.latency.last_subscriber.is_none());
    }

    #[test]
    fn a_run_without_a_report_is_told_in_its_own_words() {
        let error = parse("", "fanfare: refused\n\n").unwrap_err();
        assert_eq!(error.to_string(), "fanfare: refused");
        assert!(parse("{", "").unwrap_err().to_string().contains("cannot be read"));
    }
}
