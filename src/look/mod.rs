//! One look at the files of a database: any source becomes a [`Seen`], and [`inspect`] makes one [`Inspection`] from
//! it.
//!
//! [`order`] says in which order the files are read, and why. The result is data; sentences are made from it later.

use std::io;
use std::num::NonZeroUsize;

mod all_copied;
mod backfill;
mod behind;
mod behind_header;
mod both_ways;
pub mod checkpoint;
mod collected;
mod damage;
mod first_page;
mod head;
pub mod held_up;
mod index;
mod inspection;
mod journal;
mod journal_damage;
mod journal_fit;
mod journal_records;
mod kept_journal;
mod later;
pub mod marks_and_locks;
mod one_page;
pub mod order;
mod other_name;
pub mod over_time;
mod page_ones;
mod pages_there;
mod pass;
mod reader;
mod reasons;
mod seen;
mod stale;
mod trees;

pub use all_copied::AllCopied;
pub use backfill::Copied;
pub use behind::BehindBreak;
pub use behind_header::{BehindHeader, InDatabase};
pub use both_ways::{BothWays, Fit, Walked};
#[cfg(all(feature = "capture", target_os = "linux"))]
pub(crate) use damage::is_another_form;
pub use damage::{Damage, MangledDatabase};
pub use first_page::{FirstPage, ZerosBehind};
pub use head::MappedHead;
pub use index::{IndexCheck, WrongPage};
pub use inspection::{Depth, HotJournal, Inspection, Origin, OriginKind, Sizes};
pub use journal::{JournalBeside, kept_pages, super_journal};
pub use journal_damage::JournalDamage;
pub use journal_fit::{JournalFit, journal_fit};
pub use kept_journal::journal_holds;
pub use other_name::wal_elsewhere;
pub use page_ones::{PageOnes, Schema};
pub use pages_there::{PagesThere, SizeStated};
pub use reasons::{NotCompared, Reasons, Why};
pub use seen::{Bytes, DatabaseSeen, Seen, WalSeen};
pub use stale::StaleInDatabase;

use crate::wal::Frame;

/// The length of lists: wrong entries, unreachable frames, pages that were not copied.
pub const LISTED: usize = 16;

/// Receives each frame of the pass over the WAL, and bytes that are equal for equal pages. It cannot end the pass, from
/// which the other facts come too: [`crate::wal::Scan::frames_until`] and [`crate::wal::valid_frames`] can end early.
pub type EachFrame<'a> = &'a mut dyn FnMut(&Frame, &[u8]);

/// Options of a look.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How much is read and compared.
    pub depth: Depth,
    /// Whether to walk over all trees of the database, too. It reads every page of them.
    pub trees: bool,
    /// The largest number of threads for a long `-wal`.
    pub threads: NonZeroUsize,
    /// Called after each block of the `-wal` with the number of bytes that were read, and the number of bytes in the
    /// file. It is told, and cannot end the look.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
}

impl Default for Options<'_> {
    /// Everything is read and compared, by one thread. The trees are not walked over.
    fn default() -> Self {
        Self { depth: Depth::CrossChecked, trees: false, threads: NonZeroUsize::MIN, progress: None }
    }
}

/// Looks at everything once.
///
/// # Errors
/// Only an error of reading. Bad content is part of the facts.
pub fn inspect(seen: &dyn Seen, options: &Options<'_>) -> io::Result<Inspection> {
    reader::inspect(seen, options, None)
}

/// Looks at everything once, and hands out each frame of the `-wal` with bytes that are equal for equal pages. Frames
/// of zero bytes in holes of a sparse file are not handed out: none of them is valid.
///
/// # Errors
/// Only an error of reading. Bad content is part of the facts.
pub fn inspect_frames(seen: &dyn Seen, options: &Options<'_>, each: EachFrame<'_>) -> io::Result<Inspection> {
    reader::inspect(seen, options, Some(each))
}
