use std::thread;

use fanfare::{
    Channel, Closed, End, Event, EventId, JoinError, LagPolicy, MAX_CHANNELS_PER_CLIENT, Sse, Start,
};
use futures_util::FutureExt;

use crate::support::{Local, Server, Step, data_in, events_in, request, stall, until, within};

/// A client that has joined the channel.
fn member(sse: &Sse, channel: &Channel) -> Local {
    let local = Local::open(sse);
    channel.join(&local.client).unwrap();
    local
}

/// The same for one that comes back after the event with this id.
fn back(sse: &Sse, channel: &Channel, last_event_id: &str) -> Local {
    let local = Local::after(sse, last_event_id);
    channel.join(&local.client).unwrap();
    local
}

/// Has read all there is, and knows its place.
fn settled(sse: &Sse, channel: &Channel) -> Local {
    let mut member = member(sse, channel);
    member.bytes();
    member
}

fn broadcast(channel: &Channel, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        channel.broadcast(number.to_string()).unwrap();
    }
}

fn texts(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

/// What the ids of this `Sse` begin with.
fn epoch(sse: &Sse) -> String {
    let probe = Channel::new(sse);
    let id = settled_id(&mut member(sse, &probe));
    id.split('-').next().unwrap().to_owned()
}

/// The id alone with which a client is told its place.
fn settled_id(member: &mut Local) -> String {
    let bytes = member.bytes();
    let text = str::from_utf8(&bytes).unwrap();
    text.strip_prefix("id: ").unwrap().strip_suffix("\n\n").unwrap().to_owned()
}

#[tokio::test]
async fn a_broadcast_reaches_every_member_and_nobody_else() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut members = [member(&sse, &channel), member(&sse, &channel), member(&sse, &channel)];
    let mut stranger = Local::open(&sse);
    broadcast(&channel, 1..=3);
    for member in &mut members {
        assert_eq!(member.data(), ["1", "2", "3"]);
    }
    assert!(stranger.bytes().is_empty());
}

#[tokio::test]
async fn events_are_stamped_with_epoch_and_position() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let epoch = epoch(&sse);
    let mut member = settled(&sse, &channel);
    let position = channel.broadcast("a\nb").unwrap();
    assert_eq!(position.0, 1);
    assert_eq!(member.bytes(), format!("id: {epoch}-1\ndata: a\ndata: b\n\n"));
}

#[tokio::test]
async fn every_sse_has_an_epoch_of_its_own() {
    assert_ne!(epoch(&Sse::new()), epoch(&Sse::new()));
}

#[tokio::test]
async fn a_broadcast_wakes_the_members() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut member = settled(&sse, &channel);
    assert!(!member.was_woken());
    broadcast(&channel, [1]);
    assert!(member.was_woken());
    assert_eq!(member.data(), ["1"]);
}

#[tokio::test]
async fn a_member_of_several_channels_is_woken_by_each() {
    let sse = Sse::new();
    let channels = [Channel::new(&sse), Channel::new(&sse)];
    let mut member = Local::open(&sse);
    for channel in &channels {
        channel.join(&member.client).unwrap();
    }
    member.bytes();
    for channel in [&channels[0], &channels[1], &channels[0]] {
        assert!(!member.was_woken());
        broadcast(channel, [1]);
        assert!(member.was_woken());
        assert_eq!(member.data(), ["1"]);
    }
}

#[tokio::test]
async fn broadcasts_come_from_any_thread() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let server = Server::of(&sse).await;
    let mut peer = server.open("/sse").await;
    channel.join(&sse.clients()[0]).unwrap();
    thread::spawn(move || broadcast(&channel, 1..=100)).join().unwrap();
    for number in 1..=100 {
        assert_eq!(peer.data().await, number.to_string());
    }
}

#[tokio::test]
async fn joining_counts_at_once_and_twice_is_once() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    assert!(channel.is_empty());
    let mut first = member(&sse, &channel);
    assert_eq!(channel.len(), 1);
    first.bytes();

    channel.join(&first.client).unwrap();
    channel.join_from(&first.client, Start::Earliest).unwrap();
    broadcast(&channel, 1..=2);
    assert_eq!(first.data(), ["1", "2"]);
    assert_eq!(channel.len(), 1);

    let second = member(&sse, &channel);
    assert_eq!(channel.len(), 2);
    drop(first);
    assert_eq!(channel.len(), 1);
    drop(second);
    assert!(channel.is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_counted_once_however_often_it_joins() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let client = member(&sse, &channel);
    for _ in 0..10 {
        channel.join(&client.client).unwrap();
    }
    assert_eq!(channel.len(), 1);
    channel.leave(&client.client);
    assert_eq!(channel.len(), 0, "at once, as joining");
}

