//! The processes of a set-up: who opens the database, and how.

use std::path::Path;

use crate::child::{Reply, Told, uri};
use crate::common::random::Random;
use crate::place::{Reach, Side};

/// How a process opens the database, and what it does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An ordinary connection that writes.
    Writer,
    /// An ordinary connection that only reads.
    Reader,
    /// `mode=ro`.
    ReadOnly,
    /// Open, and has not read yet.
    Idle,
    /// It was refused when it first read.
    Refused,
    /// An ordinary connection, with a child that was executed.
    WithChild,
    /// No SQLite: it has the files open or mapped for reading.
    Bystander,
    /// `vfs=unix-none` in exclusive locking mode.
    NoLocks,
    /// `vfs=unix-dotfile` in exclusive locking mode.
    DotFile,
    /// `vfs=unix-excl`.
    Excl,
    /// `immutable=1`.
    Immutable,
    /// Exclusive locking mode from the beginning.
    Exclusive,
    /// Exclusive locking mode after the first read.
    ExclusiveLater,
    /// It opened and closed its database.
    LostDatabase,
    /// It opened and closed its `-shm`.
    LostShm,
    /// It opened and closed both.
    LostBoth,
    /// A forked child that goes on with the connection of its parent.
    Forked,
    /// A process that has the descriptors of one that ended, and so its locks.
    Heir,
}

/// Kinds that are in order wherever the folder is one.
const CALM: &[Kind] = &[
    Kind::Writer,
    Kind::Writer,
    Kind::Writer,
    Kind::Writer,
    Kind::Reader,
    Kind::Reader,
    Kind::ReadOnly,
    Kind::Idle,
    Kind::WithChild,
    Kind::Bystander,
];

const WILD: &[Kind] = &[
    Kind::Writer,
    Kind::Writer,
    Kind::Reader,
    Kind::ReadOnly,
    Kind::Idle,
    Kind::Bystander,
    Kind::NoLocks,
    Kind::DotFile,
    Kind::Excl,
    Kind::Immutable,
    Kind::Exclusive,
    Kind::ExclusiveLater,
    Kind::LostDatabase,
    Kind::LostShm,
    Kind::LostBoth,
    Kind::Forked,
    Kind::Forked,
    Kind::Heir,
];

impl Kind {
    pub fn draw(random: &mut Random, wild: bool) -> Self {
        random.pick(if wild { WILD } else { CALM })
    }

    /// Whether its connection follows the protocol with all of its locks.
    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::Writer | Self::Reader | Self::ReadOnly | Self::WithChild | Self::Heir)
    }

    /// Whether it lost its locks or never had them. SQLite proves it for one process of each set-up.
    pub fn is_unguarded(self) -> bool {
        matches!(self, Self::LostDatabase | Self::LostShm | Self::LostBoth | Self::Forked)
    }

    fn parameters(self) -> &'static str {
        match self {
            Self::ReadOnly => "mode=ro",
            Self::NoLocks => "vfs=unix-none",
            Self::DotFile => "vfs=unix-dotfile",
            Self::Excl => "vfs=unix-excl",
            Self::Immutable => "immutable=1",
            _ => "",
        }
    }

    fn begins_exclusive(self) -> bool {
        matches!(self, Self::NoLocks | Self::DotFile | Self::Exclusive)
    }

    /// Whether it writes a row with its name when it opens the database.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Reader | Self::ReadOnly | Self::Immutable)
    }
}

/// What a process is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amid {
    Nothing,
    Reading,
    Writing,
    Stopped,
}

pub struct User {
    pub name: String,
    pub side: usize,
    pub kind: Kind,
    pub told: Told,
    pub amid: Amid,
    /// What it has open has another name by now, in a folder that exists: it uses another database.
    pub moved: bool,
    /// It has read through SQLite, so that it uses the database.
    pub uses: bool,
    /// It may not write, and has its mapping only for reading.
    pub only_reads: bool,
}

impl User {
    pub fn title(&self) -> String {
        format!("{} ({:?})", self.name, self.kind)
    }

