//! Requests that are sent again: nobody answers those that come while the servers of a cluster choose who leads.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{interval, timeout};

use super::NatsError;

/// How often a request is sent within the patience.
const TIMES: u32 = 4;

/// The first answer to a request that changes nothing when it comes twice.
pub(super) async fn ask_again<T, E, F>(
    patience: Duration,
    request: impl Fn() -> F,
) -> Result<T, NatsError>
where
    F: Future<Output = Result<T, E>>,
    NatsError: From<E>,
{
    let asking = async {
        let (mut sent, mut again) = (FuturesUnordered::new(), interval(patience / TIMES));
        loop {
            tokio::select! {
                _ = again.tick() => sent.push(request()),
                Some(answer) = sent.next() => return answer.map_err(NatsError::from),
            }
        }
    };
    timeout(patience, asking).await.unwrap_or(Err(NatsError::Late(patience)))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::pending};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(4);

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_is_asked_again_before_the_patience_is_over() {
        let asked = Cell::new(0);
        let request = || async {
            asked.set(asked.get() + 1);
            if asked.get() < 3 { pending().await } else { Ok::<_, NatsError>(asked.get()) }
        };
        assert_eq!(ask_again(PATIENCE, request).await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_counts_although_it_was_asked_again() {
        let asked = Cell::new(0);
        let request = || async {
            asked.set(asked.get() + 1);
            let number = asked.get();
            if number > 1 {
                pending::<()>().await;
            }
            tokio::time::sleep(PATIENCE * 3 / 4).await;
            Ok::<_, NatsError>(number)
        };
        assert_eq!(ask_again(PATIENCE, request).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_late() {
        let silence = pending::<Result<(), NatsError>>;
        let late = ask_again(PATIENCE, silence).await;
        assert!(matches!(late, Err(NatsError::Late(PATIENCE))), "{late:?}");
    }
}
