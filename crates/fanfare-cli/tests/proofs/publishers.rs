use fastrand::Rng;
use reqwest::Client;
use tokio::sync::watch;

use crate::{
    requests::{Fate, Keys, Ledger, Request},
    support::within,
};

/// The life of a hub that is up, one of many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    /// 0: there was none yet.
    pub(crate) number: u32,
    pub(crate) url: String,
    /// The newest position that its predecessors have left.
    pub(crate) inherited: u64,
    /// Nobody is to publish anything new.
    pub(crate) is_last_call: bool,
}

pub(crate) struct Publisher {
    pub(crate) number: usize,
    pub(crate) random: Rng,
    pub(crate) client: Client,
    pub(crate) lives: watch::Receiver<Life>,
    pub(crate) ledger: Ledger,
}

impl Publisher {
    pub(crate) async fn run(mut self) {
        let mut lost = 0;
        for number in 0_u64.. {
            let life = self.life_after(lost).await;
            if life.is_last_call {
                return;
            }
            let request = Request::draw(&mut self.random, self.number, number, Keys::Some);
            let fate = self.publish(&request, life, &mut lost).await;
            self.ledger.note(request, fate);
        }
    }

    /// A hub that has come up since the one with this number was lost.
    async fn life_after(&mut self, lost: u32) -> Life {
        self.lives.wait_for(|life| life.number > lost).await.unwrap().clone()
    }

    /// Repeats it until it is answered, if it has a key.
    async fn publish(&mut self, request: &Request, mut life: Life, lost: &mut u32) -> Fate {
        if let Some(last) = self.ask(request, &life).await {
            self.repeat_idly(request, &life, last).await;
            return Fate::Acknowledged(last);
        }
        loop {
            *lost = life.number;
            if request.key.is_none() {
                return Fate::Unanswered;
            }
            life = self.life_after(*lost).await;
            if let Some(last) = self.ask(request, &life).await {
                return Fate::Repeated { last, was_kept: last <= life.inherited };
            }
        }
    }

    /// Repeats some requests although they were answered.
    async fn repeat_idly(&mut self, request: &Request, life: &Life, last: u64) {
        if request.key.is_some()
            && self.random.u8(..4) == 0
            && let Some(again) = self.ask(request, life).await
        {
            assert_eq!(again, last, "the answer to a repeated {request:?}");
        }
    }

    /// The position that is answered; `None` when the hub is lost before.
    async fn ask(&self, request: &Request, life: &Life) -> Option<u64> {
        Some(within("an answer", request.send(&self.client, &life.url)).await?.last())
    }
}
