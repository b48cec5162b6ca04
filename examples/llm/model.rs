//! A language model, as far as this example needs one: it answers word by word, and the same
//! question has the same answer.

use std::iter;

/// What it knows, by what is asked about; the last is for everything else.
const KNOWLEDGE: [(&str, &str); 3] = [
    ("connection", include_str!("answers/connection.txt")),
    ("websocket", include_str!("answers/websocket.txt")),
    ("", include_str!("answers/anything.txt")),
];

/// The words of the answer, each with the white space behind it: one after the other they are its
/// text.
pub(crate) fn answer(question: &str) -> impl Iterator<Item = &'static str> + use<> {
    let question = question.to_lowercase();
    let known = KNOWLEDGE.iter().find(|(subject, _)| question.contains(subject));
    let text = known.map_or("", |(_, text)| text);
    words(text)
}

fn words(mut text: &str) -> impl Iterator<Item = &str> {
    iter::from_fn(move || {
        let (word, rest) = text.split_at(first_word(text));
        text = rest;
        (!word.is_empty()).then_some(word)
    })
}

/// The bytes up to the second word.
fn first_word(text: &str) -> usize {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    text.len() - text[end..].trim_start().len()
}
