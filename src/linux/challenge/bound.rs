//! Words that are bound to a token and to the nonces of both sides. Who knows both nonces and not the token cannot make
//! such a word, and a word that was copied from another meeting, or from another file, is not the one that is expected.
//!
//! The words are made with SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012). It is the same in
//! every build; the standard library's hash is not.

/// A key made from a token.
#[derive(Debug, Clone, Copy)]
pub struct Key([u64; 2]);

impl Key {
    /// The key of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self([0, 1].map(|half| siphash([half, 0x7761_6c73_636f_7065], token.as_bytes())))
    }

    /// The word for a purpose and some numbers.
    #[must_use]
    pub fn word(self, purpose: &str, numbers: &[u64]) -> u64 {
        let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
        let message: Vec<u8> = purpose.bytes().chain([0]).chain(numbers).collect();
        siphash(self.0, &message)
    }
}

fn siphash([k0, k1]: [u64; 2], message: &[u8]) -> u64 {
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = message.as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(byte, given)| *byte = *given);
    let length = (message.len() as u64) << 56;
    for word in words.iter().map(|word| u64::from_le_bytes(*word)).chain([u64::from_le_bytes(last) | length]) {
        let [_, _, _, v3] = &mut state;
        *v3 ^= word;
        rounds(&mut state, 2);
        let [v0, ..] = &mut state;
        *v0 ^= word;
    }
    let [_, _, v2, _] = &mut state;
    *v2 ^= 0xff;
    rounds(&mut state, 4);
    state.into_iter().fold(0, |word, part| word ^ part)
}

fn rounds([v0, v1, v2, v3]: &mut [u64; 4], count: u32) {
    for _ in 0..count {
        *v0 = v0.wrapping_add(*v1);
        *v1 = v1.rotate_left(13) ^ *v0;
        *v0 = v0.rotate_left(32);
        *v2 = v2.wrapping_add(*v3);
        *v3 = v3.rotate_left(16) ^ *v2;
        *v0 = v0.wrapping_add(*v3);
        *v3 = v3.rotate_left(21) ^ *v0;
        *v2 = v2.wrapping_add(*v1);
        *v1 = v1.rotate_left(17) ^ *v2;
        *v2 = v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the paper, Appendix A: the key is 00 01 .. 0f, the message 00 01 .. 0e.
    #[test]
    fn the_hash_is_that_of_the_paper() {
        let bytes: Vec<u8> = (0..16).collect();
        let half = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(siphash([half(0), half(8)], &bytes[..15]), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn every_part_changes_the_word() {
        let (key, other) = (Key::of("one"), Key::of("two"));
        let words = [
            key.word("a", &[1, 2]),
            key.word("b", &[1, 2]),
            key.word("a", &[2, 1]),
            key.word("a", &[1]),
            other.word("a", &[1, 2]),
        ];
        let different: std::collections::BTreeSet<u64> = words.into_iter().collect();
        assert_eq!(different.len(), words.len());
    }
}
