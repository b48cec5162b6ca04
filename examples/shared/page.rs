//! Pages and what they load, from inside the program: nothing is read from disk or the network.

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    routing::{MethodRouter, get},
};

/// Browsers load nothing from elsewhere and run no script that somebody smuggled into a page.
const POLICY: &str = "default-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'";

/// A route that answers with a file that was compiled in.
pub(crate) fn file(content_type: &'static str, text: &'static str) -> MethodRouter {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    get(move || async move { (headers, text) })
}

pub(crate) fn html(text: &'static str) -> MethodRouter {
    file("text/html; charset=utf-8", text)
}

pub(crate) fn css(text: &'static str) -> MethodRouter {
    file("text/css; charset=utf-8", text)
}

pub(crate) fn javascript(text: &'static str) -> MethodRouter {
    file("text/javascript; charset=utf-8", text)
}

/// What the pages of all examples have in common; they look as the hub's own page does.
pub(crate) fn shared() -> Router {
    Router::new()
        .route("/shared.css", css(include_str!("../../crates/fanfare-hub/page/shared.css")))
        .route("/connection.js", javascript(include_str!("connection.js")))
}
