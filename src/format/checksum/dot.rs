//! The checksum as a dot product. It gives the same numbers as the recurrence, but no word waits for the word before
//! it.
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
//! does not depend on the other words, only on the number of steps after it. The last word adds `(0, x)`. One step
//! later that is `(x, x)`, then `(x, 2x)`, `(2x, 3x)`, `(3x, 5x)`. With `F(0) = 0, F(1) = 1`:
//!
//! ```text
//! a word with j words after it adds     F(j) * x to s0    and    F(j + 1) * x to s1
//! ```
//!
//! The seed is linear too. The seed's `s1` has the same effect on every later sum as a word before the first word, and
//! the seed's `s0` as if it were added to the first word. So with n words after the seed:
//!
//! ```text
//! s0 = F(n - 1) * seed0 + F(n)     * seed1 + sum over words of F(j)     * x
//! s1 = F(n)     * seed0 + F(n + 1) * seed1 + sum over words of F(j + 1) * x
//! ```
//!
//! These are two dot products of the words with constants. A processor that multiplies eight words at once does eight
//! steps at once. The recurrence has to wait for two additions for every pair.
//!
//! # Two runs at once
//!
//! The slow part of such a loop is not the multiplication. It is to load each word and its two weights. So the words
//! are taken as two runs of equal length, whose words have the same weights. A small page is one run, and two pages are
//! taken at once. A larger page is cut into runs, and the second of two runs continues from the result of the first.
//! The weights are in two tables, not in one that is read twice, because a vector that lies across two cache lines is
//! loaded twice. Both tables end with the weight of the last word, so that a shorter run uses their tails.
//!
//! Two things cost as much as the multiplications of some hundred words: to add up the lanes of a vector at the end of
//! a run, and to call the version for this processor. So a run is as long as possible, and one call handles many pages.

use multiversion::multiversion;

use crate::number::{ByteOrder, Checksum};

/// Words of a run: two runs are a page of 4 KiB, and both tables stay in the nearest cache.
const RUN_WORDS: usize = 512;

/// One weight for each word of a run; the weight of the last word is the last. A table begins with a cache line, so
/// that for a run of 16 words or a multiple of 16 no vector lies across two lines.
#[repr(align(64))]
struct Weights([u32; RUN_WORDS]);

/// The factor for s0 of a word with `j` words after it: `F(j)`.
static IN_S0: Weights = Weights(fibonacci(0, 1));
/// The factor for s1 of a word with `j` words after it: `F(j + 1)`.
static IN_S1: Weights = Weights(fibonacci(1, 1));

/// Fibonacci numbers mod 2^32 that begin with these two, in reverse order.
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
    /// The vector instructions of the processor.
    Widest,
    Bits128,
}

/// The bytes that the checksum covers: one text, or records of one size with a seed each.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes of a record.
    pub(super) size: usize,
    /// Bytes at the beginning of each record that are not covered.
    pub(super) skipped: usize,
}

/// Continues each of `sums` over its record, as far as there are both. A tail of a record that is shorter than 8 bytes
/// is not covered.
pub(super) fn continued(order: ByteOrder, records: Records<'_>, sums: &mut [Checksum], width: Width) {
    match (width, order) {
        (Width::Widest, ByteOrder::Little) => little(records, sums),
        (Width::Widest, ByteOrder::Big) => big(records, sums),
        (Width::Bits128, ByteOrder::Little) => little_128(records, sums),
        (Width::Bits128, ByteOrder::Big) => big_128(records, sums),
    }
}

