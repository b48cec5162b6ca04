//! What a program sees, in words that compare well.

use std::panic::Location;

use fanfare_client::{Error, EventSource, Item};
use futures_util::StreamExt;

use super::within;

/// The next item.
#[track_caller]
pub(crate) fn next(source: &mut EventSource) -> impl Future<Output = Option<Result<Item, Error>>> {
    within("an item", source.next())
}

/// The next items in words, up to the end.
#[track_caller]
pub(crate) fn told(source: &mut EventSource, count: usize) -> impl Future<Output = Vec<String>> {
    let at = Location::caller();
    async move {
        let mut told = vec![];
        while told.len() < count {
            let what = format!("an item behind {told:?}, for {at}");
            let item = within(&what, source.next()).await;
            told.push(in_words(item.as_ref()));
            if item.is_none() {
                break;
            }
        }
        told
    }
}

/// All items in words.
#[track_caller]
pub(crate) fn told_to_end(source: &mut EventSource) -> impl Future<Output = Vec<String>> {
    told(source, usize::MAX)
}

pub(crate) fn in_words(item: Option<&Result<Item, Error>>) -> String {
    match item {
        None => "end".to_owned(),
        Some(Err(error)) => format!("error: {}", reason(error)),
        Some(Ok(Item::Opened(_))) => "opened".to_owned(),
        Some(Ok(Item::Event(event))) => format!("{}: {}", event.name(), event.data()),
        Some(Ok(Item::Comment(text))) => format!("comment: {text}"),
        Some(Ok(Item::Retry(time))) => format!("retry: {time:?}"),
        Some(Ok(Item::Reconnecting { reason: error, .. })) => format!("lost: {}", reason(error)),
        Some(Ok(other)) => format!("{other:?}"),
    }
}

pub(crate) fn reason(error: &Error) -> String {
    match error {
        Error::Connection(_) => "connection".to_owned(),
        Error::Ended => "ended".to_owned(),
        Error::Idle(_) => "idle".to_owned(),
        Error::ConnectTimeout(_) => "no answer".to_owned(),
        Error::Status { status, retry_after: None } => format!("status {}", status.as_u16()),
        Error::Status { status, retry_after: Some(time) } => {
            format!("status {} for {time:?}", status.as_u16())
        }
        Error::ContentType { found } => format!("type {found:?}"),
        Error::ContentEncoding { found } => format!("coding {found}"),
        Error::Redirect(error) => format!("redirect {error:?}"),
        Error::TooLarge(_) => "too large".to_owned(),
        Error::NotRepeatable(error) => format!("not repeatable: {}", reason(error)),
        Error::GaveUp { failures, last } => format!("gave up after {failures}: {}", reason(last)),
        Error::UnsendableId { id } => format!("unsendable {id:?}"),
        other => format!("{other:?}"),
    }
}
