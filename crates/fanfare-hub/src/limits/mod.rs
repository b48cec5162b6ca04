//! How many streams there may be, and how fast may be published.

mod rates;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::metrics::Refusal;

use rates::Rates;

/// When to try again where no moment is known: streams end when their subscribers like.
const RETRY_STREAM_AFTER: Duration = Duration::from_secs(5);
/// Whoever has one IPv6 address has the network of this length, as a rule.
const IPV6_NETWORK_BITS: u32 = 64;

/// How many streams there may be, and how fast may be published.
///
/// An address is an IPv4 address or an IPv6 network of 64 bits, which is what one subscriber has.
/// Behind a proxy all clients have the proxy's address, unless it is among the server's
/// `trusted_proxies`: so nothing is bounded by address unless it is asked for.
///
/// ```
/// # use std::sync::Arc;
/// # use fanfare_fanout::{Bounds, Epoch};
/// # use fanfare_hub::{Hub, log::{MemoryLog, Retention, Timestamp}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let log = Arc::new(MemoryLog::new(Epoch::from_seed(1), Retention::default()));
/// # let hub = Hub::new(log, Bounds::default(), Arc::new(|| Timestamp(0)));
/// use fanfare_hub::{http::{Api, ClientAddress, Settings}, limits};
///
/// let limits = limits::Settings { max_clients_per_address: Some(1), ..Default::default() };
/// let settings = Settings { limits, ..Settings::default() };
/// let api = Api::new(hub, fanfare::Sse::new(), settings);
///
/// let ask = async |address: [u8; 4]| {
///     let request = http::Request::get("/sse/news").extension(ClientAddress(address.into()));
///     api.answer(request.body(String::new()).unwrap()).await
/// };
/// let first = ask([192, 0, 2, 1]).await;
/// assert_eq!(first.status(), 200);
/// assert_eq!(ask([192, 0, 2, 1]).await.status(), 429);
/// assert_eq!(ask([192, 0, 2, 2]).await.status(), 200);
/// drop(first);
/// assert_eq!(ask([192, 0, 2, 1]).await.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Streams in all. Default: 100,000.
    pub max_clients: usize,
    /// Streams of one address. Default: as many as there may be in all.
    pub max_clients_per_address: Option<usize>,
    /// How fast one address may publish. Default: as fast as it can.
    pub publish_rate: Option<Rate>,
    /// How many addresses are remembered for their rate, each in about 50 bytes. When there are more,
    /// those that published longest ago are forgotten, and begin anew. Default: 100,000.
    pub max_rate_addresses: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_clients: 100_000,
            max_clients_per_address: None,
            publish_rate: None,
            max_rate_addresses: 100_000,
        }
    }
}

/// A rate of events, as a bucket of tokens: each event takes one.
///
/// A request is let in while there is a token. It may take more than there are, as a batch does; then
/// the next ones wait until that has been made up for.
///
/// ```
/// use std::num::NonZeroU32;
/// use fanfare_hub::limits::Rate;
///
/// // A hundred events in one second, or at once; then ten a second.
/// let rate = Rate {
///     per_second: NonZeroU32::new(10).unwrap(),
///     burst: NonZeroU32::new(100).unwrap(),
/// };
/// # assert!(rate.burst > rate.per_second);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come in each second.
    pub per_second: NonZeroU32,
    /// Tokens that there can be: events that may come at once after a silence.
    pub burst: NonZeroU32,
}

/// A bound has been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) bound: Refusal,
    pub(crate) retry_after: Duration,
}

/// Counts streams and publishes.
#[derive(Debug)]
pub(crate) struct Limits {
    settings: Settings,
    clients: Arc<Clients>,
    rates: Option<Mutex<Rates>>,
}

#[derive(Debug, Default)]
struct Clients {
    all: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A stream's place among all; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    clients: Arc<Clients>,
    /// Where streams are counted by address.
    address: Option<IpAddr>,
}

impl Limits {
    pub(crate) fn new(settings: Settings) -> Self {
        let rates = settings.publish_rate.map(|rate| Rates::new(rate, settings.max_rate_addresses));
        Self { settings, clients: Arc::default(), rates: rates.map(Mutex::new) }
    }

