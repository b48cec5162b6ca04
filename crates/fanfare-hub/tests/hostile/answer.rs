use std::str;

/// An answer, or as much as there is of one that does not end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) is_whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type") == Some("text/event-stream")
    }

    /// What is true of each answer of a hub.
    pub(crate) fn check(&self) {
        assert!(self.status < 500, "{self:?}");
        // What is no request is refused by the server beneath, without words.
        let is_wordless = [400, 414, 431].contains(&self.status) && self.body.is_empty();
        let has_body = self.is_whole && !is_wordless && !self.body.is_empty();
        if self.status >= 400 && has_body {
            assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
            let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
            assert_eq!(problem["status"], self.status, "{self:?}");
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        }
    }
}

/// Takes the answers apart. `is_head` says whether the first one is to a HEAD.
///
/// # Panics
///
/// When they are no HTTP/1.1.
pub(crate) fn parse(mut wire: &[u8], mut is_head: bool) -> Vec<Answer> {
    let mut answers = vec![];
    while !wire.is_empty() {
        let (answer, rest) = next(wire, is_head);
        let is_whole = answer.is_whole;
        // Behind a 100 the answer is still to come.
        is_head &= answer.status < 200;
        answers.push(answer);
        if !is_whole {
            break;
        }
        wire = rest;
    }
    answers
}

fn next(wire: &[u8], is_head: bool) -> (Answer, &[u8]) {
    let Some(end) = find(wire, b"\r\n\r\n") else {
        let begun = &wire[..wire.len().min(9)];
        assert!(
            b"HTTP/1.1 ".starts_with(begun) || b"HTTP/1.0 ".starts_with(begun),
            "{}",
            show(wire)
        );
        let answer = Answer { status: 0, headers: vec![], body: wire.to_vec(), is_whole: false };
        return (answer, &[]);
    };
    let head = str::from_utf8(&wire[..end]).unwrap_or_else(|_| panic!("{}", show(wire)));
    let mut lines = head.split("\r\n");
    let mut status = lines.next().unwrap().splitn(3, ' ');
    let version = status.next().unwrap();
    assert!(["HTTP/1.1", "HTTP/1.0"].contains(&version), "{head}");
    let status: u16 = status.next().unwrap().parse().unwrap();
    let headers: Vec<_> = lines.map(header).collect();
    let answer = Answer { status, headers, body: vec![], is_whole: true };
    body(answer, &wire[end + 4..], is_head)
}

fn header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header"));
    let is_token =
        |letter: char| letter.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(letter);
    assert!(name.chars().all(is_token), "{line:?}");
    assert!(!value.chars().any(char::is_control), "{line:?}");
    (name.to_ascii_lowercase(), value.to_owned())
}

fn body(mut answer: Answer, rest: &[u8], is_head: bool) -> (Answer, &[u8]) {
    if is_head || answer.status < 200 || [204, 304].contains(&answer.status) {
        return (answer, rest);
    }
    let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
    let is_chunked = answer.header("transfer-encoding") == Some("chunked");
    assert!(length.is_none() || !is_chunked, "two lengths: {answer:?}");
    if is_chunked {
        let (body, rest) = chunks(rest);
        answer.is_whole = rest.is_some();
        answer.body = body;
        return (answer, rest.unwrap_or_default());
    }
    // Without a length it goes up to the end of the connection.
    let length = length.unwrap_or(rest.len());
    answer.is_whole = rest.len() >= length;
    let (body, rest) = rest.split_at(length.min(rest.len()));
    answer.body = body.to_vec();
    (answer, rest)
}

/// What is behind the last chunk, if that is there.
fn chunks(mut wire: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut body = vec![];
    loop {
        let Some(end) = find(wire, b"\r\n") else { return (body, None) };
        let size = usize::from_str_radix(str::from_utf8(&wire[..end]).unwrap(), 16).unwrap();
        let Some(chunk) = wire.get(end + 2..end + 2 + size + 2) else {
            body.extend_from_slice(&wire[end + 2..]);
            return (body, None);
        };
        assert!(chunk.ends_with(b"\r\n"), "{}", show(wire));
        body.extend_from_slice(&chunk[..size]);
        wire = &wire[end + 2 + size + 2..];
        if size == 0 {
            return (body, Some(wire));
        }
    }
}

/// Whether a request asks for a head only.
pub(crate) fn is_head(request: &[u8]) -> bool {
    // Line ends before a request do not count.
    request.trim_ascii_start().starts_with(b"HEAD ")
}

pub(crate) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

pub(crate) fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
