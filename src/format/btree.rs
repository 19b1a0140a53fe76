//! Pages of b-trees, their cells, and how much of a payload is on other pages.
//! Source: fileformat2, section 1.6. Offsets: [`super::layout::LEAF_PAGE`], [`super::layout::INTERIOR_PAGE`].

use nom::number::complete::{be_u16, be_u32, u8};
use nom::{IResult, Parser};

use super::db::HEADER_SIZE;
use super::varint::{signed_varint, varint};
use crate::number::{PageNumber, PageSize};

/// What a page of a b-tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageKind {
    /// It names the pages of an index, and has entries of its own.
    IndexInterior,
    /// It names the pages of a table.
    TableInterior,
    /// It holds entries of an index, and names no pages.
    IndexLeaf,
    /// It holds rows of a table, and names no pages.
    TableLeaf,
}

impl PageKind {
    /// By the type byte.
    #[must_use]
    pub fn new(byte: u8) -> Option<Self> {
        Some(match byte {
            2 => Self::IndexInterior,
            5 => Self::TableInterior,
            10 => Self::IndexLeaf,
            13 => Self::TableLeaf,
            _ => return None,
        })
    }

    /// Bytes of the header of such a page.
    #[must_use]
    pub const fn header_size(self) -> usize {
        match self {
            Self::IndexLeaf | Self::TableLeaf => 8,
            Self::IndexInterior | Self::TableInterior => 12,
        }
    }

    /// Whether it is of a tree whose keys are rowids.
    #[must_use]
    pub const fn of_table(self) -> bool {
        matches!(self, Self::TableInterior | Self::TableLeaf)
    }

    /// Whether it names other pages.
    #[must_use]
    pub const fn is_interior(self) -> bool {
        matches!(self, Self::IndexInterior | Self::TableInterior)
    }
}

/// The header of a page of a b-tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageHead {
    pub(crate) kind: PageKind,
    /// Where the first free block begins, or 0.
    pub(crate) free: usize,
    pub(crate) cells: usize,
    /// Where the cells begin.
    pub(crate) content: usize,
    /// Free bytes in pieces that are too small for a block.
    pub(crate) fragments: u8,
}

impl PageHead {
    /// Bytes of the shortest header.
    pub(crate) const SIZE: usize = 8;

    /// Reads the header. `None`: it is too short, or of no type that there is.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let parsed: IResult<&[u8], _> = (u8, be_u16, be_u16, be_u16, u8).parse(bytes);
        let (_, (kind, free, cells, content, fragments)) = parsed.ok()?;
        // An offset of 65536 does not fit into 16 bits.
        let content = if content == 0 { 65536 } else { content.into() };
        Some(Self { kind: PageKind::new(kind)?, free: free.into(), cells: cells.into(), content, fragments })
    }

    /// Where what names the cells ends, counted from the start of this header.
    pub(crate) fn end_of_pointers(self) -> usize {
        self.kind.header_size() + 2 * self.cells
    }

    /// Whether the numbers fit each other in a page whose header begins so many bytes behind its start.
    pub(crate) fn fits(self, before: usize) -> bool {
        self.fragments <= 60 && before + self.end_of_pointers() <= self.content
    }

    /// Whether a page of this size can begin so.
    pub(crate) fn fits_page(self, size: PageSize) -> bool {
        let size = size.to_usize();
        self.fits(0) && self.content <= size && (self.free == 0 || (self.content..size).contains(&self.free))
    }
}

/// The bytes of a page that SQLite uses: without those that the header of the database reserves at the end of each page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usable(usize);

impl Usable {
    /// SQLite accepts no less.
    const LEAST: usize = 480;

    /// `None`: SQLite does not open a database with these numbers.
    #[must_use]
    pub fn new(page: PageSize, reserved: u8) -> Option<Self> {
        page.to_usize().checked_sub(reserved.into()).filter(|usable| *usable >= Self::LEAST).map(Self)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }

    /// How many bytes of a payload of this length are on the page itself. It is never more than the page has.
    #[must_use]
    pub fn local(self, kind: PageKind, length: u64) -> usize {
        // The page that holds a part of a payload holds the key, and three more cells of an index fit beside it.
        let most = if kind.of_table() { self.0 - 35 } else { (self.0 - 12) * 64 / 255 - 23 };
        let length = match usize::try_from(length) {
            Ok(length) if length <= most => return length,
            Ok(length) => length,
            Err(_) => usize::MAX,
        };
        let least = (self.0 - 12) * 32 / 255 - 23;
        let kept = least + (length - least) % (self.0 - 4);
        if kept <= most { kept } else { least }
    }

    /// How many overflow pages so many bytes need.
    #[must_use]
    pub fn overflow_pages(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.0 as u64 - 4)
    }
}

/// A page of a b-tree. Every offset in it is a number of the file, and is looked up with care.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    /// The bytes that SQLite uses.
    bytes: &'a [u8],
    usable: Usable,
    /// Where the header begins: behind that of the database on page 1.
    before: usize,
    pub(crate) head: PageHead,
}

/// The header of a page cannot be that of a page of a b-tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPage {
    /// The type byte is none that there is.
    OfNoType(u8),
    /// The numbers of the header do not fit into the page.
    NumbersDoNotFit,
}

