use std::time::Duration;

use fanfare_hub::server::Settings;

use crate::support::Running;

/// More than the sockets between two peers hold.
pub(crate) async fn publish_much(hub: &Running, topic: &str) {
    let large = "x".repeat(512 * 1024);
    for _ in 0..24 {
        hub.publish(topic, &large).await;
    }
}

#[tokio::test]
async fn who_reads_nothing_is_cut_off_and_nobody_else() {
    let settings = Settings { write_timeout: Duration::from_millis(500), ..Settings::default() };
    let hub = Running::with(settings).await;
    let mut quiet = hub.follow("/sse/quiet").await;
    let stalled = hub.follow("/sse/much").await;
    publish_much(&hub, "much").await;
    hub.until("disconnects_total{reason=\"stalled\"}", 1.0).await;
    hub.until("connections_closed_total{reason=\"stalled\"}", 1.0).await;
    hub.publish("quiet", "still here").await;
    assert_eq!(quiet.event().await.data(), "still here");
    drop(stalled);
}
