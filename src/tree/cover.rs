//! Which bytes of a page are taken, so that no byte is taken twice and none is lost.

/// The bytes of one page, a bit for each.
#[derive(Debug, Default)]
pub(super) struct Cover {
    words: Vec<u64>,
}

impl Cover {
    /// Begins with a page of so many bytes, of which none is taken.
    pub(super) fn begin(&mut self, bytes: usize) {
        self.words.clear();
        self.words.resize(bytes.div_ceil(64), 0);
    }

    /// Takes bytes. `Err`: the first of them that was taken before.
    pub(super) fn take(&mut self, from: usize, size: usize) -> Result<(), usize> {
        let end = from.saturating_add(size);
        let mut at = from;
        while at < end {
            let within = at % 64;
            let bits = (64 - within).min(end - at);
            let mask = (u64::MAX >> (64 - bits)) << within;
            let Some(word) = self.words.get_mut(at / 64) else { return Err(at) };
            let twice = *word & mask;
            if twice != 0 {
                return Err(at / 64 * 64 + twice.trailing_zeros() as usize);
            }
            *word |= mask;
            at += bits;
        }
        Ok(())
    }

    /// How many bytes are taken.
    pub(super) fn taken(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_taken_once() {
        let mut cover = Cover::default();
        cover.begin(512);
        assert_eq!(cover.take(100, 30), Ok(()));
        assert_eq!(cover.take(130, 382), Ok(()));
        assert_eq!(cover.taken(), 412);
        assert_eq!(cover.take(60, 41), Err(100));
        assert_eq!(cover.take(511, 1), Err(511));
        assert_eq!(cover.take(500, 100), Err(500));
        cover.begin(512);
        assert_eq!(cover.take(0, 512), Ok(()));
        assert_eq!(cover.take(512, 1), Err(512));
    }
}
