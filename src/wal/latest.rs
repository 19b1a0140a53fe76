//! Which frames hold a page, and which of them is the latest up to some frame. The index is made only if it is needed.
//!
//! During a pass over the frames, a column of their page numbers is collected: 4 bytes for each frame, and at most an
//! eighth more. The index is made from the column in one of two forms. Neither takes more than 8 bytes for each frame,
//! whatever the page numbers are:
//!
//! * If no page number is larger than the number of frames: as sparse matrices are stored. One array has the frames of
//!   page 1, then those of page 2, and so on. Another array has the place at which the frames of each page begin.
//!   Nothing is sorted.
//! * Otherwise: a sorted list of page and frame, as one number of 64 bits each.
//!
//! So the column and the index take at most 12.5 bytes for each frame while the index is made. Every command stays
//! within 21 bytes for each frame (`tests/hostile/memory.rs`), so 8.5 are left for what else is collected.

use std::ops::Range;

use crate::number::{FrameNumber, FrameOfPage, PageNumber};

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
pub struct FrameIndex(Rows);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rows {
    /// For each page from 0 on: where its frames begin in `frames`. One more entry is at the end.
    ByPage { starts: Vec<u32>, frames: Vec<u32> },
    /// The page in the upper half, the frame in the lower half.
    Sorted(Vec<u64>),
}

impl Default for Rows {
    fn default() -> Self {
        Self::Sorted(Vec::new())
    }
}

impl FrameIndex {
    /// The index of no frames.
    pub(crate) const NONE: &Self = &Self(Rows::Sorted(Vec::new()));

    /// Makes the index from the page of each frame, frame 1 first. Frames after number 2^32 - 1, which SQLite does not
    /// read, are left out.
    ///
    /// Page numbers may be hostile: the memory depends only on the number of frames.
    #[must_use]
    pub fn of(column: &[PageNumber]) -> Self {
        let column = column.get(..u32::MAX as usize).unwrap_or(column);
        let largest = column.iter().max().map_or(0, |page| page.0 as usize);
        Self(if largest <= column.len() { by_page(column, largest) } else { sorted(column) })
    }

    /// The frames that hold a page, in ascending order.
    #[must_use]
    pub fn frames(&self, page: PageNumber) -> impl DoubleEndedIterator<Item = FrameNumber> + ExactSizeIterator + '_ {
        self.row(page).map(|at| self.frame_at(at))
    }

    /// The newest frame that holds a page, among those up to `frame`.
    #[must_use]
    pub fn newest(&self, page: PageNumber, frame: FrameNumber) -> Option<FrameNumber> {
        match &self.0 {
            Rows::ByPage { frames, .. } => {
                let row = frames.get(self.row(page))?;
                let up_to = row.partition_point(|number| FrameNumber::from(*number) <= frame);
                row.get(..up_to)?.last().copied().map(FrameNumber::from)
            }
            Rows::Sorted(entries) => {
                let last = packed(page, frame.saturating_u32());
                let up_to = entries.partition_point(|entry| *entry <= last);
                let newest = unpacked(*entries.get(..up_to)?.last()?);
                (newest.page == page).then_some(newest.frame)
            }
        }
    }

    /// The newest frame of each page that has one, in the order of pages.
    pub fn newest_of_each(&self) -> impl Iterator<Item = FrameOfPage> + '_ {
        let (starts, frames, entries) = match &self.0 {
            Rows::ByPage { starts, frames } => (starts.as_slice(), frames.as_slice(), &[][..]),
            Rows::Sorted(entries) => (&[][..], &[][..], entries.as_slice()),
        };
        let rows = starts.iter().zip(starts.iter().skip(1)).map(|(from, to)| frames.get(*from as usize..*to as usize));
        let by_page = (0..)
            .map(PageNumber)
            .zip(rows)
            .filter_map(|(page, row)| Some(FrameOfPage { page, frame: FrameNumber::from(*row?.last()?) }));
        let of_one_page = |one: &u64, other: &u64| unpacked(*one).page == unpacked(*other).page;
        by_page.chain(entries.chunk_by(of_one_page).filter_map(|row| row.last().copied().map(unpacked)))
    }

    /// The range of the frames of a page.
    fn row(&self, page: PageNumber) -> Range<usize> {
        match &self.0 {
            Rows::ByPage { starts, .. } => {
                let start = |row: usize| starts.get(row).map(|start| *start as usize);
                let row = page.0 as usize;
                start(row).zip(row.checked_add(1).and_then(start)).map_or(0..0, |(from, to)| from..to)
            }
            Rows::Sorted(entries) => {
                let behind = |last| entries.partition_point(|entry| *entry <= last);
                // No frame has the number 0.
                behind(packed(page, 0))..behind(packed(page, u32::MAX))
            }
        }
    }

    fn frame_at(&self, at: usize) -> FrameNumber {
        match &self.0 {
            Rows::ByPage { frames, .. } => frames.get(at).map_or(FrameNumber::NONE, |frame| FrameNumber::from(*frame)),
            Rows::Sorted(entries) => entries.get(at).map_or(FrameNumber::NONE, |entry| unpacked(*entry).frame),
        }
    }
}

