//! The fan-out comparison: who serves, who listens, and who measures both.

pub mod compare;
pub mod load;
pub mod server;

/// Stands once in each event and nowhere else in the stream: the load counts events by it.
pub const MARK: u8 = b'#';

/// An event's data: 100 bytes.
pub fn payload() -> String {
    format!("{}{}", char::from(MARK), "0123456789".repeat(10).split_off(1))
}