/// A cell: a row, an entry of an index, or the name of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell<'a> {
    /// Where it begins, in bytes from the start of the page.
    pub(crate) at: usize,
    /// The bytes that it takes of the page.
    pub(crate) size: usize,
    /// The page whose keys are not above that of the cell.
    pub(crate) left: Option<PageNumber>,
    pub(crate) rowid: Option<i64>,
    pub(crate) payload: Option<Payload<'a>>,
}

/// The record of a cell, as far as it is on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload<'a> {
    /// The length of the whole record.
    pub(crate) length: u64,
    pub(crate) local: &'a [u8],
    /// The first page of the rest.
    pub(crate) overflow: Option<PageNumber>,
}

impl<'a> Page<'a> {
    /// Reads the header. `page` is a whole page.
    pub(crate) fn parse(page: &'a [u8], number: PageNumber, usable: Usable) -> Result<Self, NoPage> {
        let before = if number == PageNumber(1) { HEADER_SIZE } else { 0 };
        let bytes = page.get(..usable.0).ok_or(NoPage::NumbersDoNotFit)?;
        let header = bytes.get(before..).unwrap_or_default();
        let Some(head) = PageHead::parse(header) else {
            return Err(NoPage::OfNoType(header.first().copied().unwrap_or_default()));
        };
        let fits = head.content <= usable.0 && before + head.end_of_pointers() <= head.content;
        if fits { Ok(Self { bytes, usable, before, head }) } else { Err(NoPage::NumbersDoNotFit) }
    }

    /// The page with the largest keys, of a page that names others.
    pub(crate) fn right(&self) -> Option<PageNumber> {
        let at = self.before + PageHead::SIZE;
        let field = self.bytes.get(at..at + 4).filter(|_| self.head.kind.is_interior())?;
        Some(PageNumber(field.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))))
    }

    /// Each cell in the order of the keys. `Err`: where it should begin; it does not lie within the page.
    pub(crate) fn cells(self) -> impl DoubleEndedIterator<Item = Result<Cell<'a>, usize>> + ExactSizeIterator {
        let from = self.before + self.head.kind.header_size();
        let pointers = self.bytes.get(from..from + 2 * self.head.cells).unwrap_or_default();
        let (pointers, _) = pointers.as_chunks();
        pointers.iter().map(move |at| {
            let at = usize::from(u16::from_be_bytes(*at));
            self.cell(at).ok_or(at)
        })
    }

    /// The cell that begins here.
    fn cell(self, at: usize) -> Option<Cell<'a>> {
        let rest = self.bytes.get(at..).filter(|_| at >= self.head.content)?;
        let (after, left, rowid, payload) = cell(rest, self.head.kind, self.usable).ok()?.1;
        // A cell that was freed becomes a free block, and the shortest of these has 4 bytes.
        let size = (rest.len() - after).max(4);
        (size <= rest.len()).then_some(Cell { at, size, left, rowid, payload })
    }

    /// Where each free block begins, and its bytes. `Err`: where one should begin; it is no free block, or not behind the one
    /// before it.
    pub(crate) fn free_blocks(self) -> impl Iterator<Item = Result<(usize, usize), usize>> {
        let mut next = self.head.free;
        let mut least = self.head.content;
        std::iter::from_fn(move || {
            if next == 0 {
                return None;
            }
            let at = next;
            let block: Option<(usize, usize)> = self.bytes.get(at..).filter(|_| at >= least).and_then(|rest| {
                let parsed: IResult<&[u8], (u16, u16)> = (be_u16, be_u16).parse(rest);
                let (_, (next, size)) = parsed.ok()?;
                let (next, size) = (usize::from(next), usize::from(size));
                // Blocks that touch are one, and fewer than 4 bytes between two are a block's.
                (size >= 4 && size <= rest.len()).then_some((next, size))
            });
            let Some((following, size)) = block else {
                next = 0;
                return Some(Err(at));
            };
            (next, least) = (following, at + size + 4);
            Some(Ok((at, size)))
        })
    }
}

/// What is left behind the cell, the page to its left, its key, and its payload.
type ParsedCell<'a> = (usize, Option<PageNumber>, Option<i64>, Option<Payload<'a>>);

fn cell(input: &[u8], kind: PageKind, usable: Usable) -> IResult<&[u8], ParsedCell<'_>> {
    let (rest, left) = match kind.is_interior() {
        true => be_u32.map(|page| Some(PageNumber(page))).parse(input)?,
        false => (input, None),
    };
    if kind == PageKind::TableInterior {
        let (rest, rowid) = signed_varint(rest)?;
        return Ok((rest, (rest.len(), left, Some(rowid), None)));
    }
    let (rest, length) = varint(rest)?;
    let (rest, rowid) = match kind.of_table() {
        true => signed_varint.map(Some).parse(rest)?,
        false => (rest, None),
    };
    let local = usable.local(kind, length);
    let (rest, bytes) = nom::bytes::complete::take(local)(rest)?;
    let (rest, overflow) = match local as u64 == length {
        true => (rest, None),
        false => be_u32.map(|page| Some(PageNumber(page))).parse(rest)?,
    };
    Ok((rest, (rest.len(), left, rowid, Some(Payload { length, local: bytes, overflow }))))
}
