//! The data of events as values.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::{Events, ReadError};

impl<S> Events<S> {
    /// The data of each event, read as JSON in place.
    pub fn json<T: DeserializeOwned>(self) -> Json<S, T> {
        Json { events: self, value: PhantomData }
    }
}

pin_project_lite::pin_project! {
    /// The data of events as values; from [`Events::json`].
    #[derive(Debug)]
    pub struct Json<S, T> {
        #[pin]
        events: Events<S>,
        value: PhantomData<fn() -> T>,
    }
}

impl<S, T, E> Stream for Json<S, T>
where
    S: Stream<Item = Result<Bytes, E>>,
    T: DeserializeOwned,
{
    type Item = Result<T, ReadError<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(self.project().events.poll_next(context));
        Poll::Ready(event.map(|event| {
            let event = event?;
            event.parse_json().map_err(|source| ReadError::Json { data: event.into_data(), source })
        }))
    }
}
