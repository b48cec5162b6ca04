//! Compares fanfare's wire codec with its peers and prints Markdown tables.
//!
//! `cargo run --release -p fanfare-bench --bin codec [-- --rounds N | --quick]`

#![expect(clippy::print_stdout, reason = "tables are what this program is for")]

use std::{
    env,
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fanfare_bench::{
    compare::{Contender, Measured, Plan, Spread, compare, fastest},
    decoders::{self, Decode},
    encoders::{self, Encode, build_axum_events, fanfare_event},
    host,
    table::Table,
    workload::{self, Messages, Stream, Tally},
};
use fanfare_wire::{Decoder, Event, Item};

const USAGE: &str = "usage: codec [--rounds N | --quick]";
const FULL: Plan = Plan { rounds: 9, measurement: Duration::from_millis(50) };
const QUICK: Plan = Plan { rounds: 3, measurement: Duration::from_millis(20) };

/// How many times as fast as axum fanfare means to encode.
const ENCODING_TARGET: f64 = 1.5;

const METHOD: &str = "\
Every number is the median of all rounds, with the smallest and the largest in parentheses. In each
round the codecs take short turns, and the fastest pass of each counts; MB are 10^6 bytes of the
wire; the ratio is fanfare's speed over the other's in the same round. All codecs get the same
`Bytes` chunks, made before the clock starts, and have been checked to find the same events.";

const ENCODING_NOTE: &str = "\
From a `&str` of data, a literal name and a `&str` id to the bytes of one event. axum gives its bytes
only to a response body: \"Event to body frame\" polls that body (without a server), \"building the
Event alone\" leaves it out and is the least that axum's encoding can cost.";

const SUMMARY_NOTE: &str = "\
fanfare's speed over that of the fastest peer when decoding, and over axum's frames when encoding
(each event in memory of its own on both sides).";

/// What the summary says about a workload.
struct Outcome {
    workload: String,
    peer: String,
    ratio: Spread,
    target: f64,
}

fn main() -> ExitCode {
    let Some(plan) = plan(env::args().skip(1)) else {
        println!("{USAGE}");
        return ExitCode::FAILURE;
    };
    print_header(plan);
    println!("## Decoding\n");
    let mut outcomes: Vec<_> =
        workload::streams().iter().map(|stream| compare_decoders(plan, stream)).collect();
    println!("## Encoding\n\n{ENCODING_NOTE}\n");
    outcomes.extend(workload::messages().iter().map(|messages| compare_encoders(plan, messages)));
    print_summary(&outcomes);
    ExitCode::SUCCESS
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Option<Plan> {
    let plan = match arguments.next().as_deref() {
        None => FULL,
        Some("--quick") => QUICK,
        Some("--rounds") => {
            let rounds = arguments.next()?.parse().ok().filter(|&rounds| rounds > 0)?;
            Plan { rounds, ..FULL }
        }
        Some(_) => return None,
    };
    arguments.next().is_none().then_some(plan)
}

fn print_header(plan: Plan) {
    println!("# fanfare-wire and its peers\n");
    println!("- {}, {} threads", host::cpu_model(), host::cpu_count());
    println!("- {}, release profile, the system's allocator", host::rustc_version());
    println!("- {} rounds of at least {:?} each\n\n{METHOD}\n", plan.rounds, plan.measurement);
}

fn compare_decoders(plan: Plan, stream: &Stream) -> Outcome {
    let measured = compare(
        plan,
        [
            decoder::<decoders::Fanfare>(stream),
            decoder::<decoders::SseCore>(stream),
            decoder::<decoders::SseParse>(stream),
            decoder::<decoders::SseStream>(stream),
            decoder::<decoders::EventsourceStream>(stream),
        ],
    );
    print_section(stream.title, stream.wire_bytes(), stream.tally.events, &measured);
    let [fanfare, peers @ ..] = &measured;
    let peer = fastest(peers);
    Outcome {
        workload: format!("decode {}", stream.title),
        peer: peer.name.clone(),
        ratio: fanfare.ratio_to(peer),
        target: stream.target,
    }
}

fn compare_encoders(plan: Plan, messages: &Messages) -> Outcome {
    let build_alone =
        Contender::new(format!("{}, building the Event alone", host::package("axum")), || {
            timed(|| build_axum_events(&messages.list))
        });
    let measured = compare(
        plan,
        [
            encoder::<encoders::FanfareToBytes>(messages),
            encoder::<encoders::AxumFrames>(messages),
            build_alone,
            encoder::<encoders::SseStreamEncode>(messages),
            encoder::<encoders::FanfareReused>(messages),
        ],
    );
    let events = messages.list.iter().map(fanfare_event);
    let wire_bytes = events.map(|event| event.encoded_len()).sum();
    print_section(messages.title, wire_bytes, messages.list.len(), &measured);
    let [fanfare, axum, ..] = &measured;
    Outcome {
        workload: format!("encode {}", messages.title),
        peer: axum.name.clone(),
        ratio: fanfare.ratio_to(axum),
        target: ENCODING_TARGET,
    }
}

/// # Panics
///
/// When the decoder does not find in the stream what it should.
fn decoder<D: Decode>(stream: &Stream) -> Contender<'_> {
    let mut tally = Tally::default();
    D::decode(stream.chunks.clone(), |data| {
        tally.events += 1;
        tally.data_bytes += data.len();
    });
    assert_eq!(tally, stream.tally, "{} in {}", D::PACKAGE, stream.title);
    Contender::new(host::package(D::PACKAGE), || {
        let chunks = stream.chunks.clone();
        timed(|| {
            D::decode(chunks, |data| {
                black_box(data);
            });
        })
    })
}

/// # Panics
///
/// When the encoder's bytes do not stand for the messages.
fn encoder<E: Encode>(messages: &Messages) -> Contender<'_> {
    let mut events = Vec::new();
    E::encode(&messages.list, |bytes| events.push(decode_one(bytes)));
    let expected = messages.list.iter().map(|message| Some(fanfare_event(message)));
    assert!(expected.eq(events), "{} in {}", E::PACKAGE, messages.title);
    Contender::new(format!("{}, {}", host::package(E::PACKAGE), E::WAY), || {
        timed(|| {
            E::encode(&messages.list, |bytes| {
                black_box(bytes);
            });
        })
    })
}

