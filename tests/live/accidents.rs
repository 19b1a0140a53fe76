//! Looks at databases in use, healthy ones and ones with accidents: what is wrong is said, nothing else is, and no process is
//! named that has no part in it.
//!
//! Three innocent processes are there each time: one has the database open and does nothing, one reads another database of the
//! same folder in a long transaction, and one has the database open as a program that copies it has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

use crate::common::command::{Ran, run, walscope};
use crate::common::random::Random;
use crate::common::{self, pause};
use crate::freezer::Frozen;
use crate::sqlite::Sqlite;

const VARIABLE: &str = "WALSCOPE_TEST_LIVE_ACCIDENTS";
/// Looks of a plain test run.
const LOOKS: u64 = 240;
/// Looks of one life.
const OF_A_LIFE: u64 = 10;

/// What happens to a database in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Readers and writers are busy with short transactions.
    Busy,
    /// A reader stays in its transaction.
    Stays,
    /// A reader is stopped in its transaction.
    ReaderStopped,
    /// A reader is frozen in its transaction, as `docker pause` does it.
    ReaderPaused,
    /// A writer is stopped in its transaction.
    WriterStopped,
    /// A TRUNCATE checkpoint waits for a reader, and keeps writers out.
    CheckpointWaits,
    /// A process closed a descriptor of the files, so that all its locks are gone.
    LocksLost,
    /// The database is looked at through a read-only mount.
    ReadOnlyMount,
    WalDeleted,
    ShmDeleted,
    AllDeleted,
    Renamed,
}

const KINDS: [Kind; 12] = [
    Kind::Busy,
    Kind::Stays,
    Kind::ReaderStopped,
    Kind::ReaderPaused,
    Kind::WriterStopped,
    Kind::CheckpointWaits,
    Kind::LocksLost,
    Kind::ReadOnlyMount,
    Kind::WalDeleted,
    Kind::ShmDeleted,
    Kind::AllDeleted,
    Kind::Renamed,
];

impl Kind {
    /// Findings that have to be there, one of them at least. Empty: no warning and no error may be there.
    fn wrong(self) -> &'static [&'static str] {
        match self {
            Self::Busy
            | Self::Stays
            | Self::ReaderStopped
            | Self::ReaderPaused
            | Self::WriterStopped
            | Self::CheckpointWaits
            | Self::ReadOnlyMount => &[],
            Self::LocksLost => &["mapping_without_locks"],
            Self::WalDeleted => &["wal_index_shared_wal_not", "shm_of_other_wal"],
            Self::ShmDeleted => &["shm_deleted", "split_brain"],
            Self::AllDeleted => &["split_brain", "shm_deleted"],
            Self::Renamed => &["database_renamed"],
        }
    }
}

/// The child's part; returns at once in the parent. A busy process works until its file is gone.
pub fn serve() {
    let Ok(task) = std::env::var(VARIABLE) else { return };
    let words: Vec<&str> = task.splitn(3, ' ').collect();
    let (mut random, path) = (Random(words[1].parse().unwrap()), Path::new(words[2]));
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA busy_timeout=60000; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=20; SELECT count(*) FROM t",
    )
    .unwrap();
    while go(path).exists() {
        match words[0] {
            "writer" => db.execute_batch("INSERT INTO t VALUES(randomblob(300))").unwrap(),
            _ => {
                db.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
                std::thread::sleep(Duration::from_millis(random.below(80)));
                db.execute_batch("COMMIT").unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(random.below(8)));
    }
}

/// As long as it is there the busy processes go on.
fn go(path: &Path) -> PathBuf {
    path.with_extension("go")
}

