//! What happens in scenarios in which more goes on than reading and writing: locks that get lost, files that are restored,
//! disks that are put back.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use walscope::linux::staged::LockRelay;

use super::experiment::{Both, Experiment};
use super::peer::Peer;
use super::protocol::{FileJob, Opening, Request};
use super::runtime::{DATABASE, Unavailable};
use super::scenario::{Act, Who};
use super::volume::Volumes;

/// What an experiment has besides its two sides.
#[derive(Default)]
pub struct Staged {
    /// Processes of no side.
    outsiders: Vec<Peer>,
    relays: Vec<Attendant>,
    /// Rows that each side had committed when the backup was made.
    at_backup: Option<Both<u64>>,
}

/// A program that is ended when this is dropped.
struct Attendant(Child);

impl Drop for Attendant {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Experiment<'_> {
    /// Does what is not in every experiment.
    pub(super) fn upheaval(&mut self, act: Act) -> anyhow::Result<()> {
        match act {
            Act::Outsider(volume) => self.outsider(volume),
            Act::OpenAlso(who, file) => {
                let path = self.runtime.also(self.scenario.view(who)).join(file).into();
                self.peer(who)?.demand(&Request::OpenAlso { path })?;
                self.step(format!("the {} opens another database too, and inserts a row there", self.name(who)), None)
            }
            Act::WalIndexElsewhere(who) => {
                let path = self.runtime.also(self.scenario.view(who)).join("sqlite-shm-lab").into();
                self.started(who)?.demand(&Request::KeepWalIndexAt { path })
            }
            Act::Files(who, job) => self.files(who, job),
            Act::ReadFiles(who) => {
                let database = self.runtime.database(self.scenario.view(who)).into();
                self.peer(who)?.demand(&Request::ReadFiles { database })?;
                self.step(format!("the {} reads its own files, which drops its locks", self.name(who)), None)
            }
            Act::BeginWrite(who) => {
                let refused = self.peer(who)?.attempt(&Request::BeginWrite)?;
                if refused.is_none() {
                    *self.pending.of(who) = Some(0);
                }
                self.step(format!("the {} begins a write transaction", self.name(who)), refused)
            }
            Act::Commit(who) => {
                let refused = self.peer(who)?.attempt(&Request::Commit)?;
                let rows = self.pending.of(who).take().unwrap_or_default();
                if refused.is_none() {
                    *self.outcome.written.of(who) += rows;
                }
                self.step(format!("the {} commits its transaction", self.name(who)), refused)
            }
            Act::Fork(who) => {
                self.peer(who)?.demand(&Request::Fork { shared: false })?;
                self.step(format!("the {} forks; its child goes on with the connection", self.name(who)), None)
            }
            Act::ForkShared(who) => self.started(who)?.demand(&Request::Fork { shared: true }),
            Act::KillChild(who) => {
                self.peer(who)?.demand(&Request::Die)?;
                self.step(format!("the {} is killed; its parent keeps the descriptors", self.name(who)), None)
            }
            Act::Kill(who) => {
                let name = self.name(who);
                let peer = self.peers.of(who).take().with_context(|| format!("the {name} does not run"))?;
                self.runtime.kill(peer, self.scenario.view(who))?;
                self.step(format!("the {name} is killed"), None)
            }
            Act::KeepContent(disk) => {
                self.volumes()?.keep_content(disk)?;
                self.step("the content of the disk is copied".to_owned(), None)
            }
            Act::PutBack(disk, other) => {
                self.volumes()?.put_back(disk, other)?;
                self.step("the copied content is put back on the disk; what it had goes on on another".to_owned(), None)
            }
            Act::SnapshotSubvolume(disk) => {
                self.volumes()?.snapshot_subvolume(disk)?;
                self.step("a snapshot of the subvolume is made".to_owned(), None)
            }
            Act::Relay => self.relay(),
            other => bail!("nothing does {other:?}"),
        }
    }

    fn volumes(&mut self) -> anyhow::Result<&mut Volumes> {
        let missing = || Unavailable("its volumes have to be folders of this machine".to_owned());
        Ok(self.runtime.volumes().ok_or_else(missing)?)
    }

    fn outsider(&mut self, volume: &'static str) -> anyhow::Result<()> {
        let volumes = self.volumes()?;
        let path = volumes.path(volume).join(DATABASE).into();
        let mut outsider = volumes.process("outsider")?;
        outsider.demand(&Request::Open { path, how: Opening::Usual })?;
        outsider.demand(&Request::Create { wal: true })?;
        self.staged.outsiders.push(outsider);
        self.step("outside, another database is made at the same path and stays open".to_owned(), None)
    }

    fn files(&mut self, who: Who, job: FileJob) -> anyhow::Result<()> {
        let view = self.scenario.view(who);
        let database = self.runtime.database(view).into();
        let program = self.runtime.program(view)?.into();
        self.started(who)?.demand(&Request::Files { program, job, database })?;
        let (action, note) = match job {
            FileJob::RemoveShm => ("the -shm is deleted, while the writer has it mapped", None),
            FileJob::Backup => {
                self.staged.at_backup = Some(self.outcome.written.clone());
                ("the files are backed up, while nobody writes", None)
            }
            FileJob::RestoreAside => ("the backup is moved to the database's place", self.restored()),
            FileJob::RestoreInPlace => ("the backup is copied over the open files", self.restored()),
        };
        self.step(action.to_owned(), note)
    }

    /// What was committed after the backup is gone by the restore, and is not counted as lost.
    fn restored(&mut self) -> Option<String> {
        let then = self.staged.at_backup.clone()?;
        let now = std::mem::replace(&mut self.outcome.written, then.clone());
        let gone = (now.writer + now.reader).saturating_sub(then.writer + then.reader);
        Some(format!("{gone} rows were committed after the backup; they are not counted"))
    }

    /// Starts the relay between the two databases' files.
    fn relay(&mut self) -> anyhow::Result<()> {
        let (writer, reader) = (self.scenario.writer.volume, self.scenario.reader.volume);
        let volumes = self.volumes()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["lab", "attend"]).arg(std::env::current_exe()?).args(["lab", "relay"]);
        command.args([volumes.path(writer), volumes.path(reader)]);
        let pipes = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut relay = Attendant(pipes.spawn().context("starting the relay")?);
        // It says a word as soon as it has copied once.
        relay.0.stdout.take().context("the relay's output")?.read_exact(&mut [0])?;
        self.staged.relays.push(relay);
        self.step("something copies locks from each database to the other".to_owned(), None)
    }
}

/// The role `relay`: copies locks between the files of two databases until it is ended.
pub fn relay(one: &Path, other: &Path) -> anyhow::Result<()> {
    let open = |folder: &Path, name: &str| {
        let path = folder.join(name);
        std::fs::File::open(&path).with_context(|| path.display().to_string())
    };
    let mut relays = Vec::new();
    for name in [DATABASE, "t.db-shm"] {
        relays.push(LockRelay::between([open(one, name)?, open(other, name)?]));
    }
    let mut begun = false;
    loop {
        for relay in &mut relays {
            relay.copy()?;
        }
        if !begun {
            std::io::stdout().write_all(b"\n")?;
            begun = true;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
