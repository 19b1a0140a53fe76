//! The database as of each commit, beside the one that SQLite makes: the database before the WAL, the WAL cut behind the commit,
//! and a checkpoint.

use std::path::Path;

use rusqlite::Connection;
use walscope::number::{FrameNumber, PageNumber, PageSize};
use walscope::state::{Frames, Lost, Place, State};
use walscope::wal::latest::FrameIndex;
use walscope::wal::valid_frames;

use crate::common::random::Random;
use crate::databases;
use crate::trials;

/// Commits of one history that are looked at, the last among them.
const COMMITS: usize = 4;

/// The files of a history, and what is true.
struct History {
    /// The database before the first frame.
    base: Vec<u8>,
    /// The database now: checkpoints may have copied frames.
    database: Vec<u8>,
    wal: Vec<u8>,
}

impl History {
    fn random(seed: u64) -> Option<Self> {
        let mut random = Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let sqlite = databases::begin(&path, &mut random);
        databases::fill(&sqlite, &mut random);
        sqlite.pragma_update(None, "journal_mode", "wal").unwrap();
        sqlite.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        let base = std::fs::read(&path).unwrap();
        let reader = Connection::open(&path).unwrap();
        databases::change(&sqlite, &mut random);
        if random.one_in(2) {
            // A reader keeps a part of the frames out of the checkpoint.
            reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
            databases::change(&sqlite, &mut random);
        }
        if random.one_in(2) {
            sqlite.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        }
        databases::change(&sqlite, &mut random);
        let database = std::fs::read(&path).unwrap();
        let wal = std::fs::read(folder.path().join("t.db-wal")).ok()?;
        // A restart would have put the WAL before these changes into the base.
        let restarted = wal.len() < 32 || wal[12..16] != [0; 4];
        (!restarted).then_some(Self { base, database, wal })
    }

    /// The image that SQLite makes of the base and the WAL up to a frame.
    fn image(&self, frames: u64, page_size: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        std::fs::write(&path, &self.base).unwrap();
        let end = 32 + frames as usize * (24 + page_size);
        std::fs::write(folder.path().join("t.db-wal"), &self.wal[..end]).unwrap();
        checkpoint(&path);
        std::fs::read(&path).unwrap()
    }
}

fn checkpoint(path: &Path) {
    let sqlite = Connection::open(path).unwrap();
    let busy: i64 = sqlite.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
}

#[test]
fn a_page_of_any_commit_is_that_of_sqlite_or_is_said_not_to_be_known() {
    let every = std::env::var_os("WALSCOPE_EVERY_COMMIT").is_some();
    let (mut known, mut lost, mut whole, mut commits) = (0, 0, 0, 0);
    for seed in 0..trials(25) {
        let Some(history) = History::random(seed) else { continue };
        let frames: Vec<_> = valid_frames(&history.wal).map(Result::unwrap).collect();
        let index = FrameIndex::of(&frames.iter().map(|frame| frame.header.page).collect::<Vec<PageNumber>>());
        let Some(last) = frames.iter().rfind(|frame| frame.header.commit_pages != 0) else { continue };
        let page_size = u32::from_be_bytes(history.wal[8..12].try_into().unwrap());
        let size = PageSize::new(page_size).unwrap();
        let all: Vec<_> = frames.iter().filter(|frame| frame.header.commit_pages != 0).collect();
        let step = if every { 1 } else { all.len().div_ceil(COMMITS) };
        for commit in all.into_iter().rev().step_by(step) {
            commits += 1;
            let truth = history.image(commit.number.count(), page_size as usize);
            let from = Frames { bytes: &history.wal, index: &index, commit: commit.number, last: last.number };
            let mut state = State::new(&history.database, Some(from), size, commit.header.commit_pages);
            assert_eq!(truth.len() as u64, u64::from(commit.header.commit_pages) * u64::from(page_size), "seed {seed}");
            let mut bytes = Vec::new();
            let mut all = true;
            for (number, page) in (1..).map(PageNumber).zip(truth.chunks(page_size as usize)) {
                match state.page(number, &mut bytes).unwrap() {
                    Ok(place) => {
                        known += 1;
                        assert!(
                            bytes == page,
                            "seed {seed}: page {} of commit {:?}: {place:?}",
                            number.0,
                            commit.number
                        );
                        assert!(place != Place::Frame(FrameNumber::NONE));
                    }
                    Err(Lost::OutOfRange) => panic!("seed {seed}: page {}", number.0),
                    Err(Lost::Overwritten(_) | Lost::CutOff) => {
                        lost += 1;
                        all = false;
                    }
                }
            }
            assert!(all || commit.number != last.number, "seed {seed}: the last commit is always known");
            whole += u64::from(all);
        }
    }
    eprintln!("{commits} commits, {whole} of them known whole: {known} pages as SQLite has them, {lost} not known");
    assert!(known > 0 && lost > 0 && whole > 0 && whole < commits);
}