    /// Whether it uses the database by the protocol, or pretends to.
    pub fn counts(&self) -> bool {
        self.uses && !matches!(self.kind, Kind::Idle | Kind::Refused | Kind::Bystander | Kind::Immutable)
    }
}

/// Opens the database as a process of this kind. Also returns a parent that lives on, and what was done.
pub fn open(side: &Side, at: usize, kind: Kind, name: &str, pipes: &Path, random: &mut Random) -> (Vec<User>, String) {
    let mut told = side.start(pipes);
    let path = &side.path;
    let mut log = format!("{name} (pid {}, {:?}) opens {}", told.pid(), kind, path.display());
    let mut users = Vec::new();
    let user = |told: Told, kind: Kind, uses: bool| User {
        name: name.to_owned(),
        side: at,
        kind,
        told,
        amid: Amid::Nothing,
        moved: false,
        uses,
        only_reads: side.reach == Reach::ReadOnly,
    };
    if kind == Kind::Bystander {
        let [wal, shm] = ["-wal", "-shm"].map(|suffix| format!("{}{suffix}", path.display()));
        let _ = told.ask(&format!("keep {}", path.display()));
        if random.one_in(2) {
            let _ = told.ask(&format!("keep {wal}"));
        }
        let verb = random.pick(&["keep", "map"]);
        let _ = told.ask(&format!("{verb} {shm}"));
        log += &format!(", to {verb} the -shm");
        return (vec![user(told, kind, false)], log);
    }
    let opened = told.ask(&format!("open {}", uri(path, kind.parameters())));
    if kind == Kind::Idle || opened != Reply::Done(String::new()) {
        log += &format!(": {opened:?}");
        let kind = if opened == Reply::Done(String::new()) { Kind::Idle } else { Kind::Refused };
        return (vec![user(told, kind, false)], log);
    }
    let _ = told.ask("sql PRAGMA synchronous=OFF");
    if kind.begins_exclusive() {
        let _ = told.ask("sql PRAGMA locking_mode=EXCLUSIVE");
    }
    let read = told.ask("value SELECT count(*) FROM t");
    log += &format!(", reads: {read:?}");
    if kind == Kind::ExclusiveLater {
        let _ = told.ask("sql PRAGMA locking_mode=EXCLUSIVE");
    }
    let uses = matches!(read, Reply::Done(_));
    if kind.writes() && uses {
        let _ = told.ask("sql PRAGMA wal_autocheckpoint=0");
        let written = told.ask(&format!("sql INSERT INTO t VALUES('{name}')"));
        log += &format!(", writes: {written:?}");
    }
    if !uses {
        return (vec![user(told, Kind::Refused, false)], log);
    }
    match kind {
        Kind::LostDatabase | Kind::LostShm | Kind::LostBoth => {
            for (suffix, lost) in [("", kind != Kind::LostShm), ("-shm", kind != Kind::LostDatabase)] {
                if lost {
                    let touched = told.ask(&format!("touch {}{suffix}", path.display()));
                    log += &format!(", closes a copy of its \"{suffix}\": {touched:?}");
                }
            }
        }
        Kind::WithChild => {
            log += &format!(", executes a program: {:?}", told.ask("exec"));
        }
        Kind::Forked | Kind::Heir => {
            let amid = if random.one_in(4) { "sql BEGIN IMMEDIATE" } else { "sql SELECT 1" };
            let amid = (kind == Kind::Forked).then(|| told.ask(amid));
            let child = told.fork(name, kind == Kind::Heir);
            log += &format!(", child {} ({amid:?})", child.pid());
            let fate = if kind == Kind::Heir { 0 } else { random.below(4) };
            match fate {
                0 => {
                    told.kill();
                    log += ", the parent is killed";
                }
                1 => {
                    let _ = told.ask("close");
                    log += ", the parent closes";
                }
                _ => users.push(user(told, Kind::Writer, true)),
            }
            users.push(user(child, kind, true));
            return (users, log);
        }
        _ => {}
    }
    users.push(user(told, kind, true));
    (users, log)
}
