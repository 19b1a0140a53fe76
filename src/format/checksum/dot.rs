//! The checksum as a dot product: the same numbers as the recurrence, with nothing to wait for from word to word.
//!
//! # The algebra, in five minutes
//!
//! For each pair of words the format (fileformat2, section 4.2) says `s0 += x0 + s1; s1 += x1 + s0`, all mod 2^32. Look
//! at one word at a time and a pair is the same small step done twice, with the two sums changing places:
//!
//! ```text
//! (a, b) -> (b, a + b + x)        s0 is the older of the two sums, s1 the newer: one step makes the next newer one
//! ```
//!
//! Without `x` that is the Fibonacci step. Adding and multiplying mod 2^32 is linear, so what a word adds to the result
//! does not depend on the other words, only on how many steps follow it. A word with nothing behind it adds
//! `(0, x)`; one step later that has become `(x, x)`, then `(x, 2x)`, `(2x, 3x)`, `(3x, 5x)`. With `F(0) = 0, F(1) = 1`:
//!
//! ```text
//! a word with j words behind it adds    F(j) * x to s0    and    F(j + 1) * x to s1
//! ```
//!
//! The seed is linear too. The seed's `s1` enters every later sum just as a word in front of the first would, and the
//! seed's `s0` just as if it were added to the first word. So with n words behind the seed:
//!
//! ```text
//! s0 = F(n - 1) * seed0 + F(n)     * seed1 + sum over words of F(j)     * x
//! s1 = F(n)     * seed0 + F(n + 1) * seed1 + sum over words of F(j + 1) * x
//! ```
//!
//! Two dot products of the words with constants. A processor that multiplies eight words at once does eight steps of it at
//! once, where the recurrence has to wait two additions for every pair.
//!
//! The weights of a block stand in one table, counted from its end, so that a shorter run of words uses the table's tail;
//! a longer one goes block by block, each with the sums of the one before as its seed.

use multiversion::multiversion;

use super::ChecksumOrder;

/// Words that are weighted with one table: the words of a page of 4 KiB, and a table that stays in the nearest cache.
const BLOCK_WORDS: usize = 1024;

/// `WEIGHTS[i]` is `F(BLOCK_WORDS + 1 - i)` mod 2^32: the largest first, `F(0)` last.
static WEIGHTS: [u32; BLOCK_WORDS + 2] = weights();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: an index out of range does not compile")]
const fn weights() -> [u32; BLOCK_WORDS + 2] {
    let mut weights = [0_u32; BLOCK_WORDS + 2];
    weights[BLOCK_WORDS] = 1;
    let mut i = BLOCK_WORDS;
    while i > 0 {
        i -= 1;
        weights[i] = weights[i + 1].wrapping_add(weights[i + 2]);
    }
    weights
}

/// How many words are multiplied at once.
#[derive(Clone, Copy)]
pub(super) enum Width {
    /// What the processor has.
    Widest,
    Bits128,
}

/// As [`super::checksum`].
pub(super) fn checksum(order: ChecksumOrder, seed: [u32; 2], bytes: &[u8], width: Width) -> [u32; 2] {
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.as_flattened().chunks(4 * BLOCK_WORDS).fold(seed, |seed, block| {
        let (words, _) = block.as_chunks::<4>();
        continued(order, seed, words, width)
    })
}

/// Continues over at most [`BLOCK_WORDS`] words, of which there is an even number and at least two.
fn continued(order: ChecksumOrder, [seed0, seed1]: [u32; 2], words: &[[u8; 4]], width: Width) -> [u32; 2] {
    // The first weight here is F(n + 1), that of the seed's s1 in s1.
    let Some([first, weights @ ..]) = WEIGHTS.get(BLOCK_WORDS.saturating_sub(words.len())..) else { return [0, 0] };
    let Some([second, third, ..]) = weights.get(..2) else { return [0, 0] };
    let [word0, word1] = match (width, order) {
        (Width::Widest, ChecksumOrder::Little) => little(words, weights),
        (Width::Widest, ChecksumOrder::Big) => big(words, weights),
        (Width::Bits128, ChecksumOrder::Little) => little_128(words, weights),
        (Width::Bits128, ChecksumOrder::Big) => big_128(words, weights),
    };
    let s0 = seed0.wrapping_mul(*third).wrapping_add(seed1.wrapping_mul(*second)).wrapping_add(word0);
    let s1 = seed0.wrapping_mul(*second).wrapping_add(seed1.wrapping_mul(*first)).wrapping_add(word1);
    [s0, s1]
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn little(words: &[[u8; 4]], weights: &[u32]) -> [u32; 2] {
    dot(words, weights, u32::from_le_bytes)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn big(words: &[[u8; 4]], weights: &[u32]) -> [u32; 2] {
    dot(words, weights, u32::from_be_bytes)
}

#[multiversion(targets("x86_64+sse4.1"))]
fn little_128(words: &[[u8; 4]], weights: &[u32]) -> [u32; 2] {
    dot(words, weights, u32::from_le_bytes)
}

#[multiversion(targets("x86_64+sse4.1"))]
fn big_128(words: &[[u8; 4]], weights: &[u32]) -> [u32; 2] {
    dot(words, weights, u32::from_be_bytes)
}

/// Both dot products. `weights` begins with the first word's weight in s1, F(n); its weight in s0 is the next one.
/// Inlined into each version, so that it is compiled for each instruction set; written so that the compiler sees the vectors.
#[inline(always)]
fn dot(words: &[[u8; 4]], weights: &[u32], read: fn([u8; 4]) -> u32) -> [u32; 2] {
    let (mut sum0, mut sum1) = (0_u32, 0_u32);
    let behind = weights.get(1..).unwrap_or_default();
    for ((word, in_s1), in_s0) in words.iter().zip(weights).zip(behind) {
        let word = read(*word);
        sum0 = sum0.wrapping_add(word.wrapping_mul(*in_s0));
        sum1 = sum1.wrapping_add(word.wrapping_mul(*in_s1));
    }
    [sum0, sum1]
}
