//! The hub and its verbs, run as an operator would run them.

#![cfg(test)]
