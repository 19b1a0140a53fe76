//! Accidents in a history: processes that die in the middle of an operation, and writes that a size limit cuts off.

use crate::child::{AtLimit, Child, Reply};
use crate::history::History;
use crate::model::{Who, raw, unconfirmed};

/// The connection of a victim.
const VICTIM: usize = 9;

impl History<'_> {
    /// A separate process with one connection; it may die.
    fn victim(&mut self, at_limit: AtLimit) -> (Child, Who) {
        let mut victim = Child::start(at_limit);
        let who = Who { pid: victim.pid(), id: VICTIM };
        let (uri, synchronous) = (self.uri(), self.synchronous);
        victim.done(&format!("open {VICTIM} {uri}"));
        let sql = format!("PRAGMA synchronous={synchronous}; PRAGMA cache_spill=OFF; SELECT count(*) FROM t");
        victim.done(&format!("sql {VICTIM} {sql}"));
        self.index().touch(who);
        (victim, who)
    }

    fn fate(&mut self) -> AtLimit {
        self.random.pick(&[AtLimit::Fails, AtLimit::Dies])
    }

    fn count_cut(&mut self, what: &str, at_limit: AtLimit) {
        let lives = if at_limit == AtLimit::Fails { "lives" } else { "dies" };
        self.tally.count(format!("{what} cut, the process {lives}"));
    }

    /// Records what the victim left. It holds no lock any more.
    fn after(&mut self, who: Who, salts: [u8; 8]) {
        let left = raw(&self.path).unwrap();
        let index = self.index();
        if left.salts != salts {
            index.restart();
        }
        index.adopt(&left);
        index.end(who);
        self.unconfirmed = unconfirmed(&self.path, self.page_size as usize).or(self.unconfirmed);
    }

    /// A checkpoint that is cut off at some byte of the database.
    pub fn cut_checkpoint(&mut self) {
        let at_limit = self.fate();
        let (mut victim, who) = self.victim(at_limit);
        let foretold = self.look_with(None, Some(victim.pid()));
        let pages = 1 + self.random.below(12);
        let bytes = pages * self.page_size + self.random.pick(&[0, 0, 17, 300]);
        self.note(format!("victim, {at_limit:?} at {bytes}: checkpoint"));
        let salts = raw(&self.path).unwrap().salts;
        victim.limit(Some(bytes));
        match victim.ask(&format!("checkpoint {VICTIM} PASSIVE")) {
            Reply::Done(report) => self.check_report("PASSIVE", &report, &foretold),
            Reply::Failed(_) | Reply::Dead => {
                self.after(who, salts);
                let index = self.index();
                assert!(index.attempted > index.backfilled, "{index:?}");
                index.cut = true;
                self.count_cut("checkpoint", at_limit);
            }
            Reply::Busy => panic!("a PASSIVE checkpoint waits"),
        }
        victim.kill();
    }

    /// A transaction that is cut off at some byte of the WAL.
    pub fn cut_commit(&mut self) {
        if self.index().writer.is_some() {
            return;
        }
        let at_limit = self.fate();
        let (mut victim, who) = self.victim(at_limit);
        let frame = 24 + self.page_size;
        let index = self.index();
        let begins_anew = index.backfilled == index.mx_frame && index.can_restart();
        let frames = if begins_anew { 0 } else { u64::from(index.mx_frame) };
        // The repeated commit frames after a commit are part of it: when the WAL is cut there, it is ahead of the
        // wal-index.
        let reach = if self.padded { 8 } else { 3 };
        let bytes = 32 + frames * frame + self.random.below(reach * frame);
        let sql = format!("BEGIN; {}; COMMIT", self.some_rows());
        self.note(format!("victim, {at_limit:?} at {bytes}: {sql}"));
        let salts = raw(&self.path).unwrap().salts;
        victim.limit(Some(bytes));
        self.index().begin_read(who, false);
        match victim.ask(&format!("sql {VICTIM} {sql}")) {
            Reply::Done(frames) => self.committed(who, &frames),
            _ => {
                self.after(who, salts);
                self.count_cut("commit", at_limit);
            }
        }
        victim.kill();
    }

    fn committed(&mut self, who: Who, frames: &str) {
        self.index().first_frame(who);
        self.index().commit(frames.parse().unwrap());
        self.index().end(who);
    }

    /// A process that kills itself at the N-th call of a hook.
    pub fn killed_by_hook(&mut self) {
        if self.index().writer.is_some() {
            return;
        }
        let (mut victim, who) = self.victim(AtLimit::Fails);
        let hook = self.random.pick(&["update", "commit", "wal", "progress"]);
        let n = match hook {
            "update" => 1 + self.random.below(12),
            "progress" => 1 + self.random.below(150),
            _ => 1,
        };
        let spill = self.random.pick(&["ON; PRAGMA cache_size=5", "OFF"]);
        victim.done(&format!("sql {VICTIM} PRAGMA cache_spill={spill}"));
        self.note(format!("victim dies at {hook} {n}, cache_spill={spill}"));
        victim.done(&format!("die {VICTIM} {hook} {n}"));
        let salts = raw(&self.path).unwrap().salts;
        self.index().begin_read(who, false);
        match victim.ask(&format!("sql {VICTIM} UPDATE t SET b = randomblob(length(b))")) {
            Reply::Done(frames) => self.committed(who, &frames),
            Reply::Dead => {
                self.after(who, salts);
                self.tally.count(format!("killed by {hook}"));
            }
            other => panic!("{other:?}"),
        }
        victim.kill();
    }
}
