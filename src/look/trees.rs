//! The trees of the database as SQLite would open it now: the last commit of the `-wal` over the database file.

use std::io;

use crate::bytes::ReadAt;
use crate::format::db::{self, DatabaseHead, HEADER_SIZE};
use crate::number::{FrameNumber, PageNumber, PageSize};
use crate::state::{Frames, State};
use crate::tree::{self, Pages as _, Trees};
use crate::wal::WalFacts;

use super::collected::Pages;
use super::{DatabaseSeen, HotJournal, NotCompared, WalSeen};

/// Walks over all trees.
pub(super) fn look(
    database: &DatabaseSeen,
    head: Option<&DatabaseHead>,
    wal: (&WalSeen, Option<&WalFacts>),
    pages: &mut Pages,
    journal: HotJournal,
) -> io::Result<Result<Trees, NotCompared>> {
    let (seen, Some(facts)) = wal else { return Ok(Err(NotCompared::WalNotSeen)) };
    if journal == HotJournal::Waits {
        return Ok(Err(NotCompared::JournalWaits));
    }
    let file: &dyn ReadAt = match database.bytes() {
        Some((bytes, true)) if !bytes.is_empty() => bytes,
        Some((_, false)) => return Ok(Err(NotCompared::DatabaseLeftOut)),
        Some((_, true)) | None => return Ok(Err(NotCompared::NoDatabase)),
    };
    let plain = head.and_then(DatabaseHead::plain);
    let of_file = plain.and_then(|header| PageSize::new(header.page_size));
    let (frames, size, stated) = match (facts.last_commit, facts.page_size(), seen) {
        (Some(commit), Some(size), WalSeen::Whole(bytes)) => {
            if of_file.is_some_and(|of_file| of_file != size) {
                return Ok(Err(NotCompared::PageSizesDiffer));
            }
            let frames =
                Frames { bytes: bytes.as_ref(), index: pages.index(), commit: commit.frame, last: commit.frame };
            (Some(frames), size, commit.database_pages)
        }
        (Some(_), Some(_), _) => return Ok(Err(NotCompared::PagesLeftOut)),
        (Some(_), None, _) => return Ok(Err(NotCompared::WalHeaderUnusable)),
        (None, ..) => {
            let Some(size) = of_file else { return Ok(Err(NotCompared::NoHeader)) };
            let in_file = u32::try_from(file.len() / u64::from(size)).unwrap_or(u32::MAX);
            (None, size, in_file)
        }
    };
    let mut first = [0; HEADER_SIZE];
    let there = State::new(file, frames, size, 1).read(PageNumber(1), &mut first)?;
    let header = db::parse_head(&first).ok().filter(|_| there);
    let Some(header) = header.as_ref().and_then(DatabaseHead::plain) else { return Ok(Err(NotCompared::NoHeader)) };
    if header.page_size != size.bytes() {
        return Ok(Err(NotCompared::PageSizesDiffer));
    }
    // folklore: SQLite takes the size from page 1, and from the commit or the file only where page 1 is not to be believed. Held by
    // `the_size_is_that_of_page_1`.
    let mut state = State::new(file, frames, size, header.believed_pages().unwrap_or(stated));
    Ok(tree::walk(&mut state, header)?.ok_or(NotCompared::NoHeader))
}

/// The last frame of the state that was walked over.
pub(super) fn commit_of(facts: Option<&WalFacts>) -> FrameNumber {
    facts.and_then(|facts| facts.last_commit).map_or(FrameNumber::NONE, |commit| commit.frame)
}