fn by_page(column: &[PageNumber], largest: usize) -> Rows {
    let (mut starts, mut frames) = (vec![0_u32; largest + 2], vec![0; column.len()]);
    for page in column {
        if let Some(count) = starts.get_mut(page.0 as usize) {
            *count += 1;
        }
    }
    // Counts become ends. Then each frame, from the last one on, moves the end of its row down to its own place.
    starts.iter_mut().fold(0, |end, count| {
        *count += end;
        *count
    });
    for (before, page) in column.iter().enumerate().rev() {
        if let Some(start) = starts.get_mut(page.0 as usize) {
            *start -= 1;
            if let Some(place) = frames.get_mut(*start as usize) {
                *place = u32::try_from(before + 1).unwrap_or(u32::MAX);
            }
        }
    }
    Rows::ByPage { starts, frames }
}

fn sorted(column: &[PageNumber]) -> Rows {
    let mut entries: Vec<u64> = (1..).zip(column).map(|(frame, page)| packed(*page, frame)).collect();
    entries.sort_unstable();
    Rows::Sorted(entries)
}

fn packed(page: PageNumber, frame: u32) -> u64 {
    u64::from(page.0) << 32 | u64::from(frame)
}

fn unpacked(entry: u64) -> FrameOfPage {
    FrameOfPage { page: PageNumber((entry >> 32) as u32), frame: FrameNumber(entry & u64::from(u32::MAX)) }
}

/// The page of each frame from frame 1 on, collected during a pass. An index is made from it.
#[derive(Debug, Default)]
pub(crate) struct Column(Vec<PageNumber>);

impl Column {
    /// Takes the page of the next frame.
    pub(crate) fn push(&mut self, page: PageNumber) {
        append(&mut self.0, page);
    }

    /// How many frames were taken.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The pages of the frames after the first so many.
    pub(crate) fn after(&self, frames: u64) -> &[PageNumber] {
        usize::try_from(frames).ok().and_then(|frames| self.0.get(frames..)).unwrap_or_default()
    }

    /// Makes the index of the first `frames` frames.
    pub(crate) fn index(&self, frames: u64) -> FrameIndex {
        let frames = usize::try_from(frames).unwrap_or(usize::MAX);
        FrameIndex::of(self.0.get(..frames).unwrap_or(&self.0))
    }
}

/// A long list grows by an eighth, not to twice its length: for ten million frames the unused half of a list would take
/// tens of megabytes. Held by `memory_is_enough_for_a_commit_in_every_frame` with this number of frames.
pub(crate) fn append<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 8).max(1024));
    }
    list.push(item);
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
            let newest = lists.iter().map(|(page, list)| FrameOfPage { page: *page, frame: list[list.len() - 1] });
            prop_assert!(index.newest_of_each().eq(newest));
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
        let Rows::Sorted(entries) = index.0 else { panic!("a row for each page number") };
        assert_eq!(entries.len(), 3);
    }

    #[test]
    fn an_index_takes_at_most_8_bytes_a_frame_whatever_the_pages_are() {
        for largest in [1, 500, 999, 1000, 1001, 4000, u32::MAX] {
            let column: Vec<PageNumber> = (1..=1000).map(|page| PageNumber(largest.min(page))).collect();
            let column = [&column[..999], &[PageNumber(largest)]].concat();
            let bytes = match FrameIndex::of(&column).0 {
                Rows::ByPage { starts, frames } => 4 * (starts.capacity() + frames.capacity()),
                Rows::Sorted(entries) => 8 * entries.capacity(),
            };
            assert!(bytes <= 8 * 1000 + 8, "{largest}: {bytes} bytes");
        }
    }

    #[test]
    fn a_column_has_little_unused_room() {
        let mut column = Column::default();
        for frame in 0..100_000 {
            column.push(PageNumber(frame));
            let room = column.0.capacity() - column.len();
            assert!(room <= 1024.max(column.len() / 8), "{room} unused for {} frames", column.len());
        }
    }
}