#[tokio::test]
async fn who_leaves_gets_no_more_and_may_come_back() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut client = settled(&sse, &channel);
    broadcast(&channel, [1]);
    assert_eq!(client.data(), ["1"]);

    channel.leave(&client.client);
    assert!(client.was_woken(), "to let go of the channel");
    broadcast(&channel, [2]);
    assert!(client.bytes().is_empty());
    assert!(channel.is_empty());
    assert!(!client.client.is_closed(), "its stream stays open");

    channel.join(&client.client).unwrap();
    broadcast(&channel, [3]);
    assert_eq!(client.data(), ["3"]);
}

#[tokio::test]
async fn to_leave_without_being_inside_is_nothing() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut client = Local::open(&sse);
    channel.leave(&client.client);
    assert!(client.bytes().is_empty());
    let gone = client.client.clone();
    drop(client);
    channel.leave(&gone);
}

#[tokio::test]
async fn changes_of_membership_take_effect_in_order() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut client = Local::open(&sse);
    for _ in 0..3 {
        channel.join(&client.client).unwrap();
        channel.leave(&client.client);
    }
    client.bytes();
    assert_eq!(channel.len(), 0);
    channel.join(&client.client).unwrap();
    broadcast(&channel, [1]);
    assert_eq!(client.data(), ["1"]);
}

#[tokio::test]
async fn a_client_that_has_ended_cannot_join() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let closing = Local::open(&sse);
    closing.client.close();
    assert_eq!(channel.join(&closing.client), Err(JoinError::Closed));
    let gone = closing.client.clone();
    drop(closing);
    assert_eq!(channel.join(&gone), Err(JoinError::Closed));
    assert!(channel.is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_before_its_join_took_effect_is_not_counted() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let local = member(&sse, &channel);
    let client = local.client.clone();
    drop(local);
    assert!(channel.is_empty());
    assert!(client.closed().now_or_never().is_some());
}

#[tokio::test]
async fn a_client_of_another_sse_cannot_join() {
    let local = Local::open(&Sse::new());
    let channel = Channel::new(&Sse::new());
    assert_eq!(channel.join(&local.client), Err(JoinError::OtherSse));
    assert!(channel.is_empty());
}

#[tokio::test]
async fn a_client_can_be_in_so_many_channels_and_no_more() {
    let sse = Sse::new();
    let channels: Vec<_> =
        (0..=MAX_CHANNELS_PER_CLIENT).map(|_| Channel::builder(&sse).history(2).build()).collect();
    let (one_more, channels) = channels.split_last().unwrap();
    let mut client = Local::open(&sse);
    for channel in channels {
        channel.join(&client.client).unwrap();
    }
    assert_eq!(one_more.join(&client.client), Err(JoinError::TooMany));
    assert!(one_more.is_empty());

    for (number, channel) in (0..).zip(channels) {
        broadcast(channel, [number]);
    }
    assert_eq!(client.data(), texts(0..MAX_CHANNELS_PER_CLIENT as u64));

    channels[7].leave(&client.client);
    client.bytes();
    one_more.join(&client.client).unwrap();
}

#[tokio::test]
async fn some_events_are_for_some() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut members = ["/sse?name=Ada", "/sse?name=Grace"].map(|target| {
        let local = Local::of(&sse, request(target));
        channel.join(&local.client).unwrap();
        local
    });
    let is_named = |name: &'static str| {
        move |client: &fanfare::Client| client.query().get("name").is_some_and(|own| own == name)
    };
    broadcast(&channel, [1]);
    channel.broadcast_to("for Ada", is_named("Ada")).unwrap();
    channel.broadcast_to("for Grace", is_named("Grace")).unwrap();
    channel.broadcast_to("for nobody", |_| false).unwrap();
    broadcast(&channel, [2]);

    assert_eq!(members[0].data(), ["1", "for Ada", "2"]);
    assert_eq!(members[1].data(), ["1", "for Grace", "2"]);
}

