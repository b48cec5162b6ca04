//! Checksums of streams that are put together from shared pieces.
//!
//! A gzip stream ends with the checksum of all that it decodes to (RFC 1952, section 2.3.1). Its
//! pieces are compressed once for all readers, and their checksums computed once; what a reader's own
//! stream has come to is computed from these in a few steps, without looking at the bytes again.

/// The CRC-32 and the length, modulo 2³², of what coded bytes decode to.
///
/// ```
/// use fanfare_fanout::Digest;
///
/// // CRC-32 of "data: a\n\n", of "data: b\n\n", and of both.
/// let [one, other] = [Digest::new(0x38c4_e37e, 9), Digest::new(0x3a82_5d27, 9)];
/// assert_eq!(one.then(other), Digest::new(0xdfc7_59ba, 18));
/// assert_eq!(Digest::EMPTY.then(one), one);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    crc: u32,
    len: u32,
}

/// What a checksum is multiplied with when so many bytes follow.
#[derive(Debug, Clone, Copy)]
struct Shift(u32);

/// A digest that is to be put behind many others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suffix {
    digest: Digest,
    shift: Shift,
}

impl Digest {
    /// Of nothing; also of bytes whose coding needs no digest.
    pub const EMPTY: Self = Self { crc: 0, len: 0 };

    /// The digest of `len` bytes with this CRC-32.
    pub const fn new(crc: u32, len: u32) -> Self {
        Self { crc, len }
    }

    /// The CRC-32.
    pub const fn crc(self) -> u32 {
        self.crc
    }

    /// The length, modulo 2³².
    pub const fn len(self) -> u32 {
        self.len
    }

    /// Whether the length is 0.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The digest of this and of what follows it.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        if next.is_empty() { self } else { self.end_with(&Suffix::new(next)) }
    }

    /// As [`then`](Self::then), with the most of it done before.
    pub(crate) fn end_with(self, suffix: &Suffix) -> Self {
        let Suffix { digest, shift } = suffix;
        Self {
            crc: multiply(shift.0, self.crc) ^ digest.crc,
            len: self.len.wrapping_add(digest.len),
        }
    }

    /// The digest of what follows `start` in this.
    #[must_use]
    pub(crate) fn without(self, start: Self) -> Self {
        let len = self.len.wrapping_sub(start.len);
        Self { crc: self.crc ^ multiply(Shift::by(len).0, start.crc), len }
    }
}

impl Suffix {
    pub(crate) fn new(digest: Digest) -> Self {
        Self { digest, shift: Shift::by(digest.len) }
    }
}

/// The polynomial of CRC-32. As everywhere here, the highest bit is the coefficient of x⁰.
const POLYNOMIAL: u32 = 0xedb8_8320;
const ONE: u32 = 1 << 31;
/// x to the powers 2⁰, 2¹, 2², …
const POWERS: [u32; 32] = powers();

impl Shift {
    /// x to the power of 8 times `len`.
    fn by(len: u32) -> Self {
        let mut product = ONE;
        for bit in (0..u32::BITS as usize).filter(|bit| len >> bit & 1 == 1) {
            // x to the power 2³² is x.
            product = multiply(POWERS[(bit + 3) % POWERS.len()], product);
        }
        Self(product)
    }
}

const fn powers() -> [u32; 32] {
    let mut powers = [ONE >> 1; 32];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = multiply(powers[index - 1], powers[index - 1]);
        index += 1;
    }
    powers
}

/// The product of two polynomials modulo that of CRC-32.
const fn multiply(one: u32, other: u32) -> u32 {
    let (mut rest, mut shifted, mut product) = (one, other, 0);
    while rest != 0 {
        if rest & ONE != 0 {
            product ^= shifted;
        }
        rest <<= 1;
        shifted = (shifted >> 1) ^ (POLYNOMIAL & (shifted & 1).wrapping_neg());
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bit by bit, as RFC 1952, section 8, defines it.
    fn of(bytes: &[u8]) -> Digest {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            }
        }
        Digest::new(!crc, u32::try_from(bytes.len()).unwrap())
    }

    proptest! {
        #[test]
        fn the_digest_of_a_whole_comes_from_its_parts(
            one in prop::collection::vec(any::<u8>(), 0..300),
            other in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let whole = of(&[&one[..], &other].concat());
            prop_assert_eq!(of(&one).then(of(&other)), whole);
            prop_assert_eq!(whole.without(of(&one)), of(&other));
        }
    }

    #[test]
    fn a_checksum_is_the_known_one() {
        assert_eq!(of(b"123456789"), Digest::new(0xcbf4_3926, 9));
        assert_eq!(Digest::new(0x1234_5678, 7).then(Digest::EMPTY), Digest::new(0x1234_5678, 7));
    }
}
