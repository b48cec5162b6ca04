//! A transport that keeps a copy of what it carries.

use std::sync::mpsc::Sender;

use bytes::Bytes;
use fanfare_client::{
    Transport,
    transport::{AnswerBody, Reqwest, Sending},
};
use http::Request;
use http_body_util::BodyExt;

/// Gives the bodies of answers out a second time. What is not taken stays, so they have to be taken
/// as often as the event source is polled; what is held meanwhile is what one poll reads.
pub(super) struct Tee {
    transport: Reqwest,
    copies: Sender<Bytes>,
}

impl Tee {
    pub(super) fn new(transport: Reqwest, copies: Sender<Bytes>) -> Self {
        Self { transport, copies }
    }
}

impl Transport for Tee {
    fn send(&self, request: Request<Bytes>) -> Sending {
        let answer = self.transport.send(request);
        let copies = self.copies.clone();
        Box::pin(async move { Ok(answer.await?.map(|body| copied(body, copies))) })
    }
}

fn copied(body: AnswerBody, copies: Sender<Bytes>) -> AnswerBody {
    let body = body.map_frame(move |frame| {
        if let Some(chunk) = frame.data_ref() {
            // Nobody takes copies any more when the program is about to end.
            let _ = copies.send(chunk.clone());
        }
        frame
    });
    body.boxed_unsync()
}
