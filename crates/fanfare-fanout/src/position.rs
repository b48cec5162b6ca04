//! Where an event stands in its log, and how that is written on the wire.

use std::{fmt, sync::Arc};

use fanfare_wire::EventId;

use crate::sync::{AtomicU64, Ordering};

/// The place of an event in its log: from 1, rising, and unique over all channels that draw from
/// the same [`Positions`]. A channel of several has gaps in its positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
    /// Behind every event there will ever be.
    pub const END: Self = Self(u64::MAX);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one log. A log that was erased, or belongs to another process, has another epoch,
/// so that its ids are recognised and not mistaken for places in this log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; Self::LENGTH]);

impl Epoch {
    const LENGTH: usize = 8;
    /// Crockford's base 32 in lower case: safe in a header without a CORS preflight.
    const ALPHABET: [u8; 32] = *b"0123456789abcdefghjkmnpqrstvwxyz";

    /// The epoch named by the lowest 40 bits of `seed`, which the caller draws at random.
    ///
    /// ```
    /// use fanfare_fanout::Epoch;
    ///
    /// assert_eq!(Epoch::from_seed(1).as_str(), "10000000");
    /// assert_ne!(Epoch::from_seed(1), Epoch::from_seed(2));
    /// ```
    pub fn from_seed(seed: u64) -> Self {
        let mut rest = seed;
        Self([(); Self::LENGTH].map(|()| {
            let letter = Self::ALPHABET[(rest % 32) as usize];
            rest /= 32;
            letter
        }))
    }

    /// The epoch of this name; `None` for a text that is none.
    ///
    /// ```
    /// use fanfare_fanout::Epoch;
    ///
    /// assert_eq!(Epoch::from_name("10000000"), Some(Epoch::from_seed(1)));
    /// assert_eq!(Epoch::from_name("1000000u"), None);
    /// assert_eq!(Epoch::from_name("1"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        let letters = name.as_bytes().try_into().ok()?;
        name.bytes().all(|letter| Self::ALPHABET.contains(&letter)).then_some(Self(letters))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The event id of a position: `<epoch>-<position>`.
    ///
    /// ```
    /// use fanfare_fanout::{Epoch, Position};
    ///
    /// let epoch = Epoch::from_seed(1);
    /// let id = epoch.id(Position(7));
    /// assert_eq!(id, "10000000-7");
    /// assert_eq!(epoch.position(id.as_str()), Some(Position(7)));
    /// assert_eq!(Epoch::from_seed(2).position(id.as_str()), None);
    /// ```
    pub fn id(&self, position: Position) -> EventId {
        // Letters, a hyphen and digits are always an id.
        let mut digits = itoa::Buffer::new();
        let text = [self.as_str(), "-", digits.format(position.0)].concat();
        EventId::new(text).unwrap_or_default()
    }

    /// Reads an id that [`id`](Self::id) wrote; `None` for any other text.
    pub fn position(&self, id: &str) -> Option<Position> {
        let digits = id.strip_prefix(self.as_str())?.strip_prefix('-')?;
        let canonical = digits == "0" || !digits.starts_with(['0', '+']);
        canonical.then(|| digits.parse().ok().map(Position))?
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

/// The counter from which channels draw positions. Clones count together.
///
/// A channel draws inside its own lock. So whoever has loaded [`newest`](Self::newest) and locks a
/// channel afterwards finds every event of it up to that position: several channels can be read in
/// one order without a lock over all.
///
/// ```
/// use fanfare_fanout::{Channel, Options, Position, Positions};
///
/// let positions = Positions::new();
/// let options = || Options { positions: positions.clone(), ..Options::default() };
/// let [news, prices] = [Channel::<()>::new(options()), Channel::<()>::new(options())];
/// assert_eq!(news.append("a".into())?, Position(1));
/// assert_eq!(prices.append("b".into())?, Position(2));
/// assert_eq!(positions.newest(), Position(2));
/// # Ok::<(), fanfare_fanout::Closed>(())
/// ```
#[derive(Debug, Clone)]
pub struct Positions(Arc<AtomicU64>);

impl Positions {
    /// A counter at [`Position::START`].
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(Position::START.0)))
    }

    /// The highest position that was drawn or [advanced](Self::advance) to; [`Position::START`] before
    /// the first.
    pub fn newest(&self) -> Position {
        Position(self.0.load(Ordering::Acquire))
    }

    /// Says that every channel has been given its events up to `position`; see
    /// [`Channel::append_at`](crate::Channel::append_at).
    pub fn advance(&self, position: Position) {
        self.0.fetch_max(position.0, Ordering::AcqRel);
    }

    pub(crate) fn draw(&self) -> Position {
        Position(self.0.fetch_add(1, Ordering::AcqRel) + 1)
    }
}

impl Default for Positions {
    fn default() -> Self {
        Self::new()
    }
}
