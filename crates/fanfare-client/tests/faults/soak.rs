#[path = "../../../../examples/soak_client/encoder.rs"]
mod encoder;
#[path = "../../../../examples/soak_client/events.rs"]
mod events;
#[path = "../../../../examples/soak_client/follower.rs"]
mod follower;
#[path = "../../../../examples/soak_client/server.rs"]
mod server;

use std::sync::{Arc, atomic::Ordering};

use fastrand::Rng;
use follower::Follower;
use server::Counts;
use tokio::net::TcpListener;

use crate::support::with_each;

const EVENTS: u64 = 5000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_cut_every_event_comes_exactly_once_and_in_order() {
    with_each(async |carrier| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let counts = Arc::<Counts>::default();
        let serving = tokio::spawn(server::serve(listener, Rng::with_seed(1), counts.clone()));
        let mut follower = Follower::new(&url, carrier).unwrap();
        while follower.last < EVENTS {
            follower.follow().await.unwrap();
        }
        serving.abort();
        let cuts = counts.cuts.load(Ordering::Relaxed);
        let requests = counts.requests.load(Ordering::Relaxed);
        assert!(cuts > 50 && requests > cuts, "{cuts} cuts of {requests} answers");
        assert!(follower.reconnections >= cuts, "{} for {cuts} cuts", follower.reconnections);
    })
    .await;
}