    /// How many streams there are.
    pub(crate) fn clients(&self) -> usize {
        self.clients.all.load(Ordering::Relaxed)
    }

    /// A place for one more stream.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> Result<Place, Refused> {
        let refused = |bound| Refused { bound, retry_after: RETRY_STREAM_AFTER };
        let one_more = |count: usize| (count < self.settings.max_clients).then_some(count + 1);
        let all = &self.clients.all;
        all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| refused(Refusal::Clients))?;
        // From here on it is given back whatever happens.
        let mut place = Place { clients: self.clients.clone(), address: None };
        if let (Some(most), Some(address)) = (self.settings.max_clients_per_address, address) {
            let address = network(address);
            if !self.clients.enter(address, most) {
                return Err(refused(Refusal::ClientsPerAddress));
            }
            place.address = Some(address);
        }
        Ok(place)
    }

    /// Lets a publish in; it takes a token.
    pub(crate) fn publish(&self, address: Option<IpAddr>) -> Result<(), Refused> {
        let Some((mut rates, address)) = self.rates(address) else { return Ok(()) };
        rates
            .take(address, Instant::now())
            .map_err(|retry_after| Refused { bound: Refusal::PublishRate, retry_after })
    }

    /// Takes tokens for events whose publish has been let in, and tells for how long no more of them
    /// are to be read.
    pub(crate) fn charge(&self, address: Option<IpAddr>, events: usize) -> Duration {
        let Some((mut rates, address)) = self.rates(address) else { return Duration::ZERO };
        rates.charge(address, u32::try_from(events).unwrap_or(u32::MAX), Instant::now())
    }

    fn rates(&self, address: Option<IpAddr>) -> Option<(MutexGuard<'_, Rates>, IpAddr)> {
        let rates = self.rates.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some((rates, network(address?)))
    }
}

impl Clients {
    fn enter(&self, address: IpAddr, most: usize) -> bool {
        let mut by_address = self.by_address();
        let count = by_address.entry(address).or_default();
        let has_room = *count < most;
        if has_room {
            *count += 1;
        } else if *count == 0 {
            by_address.remove(&address);
        }
        has_room
    }

    fn leave(&self, address: IpAddr) {
        let mut by_address = self.by_address();
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            self.clients.leave(address);
        }
    }
}

/// What one subscriber has of addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << IPV6_NETWORK_BITS)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn a_place_is_given_back() {
        let settings = Settings { max_clients: 2, ..Settings::default() };
        let limits = Limits::new(settings);
        let first = limits.enter(None).unwrap();
        let _second = limits.enter(None).unwrap();
        assert_eq!(limits.enter(None).unwrap_err().bound, Refusal::Clients);
        drop(first);
        let _third = limits.enter(None).unwrap();
        assert_eq!(limits.clients(), 2);
    }

    #[test]
    fn addresses_are_counted_apart_and_ipv6_by_its_network() {
        let settings = Settings { max_clients_per_address: Some(1), ..Settings::default() };
        let limits = Limits::new(settings);
        let first = limits.enter(address("192.0.2.1")).unwrap();
        let refused = limits.enter(address("::ffff:192.0.2.1")).unwrap_err();
        assert_eq!(refused.bound, Refusal::ClientsPerAddress);
        let _other = limits.enter(address("192.0.2.2")).unwrap();
        let _v6 = limits.enter(address("2001:db8::1")).unwrap();
        assert!(limits.enter(address("2001:db8::2")).is_err());
        let _v6_other = limits.enter(address("2001:db8:0:1::1")).unwrap();
        let _unknown = [limits.enter(None).unwrap(), limits.enter(None).unwrap()];
        assert_eq!(limits.clients(), 6, "who is refused takes no place");
        drop(first);
        let _again = limits.enter(address("192.0.2.1")).unwrap();
        assert_eq!(limits.clients.by_address().len(), 4);
    }

    #[test]
    fn no_places_at_all_leave_nothing_behind() {
        let settings = Settings { max_clients_per_address: Some(0), ..Settings::default() };
        let limits = Limits::new(settings);
        assert!(limits.enter(address("192.0.2.1")).is_err());
        assert!(limits.clients.by_address().is_empty());
    }
}
