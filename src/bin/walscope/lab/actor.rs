//! One side of the experiment: opens the database with SQLite and executes requests, one a line.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags};

use super::protocol::{CheckpointAnswer, CopiedFile, Reply, Request};

/// How long SQLite waits for a lock that the other side holds.
const BUSY: Duration = Duration::from_secs(20);

/// Executes requests from standard input until it ends. `side`: `writer` or `reader`. `pid`: this process's pid as the
/// driver sees it, when it differs from its own.
pub fn run(side: &str, pid: Option<u32>) -> anyhow::Result<()> {
    // Names the process after the experiment: it is what is examined, not the tool that examines.
    rustix::thread::set_name(&CString::new(format!("lab-{side}"))?)?;
    let mut actor = Actor { connection: None };
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
}

impl Actor {
    fn obey(&mut self, request: Request) -> anyhow::Result<Reply> {
        Ok(match request {
            Request::Open { path, read_only } => {
                let path = Path::new(&path);
                self.connection = Some(if read_only { open_read_only(path)? } else { open(path)? });
                Reply::Done
            }
            Request::Remove { path } => {
                fs::remove_file(&path).with_context(|| path.display().to_string())?;
                Reply::Done
            }
            Request::Spill => Reply::Spilled { wal_grew: spill(self.connection()?)? },
            Request::Create => {
                create(self.connection()?)?;
                Reply::Done
            }
            Request::Insert { rows } => insert(self.connection()?, rows),
            Request::Count => Reply::Rows { count: count(self.connection()?)? },
            Request::BeginRead => {
                self.connection()?.execute_batch("BEGIN")?;
                Reply::Rows { count: count(self.connection()?)? }
            }
            Request::EndRead => {
                self.connection()?.execute_batch("COMMIT")?;
                Reply::Done
            }
            Request::Checkpoint => Reply::Checkpoint(checkpoint(self.connection()?)?),
            Request::Integrity => Reply::Integrity {
                text: self.connection()?.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?,
            },
            Request::Close => {
                if let Some(connection) = self.connection.take() {
                    connection.close().map_err(|(_, error)| error)?;
                }
                Reply::Done
            }
            Request::Snapshot { program, database, bundle } => {
                snapshot(Path::new(&program), Path::new(&database), Path::new(&bundle))?;
                Reply::Done
            }
        })
    }

    fn connection(&self) -> anyhow::Result<&Connection> {
        self.connection.as_ref().context("no database is open")
    }
}

fn open(path: &Path) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    // The lab makes its checkpoints itself, and a power failure is not part of the experiment.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

/// Opens a path through an SQLite URI. Only characters that would end the path are escaped.
fn open_read_only(path: &Path) -> anyhow::Result<Connection> {
    let path = path.to_str().context("a path in UTF-8")?;
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{path}?mode=ro&readonly_shm=1"), flags)?;
    connection.busy_timeout(BUSY)?;
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

fn create(connection: &Connection) -> anyhow::Result<()> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        bail!("SQLite did not switch to WAL mode here: the journal mode is {mode}");
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
        .arg("snapshot")
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
