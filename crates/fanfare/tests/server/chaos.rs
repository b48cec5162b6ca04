use std::{
    collections::VecDeque,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use axum::body::Body;
use fanfare::{Channel, Client, Connections, EventId, JoinError, Sse, Start, TrySendError};
use fanfare_wire::{Decoder, Item};
use fastrand::Rng;
use futures_util::StreamExt;
use http::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::Service;

use crate::support::{Local, Step, data_in, events_in, okay, within};

const CLIENTS: usize = 3;
const CHANNELS: usize = 3;

#[derive(Debug, Clone)]
enum Deed {
    Send { client: usize, length: usize },
    Broadcast { channel: usize },
    BroadcastToOne { channel: usize, client: usize },
    Join { client: usize, channel: usize },
    Leave { client: usize, channel: usize },
    Read { client: usize },
    Close { client: usize },
    Vanish { client: usize },
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let (client, channel) = (0..CLIENTS, 0..CHANNELS);
    prop_oneof![
        3 => (client.clone(), 0..40_usize).prop_map(|(client, length)| Deed::Send { client, length }),
        4 => channel.clone().prop_map(|channel| Deed::Broadcast { channel }),
        1 => (channel.clone(), client.clone())
            .prop_map(|(channel, client)| Deed::BroadcastToOne { channel, client }),
        3 => (client.clone(), channel.clone())
            .prop_map(|(client, channel)| Deed::Join { client, channel }),
        1 => (client.clone(), channel).prop_map(|(client, channel)| Deed::Leave { client, channel }),
        3 => client.clone().prop_map(|client| Deed::Read { client }),
        1 => client.clone().prop_map(|client| Deed::Close { client }),
        1 => client.prop_map(|client| Deed::Vanish { client }),
    ]
}

/// A client, and what it has to be given.
struct Modelled {
    local: Local,
    inside: [bool; CHANNELS],
    alone: VecDeque<String>,
    from_channels: VecDeque<String>,
    is_closed: bool,
}

struct World {
    sse: Sse,
    channels: Vec<Channel>,
    clients: Vec<Modelled>,
    number: u64,
}

/// By which a client is told from all others.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Identity(u64);

impl Modelled {
    fn new(sse: &Sse, identity: Identity) -> Self {
        let local = Local::open(sse);
        local.client.insert(identity);
        Self {
            local,
            inside: [false; CHANNELS],
            alone: VecDeque::new(),
            from_channels: VecDeque::new(),
            is_closed: false,
        }
    }

    fn read(&mut self) {
        let (bytes, has_ended) = self.local.read_to_wait();
        assert_eq!(has_ended, self.is_closed);
        for data in data_in(bytes) {
            let queue = match data.split(' ').next() {
                Some("alone") => &mut self.alone,
                _ => &mut self.from_channels,
            };
            assert_eq!(Some(&data), queue.pop_front().as_ref());
        }
        assert!(self.alone.is_empty(), "not given {:?}", self.alone);
        // What is broadcast around a close may come or not.
        assert!(has_ended || self.from_channels.is_empty(), "not given {:?}", self.from_channels);
    }
}

impl World {
    fn new() -> Self {
        let sse = Sse::builder().queue_bytes(200).build();
        let channels = (0..CHANNELS).map(|_| Channel::new(&sse)).collect();
        let clients = (0..CLIENTS as u64).map(|index| Modelled::new(&sse, Identity(index)));
        let clients: Vec<_> = clients.collect();
        Self { sse, channels, number: CLIENTS as u64, clients }
    }

    fn renew(&mut self, client: usize) {
        self.number += 1;
        self.clients[client] = Modelled::new(&self.sse, Identity(self.number));
    }

    fn text(&mut self, kind: &str, length: usize) -> String {
        self.number += 1;
        format!("{kind} {} {}", self.number, "x".repeat(length))
    }

    fn take(&mut self, deed: &Deed) {
        match *deed {
            Deed::Send { client, length } => self.send(client, length),
            Deed::Broadcast { channel } => self.broadcast(channel, None),
            Deed::BroadcastToOne { channel, client } => self.broadcast(channel, Some(client)),
            Deed::Join { client, channel } => self.join(client, channel),
            Deed::Leave { client, channel } => {
                // What is on its way may still arrive otherwise.
                self.renew_if_closed(client);
                self.channels[channel].leave(&self.clients[client].local.client);
                self.clients[client].inside[channel] = false;
                self.clients[client].read();
            }
            Deed::Read { client } => self.renew_if_closed(client),
            Deed::Close { client } => {
                self.clients[client].local.client.close();
                self.clients[client].is_closed = true;
            }
            Deed::Vanish { client } => self.renew(client),
        }
    }

    fn send(&mut self, client: usize, length: usize) {
        let text = self.text("alone", length);
        let client = &mut self.clients[client];
        match client.local.client.try_send(text.clone()) {
            Ok(()) => client.alone.push_back(text),
            Err(TrySendError::Full(event)) => assert_eq!(event.data(), text),
            Err(TrySendError::Closed) => assert!(client.is_closed),
        }
    }

    fn broadcast(&mut self, channel: usize, to: Option<usize>) {
        let text = self.text("all", 0);
        let sent = match to {
            None => self.channels[channel].broadcast(text.clone()),
            Some(index) => {
                let meant = self.clients[index].local.client.get::<Identity>();
                let is_meant = move |client: &Client| client.get::<Identity>() == meant;
                self.channels[channel].broadcast_to(text.clone(), is_meant)
            }
        };
        sent.unwrap();
        for (index, client) in self.clients.iter_mut().enumerate() {
            if client.inside[channel] && to.is_none_or(|to| to == index) {
                client.from_channels.push_back(text.clone());
            }
        }
    }

    fn join(&mut self, client: usize, channel: usize) {
        let client = &mut self.clients[client];
        match self.channels[channel].join(&client.local.client) {
            Ok(()) => client.inside[channel] = true,
            Err(error) => assert!(error == JoinError::Closed && client.is_closed),
        }
    }

    fn renew_if_closed(&mut self, client: usize) {
        self.clients[client].read();
        if self.clients[client].is_closed {
            self.renew(client);
        }
    }

    fn check_counts(&mut self) {
        for index in 0..CLIENTS {
            self.renew_if_closed(index);
        }
        assert_eq!(self.sse.len(), CLIENTS);
        for (index, channel) in self.channels.iter().enumerate() {
            let inside = self.clients.iter().filter(|client| client.inside[index]).count();
            assert_eq!(channel.len(), inside);
        }
        self.clients.clear();
        assert!(self.sse.is_empty() && self.channels.iter().all(Channel::is_empty));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Each client is given exactly what was sent to it, in order, and everybody is counted right.
    #[test]
    fn any_sequence_of_deeds_gives_everybody_what_is_theirs(
        deeds in prop::collection::vec(any_deed(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let mut world = World::new();
        for deed in &deeds {
            world.take(deed);
        }
        world.check_counts();
    }
}

/// Polls the body, as fast as it can, until the stream ends, and checks that its ids rise. Counts
/// the events. A gap in one of several channels has no id of its own: it may be told before older
/// events of another one.
fn read_to_end(mut local: Local, count: &AtomicUsize) {
    let mut last = 0;
    loop {
        let bytes = match local.step() {
            Step::Bytes(bytes) => bytes,
            Step::Waits => continue,
            Step::Ended => return,
        };
        for event in events_in(bytes) {
            count.fetch_add(1, Ordering::SeqCst);
            if event.name() == "gap" {
                continue;
            }
            let position = position_in(event.id().unwrap());
            assert!(position > last, "{position} behind {last}");
            last = position;
        }
    }
}

fn position_in(id: &EventId) -> u64 {
    id.as_str().split_once('-').unwrap().1.parse().unwrap()
}

#[test]
fn a_channel_that_is_joined_at_any_moment_keeps_the_order() {
    join_and_leave_while_it_flows(16_384);
}

#[test]
fn a_channel_that_is_joined_by_one_that_lags_keeps_the_order() {
    join_and_leave_while_it_flows(8);
}

fn join_and_leave_while_it_flows(history: usize) {
    let sse = Sse::builder().keep_alive(None).build();
    let [first, second] = [(); 2].map(|()| Channel::builder(&sse).history(history).build());
    let local = Local::open(&sse);
    let client = local.client.clone();
    first.join(&client).unwrap();
    let count = AtomicUsize::new(0);
    thread::scope(|scope| {
        let reading = scope.spawn(|| read_to_end(local, &count));
        scope.spawn(|| {
            while !client.is_closed() {
                second.broadcast("x").unwrap();
                first.broadcast("x").unwrap();
            }
        });
        for _ in 0..1000 {
            second.join_from(&client, Start::Latest).unwrap();
            let before = count.load(Ordering::SeqCst);
            while count.load(Ordering::SeqCst) < before + 2 && !reading.is_finished() {
                thread::yield_now();
            }
            second.leave(&client);
        }
        client.close();
    });
}

#[test]
fn what_was_broadcast_before_a_close_is_given() {
    for _ in 0..2000 {
        let sse = Sse::builder().keep_alive(None).build();
        let channel = Channel::new(&sse);
        let local = Local::open(&sse);
        let client = local.client.clone();
        channel.join(&client).unwrap();
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| read_to_end(local, &count));
            channel.broadcast("the last word").unwrap();
            client.close();
        });
        assert_eq!(count.into_inner(), 1);
    }
}

/// Reads one connection for a random while, and checks that everything rises.
async fn read_and_vanish(sse: &Sse, random: &mut Rng) {
    let mut service = sse.attach(okay());
    let answer = service.call(Request::get("/sse").body(Body::empty()).unwrap());
    let mut body = pin!(answer.await.unwrap().into_body());
    let (mut decoder, mut alone, mut position) = (Decoder::new(), 0, 0);
    for _ in 0..random.u32(..60) {
        let Some(frame) = body.frame().await else { return };
        let mut bytes = frame.unwrap().into_data().unwrap();
        while let Some(item) = decoder.decode(&mut bytes).unwrap() {
            let Item::Event(event) = item else { continue };
            let (last, number) = match event.data().split_once(' ').unwrap() {
                ("alone", number) => (&mut alone, number),
                (_, _) => (&mut position, event.id().unwrap().as_str().split_once('-').unwrap().1),
            };
            let number: u64 = number.parse().unwrap();
            assert!(number > *last, "{number} behind {last}");
            *last = number;
        }
    }
}

/// Does anything to a client until it has ended.
async fn pester(client: Client, channels: Vec<Channel>, mut random: Rng) {
    let mut number = 0;
    while !client.is_closed() {
        let channel = &channels[random.usize(..channels.len())];
        match random.u8(..40) {
            0..12 => drop(channel.join(&client)),
            12..24 => {
                number += 1;
                let _ = client.send(format!("alone {number}")).await;
            }
            24..30 => tokio::task::yield_now().await,
            30..39 => channel.leave(&client),
            _ => client.close(),
        }
    }
    client.closed().await;
}

/// Has every new client pestered, and waits until all are through with it.
async fn pester_all(mut connections: Connections, channels: Vec<Channel>) {
    let mut random = Rng::with_seed(1);
    let mut pestering = vec![];
    while pestering.len() < READERS * CONNECTIONS {
        let client = connections.next().await.unwrap();
        pestering.push(tokio::spawn(pester(client, channels.clone(), random.fork())));
    }
    for pesterer in pestering {
        pesterer.await.unwrap();
    }
}

async fn publish(channels: Vec<Channel>) {
    let mut random = Rng::with_seed(2);
    loop {
        channels[random.usize(..CHANNELS)].broadcast("all x").unwrap();
        tokio::task::yield_now().await;
    }
}

const READERS: usize = 8;
const CONNECTIONS: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn anything_at_once_keeps_the_order_and_ends() {
    let sse = Sse::builder().queue_bytes(500).build();
    let channels: Vec<_> = (0..CHANNELS).map(|_| Channel::new(&sse)).collect();
    let pestering = tokio::spawn(pester_all(sse.connections(), channels.clone()));
    let publishing = tokio::spawn(publish(channels.clone()));
    let mut seeds = Rng::with_seed(3);
    let readers = (0..READERS).map(|_| {
        let (sse, mut random) = (sse.clone(), seeds.fork());
        tokio::spawn(async move {
            for _ in 0..CONNECTIONS {
                read_and_vanish(&sse, &mut random).await;
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        within("a reader", reader).await.unwrap();
    }
    within("the pesterers", pestering).await.unwrap();
    publishing.abort();
    assert!(sse.is_empty() && channels.iter().all(Channel::is_empty));
}
