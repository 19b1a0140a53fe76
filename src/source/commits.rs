//! How many commits a `-wal` holds that are not in the database, where a process goes on with one that is not at the path of the
//! database: that of the old name of a renamed database, or one that was deleted. And what a `-journal` holds of which the same is so.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{Evidence, JournalHolds, KeptLog, LogPlace};
use crate::format::shm::{HEAD_SIZE, parse_head};
use crate::linux::OpenedFiles;
use crate::linux::mapped::kept;
use crate::look;
use crate::number::{FrameNumber, Salts};
use crate::wal::Scan;

/// Counts the commits of each. Many processes can have one `-wal` open: it is read once.
pub(super) fn count(evidence: &mut Evidence, opened: &OpenedFiles) {
    let mut known = Known::default();
    for one in &mut evidence.renamed {
        one.commits = known.not_in_database(one.pid, one.start_time, one.descriptors).map(|(commits, _)| commits);
    }
    // Without the wal-index of its generation, as in exclusive locking mode, nothing tells what was copied.
    for one in &mut evidence.deleted_wals {
        let counted = known.not_in_database(one.pid, one.start_time, one.descriptors);
        one.commits = counted.and_then(|(commits, by_its_shm)| (by_its_shm || commits == 0).then_some(commits));
    }
    for one in &mut evidence.journals {
        one.holds = holds(one, opened);
    }
}

fn holds(log: &KeptLog, opened: &OpenedFiles) -> Option<JournalHolds> {
    let journal = FileBytes::whole(kept::journal_of(log)?).ok()?;
    // Beside another database the one at the path tells nothing.
    let own = opened.database.value().filter(|_| log.place != LogPlace::BesideAnother);
    let own = own.and_then(|database| FileBytes::whole(Arc::clone(database)).ok());
    look::journal_holds(&journal, own.as_ref().map(|own| own as &dyn ReadAt)).ok()
}

/// The pairs of `-wal` and `-shm` that were read, with what was found. They stay open, so no other file gets their numbers.
#[derive(Default)]
struct Known(Vec<(Pair, Option<(u64, bool)>)>);

type Pair = (Arc<File>, Option<Arc<File>>);

impl Known {
    /// The commits that are not copied, and whether the `-shm` is that of this `-wal`. Without one, no commit counts as copied.
    fn not_in_database(
        &mut self,
        pid: u32,
        start_time: Option<u64>,
        descriptors: (u32, Option<u32>),
    ) -> Option<(u64, bool)> {
        let pair = kept::sidecars(pid, start_time, descriptors)?;
        if let Some((_, found)) = self.0.iter().find(|(known, _)| same(known, &pair)) {
            return *found;
        }
        let found = commits(Arc::clone(&pair.0), pair.1.clone()).ok();
        self.0.push((pair, found));
        found
    }
}

fn same(a: &Pair, b: &Pair) -> bool {
    let id = |file: &File| file.metadata().ok().map(|found| (found.dev(), found.ino()));
    let shm = |pair: &Pair| pair.1.as_ref().map(|shm| id(shm));
    id(&a.0).is_some() && id(&a.0) == id(&b.0) && shm(a) == shm(b)
}

fn commits(wal: Arc<File>, shm: Option<Arc<File>>) -> io::Result<(u64, bool)> {
    // The head is read before the -wal: what is copied later is counted as not copied.
    let copied = shm.and_then(copied);
    let wal = FileBytes::whole(wal)?;
    let mut of_copied: u64 = 0;
    let facts = Scan::new(&wal).frames(&mut |frame| {
        let is_copied = copied.is_some_and(|(_, backfilled)| frame.number <= backfilled);
        of_copied = of_copied.saturating_add(u64::from(frame.valid && frame.header.commit_pages > 0 && is_copied));
    })?;
    let same = copied.is_some_and(|(salts, _)| facts.header.is_some_and(|header| header.salts == salts));
    Ok((if same { facts.commits.saturating_sub(of_copied) } else { facts.commits }, same))
}

/// The generation of a wal-index, and up to which frame it was copied.
fn copied(shm: Arc<File>) -> Option<(Salts, FrameNumber)> {
    let mut head = [0; HEAD_SIZE];
    let got = FileBytes::whole(shm).ok()?.read_at(&mut head, 0).ok()?;
    let head = parse_head(head.get(..got)?).ok()?;
    Some((head.trusted()?.salts, head.checkpoint.backfilled))
}
