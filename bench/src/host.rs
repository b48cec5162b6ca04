//! What a reader needs to know about where numbers come from.

use std::{fs, process::Command};

const CARGO_LOCK: &str = include_str!("../../Cargo.lock");

/// The processor's name, where the system tells it the way Linux does.
pub fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or("unknown CPU".to_owned(), |name| name.trim_start_matches([' ', '\t', ':']).into())
}

/// How many threads can run at once.
pub fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The version of the compiler that is in use here.
pub fn rustc_version() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or("unknown rustc".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// The name of a package with the version that this program was built with, or with all of them.
pub fn package(name: &str) -> String {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let entries = CARGO_LOCK.split(&entry).skip(1);
    let versions: Vec<_> = entries.filter_map(|rest| rest.split('"').next()).collect();
    match versions[..] {
        [] => format!("{name} of unknown version"),
        _ => format!("{name} {}", versions.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_with_the_locked_version() {
        assert_eq!(package("sse-parse"), "sse-parse 0.1.0");
        assert!(package("reqwest").starts_with("reqwest 0.12"));
        assert!(package("reqwest").contains(" and 0.13"));
        assert_eq!(package("no-such-package"), "no-such-package of unknown version");
    }
}
