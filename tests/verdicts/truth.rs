//! What is true, by SQLite: who refuses whom a lock, and who sees whose commits.
//!
//! First a new process opens each side's path, and both are tried on each other. Then the running processes are tried on
//! each other with the connections that they have, and on the new ones. New processes are killed, so that their end closes
//! nothing.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;

use crate::child::{Reply, Told, uri};
use crate::place::Side;
use crate::users::{Amid, Kind, User};

/// Whether two connections work on one database by one wal-index and its locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shared {
    Yes,
    /// With what was seen.
    No(String),
    /// Neither could be tried, with what was said.
    Untried(String),
}

/// What new connections of both sides find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paths {
    /// One wal-index.
    Shared,
    /// Two databases, or two wal-indexes.
    Apart(String),
    /// One database without a wal-index that both could use: in rollback mode, or held exclusively.
    NoIndex(String),
    /// It cannot be told.
    Unknown(String),
}

/// What is true of a set-up.
pub struct Truth {
    pub paths: Paths,
    /// What is true of a new database in the folder, if that was tried.
    pub folder: Option<Shared>,
    /// Pairs of positions of running users that do not share, with what was seen.
    pub apart: Vec<(usize, usize, String)>,
    /// Positions of users that share with new connections of their side and hold their locks.
    pub in_order: Vec<usize>,
    /// Positions of users that share with new connections of their side, with or without their locks.
    pub with_new: Vec<usize>,
    /// Positions of users that do not share with new connections of their side.
    pub cut_off: Vec<usize>,
    /// The folder was replaced after the early bundles.
    pub folder_replaced: bool,
    /// Processes ended after the early bundles.
    pub ended_since: bool,
    /// What else was seen.
    pub log: Vec<String>,
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether a connection can write. BEGIN IMMEDIATE succeeds on one that cannot.
fn writes(told: &mut Told) -> bool {
    told.ask("read-only") == Reply::Done("false".to_owned())
}

/// One writes, the other has to be refused meanwhile, and to see it afterwards.
fn tried(a: &mut Told, b: &mut Told) -> Shared {
    let b_writes = writes(b);
    if !writes(a) {
        return Shared::Untried("it is read-only".to_owned());
    }
    let begun = a.ask("sql BEGIN IMMEDIATE");
    if !matches!(begun, Reply::Done(_)) {
        return Shared::Untried(format!("BEGIN IMMEDIATE: {begun:?}"));
    }
    if b_writes {
        let refused = b.ask("sql BEGIN IMMEDIATE");
        if refused != Reply::Busy {
            let _ = b.ask("sql ROLLBACK");
            let _ = a.ask("sql ROLLBACK");
            return match refused {
                Reply::Done(_) => Shared::No("both hold BEGIN IMMEDIATE".to_owned()),
                Reply::Dead => Shared::No("it died of BEGIN IMMEDIATE".to_owned()),
                other => Shared::Untried(format!("the other's BEGIN IMMEDIATE: {other:?}")),
            };
        }
    }
    let new = number();
    let committed = a.ask(&format!("sql PRAGMA user_version={new}; COMMIT"));
    if !matches!(committed, Reply::Done(_)) {
        let _ = a.ask("sql ROLLBACK");
        return Shared::Untried(format!("COMMIT: {committed:?}"));
    }
    if !b_writes {
        return tried_on_reader(a, b, new);
    }
    sees(b, new)
}

fn sees(b: &mut Told, new: u32) -> Shared {
    match b.ask("value PRAGMA user_version") {
        Reply::Done(seen) if seen == new.to_string() => Shared::Yes,
        Reply::Done(seen) => Shared::No(format!("{new} was committed, the other sees {seen}")),
        Reply::Dead => Shared::No("it died of reading".to_owned()),
        other => Shared::Untried(format!("reading: {other:?}")),
    }
}

/// The locks of a connection that cannot write: its snapshot has to keep the other from restarting the WAL.
fn tried_on_reader(a: &mut Told, b: &mut Told, new: u32) -> Shared {
    let _ = b.ask("sql BEGIN");
    let seen = sees(b, new);
    if seen == Shared::Yes {
        let _ = a.ask(&format!("sql PRAGMA user_version={}", number()));
        let busy = a.ask("value PRAGMA wal_checkpoint(RESTART)");
        let _ = b.ask("sql ROLLBACK");
        return match busy {
            Reply::Done(busy) if busy == "1" => Shared::Yes,
            Reply::Done(_) => Shared::No("its snapshot did not keep the WAL from being restarted".to_owned()),
            Reply::Busy => Shared::Yes,
            other => Shared::Untried(format!("the checkpoint: {other:?}")),
        };
    }
    let _ = b.ask("sql ROLLBACK");
    seen
}

/// Both ways.
pub fn both_ways(a: &mut Told, b: &mut Told) -> Shared {
    match (tried(a, b), tried(b, a)) {
        (no @ Shared::No(_), _) | (_, no @ Shared::No(_)) => no,
        (Shared::Yes, _) | (_, Shared::Yes) => Shared::Yes,
        (untried, _) => untried,
    }
}

/// What one has committed gets into the database by its checkpoint. The other has to see it there: two databases behind
/// one WAL look like one until then.
fn one_database(a: &mut Told, b: &mut Told) -> Shared {
    let (a, b) = if writes(a) { (a, b) } else { (b, a) };
    let new = number();
    let committed = a.ask(&format!("sql PRAGMA user_version={new}"));
    let copied = a.ask("value PRAGMA wal_checkpoint(TRUNCATE)");
    if !matches!(committed, Reply::Done(_)) || copied != Reply::Done("0".to_owned()) {
        return Shared::Untried(format!("commit: {committed:?}, checkpoint: {copied:?}"));
    }
    match sees(b, new) {
        Shared::No(why) => Shared::No(format!("after a checkpoint, {why}")),
        other => other,
    }
}

/// A new connection under the path of a side, and the journal mode that it finds.
fn opened(side: &Side, path: &Path, pipes: &Path) -> (Told, Reply) {
    let mut told = side.start(pipes);
    let _ = told.ask(&format!("open {}", uri(path, "")));
    let _ = told.ask("sql PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0");
    let mode = match told.ask("value PRAGMA user_version") {
        Reply::Done(_) => told.ask("value PRAGMA journal_mode"),
        refused => refused,
    };
    (told, mode)
}

/// New connections of both sides, and what they see of each other.
struct New {
    told: [Told; 2],
    modes: [Reply; 2],
    shared: Shared,
}

impl New {
    fn open(sides: &[Side; 2], pipes: &Path) -> Self {
        let [(mut a, a_mode), (mut b, b_mode)] = sides.each_ref().map(|side| opened(side, &side.path, pipes));
        let shared = both_ways(&mut a, &mut b);
        Self { told: [a, b], modes: [a_mode, b_mode], shared }
    }
}

/// What new connections find. Their checkpoint comes last: it can destroy what others have who do not share.
fn of_new(new: New, log: &mut Vec<String>) -> (Paths, [Told; 2]) {
    let New { told: [mut a, mut b], modes: [a_mode, b_mode], mut shared } = new;
    if let (Shared::Yes, no @ Shared::No(_)) = (&shared, one_database(&mut a, &mut b)) {
        shared = no;
    }
    log.push(format!("new connections: {a_mode:?}, {b_mode:?}, {shared:?}"));
    let wal = |mode: &Reply| *mode == Reply::Done("wal".to_owned());
    let paths = match shared {
        Shared::Yes if wal(&a_mode) && wal(&b_mode) => Paths::Shared,
        Shared::Yes => Paths::NoIndex(format!("journal modes {a_mode:?} and {b_mode:?}")),
        Shared::No(why) => Paths::Apart(why),
        Shared::Untried(why) => Paths::Unknown(why),
    };
    (paths, [a, b])
}

impl Truth {
    /// Finds out what is true. At the end only new processes are left.
    pub fn find(sides: &[Side; 2], users: &mut [User], pipes: &Path) -> Self {
        let mut log = Vec::new();
        for user in users.iter_mut() {
            if user.amid == Amid::Stopped {
                user.told.signal(Signal::CONT);
            }
            let _ = user.told.ask("sql ROLLBACK");
        }
        // Before the running processes write: who uses a removed file can spoil what those find who come later.
        let new = New::open(sides, pipes);
        let counting: Vec<usize> = (0..users.len()).filter(|at| users[*at].counts()).collect();
        let (mut apart, mut together) = (Vec::new(), Vec::new());
        for (n, i) in counting.iter().enumerate() {
            for j in &counting[n + 1..] {
                let [a, b] = users.get_disjoint_mut([*i, *j]).unwrap();
                let found = match both_ways(&mut a.told, &mut b.told) {
                    Shared::No(why) => Some(why),
                    Shared::Untried(why) => {
                        log.push(format!("{} and {}: {why}", a.name, b.name));
                        // Neither can write: one that can shows what is true of each.
                        None
                    }
                    Shared::Yes => {
                        let unguarded = [&*a, &*b].into_iter().find(|user| user.kind.is_unguarded());
                        together.extend(unguarded.is_none().then_some((*i, *j)));
                        unguarded.map(|user| format!("{} has not its locks", user.name))
                    }
                };
                apart.extend(found.map(|why| (*i, *j, why)));
            }
        }
        // Afterwards: the checkpoint of one who does not share can destroy what the others have.
        for (i, j) in together {
            let [a, b] = users.get_disjoint_mut([i, j]).unwrap();
            match one_database(&mut a.told, &mut b.told) {
                Shared::No(why) => apart.push((i, j, why)),
                Shared::Untried(why) => log.push(format!("{} and {}: {why}", a.name, b.name)),
                Shared::Yes => {}
            }
        }
        let (paths, mut new) = of_new(new, &mut log);
        let (mut with_new, mut cut_off) = (Vec::new(), Vec::new());
        let idle = (0..users.len()).filter(|at| users[*at].kind == Kind::Idle);
        // Who is idle opens the rest of the files now.
        for at in &counting.iter().copied().chain(idle).collect::<Vec<_>>() {
            let user = &mut users[*at];
            let new = &mut new[user.side];
            let mut found = both_ways(&mut user.told, new);
            if let (Shared::Yes, no @ Shared::No(_)) = (&found, one_database(&mut user.told, new)) {
                found = no;
            }
            log.push(format!("{} and a new connection of its side: {found:?}", user.name));
            match found {
                Shared::Yes => with_new.push(*at),
                Shared::No(_) if user.counts() => cut_off.push(*at),
                _ => {}
            }
        }
        let ordinary = |at: &usize| users[*at].kind.is_ordinary() || users[*at].kind == Kind::Idle;
        let in_order = with_new.iter().copied().filter(ordinary).collect();
        drop(new);
        let paths = match paths {
            Paths::Unknown(why) => {
                // Whoever holds the database must go before anybody else can open it.
                users.iter_mut().for_each(|user| user.told.kill());
                match of_new(New::open(sides, pipes), &mut log).0 {
                    Paths::Shared | Paths::NoIndex(_) => Paths::NoIndex(why),
                    other => other,
                }
            }
            known => known,
        };
        let (folder_replaced, ended_since) = (false, false);
        Self { paths, folder: None, apart, in_order, with_new, cut_off, folder_replaced, ended_since, log }
    }
}

/// Whether a new database that both sides make in their folders is one, with one wal-index.
pub fn of_folder(sides: &[Side; 2], pipes: &Path) -> Shared {
    let [mut a, mut b] = sides.each_ref().map(|side| {
        let (mut told, _) = opened(side, &side.path.with_file_name("new-for-both.db"), pipes);
        let _ = told.ask("value PRAGMA journal_mode=WAL");
        told
    });
    both_ways(&mut a, &mut b)
}

/// Whether a process holds its lock on the database, by SQLite: a connection that wants the whole database for itself is
/// refused. All others have to be gone.
pub fn is_guarded(side: &Side, pipes: &Path) -> Option<bool> {
    let mut told = side.start(pipes);
    let _ = told.ask(&format!("open {}", uri(&side.path, "vfs=unix-excl")));
    match told.ask("value SELECT count(*) FROM t") {
        Reply::Busy => Some(true),
        Reply::Done(_) => Some(false),
        _ => None,
    }
}

/// Whether the guard of this process can be tried: it has the database of its path open.
pub fn can_be_tried(user: &User) -> bool {
    user.counts()
        && matches!(
            user.kind,
            Kind::Writer
                | Kind::Reader
                | Kind::ReadOnly
                | Kind::WithChild
                | Kind::Heir
                | Kind::Forked
                | Kind::LostDatabase
                | Kind::LostBoth
        )
}
