//! Asking the origin. Who wants to know the same at the same time is given the same answer.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use fanfare_hub::{Epoch, Via};
use http::StatusCode;
use reqwest::{Client, Response};
use serde::Deserialize;
use tokio::{sync::Mutex as AsyncMutex, time::timeout};

use super::{Access, OriginError, Question, Told, lock};
use crate::http_client;

/// The longest answer, in bytes: a page of events, with what JSON makes of their data.
const MAX_ANSWER: usize = 64 << 20;

pub(super) struct Asker {
    client: Client,
    access: Arc<Access>,
    patience: Duration,
    asked: Mutex<HashMap<Question, Arc<Asked>>>,
}

/// A question that somebody asks.
#[derive(Default)]
struct Asked {
    /// How many have come with it.
    come: AtomicU64,
    answered: AsyncMutex<Answered>,
}

/// The newest answer, for those who had come when it was asked for.
#[derive(Default)]
struct Answered {
    come: u64,
    answer: Option<Answer>,
}

type Answer = Result<Arc<Told>, Arc<OriginError>>;

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Asker {
    pub(super) fn new(access: Arc<Access>, patience: Duration) -> Result<Self, OriginError> {
        let client = http_client::new().map_err(OriginError::Unasked)?;
        Ok(Self { client, access, patience, asked: Mutex::default() })
    }

    /// Asks, unless somebody asks who began later than this.
    pub(super) async fn ask(&self, question: &Question, epoch: Option<Epoch>) -> Answer {
        let asked = lock(&self.asked).entry(question.clone()).or_default().clone();
        let number = asked.come.fetch_add(1, Ordering::SeqCst) + 1;
        let _forget = Forget { asker: self, question, asked: &asked };
        let mut answered = asked.answered.lock().await;
        if let Some(answer) = answered.answer.as_ref().filter(|_| answered.come >= number) {
            return answer.clone();
        }
        let come = asked.come.load(Ordering::SeqCst);
        let answer = self.send(question, epoch).await.map(Arc::new).map_err(Arc::new);
        *answered = Answered { come, answer: Some(answer.clone()) };
        answer
    }

    async fn send(&self, question: &Question, epoch: Option<Epoch>) -> Result<Told, OriginError> {
        let url = self.access.url("/log", &question.to_query(epoch));
        let request = self.client.get(url).headers(self.access.headers()?);
        let answering = async {
            let response = request.send().await.map_err(unreached)?;
            let (status, via) = (response.status(), Via::read(response.headers()));
            let body = read(response).await?;
            if status != StatusCode::OK {
                return Err(self.refused(status, &body));
            }
            let told = via.and_then(|via| Told::read(&body, via));
            told.ok_or(OriginError::Foreign)
        };
        let answer = timeout(self.patience, answering).await;
        answer.unwrap_or(Err(OriginError::Late(self.patience)))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> OriginError {
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.access.forget_token();
        }
        let problem: Option<Problem> = serde_json::from_slice(body).ok();
        let detail = problem.map_or_else(|| "it does not say why".to_owned(), |it| it.detail);
        OriginError::Refused { status, detail }
    }
}

async fn read(mut response: Response) -> Result<Bytes, OriginError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(unreached)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(OriginError::Foreign);
        }
    }
    Ok(body.freeze())
}

fn unreached(error: reqwest::Error) -> OriginError {
    // The address is told with it anyway.
    OriginError::Unreached(error.without_url())
}

/// Forgets a question that nobody asks any more.
struct Forget<'a> {
    asker: &'a Asker,
    question: &'a Question,
    asked: &'a Arc<Asked>,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.asker.asked);
        // One in the map, one here.
        if Arc::strong_count(self.asked) == 2 {
            all.remove(self.question);
        }
    }
}