#[tokio::test]
async fn those_who_resume_are_asked_for_too() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut first = member(&sse, &channel);
    let id = settled_id(&mut first);
    channel.broadcast_to("secret", |client| client.get::<&str>().is_some()).unwrap();
    broadcast(&channel, [1]);

    assert_eq!(back(&sse, &channel, &id).data(), ["1"]);
    let mut trusted = Local::after(&sse, &id);
    trusted.client.insert("trusted");
    channel.join(&trusted.client).unwrap();
    assert_eq!(trusted.data(), ["secret", "1"]);
}

#[tokio::test]
async fn what_is_for_others_does_not_stop_the_reading() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut client = settled(&sse, &channel);
    for _ in 0..1000 {
        channel.broadcast_to("others", |_| false).unwrap();
    }
    broadcast(&channel, [1]);
    assert_eq!(client.data(), ["1"]);
}

#[tokio::test]
async fn new_members_start_where_the_channel_says() {
    let sse = Sse::new();
    for (start, expected) in [
        (Start::Latest, vec!["6"]),
        (Start::Last(2), vec!["4", "5", "6"]),
        (Start::Last(0), vec!["6"]),
        (Start::Last(100), vec!["1", "2", "3", "4", "5", "6"]),
        (Start::Earliest, vec!["1", "2", "3", "4", "5", "6"]),
    ] {
        let channel = Channel::builder(&sse).replay(start).build();
        broadcast(&channel, 1..=5);
        let mut by_default = member(&sse, &channel);
        let other = Channel::builder(&sse).build();
        broadcast(&other, 1..=5);
        let mut explicitly = Local::open(&sse);
        other.join_from(&explicitly.client, start).unwrap();
        broadcast(&channel, [6]);
        broadcast(&other, [6]);
        assert_eq!(by_default.data(), expected, "{start:?}");
        assert_eq!(explicitly.data(), expected, "{start:?}");
    }
}

#[tokio::test]
async fn who_comes_back_goes_on_right_behind_its_last_event() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).replay(Start::Earliest).build();
    let mut client = settled(&sse, &channel);
    broadcast(&channel, 1..=3);
    let seen = client.events();
    broadcast(&channel, 4..=5);

    for (event, expected) in seen.iter().zip([2..=5, 3..=5, 4..=5]) {
        let mut resumed = back(&sse, &channel, event.id().unwrap().as_str());
        assert_eq!(resumed.data(), texts(expected));
    }
    let mut up_to_date = back(&sse, &channel, &format!("{}-5", epoch(&sse)));
    assert!(up_to_date.data().is_empty());
    broadcast(&channel, [6]);
    assert_eq!(up_to_date.data(), ["6"]);
}

#[tokio::test]
async fn join_from_starts_there_whatever_id_the_client_came_with() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    broadcast(&channel, 1..=5);
    let resumable = format!("{}-3", epoch(&sse));
    for id in [resumable.as_str(), "unknown"] {
        for (start, expected) in [(Start::Latest, 5..5), (Start::Last(1), 5..6)] {
            let mut client = Local::after(&sse, id);
            channel.join_from(&client.client, start).unwrap();
            assert_eq!(client.data(), texts(expected), "{id} {start:?}");
        }
    }
}

#[tokio::test]
async fn who_resumed_and_leaves_and_comes_back_gets_nothing_twice() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    broadcast(&channel, 1..=3);
    let mut client = back(&sse, &channel, &format!("{}-1", epoch(&sse)));
    assert_eq!(client.data(), ["2", "3"]);

    channel.leave(&client.client);
    client.bytes();
    channel.join(&client.client).unwrap();
    broadcast(&channel, [4]);
    assert_eq!(client.data(), ["4"]);
}

#[tokio::test]
async fn a_client_that_was_given_no_event_is_told_its_place_once() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let epoch = epoch(&sse);
    let mut newcomer = member(&sse, &channel);
    assert_eq!(newcomer.bytes(), format!("id: {epoch}-0\n\n"));
    assert!(newcomer.bytes().is_empty());
    broadcast(&channel, 1..=2);
    let mut late = member(&sse, &channel);
    assert_eq!(late.bytes(), format!("id: {epoch}-2\n\n"));

    broadcast(&channel, [3]);
    assert_eq!(back(&sse, &channel, &format!("{epoch}-0")).data(), ["1", "2", "3"]);
    assert_eq!(back(&sse, &channel, &format!("{epoch}-2")).data(), ["3"]);
}