fn decode_one(bytes: &[u8]) -> Option<Event> {
    match Decoder::new().decode(&mut Bytes::copy_from_slice(bytes)) {
        Ok(Some(Item::Event(event))) => Some(event),
        _ => None,
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn print_section(title: &str, wire_bytes: usize, events: usize, measured: &[Measured]) {
    let mut table = Table::new(&["codec", "MB/s", "ns/event", "fanfare's ratio"]);
    for one in measured {
        let megabytes = one.per_second(number(wire_bytes) / 1e6);
        let nanoseconds = one.seconds().median * 1e9 / number(events);
        let ratio = measured[0].ratio_to(one);
        table.push([
            one.name.clone(),
            format!("{megabytes:.0}"),
            format!("{nanoseconds:.1}"),
            format!("{ratio:.2}"),
        ]);
    }
    println!("### {title}\n\n{events} events, {wire_bytes} bytes\n\n{table}");
}

fn print_summary(outcomes: &[Outcome]) {
    let mut table = Table::new(&["workload", "peer", "ratio", "target", "reached"]);
    for Outcome { workload, peer, ratio, target } in outcomes {
        let reached = if ratio.median >= *target { "yes" } else { "NO" };
        table.push([
            workload.clone(),
            peer.clone(),
            ratio.to_string(),
            format!("{target:.1}"),
            reached.to_owned(),
        ]);
    }
    println!("## Summary\n\n{SUMMARY_NOTE}\n\n{table}");
}

#[expect(clippy::cast_precision_loss, reason = "no workload has 2^52 bytes")]
fn number(count: usize) -> f64 {
    count as f64
}
