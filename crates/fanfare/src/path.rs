//! Which requests are for the event stream.

/// A path, in which `*` stands for any text, also none, and also with slashes in it.
#[derive(Debug, Clone)]
pub(crate) struct PathPattern(Box<str>);

impl PathPattern {
    /// Begins with one slash, or a star, whatever `pattern` begins with, and leaves out a query.
    pub(crate) fn new(pattern: &str) -> Self {
        let path = pattern.split(['?', '#']).next().unwrap_or_default();
        let rest = path.trim_start_matches('/');
        let slash = if path.starts_with('*') { "" } else { "/" };
        Self([slash, rest].concat().into())
    }

    /// Whether a request's path matches. Leading slashes count as one.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let extra_slashes = path.bytes().take_while(|&byte| byte == b'/').count().max(1) - 1;
        matches_wildcards(self.0.as_bytes(), &path.as_bytes()[extra_slashes..])
    }
}

/// Goes back to the newest `*` only, which is enough: what earlier ones took can stay.
fn matches_wildcards(pattern: &[u8], path: &[u8]) -> bool {
    let (mut in_pattern, mut in_path) = (0, 0);
    let mut star = None;
    while in_path < path.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                star = Some((in_pattern, in_path));
                in_pattern += 1;
            }
            Some(byte) if *byte == path[in_path] => {
                in_pattern += 1;
                in_path += 1;
            }
            _ => {
                let Some((star_in_pattern, taken)) = &mut star else { return false };
                *taken += 1;
                (in_pattern, in_path) = (*star_in_pattern + 1, *taken);
            }
        }
    }
    pattern[in_pattern..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::PathPattern;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::new(pattern).matches(path)
    }

    #[test]
    fn a_plain_path_matches_itself_only() {
        assert!(matches("/sse", "/sse"));
        assert!(!matches("/sse", "/sse/"));
        assert!(!matches("/sse", "/ss"));
        assert!(!matches("/sse", "/SSE"));
        assert!(!matches("/a.b", "/axb"), "a dot is a dot");
    }

    #[test]
    fn a_pattern_is_a_path_however_it_is_written() {
        for pattern in ["sse", "//sse", "/sse?x=1", "/sse#a"] {
            assert!(matches(pattern, "/sse"), "{pattern}");
        }
        assert!(matches("", "/"));
        assert!(matches("*/sse", "/a/sse"));
    }

    #[test]
    fn leading_slashes_count_as_one() {
        assert!(matches("/sse", "//sse"));
        assert!(matches("/sse", "////sse"));
        assert!(!matches("/sse", "/a//sse"));
    }

    #[test]
    fn a_star_stands_for_any_text_anywhere_and_any_number_of_times() {
        assert!(matches("/sse/*", "/sse/a/b"));
        assert!(matches("/sse/*", "/sse/"));
        assert!(!matches("/sse/*", "/sse"));
        assert!(matches("/*/events", "/rooms/7/events"));
        assert!(matches("/*/events/*", "/rooms/events/events/x"));
        assert!(matches("*", "/anything"));
        assert!(matches("/a*b*c", "/aXbYbZc"));
        assert!(!matches("/a*b*c", "/aXbYbZ"));
        assert!(matches("/**", "/"));
    }

    #[test]
    fn a_hostile_path_costs_no_more_than_its_length_times_the_pattern() {
        let path = format!("/{}", "a".repeat(60_000));
        assert!(!matches("/*a*a*a*a*a*a*a*b", &path));
    }
}