#[tokio::test]
async fn a_client_that_was_given_an_event_knows_its_place_by_it() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).replay(Start::Earliest).build();
    broadcast(&channel, [1]);
    let epoch = epoch(&sse);
    assert_eq!(member(&sse, &channel).bytes(), format!("id: {epoch}-1\ndata: 1\n\n"));
}

#[tokio::test]
async fn a_client_that_was_given_nothing_but_events_for_others_is_told_its_place() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).replay(Start::Earliest).build();
    for _ in 0..300 {
        channel.broadcast_to("others", |_| false).unwrap();
    }
    let epoch = epoch(&sse);
    assert_eq!(member(&sse, &channel).bytes(), format!("id: {epoch}-300\n\n"));
}

#[tokio::test]
async fn a_client_without_channels_is_told_no_place() {
    let sse = Sse::new();
    broadcast(&Channel::new(&sse), [1]);
    assert!(Local::open(&sse).bytes().is_empty());
}

#[tokio::test]
async fn a_resume_behind_what_is_kept_is_told_of_the_gap_and_gets_what_is_kept() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).history(3).build();
    broadcast(&channel, 1..=10);
    let epoch = epoch(&sse);
    let mut resumed = back(&sse, &channel, &format!("{epoch}-2"));

    let bytes = resumed.bytes();
    let gap = format!(
        "event: gap\nid: {epoch}-7\n\
         data: {{\"reason\":\"expired\",\"requested\":\"{epoch}-2\",\"resumed_from\":\"{epoch}-7\"}}\n\n"
    );
    assert!(bytes.starts_with(gap.as_bytes()), "{bytes:?}");
    assert_eq!(data_in(bytes.slice(gap.len()..)), ["8", "9", "10"]);
    broadcast(&channel, [11]);
    assert_eq!(resumed.data(), ["11"]);

    let mut edge = back(&sse, &channel, &format!("{epoch}-8"));
    assert_eq!(edge.data(), ["9", "10", "11"], "nothing is missing behind the newest trimmed one");
}

#[tokio::test]
async fn a_client_that_was_told_of_a_gap_is_not_told_again() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).history(3).build();
    broadcast(&channel, 1..=10);
    let mut resumed = back(&sse, &channel, &format!("{}-2", epoch(&sse)));
    let gap = events_in(resumed.bytes()).remove(0);
    assert_eq!(gap.name(), "gap");

    let mut again = back(&sse, &channel, gap.id().unwrap().as_str());
    assert_eq!(again.data(), ["8", "9", "10"]);
}

#[tokio::test]
async fn an_id_of_another_log_is_told_as_a_gap_and_gets_what_is_kept() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    broadcast(&channel, 1..=3);
    let epoch = epoch(&sse);
    let future = format!("{epoch}-99");
    for unknown in ["zzzzzzzz-2", "42", "søn \"☃\"", &future, &epoch] {
        let events = back(&sse, &channel, unknown).events();
        assert_eq!(events[0].name(), "gap");
        let gap: serde_json::Value = events[0].parse_json().unwrap();
        let expected = serde_json::json!({
            "reason": "unknown", "requested": unknown, "resumed_from": format!("{epoch}-0"),
        });
        assert_eq!(gap, expected);
        let data: Vec<_> = events[1..].iter().map(Event::data).collect();
        assert_eq!(data, ["1", "2", "3"]);
    }
}

#[tokio::test]
async fn an_id_of_the_applications_own_is_sent_and_resumed_from_while_it_is_kept() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).history(2).build();
    let mut client = settled(&sse, &channel);
    let own =
        |data: &'static str, id: &'static str| Event::new(data).with_id(EventId::from_static(id));
    channel.broadcast(own("a", "order-1")).unwrap();
    channel.broadcast(own("b", "order-2")).unwrap();
    assert_eq!(client.bytes(), "id: order-1\ndata: a\n\nid: order-2\ndata: b\n\n");
    assert_eq!(back(&sse, &channel, "order-1").data(), ["b"]);

    channel.broadcast(own("c", "order-3")).unwrap();
    assert_eq!(back(&sse, &channel, "order-2").data(), ["c"]);
    let events = back(&sse, &channel, "order-1").events();
    assert_eq!(events[0].name(), "gap");
    assert_eq!(events[1..].iter().map(Event::data).collect::<Vec<_>>(), ["b", "c"]);
}

