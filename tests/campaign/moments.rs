//! Copies of the files of a history, each of one moment, and what real SQLite finds in copies.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;
use walscope::finding::{Severity, findings};
use walscope::look::{Inspection, Options, inspect};
use walscope::report::verify::{VerdictResult, VerifyDocument};
use walscope::source::{self, Source};

use crate::common::in_memory;
use crate::common::random::Random;

/// Moments that are kept of one history.
const KEPT: usize = 6;

/// A database and its siblings, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub database: Vec<u8>,
    pub wal: Option<Vec<u8>>,
    pub shm: Option<Vec<u8>>,
}

pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

impl Files {
    /// All files as they are now. Nobody writes meanwhile: the processes of a history wait for their next command. This
    /// process has no lock that could be lost by this.
    pub fn of(path: &Path) -> Self {
        let read = |suffix: &str| fs::read(beside(path, suffix)).ok();
        Self { database: read("").expect("a database"), wal: read("-wal"), shm: read("-shm") }
    }

    pub fn write(&self, path: &Path) {
        let files = [("", Some(&self.database)), ("-wal", self.wal.as_ref()), ("-shm", self.shm.as_ref())];
        for (suffix, content) in files {
            let _ = fs::remove_file(beside(path, suffix));
            if let Some(content) = content {
                fs::write(beside(path, suffix), content).unwrap();
            }
        }
    }

    /// Whether others are these, but for a `-shm` that is cut off or gone.
    pub fn are_those(&self, others: &Self) -> bool {
        let index = others.shm.as_deref().unwrap_or_default();
        (&self.database, &self.wal) == (&others.database, &others.wal)
            && self.shm.as_deref().unwrap_or_default().starts_with(index)
    }

    pub fn without_index(mut self) -> Self {
        self.shm = None;
        self
    }
}

/// What a fresh connection of real SQLite finds in copies of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A whole database: a digest of its schema and of all its rows.
    Rows(u64),
    /// `integrity_check` says that it is malformed.
    Malformed,
    /// It cannot be opened or read.
    Refused(String),
}

/// What `verify` says of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing that must be read.
    Sound,
    /// No warning, but it is not called sound: something must be read.
    Noted(String),
    /// The command refuses to look, says why, and ends with 2.
    Refused(String),
    /// A finding of warning or error.
    Warned(String),
}

/// A place where copies are opened, one for SQLite and one for walscope.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let folder = in_memory();
        for name in ["sqlite", "walscope"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub fn content(&self, files: &Files) -> Content {
        let path = self.folder.path().join("sqlite/t.db");
        files.write(&path);
        let _ = fs::remove_file(beside(&path, "-journal"));
        let read = || -> rusqlite::Result<Content> {
            let db = Connection::open(&path)?;
            if db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))? != "ok" {
                return Ok(Content::Malformed);
            }
            let mut digest = DefaultHasher::new();
            let mut schema = db.prepare("SELECT sql FROM sqlite_schema ORDER BY name")?;
            let mut rows = schema.query([])?;
            while let Some(row) = rows.next()? {
                row.get::<_, String>(0)?.hash(&mut digest);
            }
            let mut all = db.prepare("SELECT id, b FROM t ORDER BY id")?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                (row.get::<_, i64>(0)?, row.get_ref(1)?.as_bytes_or_null()?).hash(&mut digest);
            }
            Ok(Content::Rows(digest.finish()))
        };
        read().unwrap_or_else(|error| Content::Refused(error.to_string()))
    }

    pub fn told(&self, files: &Files) -> Told {
        let path = self.path(files);
        told(&path)
    }

    /// Where walscope finds these files.
    pub fn path(&self, files: &Files) -> PathBuf {
        let path = self.folder.path().join("walscope/t.db");
        files.write(&path);
        path
    }
}

/// What `verify` says, by its own steps but for the processes around.
pub fn told(path: &Path) -> Told {
    let refused = Told::Refused;
    let files = match source::open(path.as_os_str(), walscope::linux::Care::default()) {
        Ok(Source::Files(files)) => files,
        Ok(Source::Bundle(_)) => panic!("a bundle"),
        Err(error) => return refused(error.to_string()),
    };
    let seen = match inspect(files.as_ref(), &Options { trees: true, ..Options::default() }) {
        Ok(seen) => seen,
        Err(error) => return refused(error.to_string()),
    };
    verdict(&seen)
}

/// The same with the processes and the file system around, as the command looks at them.
pub fn told_with_surroundings(path: &Path) -> Told {
    match source::inspect(
        path.as_os_str(),
        walscope::linux::Care::default(),
        &Options { trees: true, ..Options::default() },
    ) {
        Ok((_, seen)) => verdict(&seen),
        Err(error) => Told::Refused(error.to_string()),
    }
}

fn verdict(seen: &Inspection) -> Told {
    let grave: Vec<&str> = findings(seen)
        .iter()
        .filter(|finding| finding.severity >= Severity::Warning)
        .map(|finding| finding.code().name())
        .collect();
    match VerifyDocument::new(seen).verdict.result {
        _ if !grave.is_empty() => Told::Warned(grave.join(", ")),
        VerdictResult::Sound => Told::Sound,
        other => Told::Noted(format!("{other:?}")),
    }
}

/// All files of one moment, and what they hold.
pub struct Moment {
    pub files: Files,
    pub content: Content,
    /// How many steps of the history came before.
    pub after: usize,
    /// Whether nobody had the files open.
    pub at_rest: bool,
}

/// Keeps some moments of a history. Its random numbers are its own: a history is the same with it and without it.
pub struct Keeper {
    random: Random,
    pub moments: Vec<Moment>,
    seen: u64,
}

impl Keeper {
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed ^ 0x6d6f_6d65_6e74_7321), moments: Vec::new(), seen: 0 }
    }

    /// Keeps this moment, or not: each is kept with the same probability.
    pub fn offer(&mut self, path: &Path, after: usize, at_rest: bool) {
        self.seen += 1;
        if self.moments.len() == KEPT {
            if self.random.below(self.seen) >= KEPT as u64 {
                return;
            }
            let away = self.random.below(KEPT as u64) as usize;
            self.moments.remove(away);
        }
        let files = Files::of(path);
        // Of a moment that is replaced by another one nobody asks what it holds.
        self.moments.push(Moment { files, content: Content::Malformed, after, at_rest });
    }

    /// Asks SQLite what each moment holds.
    pub fn finish(mut self, bench: &Bench) -> Vec<Moment> {
        for moment in &mut self.moments {
            moment.content = bench.content(&moment.files);
            assert!(matches!(moment.content, Content::Rows(_)), "after step {}: {:?}", moment.after, moment.content);
        }
        self.moments
    }
}
