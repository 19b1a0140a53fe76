//! What people type first instead of a SOURCE: a folder, or the bare name of a container. The message lists the databases that
//! are meant, each as a command to copy.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, Instant};

use walscope::linux::Care;
use walscope::linux::mapped::kept;
use walscope::shell_word::{shell_word, walscope};
use walscope::source::{self, InContainer};

use crate::exit::{Advice, message};
use crate::options::{Cli, Command};

/// At most so many databases are listed.
const LISTED: usize = 10;
/// No folder is looked into after this time. `verify FOLDER` looks into all of them.
const SEARCH: Duration = Duration::from_secs(3);

/// Adds to an error what was probably meant.
pub fn advise(cli: &Cli, error: anyhow::Error) -> anyhow::Error {
    let care = cli.global.care();
    let advice = sources(&cli.command).into_iter().find_map(|source| {
        let answers_folders = matches!(cli.command, Command::Verify(_));
        let folder = (!answers_folders).then(|| folder(source, care, &error)).flatten();
        folder.or_else(|| sidecar(source)).or_else(|| unfinished(source)).or_else(|| container(source, care, &error))
    });
    advice.map_or(error, Into::into)
}

/// The SOURCEs of a command that takes databases and no folders.
fn sources(command: &Command) -> Vec<&OsStr> {
    match command {
        Command::Inspect(args) => vec![args.source.as_os_str()],
        Command::Wal(args) => vec![args.source.as_os_str()],
        Command::Shm(args) => vec![args.source.as_os_str()],
        Command::Snapshot(args) => vec![args.source.as_os_str()],
        Command::Rescue(args) => vec![args.source.as_os_str()],
        // `verify` answers for folders: an error about one is of another kind.
        Command::Verify(args) => args.sources.iter().map(OsString::as_os_str).collect(),
        Command::Compare(args) => args.sources.iter().map(OsString::as_os_str).collect(),
        _ => Vec::new(),
    }
}

fn folder(source: &OsStr, care: Care, error: &anyhow::Error) -> Option<Advice> {
    let error = message(error);
    let tree = source::tree_until(source, care, Some(Instant::now() + SEARCH)).ok()??;
    let found = tree.databases.into_iter().map(|found| found.label).collect::<Vec<_>>();
    let deleted = deleted(source);
    let not_all = if tree.ended_early { " so far: the search was ended early" } else { "" };
    if found.is_empty() {
        let none = format!("{error}; no database was found below it{not_all}");
        return Some(match deleted.is_empty() {
            true => Advice { message: none, lines: deleted },
            false => Advice { message: format!("{none}. Processes still have deleted ones open:"), lines: deleted },
        });
    }
    let all = format!("all of them: {}", walscope("verify", source, ""));
    let message = format!("{error}. Databases below it{not_all}:");
    let mut lines = lines(source, found, Some(all));
    lines.extend(deleted);
    Some(Advice { message, lines })
}

/// The databases below a folder that were deleted while they are open, each with the command that saves it.
fn deleted(folder: &OsStr) -> Vec<String> {
    let Ok(target) = source::target(folder) else { return Vec::new() };
    let open = kept::open_beneath(&target).into_iter().filter(|open| open.gone && open.relative.is_some());
    open.take(LISTED).map(|open| rescue_line(&open.source, open.by.pid)).collect()
}

/// How a deleted database is saved.
fn rescue_line(source: &OsStr, pid: u32) -> String {
    format!("deleted, and still open in pid {pid}: {}", walscope("rescue", source, "-o DIR"))
}

/// A `-wal` or `-shm` that is not there, beside a database that is.
fn sidecar(source: &OsStr) -> Option<Advice> {
    let name = source.to_str().filter(|name| !Path::new(name).exists())?;
    let database = ["-wal", "-shm"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
    let there = Path::new(database).is_file();
    there.then(|| Advice {
        message: format!("{name}: there is no such file; the database that it would lie beside is there:"),
        lines: vec![typed(source, OsStr::new(database))],
    })
}

/// `pid:N` without a path, and `NAME:path` with a path that does not begin at the root.
fn unfinished(source: &OsStr) -> Option<Advice> {
    let text = source.to_str().filter(|text| !Path::new(text).exists())?;
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let of_process = text.strip_prefix("pid:");
    if let Some(number) = of_process.map(|number| number.trim_end_matches(':')).filter(|number| is_number(number)) {
        let message =
            format!("{text}: a process, and no file; name the file as that process sees it, or list what is in use:");
        let lines = vec![typed(source, OsStr::new(&format!("pid:{number}:/path"))), "walscope ps".to_owned()];
        return Some(Advice { message, lines });
    }
    let (name, path, place) = match of_process {
        Some(rest) => {
            let (number, path) = rest.split_once(':').filter(|(number, _)| is_number(number))?;
            (format!("pid:{number}"), path, "of a process")
        }
        None => {
            let (name, path) = text.split_once(':').filter(|(name, _)| source::is_container_name(name))?;
            (name.to_owned(), path, "in a container")
        }
    };
    if path.is_empty() {
        return None;
    }
    let whole = format!("{name}:/{path}");
    (!path.starts_with('/')).then(|| Advice {
        message: format!("{text}: there is no such file; a path {place} begins with a slash:"),
        lines: vec![typed(source, OsStr::new(&whole))],
    })
}

fn container(source: &OsStr, care: Care, error: &anyhow::Error) -> Option<Advice> {
    if Path::new(source).symlink_metadata().is_ok() || source.as_encoded_bytes().contains(&b'/') {
        return None;
    }
    let name = source.to_string_lossy();
    let error = message(error);
    let (message, lines) = match source::in_container(source, care) {
        InContainer::NotAsked => return None,
        InContainer::NoSuchContainer => (format!("{error}; there is no container of this name either"), Vec::new()),
        InContainer::NotSeen(why) => (format!("{error}; a container of this name was looked for: {why}"), Vec::new()),
        InContainer::Databases { there, deleted } if there.is_empty() && deleted.is_empty() => {
            let what = "no process in it was seen to have a database open; name the file: walscope inspect";
            (format!("{name} is a container, and {what} {name}:/path"), Vec::new())
        }
        InContainer::Databases { there, deleted } => {
            let mut lines = lines(source, there, None);
            lines.extend(deleted.iter().take(LISTED).map(|(source, pid)| rescue_line(source, *pid)));
            (format!("{name} is a container. Databases that its processes have open:"), lines)
        }
    };
    Some(Advice { message, lines })
}

/// The command that was typed, once for each database in the place of the SOURCE.
fn lines(source: &OsStr, mut found: Vec<OsString>, all: Option<String>) -> Vec<String> {
    found.sort();
    let rest = found.len().saturating_sub(LISTED);
    let mut lines: Vec<String> = found.iter().take(LISTED).map(|database| typed(source, database)).collect();
    if rest > 0 {
        lines.push(format!("and {rest} more"));
    }
    lines.extend(all);
    lines
}

/// The command that was typed, with this database instead of the SOURCE.
fn typed(source: &OsStr, database: &OsStr) -> String {
    let mut instead = Some(database);
    let words = std::env::args_os().skip(1).map(|word| match word == source {
        true => instead.take().map_or_else(|| shell_word(&word), shell_word),
        false => shell_word(&word),
    });
    std::iter::once("walscope".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