#[tokio::test]
async fn a_channel_without_ids_sends_events_as_they_are() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).without_ids().build();
    let mut client = member(&sse, &channel);
    assert!(client.bytes().is_empty(), "no place either");
    broadcast(&channel, [1]);
    channel.broadcast(Event::new("2").with_id(EventId::from_static("own"))).unwrap();
    assert_eq!(client.bytes(), "data: 1\n\nid: own\ndata: 2\n\n");
    broadcast(&channel, [3]);
    assert_eq!(back(&sse, &channel, "own").data(), ["3"]);
}

#[tokio::test]
async fn a_channel_without_ids_does_not_disturb_the_resume_of_another() {
    let sse = Sse::new();
    let stamped = Channel::new(&sse);
    let plain = Channel::builder(&sse).without_ids().build();
    let join = |local: &Local| {
        stamped.join(&local.client).unwrap();
        plain.join(&local.client).unwrap();
    };
    let mut client = Local::open(&sse);
    join(&client);
    stamped.broadcast("stamped 1").unwrap();
    plain.broadcast("plain 1").unwrap();
    let id = client.events()[0].id().unwrap().clone();
    stamped.broadcast("stamped 2").unwrap();

    let mut client = Local::after(&sse, id.as_str());
    join(&client);
    let events = client.events();
    assert!(events.iter().all(|event| event.name() != "gap"), "{events:?}");
    assert!(events.iter().any(|event| event.data() == "stamped 2"), "{events:?}");
}

/// A member that has read 1, and does not read while 2 to 10 come into a channel for 4.
fn stalled(lag_policy: LagPolicy) -> (Sse, Channel, Local) {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).history(4).lag_policy(lag_policy).build();
    let mut client = settled(&sse, &channel);
    broadcast(&channel, [1]);
    assert_eq!(client.data(), ["1"]);
    broadcast(&channel, 2..=10);
    (sse, channel, client)
}

#[tokio::test]
async fn a_stalled_member_is_told_what_it_missed() {
    let (sse, channel, mut client) = stalled(LagPolicy::Gap);
    let epoch = epoch(&sse);
    let bytes = client.bytes();
    let gap = format!(
        "event: gap\nid: {epoch}-6\n\
         data: {{\"reason\":\"lagged\",\"missed\":5,\"resumed_from\":\"{epoch}-6\"}}\n\n"
    );
    assert!(bytes.starts_with(gap.as_bytes()), "{bytes:?}");
    assert_eq!(data_in(bytes.slice(gap.len()..)), texts(7..=10));
    broadcast(&channel, [11]);
    assert_eq!(client.data(), ["11"]);
}

#[tokio::test]
async fn a_stalled_member_may_skip_to_the_latest() {
    let (_sse, channel, mut client) = stalled(LagPolicy::Latest);
    assert_eq!(client.data(), ["10"]);
    broadcast(&channel, [11]);
    assert_eq!(client.data(), ["11"]);
}

#[tokio::test]
async fn a_stalled_member_may_be_ended_behind_what_was_sent_to_it_alone() {
    let (sse, channel, mut client) = stalled(LagPolicy::Close);
    client.client.send("sent alone").await.unwrap();
    assert_eq!(client.last_data(), ["sent alone"]);
    assert_eq!(client.client.closed().now_or_never(), Some(End::Lagged));
    assert_eq!(client.client.send("more").await, Err(Closed));
    assert!(channel.is_empty() && sse.is_empty());
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_ended_by_the_close_policy_over_a_socket() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).history(4).lag_policy(LagPolicy::Close).build();
    let server = Server::of(&sse).await;
    let mut stalled = server.open("/sse").await;
    let client = sse.clients().remove(0);
    channel.join(&client).unwrap();
    stall(&client).await;
    broadcast(&channel, 1..=5);

    // Nobody can tell the peer anything before it reads on.
    let (_, end) = stalled.rest().await;
    assert_eq!(end, Ok(()));
    assert_eq!(within("the end", client.closed()).await, End::Lagged);
}

