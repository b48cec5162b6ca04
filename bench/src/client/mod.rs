//! The comparison of clients: who serves, who reads, and who measures both.

pub mod compare;
pub mod contenders;
pub mod reader;
pub mod server;
pub mod streams;
