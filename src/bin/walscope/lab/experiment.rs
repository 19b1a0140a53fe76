//! The experiment: the order of steps, for every runtime and every scenario.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use walscope::say::many;

use super::look::{self, Looked};
use super::means::{Means, Said};
use super::peer::Peer;
use super::progress::Progress;
use super::protocol::{CheckpointAnswer, CopiedFile, Opening, Request};
use super::runtime::{Runtime, View};
use super::scenario::{Act, Meeting, Scenario, Who};
use super::upheaval::Staged;

/// How old each `-shm` has to be when the first snapshot begins.
///
/// folklore: inode birth times have the resolution of the kernel's tick (10 ms at 100 Hz). So a file that was made less
/// than a tick before a look cannot be distinguished from a file made after it, nor two inodes at the same time from
/// one that was made again. Seen with `--runtime processes`, which is fast enough for that. Held by
/// `two_processes_on_copies_do_not_share_and_lose_rows`.
const OLD_ENOUGH: Duration = Duration::from_millis(100);

/// Seconds that one side waits for the other at a meeting.
const MEETING: u32 = 4;

/// One step, and the rows that each side counted after it.
#[derive(Debug, Default, schemars::JsonSchema, Serialize)]
pub struct Step {
    /// What was done.
    pub action: String,
    /// Rows that the writer counts; `None`: it has not opened the database, or SQLite refused.
    pub writer: Option<u64>,
    /// Rows that the reader counts.
    pub reader: Option<u64>,
    /// What SQLite refused or what is remarkable.
    pub note: Option<String>,
}

/// Something of either side.
#[derive(Debug, Default, Clone, PartialEq, Eq, schemars::JsonSchema, Serialize)]
pub struct Both<T> {
    /// The writer's.
    pub writer: T,
    /// The reader's.
    pub reader: T,
}

impl<T> Both<T> {
    /// The value of one side.
    pub fn of(&mut self, who: Who) -> &mut T {
        match who {
            Who::Writer => &mut self.writer,
            Who::Reader => &mut self.reader,
        }
    }
}

/// What the experiment showed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The steps.
    pub steps: Vec<Step>,
    /// Rows that each side committed, according to SQLite.
    pub written: Both<u64>,
    /// Rows that each side counted last, in no transaction, before both closed.
    pub seen: Both<Option<u64>>,
    /// Rows found by a fresh open on each side after both had closed.
    pub found: Both<Option<u64>>,
    /// The integrity check of that fresh open.
    pub integrity: Both<String>,
    /// What `PRAGMA wal_checkpoint(PASSIVE)` answered to the writer.
    pub checkpoint: Option<CheckpointAnswer>,
    /// The files that were copied at the start.
    pub copied: Vec<CopiedFile>,
    /// What `probe meet` said.
    pub meetings: Vec<Said>,
    /// What walscope saw on both sides.
    pub looked: Option<Looked>,
}

/// An experiment that is running.
pub struct Experiment<'a> {
    pub(super) runtime: &'a mut dyn Runtime,
    pub(super) scenario: &'static Scenario,
    pub(super) rows: u32,
    bundles: Both<PathBuf>,
    progress: &'a Progress,
    pub(super) peers: Both<Option<Peer>>,
    both_open: Option<Instant>,
    /// Rows of a write transaction that is open.
    pub(super) pending: Both<Option<u64>>,
    pub(super) staged: Staged,
    pub(super) outcome: Outcome,
}

/// Runs a scenario to its end, with `rows` rows in each batch. The snapshots go to `bundles`. When this returns, both
/// actors have ended, also after an error.
pub fn run(
    runtime: &mut dyn Runtime,
    scenario: &'static Scenario,
    rows: u32,
    bundles: Both<PathBuf>,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    let mut experiment = Experiment {
        runtime,
        scenario,
        rows,
        bundles,
        progress,
        peers: Both::default(),
        both_open: None,
        pending: Both::default(),
        staged: Staged::default(),
        outcome: Outcome::default(),
    };
    progress.heading()?;
    for act in scenario.acts() {
        experiment.act(act)?;
    }
    experiment.close_and_open_afresh()?;
    Ok(experiment.outcome)
}

