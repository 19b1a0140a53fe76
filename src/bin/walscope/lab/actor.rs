//! One side of the experiment: opens the database with SQLite and executes requests, one a line.

use std::ffi::{CString, OsStr};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use walscope::linux::staged::{self, Forked};

use super::protocol::{CheckpointAnswer, CopiedFile, FileJob, Opening, Reply, Request};

/// How long SQLite waits for a lock that the other side holds.
const BUSY: Duration = Duration::from_secs(20);

/// Executes requests from standard input until it ends. `side`: `writer` or `reader`. `pid`: this process's pid as the
/// driver sees it, when it differs from its own.
pub fn run(side: &str, pid: Option<u32>) -> anyhow::Result<()> {
    // Names the process after the experiment: it is what is examined, not the tool that examines.
    rustix::thread::set_name(&CString::new(format!("lab-{side}"))?)?;
    let mut actor = Actor { connection: None, also: Vec::new(), forked: false };
    reply(&Reply::Ready { pid: pid.unwrap_or_else(std::process::id) })?;
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?).context("a request of the lab")?;
        reply(&actor.obey(request).unwrap_or_else(|error| Reply::Failed { error: reason(&error) }))?;
    }
    Ok(())
}

/// The message of SQLite; the error below it only repeats the error number.
fn reason(error: &anyhow::Error) -> String {
    error.downcast_ref::<rusqlite::Error>().map_or_else(|| format!("{error:#}"), ToString::to_string)
}

/// Writes one reply.
pub fn reply(reply: &Reply) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, reply)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

struct Actor {
    connection: Option<Connection>,
    also: Vec<Connection>,
    /// Whether this is a child that answers in place of its parent.
    forked: bool,
}

impl Actor {
    fn obey(&mut self, request: Request) -> anyhow::Result<Reply> {
        Ok(match request {
            Request::Open { path, how } => {
                self.connection = Some(open(Path::new(&path), how)?);
                Reply::Done
            }
            Request::OpenAlso { path } => {
                let other = open(Path::new(&path), Opening::Usual)?;
                other.execute("INSERT INTO t (data) VALUES (randomblob(100))", [])?;
                self.also.push(other);
                Reply::Done
            }
            Request::KeepWalIndexAt { path } => {
                staged::keep_wal_index_at(Path::new(&path))?;
                Reply::Done
            }
            Request::ReadFiles { database } => {
                for path in ["", "-wal", "-shm"].map(|suffix| beside(&database, suffix)) {
                    fs::read(&path).with_context(|| path.display().to_string())?;
                }
                Reply::Done
            }
            Request::Files { program, job, database } => {
                let job = clap::ValueEnum::to_possible_value(&job).context("a job")?;
                let mut command = Command::new(program);
                let command = command.args(["lab", "files", job.get_name()]).arg(database);
                succeeded(command.stdin(Stdio::null()).output()?, "files")?;
                Reply::Done
            }
            Request::Fork { shared } => match staged::fork(shared)? {
                Forked::Child => {
                    self.forked = true;
                    Reply::Done
                }
                // The child answers now. What is left to say when it has ended is the answer to what ended it.
                Forked::Parent(child) => {
                    // A transaction goes on in the child, without this process's locks.
                    if self.connection.as_ref().is_some_and(|connection| !connection.is_autocommit()) {
                        self.connection()?.execute_batch("ROLLBACK")?;
                    }
                    waitpid(Pid::from_raw(child.try_into()?), WaitOptions::empty())?;
                    self.close()?;
                    Reply::Done
                }
            },
            Request::Die => {
                if !self.forked {
                    bail!("only a child of the actor may end so");
                }
                kill_process(getpid(), Signal::KILL)?;
                bail!("a process that killed itself goes on")
            }
            Request::Spill => Reply::Spilled { wal_grew: spill(self.connection()?)? },
            Request::Create { wal } => {
                create(self.connection()?, wal)?;
                Reply::Done
            }
            Request::Insert { rows } => insert(self.connection()?, rows),
            Request::Count => Reply::Rows { count: count(self.connection()?)? },
            Request::BeginRead => {
                self.connection()?.execute_batch("BEGIN")?;
                Reply::Rows { count: count(self.connection()?)? }
            }
            Request::BeginWrite => {
                self.connection()?.execute_batch("BEGIN IMMEDIATE")?;
                Reply::Done
            }
            Request::Commit => {
                self.connection()?.execute_batch("COMMIT")?;
                Reply::Done
            }
            Request::Checkpoint => Reply::Checkpoint(checkpoint(self.connection()?)?),
            Request::Integrity => Reply::Integrity {
                text: self.connection()?.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?,
            },
            Request::Close => {
                self.close()?;
                if self.forked {
                    // The parent has its copy of the connection and answers.
                    std::process::exit(0);
                }
                Reply::Done
            }
            Request::Snapshot { program, database, bundle } => {
                snapshot(Path::new(&program), Path::new(&database), Path::new(&bundle))?;
                Reply::Done
            }
            Request::Meet { program, place, seconds } => {
                let timeout = seconds.to_string();
                let mut command = Command::new(program);
                command.args(["--json", "--look-anyway", "probe", "meet", "--timeout", &timeout]).arg(place);
                Reply::Said { text: String::from_utf8(command.stdin(Stdio::null()).output()?.stdout)? }
            }
        })
    }

    fn close(&mut self) -> rusqlite::Result<()> {
        match self.connection.take() {
            Some(connection) => connection.close().map_err(|(_, error)| error),
            None => Ok(()),
        }
    }

    fn connection(&self) -> anyhow::Result<&Connection> {
        self.connection.as_ref().context("no database is open")
    }
}

