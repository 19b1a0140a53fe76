//! One set-up, drawn from a seed: sides, processes, accidents, verdicts, and then the truth.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::accidents::{self, Accident};
use crate::child::{Reply, Told, uri};
use crate::common::random::Random;
use crate::judge;
use crate::means::{self, Verdict};
use crate::place::{self, DATABASE, Ground, Place, Reach, Side};
use crate::subsets;
use crate::tally::Tally;
use crate::truth::{self, Paths, Truth};
use crate::users::{self, Amid, Kind, User};

/// A set-up at work.
pub struct Setup<'a> {
    ground: &'a Ground,
    seed: u64,
    random: Random,
    place: Place,
    sides: [Side; 2],
    users: Vec<User>,
    backup: PathBuf,
    /// Only what leaves it healthy is drawn.
    calm: bool,
    /// Nothing was drawn that could make two of what was one.
    healthy: bool,
    /// What was suffered, after the early bundles.
    suffered: Vec<Accident>,
    log: Vec<String>,
    names: u32,
}

/// What came of a set-up.
pub struct Outcome {
    pub wrong: Vec<String>,
    pub log: Vec<String>,
}

/// Runs the set-up of this seed.
pub fn run(seed: u64, ground: &Ground, tally: &mut Tally) -> Outcome {
    let mut setup = Setup::new(seed, ground);
    setup.draw(tally)
}

