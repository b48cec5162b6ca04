//! The connection to Redis, made anew when it turns out to be of no use.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout},
};

use super::RedisError;

/// Between attempts to connect.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long to wait before the next attempt. All hubs lose Redis at the same moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) const NEW: Self = Self(SHORTEST_PAUSE);

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0.mul_f64(0.5 + fastrand::f64());
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// A connection that all calls share.
pub(super) struct Link {
    client: Client,
    patience: Duration,
    /// Held while it is connected, so that those who wait get the same connection.
    state: Mutex<State>,
    /// Rises with each connection.
    number: watch::Sender<u64>,
}

struct State {
    connection: Option<MultiplexedConnection>,
    backoff: Backoff,
    tried: Instant,
    not_before: Instant,
}

/// A connection, with its number.
#[derive(Clone)]
pub(super) struct Connected {
    pub(super) connection: MultiplexedConnection,
    number: u64,
}

impl Link {
    pub(super) async fn open(client: Client, patience: Duration) -> Result<Self, RedisError> {
        let connection = connect(&client, patience, patience).await?;
        let now = Instant::now();
        let state = State {
            connection: Some(connection),
            backoff: Backoff::NEW,
            tried: now,
            not_before: now,
        };
        Ok(Self { client, patience, state: Mutex::new(state), number: watch::Sender::new(0) })
    }

    /// The connection; a new one if there is none and the last attempt is long enough ago.
    pub(super) async fn get(&self) -> Result<Connected, RedisError> {
        let mut state = self.state.lock().await;
        let connection = match state.connection.clone() {
            Some(connection) => connection,
            None => self.renew(&mut state).await?,
        };
        Ok(Connected { connection, number: *self.number.borrow() })
    }

    async fn renew(&self, state: &mut State) -> Result<MultiplexedConnection, RedisError> {
        state.begin_attempt(Instant::now())?;
        let connection = connect(&self.client, self.patience, self.patience).await?;
        state.connection = Some(connection.clone());
        self.number.send_modify(|number| *number += 1);
        Ok(connection)
    }

    /// It is of no use any more.
    pub(super) async fn give_up(&self, given_up: &Connected) {
        let mut state = self.state.lock().await;
        if *self.number.borrow() == given_up.number {
            state.connection = None;
        }
    }

    /// A connection of one's own, for a command that waits this long.
    pub(super) async fn connect(
        &self,
        waiting: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        connect(&self.client, self.patience, waiting + self.patience).await
    }

    /// Changes when there is another connection: another server may answer then.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.number.subscribe()
    }
}

impl State {
    /// Takes note of an attempt, unless it comes too soon after the last one.
    fn begin_attempt(&mut self, now: Instant) -> Result<(), RedisError> {
        if now < self.not_before {
            return Err(RedisError::Away);
        }
        if now - self.tried > 2 * LONGEST_PAUSE {
            self.backoff = Backoff::NEW;
        }
        (self.tried, self.not_before) = (now, now + self.backoff.next());
        Ok(())
    }
}

async fn connect(
    client: &Client,
    patience: Duration,
    answers_within: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience))
        .set_response_timeout(Some(answers_within));
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    Ok(timeout(patience, connecting).await.map_err(|_| RedisError::Late(patience))??)
}
