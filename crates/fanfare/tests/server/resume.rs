use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body};
use bytes::Bytes;
use fanfare::{Attached, Channel, Client, Event, EventId, Position, Sse, Start};
use fanfare_wire::{Decoder, Item};
use fastrand::Rng;
use futures_util::future::join_all;
use http::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::Service;

use crate::support::{Local, Peer, Server, Step as Poll, okay, within};

const LAST: &str = "last";

/// What was broadcast, by position: the number of the channel, and the data.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<BTreeMap<u64, (usize, String)>>>);

impl Record {
    fn broadcast(&self, channels: &[Channel], index: usize, data: &str) {
        let Position(position) = channels[index].broadcast(data).unwrap();
        self.0.lock().unwrap().insert(position, (index, data.to_owned()));
    }

    /// What a client in these channels has to be given, each once and in this order.
    fn of(&self, indices: &[usize]) -> Vec<(u64, String)> {
        let record = self.0.lock().unwrap();
        let of_these = record.iter().filter(|(_, (index, _))| indices.contains(index));
        of_these.map(|(position, (_, data))| (*position, data.clone())).collect()
    }
}

/// A client that comes back again and again, and what it was given in all.
struct Returning {
    channels: Vec<usize>,
    decoder: Decoder,
    given: Vec<(u64, String)>,
    lasts: usize,
    connections: usize,
}

impl Returning {
    fn new(channels: &[usize]) -> Self {
        let channels = channels.to_vec();
        Self { channels, decoder: Decoder::new(), given: vec![], lasts: 0, connections: 0 }
    }

    fn target(&self) -> String {
        let numbers: Vec<_> = self.channels.iter().map(usize::to_string).collect();
        format!("/sse?channels={}", numbers.join("."))
    }

    fn take(&mut self, mut bytes: Bytes) {
        while let Some(item) = self.decoder.decode(&mut bytes).unwrap() {
            if let Item::Event(event) = item {
                self.note(&event);
            }
        }
    }

    fn note(&mut self, event: &Event) {
        assert_eq!(event.name(), "message", "{event:?}");
        let (_, position) = event.id().unwrap().as_str().split_once('-').unwrap();
        self.given.push((position.parse().unwrap(), event.data().to_owned()));
        self.lasts += usize::from(event.data() == LAST);
    }

    fn has_all(&self) -> bool {
        self.lasts >= self.channels.len()
    }
}

/// When a connection handler has its client join.
#[derive(Clone, Copy, PartialEq)]
enum Joins {
    /// When it is called, which is before the response.
    BeforeTheAnswer,
    /// In its future, while the connection is being written to already.
    BesideTheStream,
}

/// Clients that name the channels they want to be in.
fn with_channels(count: usize, joins: Joins) -> (Sse, Vec<Channel>) {
    let sse = Sse::new();
    let new = || Channel::builder(&sse).history(1_000_000).history_bytes(1 << 30);
    let channels: Vec<_> = (0..count).map(|_| new().replay(Start::Earliest).build()).collect();
    sse.on_connection({
        let channels = channels.clone();
        move |client| {
            let channels = channels.clone();
            if joins == Joins::BeforeTheAnswer {
                join_wanted(&channels, &client);
            }
            async move {
                if joins == Joins::BesideTheStream {
                    tokio::task::yield_now().await;
                    join_wanted(&channels, &client);
                }
            }
        }
    });
    (sse, channels)
}

fn join_wanted(channels: &[Channel], client: &Client) {
    let query = client.query().get("channels").unwrap();
    let wanted = query.split('.').map(|wanted| &channels[wanted.parse::<usize>().unwrap()]);
    // A client that is gone already cannot join.
    let _ = client.join_all(wanted);
}

