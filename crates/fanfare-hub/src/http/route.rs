//! What a request's path is about.

use http::{Method, StatusCode, request::Parts};
use percent_encoding::percent_decode_str;

use super::{Problem, page::File};
use crate::TopicName;

/// What a path is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/`, or `/page/{file}`
    Page(&'static File),
    /// `/sse/{topic}`, or `/sse` with topics elsewhere. The text may be a pattern.
    Stream(Option<String>),
    /// `/topics`
    Topics,
    /// `/topics/{topic}/events`
    Events(TopicName),
    /// `/log`
    Log,
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
}

impl Route {
    pub(crate) fn of(request: &Parts) -> Result<Self, Problem> {
        let path = request.uri.path();
        if let Some(file) = File::at(path) {
            return Ok(Self::Page(file));
        }
        if let Some(topic) = path.strip_prefix("/sse/") {
            return Ok(Self::Stream(Some(decode(topic)?)));
        }
        if let Some(rest) = path.strip_prefix("/topics/")
            && let Some(topic) = rest.strip_suffix("/events")
        {
            return Ok(Self::Events(TopicName::new(&decode(topic)?)?));
        }
        match path {
            "/sse" => Ok(Self::Stream(None)),
            "/topics" => Ok(Self::Topics),
            "/log" => Ok(Self::Log),
            "/healthz" => Ok(Self::Health),
            "/readyz" => Ok(Self::Ready),
            "/metrics" => Ok(Self::Metrics),
            _ => Err(Problem::new(
                StatusCode::NOT_FOUND,
                "there is nothing here: topics are at /sse/{topic}",
            )),
        }
    }

    pub(crate) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Stream(Some(_)) => {
                &[Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS]
            }
            Self::Stream(None) => &[Method::GET, Method::HEAD, Method::POST, Method::OPTIONS],
            _ => &[Method::GET, Method::HEAD, Method::OPTIONS],
        }
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| Problem::bad_request("the topic in the path is no UTF-8"))?;
    Ok(decoded.into_owned())
}
