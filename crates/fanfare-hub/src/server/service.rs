//! The HTTP interface as one connection sees it.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};

use crate::{
    http::{AnswerBody, Api, ClientAddress, CutOff, Detached, OnSocket},
    log::BoxError,
};

use super::{
    forwarded::Forwarding,
    handover::{Answered, Handover},
    watch::{InFlight, Watch},
};

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct PeerService {
    pub(super) api: Api,
    pub(super) watch: Arc<Watch>,
    /// The other end of the socket.
    pub(super) peer: IpAddr,
    pub(super) forwarding: Arc<Forwarding>,
    pub(super) cut_off: CutOff,
    /// Where streams are offered that need no hyper.
    pub(super) handover: Option<Handover>,
}

/// The body of an answer, whose request is in flight until it is dropped.
#[derive(Debug)]
pub(super) struct AnsweredBody {
    body: AnswerBody,
    _in_flight: InFlight,
}

impl Service<Request<Incoming>> for PeerService {
    type Response = Response<AnsweredBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let in_flight = self.watch.begin_request(request.version());
        let address = self.forwarding.client(self.peer, request.headers());
        request.extensions_mut().insert(ClientAddress(address));
        request.extensions_mut().insert(self.cut_off.clone());
        let handover = self.handover.clone().filter(|_| request.version() == Version::HTTP_11);
        if handover.is_some() {
            request.extensions_mut().insert(OnSocket);
        }
        let api = self.api.clone();
        Box::pin(async move {
            let mut response = api.answer(request).await;
            if let Some(handover) = handover
                && let Some(detached) = response.extensions_mut().remove::<Detached>()
                && let Some(streaming) = detached.take()
            {
                let (head, _) = response.into_parts();
                let refused = handover.offer(Answered { head, streaming }).await;
                response = api.attach(refused.head, refused.streaming);
            }
            Ok(response.map(|body| AnsweredBody { body, _in_flight: in_flight }))
        })
    }
}

impl Body for AnsweredBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
