use fastrand::Rng;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

const METHODS: [&str; 14] = [
    "GET", "GET", "GET", "GET", "POST", "POST", "POST", "HEAD", "DELETE", "OPTIONS", "PUT",
    "CONNECT", "TRACE", "get",
];
const PATHS: [&str; 24] = [
    "/",
    "/sse",
    "/sse/",
    "/sse/T",
    "/sse/T",
    "/sse/T",
    "/sse/T",
    "/sse/T",
    "/sse/T",
    "/topics",
    "/topics/T/events",
    "/topics/T/events",
    "/topics/events",
    "/topics//events",
    "/healthz",
    "/readyz",
    "/metrics",
    "/page/T",
    "/page/../../etc/passwd",
    "//sse/T",
    "/SSE/T",
    "*",
    "http://a/sse/T",
    "T",
];
const PARAMETERS: [&str; 26] = [
    "topic=T",
    "topic=T",
    "topic=T",
    "topic=",
    "topic",
    "from=earliest",
    "from=earliest",
    "from=latest",
    "from=T",
    "last=3",
    "last=-1",
    "last=99999999999999999999",
    "lastEventId=I",
    "last_event_id=I",
    "evs_last_event_id=I",
    "envelope=json",
    "envelope=x",
    "after=T",
    "after=I",
    "limit=2",
    "limit=0",
    "event=T",
    "retry=5",
    "retry=x",
    "end=T",
    "access_token=K",
];
const HEADERS: [&str; 34] = [
    "last-event-id: I",
    "last-event-id: I",
    "last-event-id: ",
    "idempotency-key: T",
    "idempotency-key: ",
    "content-type: application/x-ndjson",
    "content-type: application/x-ndjson",
    "content-type: text/event-stream",
    "content-type: text/event-stream; charset=utf-16",
    "content-type: T",
    "accept: text/event-stream",
    "accept: T",
    "origin: http://evil.example",
    "origin: null",
    "cookie: fanfare_token=K",
    "cookie: T=K; fanfare_token=K",
    "authorization: Bearer K",
    "authorization: Bearer K",
    "authorization: Basic K",
    "authorization: K",
    "expect: 100-continue",
    "connection: close",
    "connection: upgrade, T",
    "upgrade: websocket",
    "upgrade: h2c",
    "x-forwarded-for: T",
    "forwarded: for=T",
    "host: T",
    "range: bytes=0-1",
    "if-none-match: *",
    "accept-encoding: gzip",
    "transfer-encoding: gzip",
    "T: T",
    "x: T",
];
/// What encodings, file systems and databases stumble over.
const TRICKS: [&str; 24] = [
    "..",
    "%2e%2e",
    "%2F",
    "%252F",
    "%00",
    "%C0%AF",
    "%C3%28",
    "%F4%90%80%80",
    "%ED%A0%80",
    "%24stats",
    "$*",
    "*",
    "%2A",
    "%",
    "%zz",
    "%0d%0ax:%20y",
    "+",
    "ü",
    "'\"<script>",
    ";",
    "\\",
    "#",
    "?",
    "&",
];

/// What requests are made of.
pub(crate) struct Words<'a> {
    pub(crate) topics: &'a [&'a str],
    pub(crate) ids: &'a [&'a str],
    pub(crate) tokens: &'a [String],
    /// Most requests bring a token, and are right otherwise: what is refused for its form tries no
    /// right.
    pub(crate) is_guarded: bool,
}

/// Makes random requests.
pub(crate) struct Grammar<'a> {
    random: Rng,
    words: &'a Words<'a>,
}

impl<'a> Grammar<'a> {
    pub(crate) fn new(seed: u64, words: &'a Words<'a>) -> Self {
        Self { random: Rng::with_seed(seed), words }
    }