#[tokio::test]
async fn one_stalled_peer_does_not_slow_the_others() {
    const EVENTS: u64 = 2000;

    let sse = Sse::new();
    let channel = Channel::builder(&sse).history(200).build();
    sse.on_connection({
        let channel = channel.clone();
        move |client| std::future::ready(channel.join(&client))
    });
    let server = Server::of(&sse).await;
    let mut stalled = server.open("/sse").await;
    let mut readers = [server.open("/sse").await, server.open("/sse").await];
    until("the joins", || channel.len() == 3).await;

    let padding = "x".repeat(20_000);
    for number in 1..=EVENTS {
        channel.broadcast(format!("{number} {padding}")).unwrap();
        for reader in &mut readers {
            let data = reader.data().await;
            assert_eq!(data.split(' ').next().unwrap(), number.to_string());
        }
    }
    let mut expected = 1;
    let mut has_gap = false;
    while expected <= EVENTS {
        let event = stalled.event().await;
        if event.name() == "gap" {
            let gap: serde_json::Value = event.parse_json().unwrap();
            expected += gap["missed"].as_u64().unwrap();
            has_gap = true;
        } else {
            assert_eq!(event.data().split(' ').next().unwrap(), expected.to_string());
            expected += 1;
        }
    }
    assert!(has_gap, "40 MB do not fit into the buffers on the way");
}

#[tokio::test]
async fn closing_a_channel_delivers_the_rest_and_ends_its_clients_streams() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut client = settled(&sse, &channel);
    broadcast(&channel, 1..=3);
    channel.close();
    assert!(client.was_woken());
    assert_eq!(channel.broadcast("late"), Err(Closed));
    assert_eq!(channel.broadcast_to("late", |_| true), Err(Closed));

    assert_eq!(client.last_data(), ["1", "2", "3"]);
    assert_eq!(client.client.closed().now_or_never(), Some(End::Closed));
    assert!(channel.is_empty() && sse.is_empty());
}

#[tokio::test]
async fn closing_a_channel_wakes_who_waits() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut client = settled(&sse, &channel);
    channel.close();
    assert!(client.was_woken());
    assert!(client.last_data().is_empty());
}

#[tokio::test]
async fn who_joins_a_closed_channel_gets_the_rest_and_its_end() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).replay(Start::Earliest).build();
    broadcast(&channel, 1..=2);
    channel.close();
    assert_eq!(member(&sse, &channel).last_data(), ["1", "2"]);
}

#[tokio::test]
async fn a_client_in_another_channel_stays_when_one_is_closed() {
    let sse = Sse::new();
    let (first, second) = (Channel::new(&sse), Channel::new(&sse));
    let mut client = settled(&sse, &first);
    second.join(&client.client).unwrap();
    broadcast(&first, [1]);
    broadcast(&second, [2]);
    first.close();
    assert_eq!(client.data(), ["1", "2"]);
    assert_eq!((first.len(), second.len()), (0, 1));
    broadcast(&second, [3]);
    assert_eq!(client.data(), ["3"]);
    second.close();
    assert!(client.last_data().is_empty());
}

#[tokio::test]
async fn a_client_that_joins_another_channel_before_its_only_one_is_closed_stays() {
    let sse = Sse::new();
    let (first, second) = (Channel::new(&sse), Channel::new(&sse));
    let mut client = settled(&sse, &first);
    client.client.send("to it alone").await.unwrap();
    assert_eq!(client.step(), Step::Bytes("data: to it alone\n\n".into()));

    second.join(&client.client).unwrap();
    first.close();

    assert!(client.bytes().is_empty());
    broadcast(&second, [1]);
    assert_eq!(client.data(), ["1"]);
}

#[tokio::test]
async fn a_channel_lives_while_it_has_members() {
    let sse = Sse::new();
    let channel = Channel::new(&sse);
    let mut client = settled(&sse, &channel);
    let second = channel.clone();
    drop(channel);
    broadcast(&second, [1]);
    drop(second);
    assert_eq!(client.data(), ["1"]);
    assert!(client.bytes().is_empty(), "no end: nobody closed it");
}