impl Experiment<'_> {
    fn act(&mut self, act: Act) -> anyhow::Result<()> {
        match act {
            Act::Volume(volume) => self.runtime.volume(volume),
            Act::Seed(volume) => self.seed(volume),
            Act::Open(who) => self.open(who, Opening::Usual),
            Act::OpenAs(who, how) => self.open(who, how),
            Act::Create(who) => self.create(who, true),
            Act::CreateRollback(who) => self.create(who, false),
            Act::Insert(who) => {
                let note = self.insert(who)?;
                self.step(format!("the {} inserts {}", self.name(who), self.batch()), note)
            }
            Act::Checkpoint => self.checkpoint(),
            Act::CopyFiles => self.copy(),
            Act::BeginRead => {
                let note = self.peer(Who::Reader)?.count(&Request::BeginRead)?.err().map(|refusal| refusal.to_string());
                self.step("the reader begins a read transaction".to_owned(), note)
            }
            Act::KillWriter => self.kill_writer(),
            Act::Look => self.look(),
            Act::EndRead => {
                let note = self.peer(Who::Reader)?.attempt(&Request::Commit)?;
                self.step("the reader ends its transaction".to_owned(), note)
            }
            Act::Snapshot(who) => {
                self.snapshot(who)?;
                self.step(format!("walscope takes the {}'s snapshot", self.name(who)), None)
            }
            Act::Meet(at) => self.meet(at),
            other => self.upheaval(other),
        }
    }

    pub(super) fn peer(&mut self, who: Who) -> anyhow::Result<&mut Peer> {
        let name = self.name(who);
        self.peers.of(who).as_mut().with_context(|| format!("the {name} does not run"))
    }

    pub(super) fn started(&mut self, who: Who) -> anyhow::Result<&mut Peer> {
        let peer = self.peers.of(who);
        if peer.is_none() {
            *peer = Some(self.runtime.start(self.scenario.view(who))?);
        }
        self.peer(who)
    }

    fn create(&mut self, who: Who, wal: bool) -> anyhow::Result<()> {
        self.peer(who)?.demand(&Request::Create { wal })?;
        let note = self.insert(who)?;
        self.step(format!("the {} creates the table and inserts {}", self.name(who), self.batch()), note)
    }

    fn open(&mut self, who: Who, how: Opening) -> anyhow::Result<()> {
        let path = self.runtime.database(self.scenario.view(who)).into();
        self.started(who)?.demand(&Request::Open { path, how })?;
        if self.peers.writer.is_some() && self.peers.reader.is_some() {
            self.both_open = Some(Instant::now());
        }
        // Before the writer has made the table, there is nothing to count.
        if who == Who::Writer && self.outcome.steps.is_empty() {
            return Ok(());
        }
        let how = match how {
            Opening::Usual | Opening::Impatient => "",
            Opening::ReadOnly => ", read-only",
            Opening::Lockless => ", without locks",
            Opening::Exclusive => ", in exclusive locking mode",
        };
        self.step(format!("the {} opens the database{how}", self.name(who)), None)
    }

    /// Seeds a volume with a database. Its rows count as rows of the writer.
    fn seed(&mut self, volume: &'static str) -> anyhow::Result<()> {
        let view = View::of("seeder", volume);
        let path = self.runtime.database(&view).into();
        let mut seeder = self.runtime.start(&view)?;
        seeder.demand(&Request::Open { path, how: Opening::Usual })?;
        seeder.demand(&Request::Create { wal: true })?;
        let (rows, error) = seeder.insert(self.rows)?;
        if let Some(error) = error {
            bail!("seeder: {error}");
        }
        self.outcome.written.writer += rows;
        let count = count(&mut seeder, &mut Vec::new())?;
        self.runtime.kill(seeder, &view)?;
        let action = format!("another process makes the database with {}, and is killed", self.batch());
        let note = "its -wal and -shm stay beside the database".to_owned();
        self.done(Step { action, writer: count, reader: None, note: Some(note) })
    }

    fn kill_writer(&mut self) -> anyhow::Result<()> {
        let note = match self.peer(Who::Writer)?.spill()? {
            Ok(grew) => format!("{} of the uncommitted transaction are in the -wal", many(grew, "byte")),
            Err(error) => bail!("the writer cannot begin its last transaction: {error}"),
        };
        let writer = self.peers.writer.take().context("the writer does not run")?;
        self.runtime.kill(writer, &self.scenario.writer)?;
        self.step("the writer is killed within a write transaction".to_owned(), Some(note))
    }

    /// Looks at both sides, while both have the database open and the reader has its read transaction.
    fn look(&mut self) -> anyhow::Result<()> {
        if let Some(since) = self.both_open {
            thread::sleep(OLD_ENOUGH.saturating_sub(since.elapsed()));
        }
        let (Some(writer), Some(reader)) = (&mut self.peers.writer, &mut self.peers.reader) else {
            bail!("both sides have to run to be looked at");
        };
        for (peer, view, bundle) in [
            (&mut *writer, &self.scenario.writer, &self.bundles.writer),
            (&mut *reader, &self.scenario.reader, &self.bundles.reader),
        ] {
            // One that is there was taken at an earlier time.
            if bundle.symlink_metadata().is_err() {
                self.runtime.snapshot(peer, view, bundle)?;
            }
        }
        let sources = Both {
            writer: self.runtime.source(writer, &self.scenario.writer),
            reader: self.runtime.source(reader, &self.scenario.reader),
        };
        let looked = look::look(&sources, &self.bundles)?;
        let note = looked.reason.clone();
        self.outcome.looked = Some(looked);
        self.step("walscope takes a snapshot on either side and compares the two".to_owned(), note)
    }

    fn snapshot(&mut self, who: Who) -> anyhow::Result<()> {
        let bundle = self.bundles.of(who).clone();
        let view = self.scenario.view(who);
        let peer = self.peers.of(who).as_mut().with_context(|| format!("the {} does not run", view.name))?;
        self.runtime.snapshot(peer, view, &bundle)
    }

    /// Runs `probe meet` on both sides at the same time.
    fn meet(&mut self, at: Meeting) -> anyhow::Result<()> {
        let both = [Who::Writer, Who::Reader];
        for who in both {
            let view = self.scenario.view(who);
            let (database, folder) = (self.runtime.database(view), self.runtime.data(view));
            let place = if at == Meeting::Database { database } else { folder }.into();
            let program = self.runtime.program(view)?.into();
            self.peer(who)?.send(&Request::Meet { program, place, seconds: MEETING })?;
        }
        for who in both {
            let text = self.peer(who)?.said()?;
            self.outcome.meetings.push(Said::of_probe(Means::met(at), &text)?);
        }
        let place = if at == Meeting::Database { "database" } else { "folder" };
        self.step(format!("walscope meets walscope at the {place}, one on each side"), None)
    }

    /// Closes both sides and opens the database again on each: the rows that are then there are the result.
    fn close_and_open_afresh(&mut self) -> anyhow::Result<()> {
        let mut notes: Vec<String> = Vec::new();
        for who in [Who::Reader, Who::Writer] {
            notes.extend(self.peer(who)?.attempt(&Request::Close)?);
        }
        for who in [Who::Writer, Who::Reader] {
            let (found, integrity) = self.afresh(who, &mut notes)?;
            *self.outcome.found.of(who) = found;
            *self.outcome.integrity.of(who) = integrity;
        }
        let Both { writer, reader } = self.outcome.found;
        let action = "both close; each opens the database afresh".to_owned();
        self.done(Step { action, writer, reader, note: joined(notes) })
    }

    /// Rows and integrity after a fresh open. A database that cannot be opened any more is a result, too.
    fn afresh(&mut self, who: Who, notes: &mut Vec<String>) -> anyhow::Result<(Option<u64>, String)> {
        let path = self.runtime.database(self.scenario.view(who)).into();
        let peer = self.peer(who)?;
        if let Some(error) = peer.attempt(&Request::Open { path, how: Opening::Usual })? {
            notes.push(error);
            return Ok((None, "the database cannot be opened any more".to_owned()));
        }
        let found = count(peer, notes)?;
        let integrity = peer.integrity()?;
        notes.extend(peer.attempt(&Request::Close)?);
        Ok((found, integrity))
    }

    /// Copies the database into the reader's volume.
    fn copy(&mut self) -> anyhow::Result<()> {
        let files = self.runtime.copy(self.scenario.writer.volume, self.scenario.reader.volume)?;
        if let Some(file) = files.iter().find(|file| !file.equal) {
            bail!("{}: the copy differs from the original although nobody wrote", file.name);
        }
        let list = files.iter().map(|file| format!("{} ({})", file.name, many(file.bytes, "byte"))).collect::<Vec<_>>();
        let note = format!("{}: every byte equal, read back and compared", list.join(", "));
        self.outcome.copied = files;
        self.step("the files are copied to the reader's volume".to_owned(), Some(note))
    }

    pub(super) fn insert(&mut self, who: Who) -> anyhow::Result<Option<String>> {
        let batch = self.rows;
        let (rows, error) = self.peer(who)?.insert(batch)?;
        match self.pending.of(who) {
            Some(pending) => *pending += rows,
            None => *self.outcome.written.of(who) += rows,
        }
        Ok(error.map(|error| format!("{} after {rows} rows: {error}", self.name(who))))
    }

    fn checkpoint(&mut self) -> anyhow::Result<()> {
        let note = match self.peer(Who::Writer)?.checkpoint()? {
            Ok(answer) => {
                self.outcome.checkpoint = Some(answer);
                let CheckpointAnswer { busy, log, checkpointed } = answer;
                format!("busy {busy}, {log} frames in the WAL, {checkpointed} of them in the database")
            }
            Err(error) => format!("{}: {error}", self.name(Who::Writer)),
        };
        self.step("the writer checkpoints".to_owned(), Some(note))
    }

    pub(super) fn batch(&self) -> String {
        format!("{} row{}", self.rows, if self.rows == 1 { "" } else { "s" })
    }

    /// Counts on both sides, where they have the database open, and shows the step.
    pub(super) fn step(&mut self, action: String, note: Option<String>) -> anyhow::Result<()> {
        let mut notes: Vec<String> = note.into_iter().collect();
        let mut count = |peer: &mut Option<Peer>| {
            let open = peer.as_mut().filter(|peer| peer.open);
            Ok::<_, anyhow::Error>(open.map(|peer| count(peer, &mut notes)).transpose()?.flatten())
        };
        let (writer, reader) = (count(&mut self.peers.writer)?, count(&mut self.peers.reader)?);
        self.outcome.seen = Both { writer, reader };
        self.done(Step { action, writer, reader, note: joined(notes) })
    }

    pub(super) fn name(&self, who: Who) -> &'static str {
        self.scenario.view(who).name
    }

    fn done(&mut self, step: Step) -> anyhow::Result<()> {
        self.progress.step(&step)?;
        self.outcome.steps.push(step);
        Ok(())
    }
}

fn count(peer: &mut Peer, notes: &mut Vec<String>) -> anyhow::Result<Option<u64>> {
    Ok(match peer.count(&Request::Count)? {
        Ok(count) => Some(count),
        Err(error) => {
            notes.push(format!("{}: {error}", peer.name));
            None
        }
    })
}

fn joined(notes: Vec<String>) -> Option<String> {
    (!notes.is_empty()).then(|| notes.join("; "))
}
