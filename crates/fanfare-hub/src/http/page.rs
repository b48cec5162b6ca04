//! The hub's own page: the folder `page` of this crate, from inside the program.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use ring::digest::{SHA256, digest};

use super::{AnswerBody, empty, full};

/// Browsers load nothing from elsewhere, and make nothing but text of what the network says.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
/// Kept, but asked for again each time: a new hub shows its own page.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// Enough of a digest to tell two versions of a file apart, in bytes.
const TAG_BYTES: usize = 12;

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Behind `/page/`; the page itself has none.
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal is $media_type:ident $path:literal,)*) => {
        &[$(File {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../page/", $path)),
        },)*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static FILES: &[File] = files! {
    "" is HTML "index.html",
    "about.js" is JS "about.js",
    "address.js" is JS "address.js",
    "ask.js" is JS "ask.js",
    "card.js" is JS "card.js",
    "chart.js" is JS "chart.js",
    "command.js" is JS "command.js",
    "dom.js" is JS "dom.js",
    "events.js" is JS "events.js",
    "figures.js" is JS "figures.js",
    "follow.js" is JS "follow.js",
    "icon.svg" is SVG "icon.svg",
    "json.js" is JS "json.js",
    "page.css" is CSS "page.css",
    "page.js" is JS "page.js",
    "publish.js" is JS "publish.js",
    "shared.css" is CSS "shared.css",
    "stream.js" is JS "stream.js",
    "text.js" is JS "text.js",
    "token.js" is JS "token.js",
    "topics.js" is JS "topics.js",
    "uplot.css" is CSS "vendor/uplot/uPlot.min.css",
    "uplot.js" is JS "vendor/uplot/uPlot.iife.min.js",
};

impl File {
    /// The file at a path, if it is one of the page's.
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        let name = match path {
            "/" => "",
            _ => path.strip_prefix("/page/").filter(|name| !name.is_empty())?,
        };
        FILES.iter().find(|file| file.name == name)
    }

    /// Names this version of the file.
    fn tag(&self) -> HeaderValue {
        let digest = digest(&SHA256, self.bytes);
        let hex = digest.as_ref().iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}"));
        let tag = format!("\"{}\"", hex.collect::<String>());
        // Hexadecimal digits are always a value.
        HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
    }
}

/// The file, or that the client has it already.
pub(crate) fn answer(file: &File, request: &Parts) -> Response<AnswerBody> {
    let tag = file.tag();
    let is_known = knows(&request.headers, &tag);
    let mut response = Response::new(if is_known { empty() } else { full(file.bytes) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, ASK_AGAIN);
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    headers.insert(header::REFERRER_POLICY, NO_REFERRER);
    response
}

fn knows(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = values.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    // A proxy that compresses makes a strong tag a weak one.
    known.any(|known| known.trim().trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, if_none_match: &str) -> Response<AnswerBody> {
        let request = http::Request::get(path).header(header::IF_NONE_MATCH, if_none_match);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        answer(File::at(path).unwrap(), &parts)
    }

    #[test]
    fn who_has_a_file_is_not_sent_it_again() {
        let first = ask("/page/page.js", "");
        assert_eq!(first.status(), 200);
        assert_eq!(first.headers()["content-type"], JS);
        assert_eq!(first.headers()["x-content-type-options"], "nosniff");
        let tag = first.headers()["etag"].to_str().unwrap();
        assert_ne!(ask("/page/page.css", "").headers()["etag"], tag);

        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}")] {
            assert_eq!(ask("/page/page.js", &known).status(), 304, "{known}");
        }
        assert_eq!(ask("/page/page.js", "\"other\"").status(), 200);
    }

    #[test]
    fn only_the_files_of_the_page_are_there() {
        assert!(File::at("/").is_some_and(|file| file.media_type == HTML));
        for path in ["", "/page", "/page/", "/page//", "/page/../page/page.js", "/page/index.html"]
        {
            assert_eq!(File::at(path), None, "{path}");
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.is_file()) {
            let bytes = std::fs::read(&path).unwrap();
            assert!(FILES.iter().any(|file| file.bytes == bytes), "{}", path.display());
        }
    }
}