impl<'a> Setup<'a> {
    fn new(seed: u64, ground: &'a Ground) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9) ^ 0x7665_7264);
        let (on, folder) = ground.places[random.below(ground.places.len() as u64) as usize].clone();
        let mut place = Place::new(&folder, &format!("s{seed}"));
        let calm = random.below(5) < 2;
        let wal = calm || !random.one_in(15);
        let backup = place.base.join("backup.db");
        make(&place, &backup, if wal { "wal" } else { "delete" }, ground);
        let reaches = place::draw(&mut random, calm);
        let sides = ["a", "b"].map(|name| {
            let reach = reaches[usize::from(name == "b")];
            place.side(reach, name, &ground.pipes)
        });
        let healthy = wal && reaches.iter().all(|reach| reach.is_the_folder());
        let log = vec![format!("on {on}, in {} mode, reached by {reaches:?}", if wal { "WAL" } else { "rollback" })];
        let (users, suffered) = (Vec::new(), Vec::new());
        Self { ground, seed, random, place, sides, users, backup, calm, healthy, suffered, log, names: 0 }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    fn open(&mut self, at: usize, wild: bool) {
        let kind = Kind::draw(&mut self.random, wild);
        self.open_as(at, kind);
    }

    fn open_as(&mut self, at: usize, kind: Kind) {
        self.healthy &= kind.is_ordinary() && kind != Kind::Heir || matches!(kind, Kind::Idle | Kind::Bystander);
        self.names += 1;
        let name = format!("{}{}", ["A", "B"][at], self.names);
        // The names of its pipes are those of the process.
        let full = format!("{}-{name}", self.seed);
        let (users, log) = users::open(&self.sides[at], at, kind, &full, &self.ground.pipes, &mut self.random);
        self.log.push(log);
        self.users.extend(users);
    }

    fn draw(&mut self, tally: &mut Tally) -> Outcome {
        let wild_users = !self.calm && self.random.below(4) > 0;
        let mut who: Vec<usize> = Vec::new();
        for side in 0..2 {
            who.extend(vec![side; self.random.below(4) as usize]);
        }
        while !who.is_empty() {
            let at = who.swap_remove(self.random.below(who.len() as u64) as usize);
            let wild = wild_users && self.random.below(3) < 2;
            self.open(at, wild);
        }
        let early = self.random.one_in(2).then(|| self.bundles("early"));
        let unlike = self.random.below(10);
        for _ in 0..[0, 0, 0, 0, 1, 1, 1, 1, 2, 3][unlike as usize] {
            let wild = !self.calm && self.random.below(4) > 0;
            let accident = Accident::draw(&mut self.random, wild);
            self.suffer(accident);
            tally.count(format!("accident {}", format!("{accident:?}").split('(').next().unwrap()));
            if self.random.one_in(2) {
                let at = self.random.below(2) as usize;
                self.open(at, false);
            }
        }
        self.interrupt();
        for user in &self.users {
            tally.count(format!("process {:?}", user.kind));
        }
        for side in &self.sides {
            tally.count(format!("reach {:?}", side.reach));
        }
        let (verdicts, late) = self.verdicts(early.as_ref(), tally);
        let mut truth = Truth::find(&self.sides, &mut self.users, &self.ground.pipes);
        if verdicts.iter().any(|verdict| verdict.of_folder) {
            truth.folder = Some(truth::of_folder(&self.sides, &self.ground.pipes));
        }
        truth.folder_replaced = self.suffered.contains(&Accident::FolderReplaced);
        truth.ended_since = self.suffered.iter().any(|accident| accident.ends_processes());
        let mut wrong = self.judge(&verdicts, &truth, tally);
        if let Some(late) = late {
            wrong.extend(subsets::stronger(&late, &mut self.random));
            tally.count("subsets of evidence tried");
        }
        self.note(format!("truth: {:?}, apart: {:?}", truth.paths, truth.apart));
        self.log.extend(truth.log.iter().cloned());
        wrong.extend(self.check_truth(&truth, tally));
        Outcome { wrong, log: std::mem::take(&mut self.log) }
    }

    fn suffer(&mut self, accident: Accident) {
        self.note(format!("accident: {accident:?}"));
        self.suffered.push(accident);
        if accidents::to_files(accident, &self.place.origin(), &self.backup) {
            self.healthy = false;
            self.users.iter_mut().for_each(|user| user.moved |= accident.renames());
            return;
        }
        match accident {
            Accident::Checkpoint(mode) => self.anybody(&format!("value PRAGMA wal_checkpoint({mode})")),
            Accident::Vacuum => self.anybody("sql VACUUM"),
            Accident::Reopened(side) => self.reopen(&[side]),
            Accident::AllReopened => self.reopen(&[0, 1]),
            Accident::Killed if !self.users.is_empty() => {
                let at = self.random.below(self.users.len() as u64) as usize;
                let gone = self.users.swap_remove(at);
                self.note(format!("{} is killed", gone.name));
            }
            Accident::AllKilled => self.users.clear(),
            _ => {}
        }
    }

    fn anybody(&mut self, command: &str) {
        for at in (0..self.users.len()).filter(|at| self.users[*at].counts()).collect::<Vec<_>>() {
            let reply = self.users[at].told.ask(command);
            if matches!(reply, Reply::Done(_)) {
                let name = self.users[at].name.clone();
                self.note(format!("{name}: {command}: {reply:?}"));
                return;
            }
        }
    }

    fn reopen(&mut self, sides: &[usize]) {
        let mut back = Vec::new();
        for user in self.users.iter_mut().filter(|user| sides.contains(&user.side) && user.kind != Kind::Bystander) {
            let closed = user.told.ask("close");
            back.push((user.side, user.name.clone(), closed));
        }
        self.users.retain(|user| !sides.contains(&user.side) || user.kind == Kind::Bystander);
        for (side, name, closed) in back {
            self.note(format!("{name} closes: {closed:?}"));
            self.open_as(side, Kind::Writer);
        }
    }

    /// Leaves some processes in the middle of something.
    fn interrupt(&mut self) {
        for at in 0..self.users.len() {
            let amid = match self.random.below(20) {
                0..4 => Amid::Reading,
                4..6 => Amid::Writing,
                6 => Amid::Stopped,
                _ => continue,
            };
            let user = &mut self.users[at];
            let done = match amid {
                Amid::Reading if user.uses => user.told.ask("sql BEGIN; SELECT * FROM t"),
                Amid::Writing if user.uses => user.told.ask("sql BEGIN IMMEDIATE; INSERT INTO t VALUES('open')"),
                Amid::Stopped => {
                    user.told.stop();
                    self.healthy = false;
                    Reply::Done(String::new())
                }
                _ => continue,
            };
            user.amid = amid;
            let what = format!("{} is amid {amid:?}: {done:?}", user.name);
            self.note(what);
        }
    }

    fn sources(&mut self) -> [String; 2] {
        let by_pid = self.random.one_in(2);
        [0, 1].map(|at| {
            let side = &self.sides[at];
            let of_side: Vec<u32> = self.users.iter().filter(|u| u.side == at).map(|u| u.told.pid()).collect();
            let drawn = (!of_side.is_empty()).then(|| self.random.pick(&of_side));
            let pid = if side.reach.is_apart() { drawn.or(side.home()) } else { drawn.filter(|_| by_pid) };
            means::source(&side.path, pid)
        })
    }

    fn bundles(&mut self, when: &str) -> [Option<PathBuf>; 2] {
        let sources = self.sources();
        let taken = [0, 1].map(|at| {
            let name = format!("s{}-{when}-{at}.walsnap", self.seed);
            means::bundle(self.ground, &name, &sources[at])
        });
        self.keep(when, taken)
    }

    fn bundles_as_user(&mut self) -> [Option<PathBuf>; 2] {
        let taken = [0, 1].map(|at| {
            let name = format!("s{}-user-{at}.walsnap", self.seed);
            means::bundle_as_user(self.ground, &name, &self.sides[at])
        });
        self.keep("by uid 1000", taken)
    }

    fn keep(&mut self, when: &str, taken: [Result<PathBuf, String>; 2]) -> [Option<PathBuf>; 2] {
        taken.map(|bundle| match bundle {
            Ok(path) => {
                self.log.push(format!("bundle {when}: {}", path.display()));
                Some(path)
            }
            Err(why) => {
                self.log.push(format!("no bundle {when}: {why}"));
                None
            }
        })
    }

    /// Asks by several means.
    fn verdicts(
        &mut self,
        early: Option<&[Option<PathBuf>; 2]>,
        tally: &mut Tally,
    ) -> (Vec<Verdict>, Option<[PathBuf; 2]>) {
        let mut asked = Vec::new();
        let sources = self.sources();
        let turned = if self.random.one_in(2) { sources.clone() } else { [sources[1].clone(), sources[0].clone()] };
        asked.push(means::compare(self.ground, "live", &turned, true));
        let late = self.bundles("late");
        let both = |[a, b]: [Option<PathBuf>; 2]| a.zip(b).map(|(a, b)| [a, b]);
        let mut of_bundles = |means: &str, pair: [Option<PathBuf>; 2], swap: bool| {
            if let Some([a, b]) = both(pair) {
                let names = [a, b].map(|path| path.display().to_string());
                let names = if swap {
                    let [a, b] = names;
                    [b, a]
                } else {
                    names
                };
                asked.push(means::compare(self.ground, means, &names, false));
            }
        };
        of_bundles("root bundles", late.clone(), self.random.one_in(2));
        if let Some([a, b]) = early {
            let [late_a, late_b] = late.clone();
            let swap = self.random.one_in(2);
            match self.random.one_in(2) {
                true => of_bundles("early and late bundles", [a.clone(), late_b], swap),
                false => of_bundles("late and early bundles", [late_a, b.clone()], swap),
            }
        }
        if self.random.one_in(2) {
            let user = self.bundles_as_user();
            if let Some(pair) = both(user) {
                let names = pair.map(|path| path.display().to_string());
                asked.push(means::compare(self.ground, "bundles by uid 1000", &names, false));
            }
        }
        if self.random.one_in(4) && self.sides.iter().all(|side| side.reach != Reach::Jail) {
            let (as_user, folder) = (self.random.one_in(2), self.random.one_in(2));
            asked.extend(means::meet(self.ground, &self.sides, &format!("s{}", self.seed), as_user, folder));
        }
        let mut verdicts = Vec::new();
        for one in asked {
            match one {
                Ok(verdict) => verdicts.push(verdict),
                Err(why) => {
                    tally.count("no document");
                    self.log.push(format!("no document: {why}"));
                }
            }
        }
        (verdicts, both(late))
    }

    fn judge(&mut self, verdicts: &[Verdict], truth: &Truth, tally: &mut Tally) -> Vec<String> {
        let mut wrong = Vec::new();
        tally.count(format!("truth of paths: {}", format!("{:?}", truth.paths).split('(').next().unwrap()));
        for verdict in verdicts {
            let (sharing, subject) = (verdict.of("sharing"), verdict.of("subject"));
            let means = verdict.means.split(':').next().unwrap();
            let of_subject = if sharing == "undecided" { "" } else { subject };
            tally.count(format!("{means}: {sharing} {of_subject}"));
            let codes: Vec<&str> = verdict.findings().filter_map(|found| found["code"].as_str()).collect();
            self.note(format!("{}: {sharing} {of_subject} {codes:?}: {}", verdict.means, verdict.says()));
            let mut of_this = judge::false_in(verdict, truth, &self.users);
            if self.healthy && verdict.live_by_root && sharing != "proven" {
                let kinds: Vec<_> = self.users.iter().map(|user| user.kind).collect();
                of_this.push(format!("needlessly not proven: a healthy set-up of {kinds:?}"));
            }
            if sharing == "undecided" {
                let known = if self.healthy { "healthy" } else { "" };
                tally.count(format!("undecided {known}: {means}: {}", reason(verdict.says())));
            }
            wrong.extend(of_this.into_iter().map(|what| format!("{what} [{means}]")));
        }
        if self.healthy {
            tally.count("healthy set-ups");
            if truth.paths != Paths::Shared || !truth.apart.is_empty() || !truth.cut_off.is_empty() {
                wrong.push("the campaign: a healthy set-up does not share".to_owned());
            }
        }
        wrong
    }

    /// Holds the campaign's own knowledge against SQLite: of one process, whether it is guarded; and that nobody lost a row
    /// where all share.
    fn check_truth(&mut self, truth: &Truth, tally: &mut Tally) -> Vec<String> {
        let mut wrong = Vec::new();
        let all_share = truth.paths == Paths::Shared && truth.apart.is_empty() && self.healthy;
        let written: BTreeSet<String> =
            self.users.iter().filter(|u| u.counts() && u.kind.writes()).map(|u| u.name.clone()).collect();
        let tried: Vec<usize> = (0..self.users.len())
            .filter(|at| truth.with_new.contains(at) && truth::can_be_tried(&self.users[*at]))
            .filter(|_| truth.paths == Paths::Shared)
            .collect();
        if !tried.is_empty() {
            // Few are not guarded.
            let not_guarded = tried.iter().copied().find(|at| self.users[*at].kind.is_unguarded());
            let at = not_guarded.unwrap_or_else(|| self.random.pick(&tried));
            for (other, user) in self.users.iter_mut().enumerate() {
                if other != at {
                    user.told.kill();
                }
            }
            let user = &self.users[at];
            let guarded = truth::is_guarded(&self.sides[user.side], &self.ground.pipes);
            if let Some(guarded) = guarded {
                tally.count(format!("guards tried: {guarded}"));
                if guarded == user.kind.is_unguarded() {
                    wrong.push(format!("the campaign: {} is guarded: {guarded}", user.name));
                }
            }
        }
        if all_share {
            self.users.iter_mut().for_each(|user| user.told.signal(Signal::KILL));
            self.users.clear();
            let mut told = self.sides[0].start(&self.ground.pipes);
            let _ = told.ask(&format!("open {}", uri(&self.sides[0].path, "")));
            for name in written {
                let found = told.ask(&format!("value SELECT count(*) FROM t WHERE x = '{name}'"));
                if found == Reply::Done("0".to_owned()) {
                    wrong.push(format!("the campaign: the row of {name} is lost"));
                }
            }
            let check = told.ask("value PRAGMA integrity_check");
            if check != Reply::Done("ok".to_owned()) {
                wrong.push(format!("the campaign: a healthy set-up ends with {check:?}"));
            }
        }
        wrong
    }
}

/// A database with rows, closed, and a backup of it.
fn make(place: &Place, backup: &PathBuf, mode: &str, ground: &Ground) {
    let mut maker = Told::start(&ground.pipes);
    let database = place.origin().join(DATABASE);
    maker.must(&format!("open {}", uri(&database, "")));
    maker.must("sql PRAGMA synchronous=OFF");
    maker.must(&format!("value PRAGMA journal_mode={mode}"));
    maker.must("sql CREATE TABLE t(x); INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50) SELECT i FROM n");
    maker.must("close");
    std::fs::copy(&database, backup).unwrap();
    maker.must(&format!("open {}", uri(&database, "")));
    maker.must("sql INSERT INTO t VALUES('after the backup')");
    maker.must("close");
}

/// The beginning of a sentence without names and numbers.
fn reason(says: &str) -> String {
    let words = says.split_whitespace().map(|word| {
        if word.contains('/') {
            "PATH"
        } else if word.chars().any(|c| c.is_ascii_digit()) {
            "N"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ").chars().take(150).collect()
}