#[tokio::test]
async fn the_events_of_several_channels_come_in_the_order_of_the_broadcasts() {
    let sse = Sse::new();
    let channels: Vec<_> = (0..3).map(|_| Channel::new(&sse)).collect();
    let mut client = Local::open(&sse);
    for channel in &channels {
        channel.join(&client.client).unwrap();
    }
    client.bytes();
    for number in 1..=300 {
        // Runs of different lengths in each.
        broadcast(&channels[(number * number % 7 % 3) as usize], [number]);
    }
    let events = client.events();
    assert_eq!(events.iter().map(Event::data).collect::<Vec<_>>(), texts(1..=300));
}

#[tokio::test]
async fn several_channels_are_resumed_with_one_id() {
    let sse = Sse::new();
    let channels = [Channel::new(&sse), Channel::new(&sse)];
    let join =
        |local: &Local| channels.iter().for_each(|channel| channel.join(&local.client).unwrap());
    let mut client = Local::open(&sse);
    join(&client);
    for number in 1..=20 {
        broadcast(&channels[(number % 3 % 2) as usize], [number]);
    }
    for seen in client.events() {
        let mut resumed = Local::after(&sse, seen.id().unwrap().as_str());
        join(&resumed);
        let next = seen.data().parse::<u64>().unwrap() + 1;
        assert_eq!(resumed.data(), texts(next..=20));
    }
}

#[tokio::test]
async fn a_gap_in_one_of_several_channels_gives_no_id_to_resume_from() {
    let sse = Sse::new();
    let small = Channel::builder(&sse).history(1).build();
    let other = Channel::new(&sse);
    let mut client = Local::open(&sse);
    small.join(&client.client).unwrap();
    other.join(&client.client).unwrap();
    client.bytes();
    broadcast(&other, [1]);
    broadcast(&small, [2, 3]);
    broadcast(&other, [4]);

    let events = client.events();
    let (gaps, rest): (Vec<_>, Vec<_>) = events.iter().partition(|event| event.name() == "gap");
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].data(), "{\"reason\":\"lagged\",\"missed\":1}");
    assert_eq!(rest.iter().map(|event| event.data()).collect::<Vec<_>>(), ["1", "3", "4"]);
}

#[tokio::test]
async fn what_is_sent_to_one_and_to_all_takes_turns() {
    let sse = Sse::new();
    let channel = Channel::builder(&sse).replay(Start::Earliest).build();
    let long = "x".repeat(60_000);
    for _ in 0..20 {
        channel.broadcast(long.clone()).unwrap();
    }
    let mut client = member(&sse, &channel);
    // Neither ever runs out.
    let turns: Vec<_> = (0..20)
        .map(|_| {
            client.client.try_send("alone").unwrap();
            let Step::Bytes(bytes) = client.step() else { panic!("there is more") };
            data_in(bytes).contains(&long)
        })
        .collect();
    assert!(turns.windows(2).all(|two| two[0] != two[1]), "{turns:?}");
}

#[tokio::test]
async fn joining_all_is_joining_all_or_none() {
    let sse = Sse::new();
    let channels: Vec<_> = (0..=MAX_CHANNELS_PER_CLIENT).map(|_| Channel::new(&sse)).collect();
    let local = Local::open(&sse);
    assert_eq!(local.client.join_all(&channels), Err(JoinError::TooMany));
    assert!(channels.iter().all(Channel::is_empty));
    local.client.join_all(&channels[1..]).unwrap();
    assert!(channels[1..].iter().all(|channel| channel.len() == 1));
    assert_eq!(channels[0].join(&local.client), Err(JoinError::TooMany));

    let other = Channel::new(&Sse::new());
    assert_eq!(local.client.join_all([&channels[1], &other]), Err(JoinError::OtherSse));
}

#[tokio::test]
async fn the_events_of_several_channels_come_in_one_piece() {
    let sse = Sse::new();
    let channels: Vec<_> = (0..16).map(|_| Channel::new(&sse)).collect();
    let mut local = Local::open(&sse);
    local.client.join_all(&channels).unwrap();
    let sent: Vec<String> = (0..1000).map(|number: usize| number.to_string()).collect();
    for (index, data) in sent.iter().enumerate() {
        channels[index % 16].broadcast(data.clone()).unwrap();
    }
    let Step::Bytes(bytes) = local.step() else { panic!("there is something") };
    assert_eq!(data_in(bytes), sent);
}