/// Publishes from several tasks at once, and then the last event of each channel.
async fn publish(channels: &[Channel], record: &Record, events: usize) {
    let publishers = (0..3).map(|publisher| {
        let (channels, record) = (channels.to_vec(), record.clone());
        tokio::spawn(async move {
            let mut random = Rng::with_seed(publisher);
            for number in 0..events {
                let index = random.usize(..channels.len());
                record.broadcast(&channels, index, &format!("{publisher}/{number}"));
                if random.u8(..4) == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    for publisher in join_all(publishers).await {
        publisher.unwrap();
    }
    for index in 0..channels.len() {
        record.broadcast(channels, index, LAST);
    }
}

/// Reads for a random while, in one connection without a socket.
async fn visit(service: &mut Attached<Router>, returning: &mut Returning, random: &mut Rng) {
    let request = Request::get(returning.target());
    let request = match returning.decoder.last_event_id() {
        "" => request,
        id => request.header("last-event-id", id),
    };
    let answer = service.call(request.body(Body::empty()).unwrap());
    let mut body = pin!(answer.await.unwrap().into_body());
    let mut left = random.usize(..3000);
    while !returning.has_all() {
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        if bytes.len() > left {
            returning.take(bytes.slice(..left));
            break;
        }
        left -= bytes.len();
        returning.take(bytes);
    }
    returning.decoder.restart();
    returning.connections += 1;
}

async fn come_back_until_all_is_there(
    mut service: Attached<Router>,
    mut returning: Returning,
    seed: u64,
) -> Returning {
    let mut random = Rng::with_seed(seed);
    while !returning.has_all() {
        visit(&mut service, &mut returning, &mut random).await;
    }
    returning
}

/// Clients in the channels that `wanted` says lose their connections all the time.
async fn assert_nothing_missing_nothing_twice(joins: Joins, wanted: &[&[usize]]) {
    const EVENTS: usize = 3000;

    let (sse, channels) = with_channels(CHANNELS, joins);
    let record = Record::default();
    let service = sse.attach(okay());
    let clients: Vec<_> = (0..)
        .zip(wanted)
        .map(|(seed, wanted)| {
            let returning = Returning::new(wanted);
            tokio::spawn(come_back_until_all_is_there(service.clone(), returning, seed))
        })
        .collect();
    within("the publishers", publish(&channels, &record, EVENTS)).await;
    for client in clients {
        let client = within("a client", client).await.unwrap();
        let expected = record.of(&client.channels);
        assert_same(&client.given, &expected, client.connections);
    }
    assert!(sse.is_empty() && channels.iter().all(Channel::is_empty));
}

fn assert_same(given: &[(u64, String)], expected: &[(u64, String)], connections: usize) {
    let same = given.iter().zip(expected).take_while(|(given, expected)| given == expected).count();
    let around =
        |events: &[(u64, String)]| format!("{:?}", &events[same..events.len().min(same + 5)]);
    assert!(
        given == expected,
        "{same} events of {} connections were right, then came {} instead of {}",
        connections,
        around(given),
        around(expected),
    );
}

const CHANNELS: usize = 4;
const SEVERAL: [&[usize]; 4] = [&[0, 1], &[2, 1, 0], &[3, 1], &[3, 0, 2, 1]];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_of_one_channel_misses_nothing_and_gets_nothing_twice() {
    let wanted: [&[usize]; CHANNELS] = [&[0], &[1], &[2], &[3]];
    assert_nothing_missing_nothing_twice(Joins::BesideTheStream, &wanted.repeat(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_of_several_channels_misses_nothing_and_gets_nothing_twice() {
    assert_nothing_missing_nothing_twice(Joins::BeforeTheAnswer, &SEVERAL.repeat(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_joins_several_channels_beside_its_stream_misses_nothing() {
    assert_nothing_missing_nothing_twice(Joins::BesideTheStream, &SEVERAL.repeat(5)).await;
}

/// The same over sockets, with connections that end in either way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_a_socket_misses_nothing_and_gets_nothing_twice() {
    async fn visit(server: &Server, returning: &mut Returning, random: &mut Rng) {
        let mut peer = server.peer().await;
        let id = returning.decoder.last_event_id();
        let header = if id.is_empty() { String::new() } else { format!("last-event-id: {id}\r\n") };
        peer.get(&returning.target(), &header).await;
        peer.head().await;
        for _ in 0..random.u8(..6) {
            if !returning.has_all() {
                returning.take(peer.chunk().await.unwrap().unwrap());
            }
        }
        returning.decoder.restart();
        returning.connections += 1;
        leave(peer, random);
    }

    fn leave(peer: Peer, random: &mut Rng) {
        if random.bool() {
            peer.reset();
        }
    }

    let (sse, channels) = with_channels(1, Joins::BesideTheStream);
    let record = Record::default();
    let server = Arc::new(Server::of(&sse).await);
    let clients: Vec<_> = (0..6)
        .map(|seed| {
            let (server, mut random) = (server.clone(), Rng::with_seed(seed));
            tokio::spawn(async move {
                let mut returning = Returning::new(&[0]);
                while !returning.has_all() {
                    visit(&server, &mut returning, &mut random).await;
                }
                returning
            })
        })
        .collect();
    within("the publishers", publish(&channels, &record, 1000)).await;
    for client in clients {
        let client = within("a client", client).await.unwrap();
        assert_same(&client.given, &record.of(&[0]), client.connections);
    }
}

#[tokio::test]
async fn a_channel_that_is_joined_while_another_is_read_keeps_the_order() {
    let sse = Sse::new();
    let [first, second] = [Channel::new(&sse), Channel::new(&sse)];
    let mut client = Local::open(&sse);
    first.join(&client.client).unwrap();
    client.bytes();
    // Another task does this at the moment at which the body asks.
    let meanwhile = {
        let (first, second) = (first.clone(), second.clone());
        move |client: &Client| {
            second.join(client).unwrap();
            second.broadcast("2").unwrap();
            first.broadcast("3").unwrap();
            false
        }
    };
    first.broadcast_to("1", meanwhile).unwrap();
    assert_eq!(client.data(), ["2", "3"], "ids that go back would have 3 repeated");
}

/// What happens to a channel and its one client.
#[derive(Debug, Clone)]
enum Step {
    Broadcast { events: u8, length: usize },
    Read { polls: u8 },
    Reconnect,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..6_u8, 1..40_usize).prop_map(|(events, length)| Step::Broadcast { events, length }),
        (1..4_u8).prop_map(|polls| Step::Read { polls }),
        Just(Step::Reconnect),
    ]
}

/// Checks every event against the numbers that it should have.
struct Checked<'a> {
    sse: &'a Sse,
    channel: &'a Channel,
    connection: Local,
    decoder: Decoder,
    next: u64,
}

impl<'a> Checked<'a> {
    fn new(sse: &'a Sse, channel: &'a Channel) -> Self {
        let connection = Local::open(sse);
        channel.join(&connection.client).unwrap();
        Self { sse, channel, connection, decoder: Decoder::new(), next: 1 }
    }

    fn poll(&mut self) -> bool {
        let Poll::Bytes(mut bytes) = self.connection.step() else { return false };
        while let Some(item) = self.decoder.decode(&mut bytes).unwrap() {
            match item {
                Item::Event(event) if event.name() == "gap" => self.take_gap(&event),
                Item::Event(event) => self.take_event(&event),
                _ => {}
            }
        }
        true
    }

    fn take_gap(&mut self, event: &Event) {
        let gap: serde_json::Value = event.parse_json().unwrap();
        let resumed_from = event.id().unwrap().as_str();
        assert_eq!(gap["resumed_from"], resumed_from);
        // The only channel of its `Sse`: positions are numbers.
        let next = resumed_from.split_once('-').unwrap().1.parse::<u64>().unwrap() + 1;
        assert!(next > self.next, "told of a gap before {next} that is none");
        if let Some(missed) = gap["missed"].as_u64() {
            assert_eq!(next, self.next + missed);
        }
        self.next = next;
    }

    fn take_event(&mut self, event: &Event) {
        let (number, _) = event.data().split_once(' ').unwrap();
        assert_eq!(number, self.next.to_string());
        self.next += 1;
    }

    fn reconnect(&mut self) {
        self.connection = match self.decoder.last_event_id() {
            "" => Local::open(self.sse),
            id => Local::after(self.sse, id),
        };
        self.channel.join(&self.connection.client).unwrap();
        self.decoder.restart();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    /// Whatever the history keeps, and however the client reads and comes back: it gets each event
    /// once and in order, or is told of exactly those that it does not get.
    #[test]
    fn every_event_is_given_or_told_to_be_missing(
        history in 1..12_usize,
        history_bytes in prop_oneof![Just(usize::MAX), 0..600_usize],
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let sse = Sse::new();
        let builder = Channel::builder(&sse).history(history).history_bytes(history_bytes);
        let channel = builder.replay(Start::Earliest).build();
        let mut client = Checked::new(&sse, &channel);
        // From here on it has an id to come back with.
        while client.poll() {}
        let mut number = 0;
        for step in steps {
            match step {
                Step::Broadcast { events, length } => for _ in 0..events {
                    number += 1;
                    channel.broadcast(format!("{number} {}", "x".repeat(length))).unwrap();
                },
                Step::Read { polls } => for _ in 0..polls { client.poll(); },
                Step::Reconnect => client.reconnect(),
            }
        }
        while client.poll() {}
        prop_assert_eq!(client.next, number + 1);
    }
}

#[tokio::test]
async fn ids_of_two_instances_are_never_mistaken_for_one_another() {
    let (first, second) = (Sse::new(), Sse::new());
    let channels =
        [&first, &second].map(|sse| Channel::builder(sse).replay(Start::Earliest).build());
    for channel in &channels {
        channel.broadcast("a").unwrap();
        channel.broadcast("b").unwrap();
    }
    let mut client = Local::open(&first);
    channels[0].join(&client.client).unwrap();
    let id: EventId = client.events()[0].id().unwrap().clone();

    let mut elsewhere = Local::after(&second, id.as_str());
    channels[1].join(&elsewhere.client).unwrap();
    let events = elsewhere.events();
    assert_eq!(events.iter().map(Event::name).collect::<Vec<_>>(), ["gap", "message", "message"]);
}
