//! Authentication from outside: real keys, tokens that OpenSSL and the RFCs made, and attackers.

#![cfg(test)]

/// Every algorithm, with keys in every format.
mod algorithms;
/// Tokens from cookies, and pages of other sites.
mod browsers;
/// Issuer, audience, times and rights.
mod claims;
/// Keys in files that change.
mod files;
/// Tokens that nobody with a key made, or for something else.
mod forged;
/// Tokens made by `issue`.
mod issued;
/// Keys that cannot be used, and what is said about them.
mod keys;
/// Any bytes as tokens.
mod random;
/// Keys behind a URL, under a virtual clock.
mod refreshed;
mod support;
