//! Captures in a loop beside a database at work: what calls itself stable holds exactly a committed state, and one of the
//! time of the capture; everything else says that it does not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;
use walscope::bundle::{Capture, Options, Step, write_bundle};
use walscope::evidence::UnstableCause;
use walscope::look::DatabaseSeen;

use crate::actor::{COUNTS, Count, Role};
use crate::common;
use crate::common::command;
use crate::common::random::Random;
use crate::common::restore;
use crate::crew::Crew;
use crate::ledger;

/// Captures of one history.
const HISTORY: u64 = 125;

/// What the captures came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub captures: u64,
    pub by_command: u64,
    pub stable: u64,
    pub unstable: u64,
    /// Unstable ones that SQLite indeed refuses, or that hold no committed state.
    pub torn: u64,
    pub at_rest: u64,
    /// Stable ones that needed more than one attempt.
    pub retried: u64,
    pub killed: u64,
    pub crashes: u64,
    pub counts: [i64; COUNTS],
    /// Why captures were unstable, without the numbers.
    pub reasons: BTreeMap<String, u64>,
}

/// One history after the other until there are so many captures.
pub fn captures(roles: &[Role], number: u64, first_seed: u64) -> Tally {
    let mut tally = Tally::default();
    let mut seed = first_seed;
    while tally.captures < number {
        let least = (number - tally.captures).min(HISTORY);
        history(roles, least, seed, &mut tally);
        seed += 1;
    }
    tally
}

fn history(roles: &[Role], number: u64, seed: u64, tally: &mut Tally) {
    let folder = tempfile::tempdir().unwrap();
    let mut crew = Crew::new(folder.path(), roles, seed);
    let mut witness =
        Witness { scratch: common::in_memory(), random: Random(seed ^ 0xcafe), path: folder.path().join("t.db") };
    let mut done = 0;
    // The first process has to make the database first.
    while crew.highest(Count::Committed) == 0 {
        crew.keep();
        common::pause();
    }
    while done < number {
        crew.disturb(done % HISTORY == HISTORY / 2);
        crew.keep();
        let (capture, bounds) = witness.capture(&crew, done == 0, tally);
        let judged = witness.judge(&capture, bounds, tally);
        if let Err(wrong) = judged {
            crew.end();
            let live = witness.live();
            panic!("seed {seed}, capture {done}: {wrong}; the database itself, when all had ended: {live:?}");
        }
        tally.at_rest += u64::from(crew.rests());
        tally.captures += 1;
        done += 1;
    }
    let (counts, killed, crashes) = crew.end();
    // What is captured must be worth capturing: nothing here may break SQLite itself.
    let live = witness.live();
    assert!(live.is_ok(), "seed {seed}: the database itself: {live:?}");
    tally.killed += killed;
    tally.crashes += crashes;
    tally.counts.iter_mut().zip(counts).for_each(|(sum, more)| *sum += more);
}

struct Witness {
    /// Where captures are turned back into files.
    scratch: TempDir,
    random: Random,
    path: PathBuf,
}

impl Witness {
    /// A capture, and the numbers of the transactions between which it must be: the last whose commit had returned before
    /// the capture's last attempt, and the last that was about to be committed after it.
    fn capture(&mut self, crew: &Crew, by_command: bool, tally: &mut Tally) -> (Capture, (i64, i64)) {
        let attempts = self.random.pick(&[1, 1, 2, 5]);
        let mut least = crew.highest(Count::Committed);
        let capture = if by_command || self.random.one_in(50) {
            tally.by_command += 1;
            self.by_command(attempts)
        } else {
            let chunk_size = self.random.pick(&[512, 4096, 65536]);
            let options = Options { with_db: true, attempts, chunk_size, ..Options::default() };
            let mut bundle = tempfile::tempfile_in(self.scratch.path()).unwrap();
            let random = &mut self.random;
            let manifest = write_bundle(self.path.as_path(), &options, &mut bundle, &mut |_, step| {
                if step == Step::Before {
                    least = crew.highest(Count::Committed);
                }
                if random.one_in(12) {
                    let transactions = 1 + random.below(3);
                    crew.let_pass(transactions as i64);
                }
            });
            let stability = manifest.unwrap().stability;
            let capture = Capture::from_file("live", Arc::new(bundle)).unwrap();
            assert_eq!(capture.manifest.stability, stability);
            capture
        };
        (capture, (least, crew.highest(Count::Begun)))
    }

    fn by_command(&self, attempts: u32) -> Capture {
        let name = self.scratch.path().join("b.walsnap");
        let (out, attempts) = (name.display().to_string(), attempts.to_string());
        let from = self.path.display().to_string();
        let arguments = ["snapshot", &from, "--with-db", "--force", "--attempts", &attempts, "-o", &out];
        let ran = command::walscope(self.scratch.path(), &arguments);
        assert!(ran.code == 0 || ran.code == 1, "{}", ran.stderr);
        let capture = Capture::open(&name).unwrap();
        assert_eq!(capture.manifest.stability.stable, ran.code == 0, "{}", ran.text());
        capture
    }

    /// What is wrong with a capture.
    fn judge(&self, capture: &Capture, bounds: (i64, i64), tally: &mut Tally) -> Result<(), String> {
        let stability = &capture.manifest.stability;
        // Nobody but SQLite touches these files.
        if stability.cause == Some(UnstableCause::WalCutOff) {
            return Err(format!("{stability:?}: of a healthy database"));
        }
        let found = self.state_of(capture);
        if stability.stable {
            tally.stable += 1;
            tally.retried += u64::from(stability.attempts > 1);
            let tx = found.map_err(|error| format!("{stability:?}: called stable, and {error}"))?;
            if tx < bounds.0 || tx > bounds.1 {
                return Err(format!("{stability:?}: holds transaction {tx}, not one of {bounds:?}"));
            }
        } else {
            let reason = stability.reason.as_deref().filter(|reason| !reason.is_empty()).ok_or("no reason is given")?;
            tally.unstable += 1;
            tally.torn += u64::from(!found.is_ok_and(|tx| bounds.0 <= tx && tx <= bounds.1));
            let kind: String = reason.split(':').next().unwrap().chars().filter(|c| !c.is_ascii_digit()).collect();
            *tally.reasons.entry(kind).or_default() += 1;
        }
        Ok(())
    }

    /// The state of the live files, by SQLite, from a copy. Nobody may be using them.
    fn live(&self) -> Result<i64, String> {
        let copy = self.scratch.path().join("live.db");
        for suffix in ["", "-wal", "-journal"] {
            let beside = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
            let _ = std::fs::remove_file(beside(&copy));
            let _ = std::fs::copy(beside(&self.path), beside(&copy));
        }
        let db = Connection::open(copy).map_err(|error| error.to_string())?;
        ledger::judge(&db).map(|state| state.tx)
    }

    /// The transaction whose state the capture holds, by SQLite.
    fn state_of(&self, capture: &Capture) -> Result<i64, String> {
        if !matches!(capture.database, DatabaseSeen::Whole(_)) {
            return Err("there is no database".to_owned());
        }
        let restored: &Path = &restore::restore(capture, self.scratch.path());
        let db = Connection::open(restored).map_err(|error| error.to_string())?;
        ledger::judge(&db).map(|state| state.tx)
    }
}
