use std::time::Duration;

use futures_util::future::select_all;
use rustix::process::Signal;

use super::{rotation::Rotation, site::Site, witnesses};
use crate::support::{Folder, Hub, client};

/// After which a stream is sent a comment. Whoever hears nothing for twice as long asks another hub.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);

/// Hubs that share a log.
pub(crate) struct Hubs {
    seats: Vec<Seat>,
    pub(crate) rotation: Rotation,
}

/// A hub, and where it is started again.
struct Seat {
    site: Site,
    listen: String,
    words: Vec<String>,
    hub: Option<Hub>,
}

impl Hubs {
    pub(crate) async fn start(
        folder: &Folder,
        sites: Vec<Site>,
        log: &str,
        settings: &[&str],
    ) -> Self {
        let keep_alive = format!("http.keep_alive={}s", SILENCE.as_secs());
        let settings = settings.iter().copied().chain([&*keep_alive, "http.retry=50ms..150ms"]);
        let settings = settings.flat_map(|setting| ["--set", setting]);
        let words: Vec<String> =
            ["--log", log].into_iter().chain(settings).map(str::to_owned).collect();
        // One of them takes from NATS only what is followed there.
        let selective = ["--set", "log.max_unfollowed=0KiB"].map(str::to_owned);
        let seat = |(index, site): (usize, Site)| {
            let selective = selective.iter().filter(|_| index == 0);
            let words = words.iter().chain(selective).cloned().collect();
            Seat { listen: site.free_place(), site, words, hub: None }
        };
        let seats: Vec<Seat> = sites.into_iter().enumerate().map(seat).collect();
        let rotation = Rotation::new(seats.iter().map(Seat::url));
        let mut hubs = Self { seats, rotation };
        hubs.start_again(folder).await;
        hubs
    }

    pub(crate) fn count(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn url(&self, hub: usize) -> String {
        self.seats[hub].url()
    }

    /// Starts those who have ended.
    pub(crate) async fn start_again(&mut self, folder: &Folder) {
        for seat in self.seats.iter_mut().filter(|seat| seat.hub.is_none()) {
            seat.start(folder).await;
        }
    }

    pub(crate) async fn kill(&mut self, hub: usize) {
        let mut hub = self.seats[hub].hub.take().expect("a hub that runs");
        hub.signal(Signal::KILL);
        hub.ended().await;
    }

    /// Goes on with something that needs all of them, and fails as soon as one ends.
    pub(crate) async fn while_they_serve<T>(&mut self, doing: impl Future<Output = T>) -> T {
        let running = self.seats.iter_mut().filter_map(|seat| seat.hub.as_mut());
        let ends = running.map(|hub| Box::pin(async { (hub.end().await, hub.said()) }));
        tokio::select! {
            done = doing => done,
            ((status, said), _, _) = select_all(ends) => {
                let last = said.lines().last().unwrap_or_default();
                panic!("a hub has ended by itself, with {status}: {last}")
            }
        }
    }

    /// Prints how each of them is.
    pub(crate) async fn tell(&self) {
        let client = client();
        for seat in &self.seats {
            for path in ["/readyz", "/metrics"] {
                witnesses::tell(&client, &format!("{}{path}", seat.url())).await;
            }
            if let Some(hub) = &seat.hub {
                witnesses::tell_end(&hub.stderr);
            }
        }
    }

    /// Ends one in good order.
    pub(crate) async fn stop(&mut self, hub: usize) {
        self.seats[hub].hub.take().expect("a hub that runs").stop().await;
    }

    pub(crate) async fn stop_all(mut self) {
        for hub in 0..self.count() {
            self.stop(hub).await;
        }
    }
}

impl Seat {
    fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    async fn start(&mut self, folder: &Folder) {
        let mut words = vec!["serve", "--listen", &self.listen];
        words.extend(self.words.iter().map(String::as_str));
        self.hub = Some(folder.launch(self.site.enter(folder.command(&words))).await);
    }
}
