//! Pages that no table has: the freelist, the pointer maps of auto-vacuum, and the page of the lock bytes.
//! Source: fileformat2, sections 1.4, 1.5 and 1.8. Offsets: [`super::layout::FREELIST_TRUNK`],
//! [`super::layout::POINTER_MAP_ENTRY`].

use nom::number::complete::{be_u32, u8};
use nom::{IResult, Parser};

use super::btree::Usable;
use crate::number::{PageNumber, PageSize};

/// Where the bytes begin that SQLite locks, in bytes from the start of the database (`PENDING_BYTE`).
const LOCK_BYTES: u64 = 1 << 30;

/// The page of the lock bytes. SQLite never writes it, and no table has it.
#[must_use]
pub fn lock_byte_page(size: PageSize) -> PageNumber {
    // A page has 512 bytes at least, so the number fits.
    PageNumber(u32::try_from(LOCK_BYTES / u64::from(size) + 1).unwrap_or(u32::MAX))
}

/// A trunk page of the freelist. It names other free pages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trunk<'a> {
    /// The next trunk page; 0: this is the last.
    pub(crate) next: PageNumber,
    leaves: &'a [u8],
}

impl<'a> Trunk<'a> {
    /// Reads a trunk page. `None`: it is too short, or says that it names more pages than it has room for.
    pub(crate) fn parse(page: &'a [u8], usable: Usable) -> Option<Self> {
        let parsed: IResult<&[u8], _> = (be_u32, be_u32).parse(page.get(..usable.bytes())?);
        let (rest, (next, stated)) = parsed.ok()?;
        let leaves = rest.get(..usize::try_from(stated).ok()?.checked_mul(4)?)?;
        Some(Self { next: PageNumber(next), leaves })
    }

    /// The pages that it names.
    pub(crate) fn leaves(self) -> impl Iterator<Item = PageNumber> {
        self.leaves.as_chunks().0.iter().map(|number| PageNumber(u32::from_be_bytes(*number)))
    }
}

/// What a pointer map says of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owned {
    /// The root of a tree.
    Root,
    /// A free page.
    Free,
    /// The first overflow page of a cell on this page.
    FirstOverflow(PageNumber),
    /// An overflow page behind this one.
    LaterOverflow(PageNumber),
    /// A page of a tree that this page names.
    Child(PageNumber),
}

impl Owned {
    /// By the five bytes of an entry.
    pub(crate) fn parse(entry: &[u8]) -> Option<Self> {
        let parsed: IResult<&[u8], (u8, u32)> = (u8, be_u32).parse(entry);
        let (_, (kind, page)) = parsed.ok()?;
        let page = PageNumber(page);
        Some(match kind {
            1 if page == PageNumber::NONE => Self::Root,
            2 if page == PageNumber::NONE => Self::Free,
            3 => Self::FirstOverflow(page),
            4 => Self::LaterOverflow(page),
            5 => Self::Child(page),
            _ => return None,
        })
    }
}

/// Where the pointer maps of a database with auto-vacuum are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PointerMaps {
    /// Entries of one page.
    entries: u32,
    lock_bytes: PageNumber,
}

impl PointerMaps {
    /// Bytes of an entry.
    pub(crate) const ENTRY: usize = 5;

    pub(crate) fn new(size: PageSize, usable: Usable) -> Self {
        let entries = u32::try_from(usable.bytes() / Self::ENTRY).unwrap_or(u32::MAX);
        Self { entries, lock_bytes: lock_byte_page(size) }
    }

    /// The page of the map that has the entry of this page, and where the entry begins. `None`: the page is a map itself, or
    /// is one of the pages that need no entry.
    pub(crate) fn entry(self, page: PageNumber) -> Option<(PageNumber, usize)> {
        let before = page.0.checked_sub(2)?;
        let group = before / (self.entries + 1) * (self.entries + 1) + 2;
        // folklore: where a map would lie on the page of the lock bytes, it lies on the page behind. Held by
        // `the_map_behind_the_lock_bytes`.
        let map = if group == self.lock_bytes.0 { group + 1 } else { group };
        let at = page.0.checked_sub(map + 1).filter(|_| page != self.lock_bytes)?;
        Some((PageNumber(map), usize::try_from(at).ok()?.checked_mul(Self::ENTRY)?))
    }

    /// How many maps are among so many pages.
    pub(crate) fn up_to(self, pages: u32) -> u64 {
        let Some(from) = pages.checked_sub(2) else { return 0 };
        let groups = u64::from(from / (self.entries + 1)) + 1;
        // The map that gave way to the lock bytes may lie behind the last page.
        groups - u64::from(pages == self.lock_bytes.0 && from.is_multiple_of(self.entries + 1))
    }

    /// Whether this page is a map.
    pub(crate) fn is_map(self, page: PageNumber) -> bool {
        page.0 >= 2 && page != self.lock_bytes && self.entry(page).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(size: u32) -> PointerMaps {
        let size = PageSize::new(size).unwrap();
        PointerMaps::new(size, Usable::new(size, 0).unwrap())
    }

    #[test]
    fn a_map_comes_before_the_pages_that_it_tells_of() {
        // 512 / 5 = 102 entries: pages 3 to 104, then a map on page 105.
        let maps = maps(512);
        assert!(maps.is_map(PageNumber(2)) && maps.is_map(PageNumber(105)) && !maps.is_map(PageNumber(104)));
        assert_eq!(maps.entry(PageNumber(3)), Some((PageNumber(2), 0)));
        assert_eq!(maps.entry(PageNumber(104)), Some((PageNumber(2), 505)));
        assert_eq!(maps.entry(PageNumber(106)), Some((PageNumber(105), 0)));
        assert_eq!((maps.entry(PageNumber(1)), maps.entry(PageNumber(0))), (None, None));
    }

    #[test]
    fn the_map_behind_the_lock_bytes() {
        // Of pages of 65536 bytes the lock bytes are on page 16385, and the map there would be number 2 + k * 13108.
        for size in [512, 1024, 4096, 65536] {
            let maps = maps(size);
            let locked = maps.lock_bytes.0;
            assert_eq!(u64::from(locked - 1) * u64::from(size), LOCK_BYTES);
            assert!(!maps.is_map(PageNumber(locked)) && maps.entry(PageNumber(locked)).is_none());
            let counted = (1..=locked + 1).filter(|page| maps.is_map(PageNumber(*page))).count() as u64;
            assert_eq!(maps.up_to(locked + 1), counted, "{size}");
            let would = (locked - 2).is_multiple_of(maps.entries + 1);
            assert_eq!(maps.is_map(PageNumber(locked + 1)), would, "{size}");
        }
    }

    #[test]
    fn a_trunk_names_as_many_pages_as_it_has_room_for() {
        let usable = Usable::new(PageSize::new(512).unwrap(), 0).unwrap();
        let mut page = vec![0; 512];
        page[3] = 9;
        page[7] = 2;
        page[11] = 5;
        page[15] = 6;
        let trunk = Trunk::parse(&page, usable).unwrap();
        assert_eq!(trunk.next, PageNumber(9));
        assert!(trunk.leaves().eq([PageNumber(5), PageNumber(6)]));
        page[7] = 126;
        assert!(Trunk::parse(&page, usable).is_some());
        page[7] = 127;
        assert!(Trunk::parse(&page, usable).is_none());
    }
}
