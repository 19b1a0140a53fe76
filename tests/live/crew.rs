//! The processes of one history: who ended is followed by another, and sometimes one, or all, are killed.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::actor::{COUNTS, Count, Counts, Role, start};
use crate::common;
use crate::common::random::Random;

/// SIGKILL.
const KILLED: i32 = 9;
/// So many pauses are made for writers before one goes on without them.
const PATIENCE: u32 = 50;

struct Post {
    role: Role,
    process: Option<Child>,
    counts: Counts,
}

pub struct Crew {
    folder: PathBuf,
    page_size: u64,
    posts: Vec<Post>,
    random: Random,
    /// Processes that were killed, by themselves or from here.
    pub killed: u64,
    /// Times that all were.
    pub crashes: u64,
    /// Captures until the next processes start.
    resting: u64,
}

impl Crew {
    pub fn new(folder: &Path, roles: &[Role], seed: u64) -> Self {
        let posts = roles.iter().enumerate().map(|(place, role)| Post {
            role: *role,
            process: None,
            counts: Counts::open(folder, place),
        });
        let page_size = 512 << (seed % 4);
        let posts = posts.collect();
        Self { folder: folder.to_owned(), page_size, posts, random: Random(seed), killed: 0, crashes: 0, resting: 0 }
    }

    /// Called before each capture: kills one now and then, or all, as at a `crash`; those stay away for two captures. Who changes the
    /// journal mode is left alone.
    ///
    /// folklore: beside a header in rollback mode SQLite takes a -wal of no bytes for none (`unixAccess`), so that a process
    /// with that WAL open and a new one can disagree about the mode. With processes killed while they change it, live
    /// databases were found malformed, by SQLite in the writers themselves. Seen in SQLite 3.54.1.
    pub fn disturb(&mut self, crash: bool) {
        if self.posts.iter().any(|post| matches!(post.role, Role::ModeChanger(_))) {
            return;
        }
        if self.resting > 0 {
            self.resting -= 1;
        } else if crash || self.random.one_in(40) {
            (0..self.posts.len()).for_each(|place| self.kill(place));
            self.crashes += 1;
            self.resting = 2;
        } else if self.random.one_in(12) {
            let place = self.random.below(self.posts.len() as u64) as usize;
            self.kill(place);
        }
    }

    /// Replaces who has ended.
    pub fn keep(&mut self) {
        if self.rests() {
            return;
        }
        for place in 0..self.posts.len() {
            let ended = self.posts[place].process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some());
            if ended {
                self.bury(place);
                let seed = self.random.below(u64::MAX);
                let post = &mut self.posts[place];
                post.process = Some(start(post.role, place, seed, self.page_size, &self.folder));
            }
        }
    }

    /// Whether the processes are all gone for a while.
    pub fn rests(&self) -> bool {
        self.resting > 0
    }

    fn kill(&mut self, place: usize) {
        if let Some(process) = &mut self.posts[place].process {
            let _ = process.kill();
        }
        self.bury(place);
    }

    /// Waits for the end of a process; it must be a good one, or SIGKILL.
    fn bury(&mut self, place: usize) {
        let Some(mut process) = self.posts[place].process.take() else { return };
        let mut said = String::new();
        process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = process.wait().unwrap();
        let killed = status.signal() == Some(KILLED);
        assert!(killed || status.success(), "{:?}: {status}: {said}", self.posts[place].role);
        self.killed += u64::from(killed);
    }

    /// The highest of all processes.
    pub fn highest(&self, count: Count) -> i64 {
        self.posts.iter().map(|post| post.counts.get(count)).max().unwrap_or(0)
    }

    /// Lets the writers commit so many transactions; but not for ever, they may all have ended.
    pub fn let_pass(&self, transactions: i64) {
        let until = self.highest(Count::Begun) + transactions;
        for _ in 0..PATIENCE {
            if self.rests() || self.highest(Count::Begun) >= until {
                return;
            }
            common::pause();
        }
    }

    /// Ends all, and counts what they have done.
    pub fn end(mut self) -> ([i64; COUNTS], u64, u64) {
        for place in 0..self.posts.len() {
            match self.posts[place].role {
                // It has only so many operations left.
                Role::ModeChanger(_) => self.bury(place),
                _ => self.kill(place),
            }
        }
        let mut sums = [0; COUNTS];
        for (count, sum) in sums.iter_mut().enumerate() {
            *sum = self.posts.iter().map(|post| post.counts.all()[count]).sum();
        }
        (sums, self.killed, self.crashes)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for process in self.posts.iter_mut().filter_map(|post| post.process.as_mut()) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
