//! What a walk over the trees found.

use crate::format::btree::PageKind;
use crate::format::freelist::Owned;
use crate::number::PageNumber;

/// How many faults are kept; the others are only counted.
pub const LISTED: usize = 100;

/// What a walk over all trees of a database found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trees {
    /// Trees: those of tables and of indexes, that of `sqlite_schema` too.
    pub trees: u64,
    /// Pages of the database.
    pub pages: u64,
    /// Pages of trees.
    pub tree_pages: u64,
    /// Overflow pages.
    pub overflow_pages: u64,
    /// Pages of the freelist.
    pub free_pages: u64,
    /// Cells: rows, entries of indexes, and names of pages.
    pub cells: u64,
    /// The largest root page that `sqlite_schema` names.
    pub largest_root: PageNumber,
    /// Faults in all.
    pub fault_count: u64,
    /// The first of them, in the order in which the walk met them.
    pub faults: Vec<TreeFault>,
    /// Pages that nothing leads to, as far as the walk came.
    pub never_used: u64,
    /// The first of them.
    pub first_never_used: Option<PageNumber>,
}

/// Something in the trees that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeFault {
    /// The page that does not fit.
    pub page: PageNumber,
    /// The table or index, by its name; `None`: it is of no tree, or the name is not known.
    pub of: Option<String>,
    /// What does not fit.
    pub fault: Fault,
}

/// What does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The page number is 0, or the database has no page of this number.
    OutOfRange,
    /// The page is in none of the files.
    NotThere,
    /// The page is used by something else, too.
    UsedTwice,
    /// The first byte is none that a page of a tree has.
    NoTreePage {
        /// The byte.
        found: u8,
    },
    /// The numbers in the head of the page cannot be.
    HeadCannotBe,
    /// It has no cells, and is no root that may be empty.
    NoCells,
    /// A page of a table within an index, or the other way round.
    OfOtherKind {
        /// What it is.
        found: PageKind,
    },
    /// It is nearer to the root, or farther from it, than the pages beside it.
    DepthDiffers,
    /// It is farther from the root than any page can be.
    TooDeep,
    /// A cell is not within the page.
    CellOutside {
        /// Where it should begin.
        at: usize,
    },
    /// Two cells, or a cell and free space, have this byte.
    Overlap {
        /// The byte, counted from the start of the page.
        at: usize,
    },
    /// The chain of free space is broken here.
    FreeSpace {
        /// Where a free block should begin.
        at: usize,
    },
    /// The head says that so many bytes are free in pieces, and others are.
    Fragments {
        /// In the head.
        stated: u8,
        /// In the page.
        found: usize,
    },
    /// A rowid is not above the one before it, or not within what the page above says.
    RowidOrder {
        /// The rowid.
        rowid: i64,
    },
    /// A chain of overflow pages does not have the length that the row needs. The page is that of the row.
    OverflowLength {
        /// Overflow pages that the row needs.
        needed: u64,
        /// Those that are there: one more than needed where the chain goes on.
        found: u64,
    },
    /// The types in the head of a row do not account for its bytes.
    Record {
        /// Where its cell begins.
        at: usize,
    },
    /// A row of `sqlite_schema` cannot be read, or has no number as root page.
    SchemaRow,
    /// A trunk page of the freelist says that it names more pages than fit.
    Trunk {
        /// How many.
        stated: u32,
    },
    /// The header counts other pages of the freelist than are there.
    FreeCount {
        /// In the header.
        stated: u32,
        /// In the list.
        found: u64,
    },
    /// The pointer map says something else of the page.
    PointerMap {
        /// What the walk found.
        is: Owned,
        /// What the map says; `None`: nothing that can be.
        stated: Option<Owned>,
    },
    /// The header names another largest root page than there is. The page is the largest root.
    LargestRoot {
        /// In the header.
        stated: u32,
    },
    /// A page of a pointer map, or that of the lock bytes, is used for something else.
    Reserved,
}

impl Fault {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutOfRange => "out_of_range",
            Self::NotThere => "not_there",
            Self::UsedTwice => "used_twice",
            Self::NoTreePage { .. } => "no_tree_page",
            Self::HeadCannotBe => "head_cannot_be",
            Self::NoCells => "no_cells",
            Self::OfOtherKind { .. } => "of_other_kind",
            Self::DepthDiffers => "depth_differs",
            Self::TooDeep => "too_deep",
            Self::CellOutside { .. } => "cell_outside",
            Self::Overlap { .. } => "overlap",
            Self::FreeSpace { .. } => "free_space",
            Self::Fragments { .. } => "fragments",
            Self::RowidOrder { .. } => "rowid_order",
            Self::OverflowLength { .. } => "overflow_length",
            Self::Record { .. } => "record",
            Self::SchemaRow => "schema_row",
            Self::Trunk { .. } => "freelist_trunk",
            Self::FreeCount { .. } => "freelist_count",
            Self::PointerMap { .. } => "pointer_map",
            Self::LargestRoot { .. } => "largest_root",
            Self::Reserved => "reserved",
        }
    }
}
