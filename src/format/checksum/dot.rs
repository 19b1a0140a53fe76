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
//! # Two runs at once
//!
//! What such a loop waits for is not the multiplication but the loads: of each word, and of its two weights. So the words
//! are taken as two runs of the same length, whose words have the same weights, and the second is continued from what the
//! first came to. The weights stand in two tables in place of one read twice, a word apart, because a vector that lies
//! across two cache lines is loaded twice. Both end with the last word, so that a shorter run uses their tails.

use multiversion::multiversion;

use crate::number::ByteOrder;

/// Words of a run: two runs are a page of 4 KiB, and both tables stay in the nearest cache.
const RUN_WORDS: usize = 512;

/// One weight for each word of a run, the last word's last. A table begins with a cache line, so that for a run of 16 words
/// or a multiple of that no vector lies across two.
#[repr(align(64))]
struct Weights([u32; RUN_WORDS]);

/// What a word with `j` words behind it is multiplied with for s0: `F(j)`.
static IN_S0: Weights = Weights(fibonacci(0, 1));
/// And for s1: `F(j + 1)`.
static IN_S1: Weights = Weights(fibonacci(1, 1));

/// Fibonacci numbers mod 2^32 that begin with these two, backwards.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: an index out of range does not compile")]
const fn fibonacci(mut last: u32, mut next: u32) -> [u32; RUN_WORDS] {
    let mut weights = [0; RUN_WORDS];
    let mut i = RUN_WORDS;
    while i > 0 {
        i -= 1;
        weights[i] = last;
        (last, next) = (next, last.wrapping_add(next));
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
pub(super) fn checksum(order: ByteOrder, seed: [u32; 2], bytes: &[u8], width: Width) -> [u32; 2] {
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.as_flattened().chunks(2 * RUN_WORDS * 4).fold(seed, |seed, block| {
        let (words, _) = block.as_chunks::<4>();
        continued(order, seed, words, width)
    })
}

/// Continues over two runs, of which each has at least one word and at most [`RUN_WORDS`]: half of an even number.
fn continued(order: ByteOrder, seed: [u32; 2], words: &[[u8; 4]], width: Width) -> [u32; 2] {
    let length = words.len() / 2;
    let runs = words.split_at(length);
    let skipped = RUN_WORDS.saturating_sub(length);
    let weights = (IN_S0.0.get(skipped..).unwrap_or_default(), IN_S1.0.get(skipped..).unwrap_or_default());
    let sums = match (width, order) {
        (Width::Widest, ByteOrder::Little) => little(runs, weights),
        (Width::Widest, ByteOrder::Big) => big(runs, weights),
        (Width::Bits128, ByteOrder::Little) => little_128(runs, weights),
        (Width::Bits128, ByteOrder::Big) => big_128(runs, weights),
    };
    // What the first word of a run is multiplied with: F(n - 1) and F(n).
    let (before, of_run) = (first(weights.0), first(weights.1));
    sums.into_iter().fold(seed, |[seed0, seed1], [word0, word1]| {
        let s0 = seed0.wrapping_mul(before).wrapping_add(seed1.wrapping_mul(of_run)).wrapping_add(word0);
        let behind = before.wrapping_add(of_run);
        let s1 = seed0.wrapping_mul(of_run).wrapping_add(seed1.wrapping_mul(behind)).wrapping_add(word1);
        [s0, s1]
    })
}

fn first(weights: &[u32]) -> u32 {
    weights.first().copied().unwrap_or_default()
}

type Runs<'a> = (&'a [[u8; 4]], &'a [[u8; 4]]);
type TwoWeights<'a> = (&'a [u32], &'a [u32]);

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn little(runs: Runs<'_>, weights: TwoWeights<'_>) -> [[u32; 2]; 2] {
    dot(runs, weights, u32::from_le_bytes)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn big(runs: Runs<'_>, weights: TwoWeights<'_>) -> [[u32; 2]; 2] {
    dot(runs, weights, u32::from_be_bytes)
}

#[multiversion(targets("x86_64+sse4.1"))]
fn little_128(runs: Runs<'_>, weights: TwoWeights<'_>) -> [[u32; 2]; 2] {
    dot(runs, weights, u32::from_le_bytes)
}

#[multiversion(targets("x86_64+sse4.1"))]
fn big_128(runs: Runs<'_>, weights: TwoWeights<'_>) -> [[u32; 2]; 2] {
    dot(runs, weights, u32::from_be_bytes)
}

/// What the words of each run add to s0 and s1.
/// Inlined into each version, so that it is compiled for each instruction set; written so that the compiler sees the vectors.
#[inline(always)]
fn dot((one, two): Runs<'_>, (in_s0, in_s1): TwoWeights<'_>, read: fn([u8; 4]) -> u32) -> [[u32; 2]; 2] {
    let mut sums = [[0_u32; 2]; 2];
    let [[one_s0, one_s1], [two_s0, two_s1]] = &mut sums;
    for (((one, two), in_s0), in_s1) in one.iter().zip(two).zip(in_s0).zip(in_s1) {
        let (one, two) = (read(*one), read(*two));
        *one_s0 = one_s0.wrapping_add(one.wrapping_mul(*in_s0));
        *one_s1 = one_s1.wrapping_add(one.wrapping_mul(*in_s1));
        *two_s0 = two_s0.wrapping_add(two.wrapping_mul(*in_s0));
        *two_s1 = two_s1.wrapping_add(two.wrapping_mul(*in_s1));
    }
    sums
}