    /// Most have a form that is right, for what is refused at once tries little.
    pub(crate) fn request(&mut self) -> Vec<u8> {
        let method = self.pick(&METHODS);
        let mut request = format!("{method} {} {}\r\n", self.target(), self.version()).into_bytes();
        if !self.is_one_in(20) {
            request.extend_from_slice(b"host: a\r\n");
        }
        if self.words.is_guarded && !self.is_one_in(5) {
            let token = self.pick(&["authorization: Bearer K\r\n", "cookie: fanfare_token=K\r\n"]);
            request.extend(self.fill(token).into_bytes());
        }
        for _ in 0..self.random.usize(0..self.most(2, 5)) {
            let header = self.pick(&HEADERS);
            request.extend(self.fill(header).into_bytes());
            request.extend_from_slice(self.line_end());
        }
        if self.is_one_in(40) {
            let count = self.random.usize(1..3000);
            request.extend("x: x\r\n".repeat(count).into_bytes());
        }
        let body = if method == "POST" || self.is_one_in(8) { self.body() } else { vec![] };
        self.frame(&mut request, &body);
        if self.is_one_in(10) {
            self.damage(&mut request);
        }
        request
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.usize(0..from.len())]
    }

    fn is_one_in(&mut self, times: u32) -> bool {
        self.random.u32(0..times) == 0
    }

    fn most(&self, guarded: usize, open: usize) -> usize {
        if self.words.is_guarded { guarded } else { open }
    }

    fn version(&mut self) -> &'static str {
        if self.is_one_in(12) {
            return self.pick(&[
                "HTTP/1.0",
                "HTTP/2.0",
                "HTTP/0.9",
                "HTTP/1.2",
                "http/1.1",
                "HTTP/1.1 ",
                "",
            ]);
        }
        "HTTP/1.1"
    }

    fn line_end(&mut self) -> &'static [u8] {
        if self.is_one_in(60) {
            self.pick(&[b"\n".as_slice(), b"\r", b"\r\n ", b"\0\r\n"])
        } else {
            b"\r\n"
        }
    }

    fn target(&mut self) -> String {
        let path = if self.words.is_guarded && self.random.bool() {
            self.pick(&["/sse/T", "/sse/T", "/sse", "/topics", "/topics/T/events"])
        } else {
            self.pick(&PATHS)
        };
        let mut target = self.fill(path);
        let mut glue = '?';
        for _ in 0..self.random.usize(0..self.most(3, 4)) {
            let parameter = self.pick(&PARAMETERS);
            target.push(glue);
            target.push_str(&self.fill(parameter));
            glue = '&';
        }
        target
    }

    /// Puts topics, ids and tokens in their places.
    fn fill(&mut self, pattern: &str) -> String {
        let mut filled = String::new();
        for letter in pattern.chars() {
            match letter {
                'T' => filled.push_str(&self.topic()),
                'I' => filled.push_str(self.pick(self.words.ids)),
                'K' => {
                    let token = self.random.usize(0..self.words.tokens.len());
                    filled.push_str(&self.words.tokens[token]);
                }
                _ => filled.push(letter),
            }
        }
        filled
    }

    fn topic(&mut self) -> String {
        let topic = self.pick(self.words.topics).to_owned();
        match self.random.usize(0..self.most(40, 12)) {
            0 => topic + self.pick(&TRICKS),
            1 => self.pick(&TRICKS).to_owned() + &topic,
            2 => self.pick(&TRICKS).to_owned(),
            3 => percent_encode(topic.as_bytes(), NON_ALPHANUMERIC).to_string(),
            4 => percent_encode(topic.as_bytes(), NON_ALPHANUMERIC).to_string().replace('%', "%25"),
            5 => topic + "*",
            6 => format!("{topic}/../{}", self.pick(self.words.topics)),
            7 if self.is_one_in(4) => "x".repeat(self.random.usize(200..20_000)),
            _ => topic,
        }
    }

    fn body(&mut self) -> Vec<u8> {
        match self.random.u32(0..8) {
            0 => vec![],
            1 => b"data: x\n\nevent: y\nid: 1\ndata: z\n\n".to_vec(),
            2 => format!("{{\"topic\":\"{}\",\"data\":\"x\"}}\n", self.topic()).into_bytes(),
            3 => b"{\"data\":1}\n{\"data\":2,\"event\":\"e\"}\n{\"data\"".to_vec(),
            4 => (0..self.random.usize(0..200)).map(|_| self.random.u8(..)).collect(),
            5 => b"POST /sse/smuggled HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx".to_vec(),
            6 => format!("{}{{}}", "[".repeat(self.random.usize(1..5000))).into_bytes(),
            _ => b"plain".to_vec(),
        }
    }

    /// Ends the head, and says how long the body is: rightly, most of the time.
    fn frame(&mut self, request: &mut Vec<u8>, body: &[u8]) {
        let length = body.len();
        match self.random.u32(0..24) {
            0..4 => {
                request.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                for chunk in body.chunks(self.random.usize(1..100)) {
                    request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                    request.extend_from_slice(chunk);
                    request.extend_from_slice(b"\r\n");
                }
                request.extend_from_slice(b"0\r\n\r\n");
                return;
            }
            4 => request.extend(format!("content-length: {}\r\n", length / 2).into_bytes()),
            5 => request.extend(format!("content-length: -{length}\r\n").into_bytes()),
            6 if self.is_one_in(8) => {
                request.extend(format!("content-length: {}\r\n", length + 1000).into_bytes());
            }
            _ if length == 0 => {}
            _ => request.extend(format!("content-length: {length}\r\n").into_bytes()),
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
    }

    fn damage(&mut self, request: &mut Vec<u8>) {
        for _ in 0..self.random.usize(1..4) {
            let at = self.random.usize(0..request.len());
            match self.random.u32(0..4) {
                0 => request[at] = self.random.u8(..),
                1 => request.insert(at, self.pick(b"\0\r\n\t :\x80\xff%/")),
                2 if request.len() > 1 => drop(request.remove(at)),
                _ => request[at] ^= 1 << self.random.u32(0..8),
            }
        }
    }
}