type Words<'a> = &'a [[u8; 4]];
type Read = fn([u8; 4]) -> u32;

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn little(records: Records<'_>, sums: &mut [Checksum]) {
    each(records, sums, u32::from_le_bytes);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn big(records: Records<'_>, sums: &mut [Checksum]) {
    each(records, sums, u32::from_be_bytes);
}

#[multiversion(targets("x86_64+sse4.1"))]
fn little_128(records: Records<'_>, sums: &mut [Checksum]) {
    each(records, sums, u32::from_le_bytes);
}

#[multiversion(targets("x86_64+sse4.1"))]
fn big_128(records: Records<'_>, sums: &mut [Checksum]) {
    each(records, sums, u32::from_be_bytes);
}

// The functions below are inlined into each version, so that each is compiled for each instruction set.

#[inline(always)]
fn each(records: Records<'_>, sums: &mut [Checksum], read: Read) {
    let words = records.size.saturating_sub(records.skipped) / 8 * 2;
    let two = if words <= RUN_WORDS { 2 } else { 1 };
    let groups = records.bytes.chunks(records.size.saturating_mul(two).max(1));
    for (group, sums) in groups.zip(sums.chunks_mut(two)) {
        let pair = group.split_at_checked(records.size).filter(|(_, other)| other.len() == records.size);
        match (pair, sums) {
            (Some((one, other)), [of_one, of_other]) => {
                let weights = Weighing::of(words);
                let runs = (covered(one, records.skipped), covered(other, records.skipped));
                let [in_one, in_other] = dot(runs, &weights, read);
                *of_one = weights.behind(*of_one, in_one);
                *of_other = weights.behind(*of_other, in_other);
            }
            (_, sums) => {
                let record = group.get(..records.size).unwrap_or(group);
                for sum in sums {
                    *sum = alone(*sum, covered(record, records.skipped), read);
                }
            }
        }
    }
}

/// The words of a record that the checksum covers: an even number.
#[inline(always)]
fn covered(record: &[u8], skipped: usize) -> Words<'_> {
    let (pairs, _) = record.get(skipped..).unwrap_or_default().as_chunks::<8>();
    pairs.as_flattened().as_chunks().0
}

/// Continues over the words of one record, two runs at a time.
#[inline(always)]
fn alone(seed: Checksum, words: Words<'_>, read: Read) -> Checksum {
    words.chunks(2 * RUN_WORDS).fold(seed, |seed, words| {
        let length = words.len() / 2;
        let weights = Weighing::of(length);
        let sums = dot(words.split_at(length), &weights, read);
        sums.into_iter().fold(seed, |seed, sums| weights.behind(seed, sums))
    })
}

/// The weights for runs of one length.
struct Weighing<'a> {
    in_s0: &'a [u32],
    in_s1: &'a [u32],
}

impl Weighing<'_> {
    /// For runs of this many words, at most [`RUN_WORDS`].
    #[inline(always)]
    fn of(words: usize) -> Self {
        let skipped = RUN_WORDS.saturating_sub(words);
        Self { in_s0: IN_S0.0.get(skipped..).unwrap_or_default(), in_s1: IN_S1.0.get(skipped..).unwrap_or_default() }
    }

    /// The checksum after a run, from the checksum before it and from what the words of the run add.
    #[inline(always)]
    fn behind(&self, seed: Checksum, [word0, word1]: [u32; 2]) -> Checksum {
        // The factors of the first word of a run: F(n - 1) and F(n). A run without words changes nothing.
        let (Some(before), Some(of_run)) = (self.in_s0.first(), self.in_s1.first()) else { return seed };
        let Checksum([seed0, seed1]) = seed;
        let s0 = seed0.wrapping_mul(*before).wrapping_add(seed1.wrapping_mul(*of_run)).wrapping_add(word0);
        let behind = before.wrapping_add(*of_run);
        let s1 = seed0.wrapping_mul(*of_run).wrapping_add(seed1.wrapping_mul(behind)).wrapping_add(word1);
        Checksum([s0, s1])
    }
}

/// What the words of each run add to s0 and s1. It is written so that the compiler can use vectors.
#[inline(always)]
fn dot((one, two): (Words<'_>, Words<'_>), weights: &Weighing<'_>, read: Read) -> [[u32; 2]; 2] {
    let mut sums = [[0_u32; 2]; 2];
    let [[one_s0, one_s1], [two_s0, two_s1]] = &mut sums;
    for (((one, two), in_s0), in_s1) in one.iter().zip(two).zip(weights.in_s0).zip(weights.in_s1) {
        let (one, two) = (read(*one), read(*two));
        *one_s0 = one_s0.wrapping_add(one.wrapping_mul(*in_s0));
        *one_s1 = one_s1.wrapping_add(one.wrapping_mul(*in_s1));
        *two_s0 = two_s0.wrapping_add(two.wrapping_mul(*in_s0));
        *two_s1 = two_s1.wrapping_add(two.wrapping_mul(*in_s1));
    }
    sums
}
