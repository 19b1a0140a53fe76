//! The pages that a walk has met. The memory depends on how many these are, and not on their numbers.

use std::collections::HashMap;

use crate::number::PageNumber;

/// Pages of one piece.
const PIECE: u32 = 1 << 15;

/// The pages that were met.
#[derive(Debug, Default)]
pub(super) struct Used {
    pieces: HashMap<u32, Vec<u64>>,
    count: u64,
}

impl Used {
    /// Notes a page. `false`: it was noted before.
    pub(super) fn first_time(&mut self, page: PageNumber) -> bool {
        let at = page.0 % PIECE;
        let piece = self.pieces.entry(page.0 / PIECE).or_default();
        let word = (at / 64) as usize;
        if piece.len() <= word {
            piece.resize(word + 1, 0);
        }
        let bit = 1 << (at % 64);
        match piece.get_mut(word) {
            Some(word) if *word & bit == 0 => *word |= bit,
            _ => return false,
        }
        self.count += 1;
        true
    }

    /// How many were noted.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether the page was noted.
    pub(super) fn has(&self, page: PageNumber) -> bool {
        let word = self.pieces.get(&(page.0 / PIECE)).and_then(|piece| piece.get((page.0 % PIECE / 64) as usize));
        word.is_some_and(|word| word >> (page.0 % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_new_once() {
        let mut used = Used::default();
        let pages = [1, 2, 63, 64, 65, PIECE - 1, PIECE, u32::MAX].map(PageNumber);
        assert!(pages.iter().all(|page| !used.has(*page)));
        assert!(pages.iter().all(|page| used.first_time(*page)));
        assert!(pages.iter().all(|page| used.has(*page) && !used.first_time(*page)));
        assert_eq!(used.count(), 8);
        assert!(!used.has(PageNumber(3)));
    }
}
