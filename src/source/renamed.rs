//! How much the `-wal` of the old name of a renamed database holds that is not in the database.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::Renamed;
use crate::format::shm::{HEAD_SIZE, parse_head};
use crate::linux::mapped::kept;
use crate::number::{FrameNumber, Salts};
use crate::wal::Scan;

/// Counts the commits of each.
pub(super) fn count(all: &mut [Renamed]) {
    for one in all {
        one.commits = kept::sidecars_of_renamed(one).and_then(|(wal, shm)| commits(wal, shm).ok());
    }
}

fn commits(wal: Arc<File>, shm: Option<Arc<File>>) -> io::Result<u64> {
    // The head is read before the -wal: what is copied later is counted as not copied.
    let copied = shm.and_then(copied);
    let wal = FileBytes::whole(wal)?;
    let mut of_copied: u64 = 0;
    let facts = Scan::new(&wal).frames(&mut |frame| {
        let is_copied = copied.is_some_and(|(_, backfilled)| frame.number <= backfilled);
        of_copied = of_copied.saturating_add(u64::from(frame.valid && frame.header.commit_pages > 0 && is_copied));
    })?;
    let same = copied.is_some_and(|(salts, _)| facts.header.is_some_and(|header| header.salts == salts));
    Ok(if same { facts.commits.saturating_sub(of_copied) } else { facts.commits })
}

/// The generation of a wal-index, and up to which frame it was copied.
fn copied(shm: Arc<File>) -> Option<(Salts, FrameNumber)> {
    let mut head = [0; HEAD_SIZE];
    let got = FileBytes::whole(shm).ok()?.read_at(&mut head, 0).ok()?;
    let head = parse_head(head.get(..got)?).ok()?;
    Some((head.trusted()?.salts, head.checkpoint.backfilled))
}
