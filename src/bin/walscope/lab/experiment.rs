//! The experiment: what is done in which order, on whichever runtime and in whichever scenario.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;

use super::peer::Peer;
use super::progress::Progress;
use super::protocol::{CheckpointAnswer, CopiedFile, Request};
use super::runtime::Runtime;
use super::scenario::Scenario;

/// How old each `-shm` has to be when the first snapshot begins.
///
/// folklore: inode birth times are as coarse as the kernel's tick (10 ms at 100 Hz), so a file born that shortly before a
/// look cannot be told from one born after it, and two inodes at the same time not from one made anew. Seen with
/// `--runtime processes`, which is that fast. Held by `two_processes_on_copies_do_not_share_and_lose_rows`.
const OLD_ENOUGH: Duration = Duration::from_millis(100);

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

/// What the experiment showed, apart from the snapshots.
#[derive(Debug, Default, schemars::JsonSchema, Serialize)]
pub struct Outcome {
    /// The steps.
    pub steps: Vec<Step>,
    /// Rows that each side was told by SQLite it had committed.
    pub written: Both<u64>,
    /// Rows found by a fresh open on each side after both had closed.
    pub found: Both<Option<u64>>,
    /// The integrity check of that fresh open.
    pub integrity: Both<String>,
    /// What `PRAGMA wal_checkpoint(PASSIVE)` answered to the writer.
    pub checkpoint: Option<CheckpointAnswer>,
    /// The files that were copied at the start.
    pub copied: Vec<CopiedFile>,
}

/// The experiment under way.
pub struct Experiment<'a> {
    /// Where.
    pub runtime: &'a mut dyn Runtime,
    /// What the sides see.
    pub scenario: &'static Scenario,
    /// Rows of each batch.
    pub rows: u32,
    /// Where the bundles go.
    pub bundles: Both<PathBuf>,
    /// Where progress goes.
    pub progress: &'a Progress,
    /// What was seen so far.
    pub outcome: Outcome,
}

