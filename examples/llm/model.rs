//! A language model, as far as this example needs one: it answers word by word, and the same
//! question has the same answer.

/// What it knows, by what is asked about; the last is for everything else.
const KNOWLEDGE: [(&str, &str); 3] = [
    ("connection", include_str!("answers/connection.txt")),
    ("websocket", include_str!("answers/websocket.txt")),
    ("", include_str!("answers/anything.txt")),
];

/// The words of the answer. One after the other they are its text.
pub(crate) fn answer(question: &str) -> impl Iterator<Item = &'static str> + use<> {
    let question = question.to_lowercase();
    let known = KNOWLEDGE.iter().find(|(subject, _)| question.contains(subject));
    let text = known.map_or("", |(_, text)| text);
    text.split_inclusive(char::is_whitespace)
}
