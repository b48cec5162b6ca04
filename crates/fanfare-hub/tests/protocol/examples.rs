use std::str::Lines;

use fanfare_hub::http::Api;
use http::Request;
use http_body_util::Full;

use crate::text;

/// A request, and what has to be answered: a block of `http`, with a line `---` between both.
#[derive(Debug)]
pub(crate) struct Example {
    request: Message,
    answer: Message,
}

/// A first line, headers, and what is behind an empty line.
#[derive(Debug)]
struct Message {
    first: String,
    headers: Vec<(String, String)>,
    body: String,
}

pub(crate) fn examples(document: &str) -> Vec<Example> {
    let blocks = document.split("```http\n").skip(1);
    let blocks = blocks.map(|block| block.split_once("```").expect("the end of a block").0);
    blocks.map(Example::read).collect()
}

impl Example {
    fn read(block: &str) -> Self {
        let (request, answer) = block.split_once("---\n").expect("an answer");
        Self { request: Message::read(request), answer: Message::read(answer) }
    }

    pub(crate) async fn check(&self, api: &Api) {
        let (method, target) = self.request.first.split_once(' ').unwrap();
        let headers = self.request.headers.iter();
        let request = headers
            .fold(Request::builder().method(method).uri(target), |request, (name, value)| {
                request.header(name, value)
            });
        // Only the body of an event stream has line ends at its end.
        let is_stream = self.request.headers.iter().any(|(_, value)| value == "text/event-stream");
        let body = &self.request.body;
        let body = if is_stream { body } else { body.trim_end() };
        let answer = api.answer(request.body(Full::from(body.to_owned())).unwrap()).await;
        assert_eq!(answer.status().as_str(), self.answer.first, "{self:?}");
        for (name, value) in &self.answer.headers {
            assert_eq!(&answer.headers()[name], value, "{self:?}");
        }
        let is_stream =
            answer.headers().get("content-type").is_some_and(|it| it == "text/event-stream");
        let expected = &self.answer.body;
        let expected = if is_stream { expected } else { expected.trim_end() };
        let most = if is_stream { expected.len() } else { usize::MAX };
        assert_eq!(text(answer, most).await, expected, "{self:?}");
    }
}

impl Message {
    fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let first = lines.next().unwrap().to_owned();
        let headers = headers(&mut lines);
        let body = lines.fold(String::new(), |body, line| body + line + "\n");
        Self { first, headers, body }
    }
}

fn headers(lines: &mut Lines<'_>) -> Vec<(String, String)> {
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_once(": ").expect("a header"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