impl Experiment<'_> {
    /// Runs it to its end. Both actors have ended when this returns, whatever it returns.
    pub fn run(mut self) -> anyhow::Result<Outcome> {
        for volume in self.scenario.volumes {
            self.runtime.volume(volume)?;
        }
        let mut writer = self.runtime.start(&self.scenario.writer)?;
        self.progress.note("the writer is up")?;
        self.progress.heading()?;
        writer.demand(&self.open(true))?;
        writer.demand(&Request::Create)?;
        let note = self.insert(&mut writer, true)?;
        let action = format!("the writer creates the table and inserts {}", self.batch());
        self.step(action, &mut writer, None, note)?;
        // So that the reader finds the table, whichever files it is given.
        let note = self.checkpoint(&mut writer)?;
        self.step("the writer checkpoints".to_owned(), &mut writer, None, note)?;
        self.copy(&mut writer)?;

        let mut reader = self.runtime.start(&self.scenario.reader)?;
        reader.demand(&self.open(false))?;
        self.step("the reader opens the database".to_owned(), &mut writer, Some(&mut reader), None)?;
        let both_are_open = Instant::now();
        for writes in [true, false, true] {
            let note = self.insert(if writes { &mut writer } else { &mut reader }, writes)?;
            let who = if writes { "writer" } else { "reader" };
            self.step(format!("the {who} inserts {}", self.batch()), &mut writer, Some(&mut reader), note)?;
        }
        self.begin_to_read(&mut writer, &mut reader)?;
        thread::sleep(OLD_ENOUGH.saturating_sub(both_are_open.elapsed()));
        self.take_snapshots(&mut writer, &mut reader)?;
        self.close_and_open_afresh(&mut writer, &mut reader)?;
        Ok(self.outcome)
    }

    /// A reader stays in the past while the writer goes on and checkpoints.
    fn begin_to_read(&mut self, writer: &mut Peer, reader: &mut Peer) -> anyhow::Result<()> {
        let note = reader.count(&Request::BeginRead)?.err();
        self.step("the reader begins a read transaction".to_owned(), writer, Some(reader), note)?;
        let note = self.insert(writer, true)?;
        let action = format!("the writer inserts {}", self.batch());
        self.step(action, writer, Some(reader), note)?;
        let note = self.checkpoint(writer)?;
        self.step("the writer checkpoints".to_owned(), writer, Some(reader), note)
    }

    /// While both hold the database open, and the reader its read transaction.
    fn take_snapshots(&mut self, writer: &mut Peer, reader: &mut Peer) -> anyhow::Result<()> {
        let Both { writer: to, reader: reader_to } = self.bundles.clone();
        self.runtime.snapshot(writer, &self.scenario.writer, &to)?;
        self.runtime.snapshot(reader, &self.scenario.reader, &reader_to)?;
        self.step("walscope takes a snapshot on either side".to_owned(), writer, Some(reader), None)?;
        let note = reader.attempt(&Request::EndRead)?;
        self.step("the reader ends its transaction".to_owned(), writer, Some(reader), note)
    }

    /// What is left when nobody has the database open any more is what counts.
    fn close_and_open_afresh(&mut self, writer: &mut Peer, reader: &mut Peer) -> anyhow::Result<()> {
        let mut notes: Vec<String> = Vec::new();
        notes.extend(reader.attempt(&Request::Close)?);
        notes.extend(writer.attempt(&Request::Close)?);
        let (found, integrity) = self.afresh(writer, true, &mut notes)?;
        (self.outcome.found.writer, self.outcome.integrity.writer) = (found, integrity);
        let (found, integrity) = self.afresh(reader, false, &mut notes)?;
        (self.outcome.found.reader, self.outcome.integrity.reader) = (found, integrity);
        let Both { writer, reader } = self.outcome.found;
        let action = "both close; each opens the database afresh".to_owned();
        self.done(Step { action, writer, reader, note: joined(notes) })
    }

    /// Rows and integrity as a fresh open finds them. A database that cannot be opened any more is a finding, too.
    fn afresh(
        &self,
        peer: &mut Peer,
        is_writer: bool,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<(Option<u64>, String)> {
        if let Some(error) = peer.attempt(&self.open(is_writer))? {
            notes.push(error);
            return Ok((None, "the database cannot be opened any more".to_owned()));
        }
        let found = count(peer, notes)?;
        let integrity = peer.integrity()?;
        notes.extend(peer.attempt(&Request::Close)?);
        Ok((found, integrity))
    }

    /// Fills the reader's volume, where the scenario says so.
    fn copy(&mut self, writer: &mut Peer) -> anyhow::Result<()> {
        if !self.scenario.copied {
            return Ok(());
        }
        let files = self.runtime.copy(self.scenario.writer.volume, self.scenario.reader.volume)?;
        if let Some(file) = files.iter().find(|file| !file.equal) {
            bail!("{}: the copy differs from the original although nobody wrote", file.name);
        }
        let list = files.iter().map(|file| format!("{} ({} bytes)", file.name, file.bytes)).collect::<Vec<_>>();
        let note = format!("{}: every byte equal, read back and compared", list.join(", "));
        self.outcome.copied = files;
        self.step("the files are copied to the reader's volume".to_owned(), writer, None, Some(note))
    }

    fn insert(&mut self, peer: &mut Peer, is_writer: bool) -> anyhow::Result<Option<String>> {
        let (rows, error) = peer.insert(self.rows)?;
        let written = &mut self.outcome.written;
        *(if is_writer { &mut written.writer } else { &mut written.reader }) += rows;
        Ok(error.map(|error| format!("{} after {rows} rows: {error}", peer.name)))
    }

    fn checkpoint(&mut self, writer: &mut Peer) -> anyhow::Result<Option<String>> {
        Ok(Some(match writer.checkpoint()? {
            Ok(answer) => {
                self.outcome.checkpoint = Some(answer);
                let CheckpointAnswer { busy, log, checkpointed } = answer;
                format!("busy {busy}, {log} frames in the WAL, {checkpointed} of them in the database")
            }
            Err(error) => format!("{}: {error}", writer.name),
        }))
    }

    fn open(&self, is_writer: bool) -> Request {
        let view = if is_writer { &self.scenario.writer } else { &self.scenario.reader };
        Request::Open { path: self.runtime.database(view).into() }
    }

    fn batch(&self) -> String {
        format!("{} row{}", self.rows, if self.rows == 1 { "" } else { "s" })
    }

    /// Counts on both sides and shows the step.
    fn step(
        &mut self,
        action: String,
        writer: &mut Peer,
        reader: Option<&mut Peer>,
        note: Option<String>,
    ) -> anyhow::Result<()> {
        let mut notes: Vec<String> = note.into_iter().collect();
        let writer = count(writer, &mut notes)?;
        let reader = reader.map(|reader| count(reader, &mut notes)).transpose()?.flatten();
        self.done(Step { action, writer, reader, note: joined(notes) })
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
