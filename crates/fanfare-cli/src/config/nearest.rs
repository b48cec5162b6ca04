//! What somebody may have meant.

/// How alike two names have to be, of 1.
const ALIKE: f64 = 0.75;

/// The name that is most like `name`, if one is.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.into_iter().map(|one| (strsim::jaro_winkler(name, one), one));
    let best = known.filter(|(alike, _)| *alike > ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, one)| one)
}

/// Names it in a half-sentence; empty if there is none.
pub(super) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|one| format!(": did you mean `{one}`?")).unwrap_or_default()
}
