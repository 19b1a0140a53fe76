//! Which frames hold a page: made only where a command asks for it.
//!
//! While frames are passed over, a column of their page numbers is collected: 4 bytes a frame. From it the rows are made in
//! compressed form, as sparse matrices are stored: one array with the frames of page 1, then those of page 2, and so on,
//! and one with the place at which each page's frames begin. That is 4 bytes a frame and 4 a page, and nothing is sorted.

use crate::number::{FrameNumber, PageNumber};

/// The frames of each page, in ascending order.
///
/// ```
/// use walscope::number::{FrameNumber, PageNumber};
/// use walscope::wal::latest::FrameIndex;
///
/// // Frame 1 holds page 7, frame 2 page 3, frame 3 page 7.
/// let index = FrameIndex::of(&[7, 3, 7].map(PageNumber));
/// assert!(index.frames(PageNumber(7)).eq([FrameNumber(1), FrameNumber(3)]));
/// assert_eq!(index.newest(PageNumber(7), FrameNumber(2)), Some(FrameNumber(1)));
/// assert_eq!(index.newest(PageNumber(1), FrameNumber(3)), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameIndex {
    /// The pages that have a row, ascending; `None`: every page number up to the largest has one.
    pages: Option<Vec<PageNumber>>,
    /// Where each row begins in `frames`; one more at the end.
    starts: Vec<u32>,
    frames: Vec<u32>,
}

impl FrameIndex {
    /// From the page of each frame: the first is that of frame 1. Frames beyond the 2^32nd, which no SQLite reads, are
    /// left out.
    ///
    /// Page numbers are hostile: where they are far beyond the number of frames, only those that occur get a row, so that
    /// memory depends on the frames alone.
    #[must_use]
    pub fn of(column: &[PageNumber]) -> Self {
        let column = column.get(..u32::MAX as usize).unwrap_or(column);
        let largest = column.iter().max().map_or(0, |page| page.0 as usize);
        let pages = (largest / 4 > column.len()).then(|| {
            let mut pages = column.to_vec();
            pages.sort_unstable();
            pages.dedup();
            pages
        });
        let rows = pages.as_ref().map_or(largest + 1, Vec::len);
        let mut index = Self { pages, starts: vec![0; rows + 1], frames: vec![0; column.len()] };
        for page in column {
            if let Some(count) = index.row(*page).and_then(|row| index.starts.get_mut(row)) {
                *count += 1;
            }
        }
        // From counts to ends; then each frame, from the last on, moves its row's end down to where it stands itself.
        index.starts.iter_mut().fold(0, |end, count| {
            *count += end;
            *count
        });
        for (before, page) in column.iter().enumerate().rev() {
            if let Some(start) = index.row(*page).and_then(|row| index.starts.get_mut(row)) {
                *start -= 1;
                if let Some(place) = index.frames.get_mut(*start as usize) {
                    *place = u32::try_from(before + 1).unwrap_or(u32::MAX);
                }
            }
        }
        index
    }

    fn row(&self, page: PageNumber) -> Option<usize> {
        match &self.pages {
            Some(pages) => pages.binary_search(&page).ok(),
            None => Some(page.0 as usize),
        }
    }

    /// The frames that hold a page, in ascending order.
    #[must_use]
    pub fn frames(&self, page: PageNumber) -> impl DoubleEndedIterator<Item = FrameNumber> + ExactSizeIterator + '_ {
        self.row_of(page).iter().copied().map(FrameNumber::from)
    }

    fn row_of(&self, page: PageNumber) -> &[u32] {
        self.row(page)
            .and_then(|row| Some(*self.starts.get(row)? as usize..*self.starts.get(row + 1)? as usize))
            .and_then(|row| self.frames.get(row))
            .unwrap_or_default()
    }

    /// The newest frame that holds a page, of those up to `frame`.
    #[must_use]
    pub fn newest(&self, page: PageNumber, frame: FrameNumber) -> Option<FrameNumber> {
        let frames = self.row_of(page);
        let up_to = frames.partition_point(|number| FrameNumber::from(*number) <= frame);
        frames.get(..up_to)?.last().copied().map(FrameNumber::from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_map_of_lists(
            column in prop_oneof![
                proptest::collection::vec(0_u32..40, 0..300),
                proptest::collection::vec(prop_oneof![0_u32..9, Just(u32::MAX), Just(u32::MAX - 1)], 0..300),
            ],
            up_to in 0_u32..300,
        ) {
            let column: Vec<PageNumber> = column.into_iter().map(PageNumber).collect();
            let index = FrameIndex::of(&column);
            let mut lists: BTreeMap<PageNumber, Vec<FrameNumber>> = BTreeMap::new();
            for (frame, page) in (1..).map(FrameNumber).zip(&column) {
                lists.entry(*page).or_default().push(frame);
            }
            for page in (0..50).chain([u32::MAX - 2, u32::MAX - 1, u32::MAX]).map(PageNumber) {
                let list = lists.get(&page).cloned().unwrap_or_default();
                prop_assert!(index.frames(page).eq(list.iter().copied()));
                prop_assert_eq!(index.newest(page, up_to.into()), list.iter().copied().rfind(|frame| *frame <= FrameNumber::from(up_to)));
            }
        }
    }

    #[test]
    fn a_hostile_page_number_costs_no_memory() {
        let index = FrameIndex::of(&[u32::MAX, 1, u32::MAX].map(PageNumber));
        assert!(index.frames(PageNumber(u32::MAX)).eq([1, 3].map(FrameNumber)));
        assert!(index.frames(PageNumber(1)).eq([2].map(FrameNumber)));
        assert!(index.starts.len() <= 4);
    }
}