/// Opens a database. Where it needs options, the path is an SQLite URI: only characters that would end the path are
/// escaped.
fn open(path: &Path, how: Opening) -> anyhow::Result<Connection> {
    let usual = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let uri = |options: &str| {
        let path = path.to_str().context("a path in UTF-8")?;
        let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        Ok::<_, anyhow::Error>(format!("file:{path}?{options}"))
    };
    let by_uri = OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match how {
        Opening::Usual | Opening::Impatient | Opening::Exclusive => Connection::open_with_flags(path, usual)?,
        Opening::ReadOnly => {
            let only = OpenFlags::SQLITE_OPEN_READ_ONLY | by_uri;
            Connection::open_with_flags(uri("mode=ro&readonly_shm=1")?, only)?
        }
        Opening::Lockless => Connection::open_with_flags(uri("vfs=unix-none")?, usual | by_uri)?,
    };
    connection.busy_timeout(if how == Opening::Impatient { Duration::ZERO } else { BUSY })?;
    if matches!(how, Opening::Exclusive | Opening::Lockless) {
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    // These read the database, which an impatient opener may find locked.
    if !matches!(how, Opening::ReadOnly | Opening::Impatient) {
        // The lab makes its checkpoints itself, and a power failure is not part of the experiment.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    Ok(connection)
}

/// Fills the cache of ten pages with changed pages, so that SQLite writes some to the `-wal` before the commit. Returns
/// by how many bytes the `-wal` grew.
fn spill(connection: &Connection) -> anyhow::Result<u64> {
    let path: String = connection.query_row("PRAGMA database_list", [], |row| row.get(2))?;
    // Asking for the size opens no descriptor: closing one here would drop SQLite's locks.
    let size = || fs::metadata(format!("{path}-wal")).map(|file| file.len());
    let before = size()?;
    connection.execute_batch("PRAGMA cache_size = 10; BEGIN IMMEDIATE")?;
    let mut rows = 0;
    while size()? == before && rows < 10_000 {
        connection.execute("INSERT INTO t (data) VALUES (randomblob(3000))", [])?;
        rows += 1;
    }
    match size()?.saturating_sub(before) {
        0 => bail!("{rows} rows of a transaction left nothing in the -wal"),
        grew => Ok(grew),
    }
}

fn create(connection: &Connection, wal: bool) -> anyhow::Result<()> {
    if wal {
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            bail!("SQLite did not switch to WAL mode here: the journal mode is {mode}");
        }
    }
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)")?;
    Ok(())
}

/// Inserts rows, each in its own transaction, as the published experiment does.
fn insert(connection: &Connection, rows: u32) -> Reply {
    for done in 0..rows {
        if let Err(error) = connection.execute("INSERT INTO t (data) VALUES (randomblob(100))", []) {
            return Reply::Inserted { rows: u64::from(done), error: Some(error.to_string()) };
        }
    }
    Reply::Inserted { rows: u64::from(rows), error: None }
}

fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

fn checkpoint(connection: &Connection) -> rusqlite::Result<CheckpointAnswer> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok(CheckpointAnswer { busy: row.get(0)?, log: row.get(1)?, checkpointed: row.get(2)? })
    })
}

/// Takes a snapshot in another process: opening and closing the files in this one would drop SQLite's locks.
fn snapshot(program: &Path, database: &Path, bundle: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(bundle);
    let file = file.with_context(|| bundle.display().to_string())?;
    let output = Command::new(program)
        .args(["snapshot", "--look-anyway"])
        .arg(database)
        .args(["-o", "-"])
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .with_context(|| format!("{} snapshot", program.display()))?;
    judge_snapshot(output.status, &output.stderr)
}

/// Judges the exit status of `snapshot`: 0 and 1 (an unstable bundle) are successes, everything else is a failure.
pub fn judge_snapshot(status: ExitStatus, stderr: &[u8]) -> anyhow::Result<()> {
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => bail!("walscope snapshot: {status}: {}", String::from_utf8_lossy(stderr).trim()),
    }
}

fn succeeded(output: Output, what: &str) -> anyhow::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}

/// The path of a file beside a database.
fn beside(database: &OsStr, suffix: &str) -> PathBuf {
    let mut path = database.to_owned();
    path.push(suffix);
    path.into()
}

/// Does something with the files of a database, in a process that has no connection to it.
pub fn files(job: FileJob, database: &Path) -> anyhow::Result<()> {
    let backup = database.with_file_name("backup.db");
    let pairs =
        ["", "-wal", "-shm"].map(|suffix| (beside(backup.as_os_str(), suffix), beside(database.as_os_str(), suffix)));
    let shm = beside(database.as_os_str(), "-shm");
    let copy = |from: &Path, to: &Path| fs::copy(from, to).map(drop);
    let done = match job {
        FileJob::RemoveShm => fs::remove_file(&shm),
        FileJob::Backup => pairs.iter().try_for_each(|(backup, file)| copy(file, backup)),
        // A `-shm` is not part of a backup: SQLite makes it anew.
        FileJob::RestoreAside => fs::remove_file(&shm)
            .and_then(|()| pairs.iter().take(2).try_for_each(|(backup, file)| fs::rename(backup, file))),
        FileJob::RestoreInPlace => pairs.iter().try_for_each(|(backup, file)| copy(backup, file)),
    };
    done.with_context(|| database.display().to_string())
}

/// Copies a database with its `-wal` and `-shm` from one folder to another, and reads both back.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<Vec<CopiedFile>> {
    ["t.db", "t.db-wal", "t.db-shm"]
        .into_iter()
        .map(|name| {
            let (from, to) = (from.join(name), to.join(name));
            let bytes = fs::copy(&from, &to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
            Ok(CopiedFile { name: name.to_owned(), bytes, equal: fs::read(from)? == fs::read(to)? })
        })
        .collect()
}