fn busy(role: &str, seed: u64, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["accidents", "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, format!("{role} {seed} {}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// A database in use, and everybody around it.
struct Life {
    kind: Kind,
    folder: tempfile::TempDir,
    /// The database that is looked at.
    looked_at: PathBuf,
    idle: Sqlite,
    _other: Sqlite,
    copier: Child,
    /// Who may be named.
    involved: BTreeSet<u32>,
    /// Who has to be named as what is in the way.
    blocker: Option<u32>,
    actors: Vec<Sqlite>,
    busy: Vec<Child>,
    mounted: Option<PathBuf>,
    frozen: Option<Frozen>,
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Waits until a process is stopped.
fn stop(pid: u32) {
    signal(pid, Signal::STOP);
    while !fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ") {
        pause();
    }
}

impl Life {
    fn begin(kind: Kind, seed: u64) -> Self {
        let folder = common::in_memory();
        let path = folder.path().join("t.db");
        let mut random = Random(seed);
        let mut idle = Sqlite::open(&path);
        idle.run("INSERT INTO t VALUES(1)");
        let mut other = Sqlite::open(&folder.path().join("other.db"));
        other.run("INSERT INTO t VALUES(1)");
        other.run("BEGIN; SELECT count(*) FROM t");
        let copier = Command::new("sleep").arg("1000").stdin(fs::File::open(&path).unwrap()).spawn().unwrap();
        let mut life = Self {
            kind,
            looked_at: path.clone(),
            folder,
            idle,
            _other: other,
            copier,
            involved: BTreeSet::new(),
            blocker: None,
            actors: Vec::new(),
            busy: Vec::new(),
            mounted: None,
            frozen: None,
        };
        life.act(&path, &mut random);
        life
    }

    /// A new process with the database.
    fn actor(&mut self, path: &Path) -> &mut Sqlite {
        self.actors.push(Sqlite::open(path));
        self.involved.insert(self.actors.last().unwrap().pid());
        self.actors.last_mut().unwrap()
    }

    fn act(&mut self, path: &Path, random: &mut Random) {
        let insert = "INSERT INTO t VALUES(randomblob(300))";
        match self.kind {
            Kind::Busy => {
                fs::write(go(path), "").unwrap();
                for role in ["writer", "writer", "reader", "reader", "reader"] {
                    let child = busy(role, random.below(u64::MAX), path);
                    self.involved.insert(child.id());
                    self.busy.push(child);
                }
            }
            Kind::Stays | Kind::ReaderStopped | Kind::ReaderPaused | Kind::CheckpointWaits => {
                let reader = self.actor(path);
                reader.run("BEGIN; SELECT count(*) FROM t");
                self.blocker = Some(reader.pid());
                for _ in 0..=random.below(20) {
                    self.idle.run(insert);
                }
                match self.kind {
                    Kind::ReaderStopped => stop(self.blocker.unwrap()),
                    Kind::ReaderPaused => {
                        self.frozen = Frozen::freeze(self.blocker.unwrap());
                        common::have("freezer", self.frozen.is_some());
                    }
                    Kind::CheckpointWaits => {
                        let checkpointer = self.actor(path);
                        checkpointer.run("PRAGMA busy_timeout=1000000");
                        checkpointer.begin("PRAGMA wal_checkpoint(TRUNCATE)");
                        self.until(|document| held(document, "write"));
                    }
                    _ => {}
                }
            }
            Kind::WriterStopped => {
                let writer = self.actor(path);
                writer.run("BEGIN IMMEDIATE");
                writer.run(insert);
                stop(self.actors[0].pid());
            }
            Kind::LocksLost => {
                let actor = self.actor(path);
                actor.run(insert);
                actor.run("LOSE LOCKS");
            }
            Kind::ReadOnlyMount => {
                self.actor(path).run(insert);
                let at = self.folder.path().with_extension("ro");
                fs::create_dir(&at).unwrap();
                let mount =
                    |arguments: &[&str]| Command::new("mount").args(arguments).arg(&at).status().unwrap().success();
                assert!(mount(&["--bind", self.folder.path().to_str().unwrap()]) && mount(&["-o", "remount,bind,ro"]));
                self.looked_at = at.join("t.db");
                self.mounted = Some(at);
            }
            Kind::WalDeleted | Kind::ShmDeleted | Kind::AllDeleted | Kind::Renamed => {
                self.involved.insert(self.idle.pid());
                self.actor(path).run(insert);
                let suffixes: &[&str] = match self.kind {
                    Kind::WalDeleted => &["-wal"],
                    Kind::ShmDeleted => &["-shm"],
                    Kind::AllDeleted => &["", "-wal", "-shm"],
                    _ => &[],
                };
                for suffix in suffixes {
                    fs::remove_file(format!("{}{suffix}", path.display())).unwrap();
                }
                if self.kind == Kind::Renamed {
                    self.looked_at = path.with_file_name("new.db");
                    fs::rename(path, &self.looked_at).unwrap();
                }
                if self.kind == Kind::AllDeleted {
                    // Somebody makes a new one.
                    self.actor(path).run(insert);
                }
            }
        }
    }

    fn look(&self, command: &[&str]) -> Ran {
        let path = self.looked_at.to_str().unwrap();
        walscope(self.folder.path(), &[&[command[0], path], &command[1..]].concat())
    }

    /// Looks until something is so.
    fn until(&self, is: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        while !is(&self.look(&["inspect", "--json"]).json()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}: it does not come to this", self.kind);
        }
    }

    /// Looks once, by one of several commands, and holds the answer against what is true.
    fn judge(&self, number: u64, tally: &mut Tally) {
        let command = ["inspect", "inspect", "verify", "ps"][number as usize % 4];
        let ran = match command {
            "ps" => walscope(self.folder.path(), &["ps", "--json"]),
            _ => self.look(&[command, "--json"]),
        };
        let document = ran.json();
        let what = || format!("{:?}, look {number}: {document:#}", self.kind);
        // Other databases of this machine are listed by `ps` too.
        let findings: Vec<&Value> = document["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| command != "ps" || finding.to_string().contains(self.folder.path().to_str().unwrap()))
            .collect();
        let grave = |finding: &&&Value| finding["severity"] == "warning" || finding["severity"] == "error";
        let codes: BTreeSet<&str> =
            findings.iter().filter(grave).map(|finding| finding["code"].as_str().unwrap()).collect();
        let wrong = self.kind.wrong();
        if wrong.is_empty() {
            assert!(codes.is_empty(), "a false alarm: {codes:?}; {}", what());
        } else if command == "inspect" {
            tally.accidents += 1;
            assert!(wrong.iter().any(|code| codes.contains(code)), "{codes:?}; {}", what());
        }
        let mut named = BTreeSet::new();
        findings.iter().for_each(|finding| pids(finding, &mut named));
        let checkpoint = &document["checkpoint"];
        pids(&checkpoint["blocked_by"], &mut named);
        named.extend(said(checkpoint["explanation"].as_str().unwrap_or_default()));
        let innocent: Vec<&u32> = named.difference(&self.involved).collect();
        assert!(
            innocent.is_empty(),
            "named without a part in it: {innocent:?}; idle {}, copier {}; {}",
            self.idle.pid(),
            self.copier.id(),
            what()
        );
        if command == "inspect"
            && let Some(blocker) = self.blocker
        {
            let mut in_the_way = BTreeSet::new();
            pids(&checkpoint["blocked_by"], &mut in_the_way);
            let all = match self.kind {
                Kind::CheckpointWaits => self.involved.clone(),
                _ => BTreeSet::from([blocker]),
            };
            assert_eq!((&checkpoint["state"], in_the_way), (&"blocked".into(), all), "{}", what());
            assert!(said(checkpoint["explanation"].as_str().unwrap()).contains(&blocker), "{}", what());
            let state = match self.kind {
                Kind::ReaderStopped => "stopped",
                Kind::ReaderPaused if self.frozen.is_some() => "frozen",
                _ => "running",
            };
            let holders = checkpoint["blocked_by"].as_array().unwrap().iter().flat_map(|by| by["holders"].as_array());
            let mut reader = holders.flatten().filter(|holder| holder["pid"] == blocker);
            assert!(reader.all(|holder| holder["process_state"] == state), "{}", what());
            tally.blockers += 1;
        }
        tally.looks += 1;
    }

    /// Looks over some time.
    fn judge_over_time(&self, tally: &mut Tally) {
        let ran = self.look(&["inspect", "--fail-if-blocked", "300ms", "--json"]);
        match self.kind {
            Kind::Busy => {
                assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
                tally.over_time += 1;
            }
            Kind::Stays | Kind::ReaderStopped | Kind::ReaderPaused => {
                let document = ran.json();
                let mut kept = BTreeSet::new();
                pids(&document["over_time"]["kept"], &mut kept);
                assert_eq!((ran.code, kept), (1, self.blocker.into_iter().collect()), "{document:#}");
                tally.over_time += 1;
            }
            _ => {}
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = fs::remove_file(go(&self.folder.path().join("t.db")));
        self.frozen = None;
        for actor in &self.actors {
            signal(actor.pid(), Signal::CONT);
        }
        for mut child in self.busy.drain(..) {
            let ended = child.wait().unwrap();
            assert!(ended.success() || std::thread::panicking());
        }
        let _ = self.copier.kill();
        let _ = self.copier.wait();
        if let Some(at) = &self.mounted {
            let _ = run(Command::new("umount").arg("-l").arg(at));
            let _ = fs::remove_dir(at);
        }
    }
}

fn held(document: &Value, name: &str) -> bool {
    let locks = document["shm"]["locks"].as_array().unwrap();
    locks.iter().any(|lock| lock["name"] == name && lock["lock"] == "exclusive")
}

/// Each process that is named in a part of a document.
fn pids(part: &Value, found: &mut BTreeSet<u32>) {
    match part {
        Value::Array(all) => all.iter().for_each(|one| pids(one, found)),
        Value::Object(fields) => {
            found.extend(fields.get("pid").and_then(Value::as_u64).map(|pid| pid as u32));
            fields.values().for_each(|one| pids(one, found));
        }
        Value::String(text) => found.extend(said(text)),
        _ => {}
    }
}

/// Each process that a sentence names: `pid 412`.
fn said(text: &str) -> Vec<u32> {
    let number =
        |rest: &str| rest.split(|next: char| !next.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    text.split("pid ").skip(1).filter_map(number).collect()
}

#[derive(Debug, Default)]
struct Tally {
    lives: u64,
    looks: u64,
    /// Looks at which an accident was told.
    accidents: u64,
    /// Looks at which the one in the way was named.
    blockers: u64,
    /// Looks over some time.
    over_time: u64,
}

#[test]
fn accidents_around_a_database_in_use_are_told_and_nobody_else_is_named() {
    let looks = std::env::var("WALSCOPE_LOOKS").map_or(LOOKS, |looks| looks.parse().unwrap());
    let root = common::have("root", geteuid().is_root());
    let mut tally = Tally::default();
    let mut seed = std::env::var("WALSCOPE_SEED").map_or(0, |seed| seed.parse().unwrap());
    let only = std::env::var("WALSCOPE_KIND").ok();
    while tally.looks < looks {
        let kind = KINDS[seed as usize % KINDS.len()];
        if only.as_ref().is_some_and(|only| *only != format!("{kind:?}")) {
            seed += 1;
            continue;
        }
        seed += 1;
        if kind == Kind::ReadOnlyMount && !root {
            continue;
        }
        let life = Life::begin(kind, seed);
        (0..OF_A_LIFE).for_each(|number| life.judge(number + seed, &mut tally));
        life.judge_over_time(&mut tally);
        tally.lives += 1;
    }
    eprintln!("{tally:#?}");
    assert!(only.is_some() || tally.accidents > 0 && tally.blockers > 0 && tally.over_time > 0);
}
