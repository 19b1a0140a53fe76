//! The files that a snapshot examines. Its bundle must not go to one of them: walscope never writes to a file that it
//! examines.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use walscope::linux::{Care, OpenedFiles};
use walscope::source::{self, Source};

use crate::bundle_file::folder;

/// At most so many symbolic links are followed in one path, as in the kernel.
const LINKS_AT_MOST: usize = 40;

/// Where a bundle goes.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// A file.
    File(&'a Path),
    /// Standard output, which may be redirected to any file.
    Stdout,
}

/// Opens the database to be captured. Refuses a destination that is one of its files, or would become one. As long as
/// the files are open, no other file gets their inode numbers.
pub fn open(source: &Path, care: Care, destination: Destination<'_>) -> anyhow::Result<OpenedFiles> {
    let files = match source::open(source.as_os_str(), care)? {
        Source::Bundle(_) => bail!("{}: is a bundle; give a database", source.display()),
        Source::Files(files) => *files,
    };
    let kind = if files.wal.is_some() { "-wal" } else { "-shm" };
    let Some(opened) = files.opened else {
        bail!("{}: is a {kind}; give the database it belongs to", source.display());
    };
    match destination {
        Destination::File(output) => refuse(&opened, output)?,
        Destination::Stdout => {
            let stdout = File::from(rustix::io::dup(io::stdout())?).metadata()?;
            if let Some(name) = identical(&opened, &stdout) {
                bail!("standard output is {name}, which is examined; redirect it to another file");
            }
        }
    }
    Ok(opened)
}

fn refuse(files: &OpenedFiles, output: &Path) -> anyhow::Result<()> {
    let is = fs::metadata(output).ok().and_then(|found| identical(files, &found));
    if let Some(name) = is {
        bail!("{}: is {name}, which is examined; choose another name", output.display());
    }
    if let Some(name) = links(output).iter().find_map(|path| namesake(files, path)) {
        bail!("{}: would become {name}, which is examined; choose another name", output.display());
    }
    Ok(())
}

/// Which of the examined files this is, by identity, whatever its name.
fn identical(files: &OpenedFiles, found: &Metadata) -> Option<&'static str> {
    let parts = [
        ("the database", &files.database),
        ("the database's -wal", &files.wal),
        ("the database's -shm", &files.shm),
        ("the database's -journal", &files.journal),
    ];
    let is = |file: &File| file.metadata().is_ok_and(|own| same(&own, found));
    parts.into_iter().find(|(_, file)| file.value().is_some_and(|file| is(file))).map(|(name, _)| name)
}

/// Which of the examined files has this path, even if the file does not exist.
fn namesake(files: &OpenedFiles, path: &Path) -> Option<&'static str> {
    let (own, found) = (files.directory.metadata().ok()?, fs::metadata(folder(path)).ok()?);
    let name = path.file_name()?.as_encoded_bytes();
    let suffix =
        name.strip_prefix(files.database_path.file_name()?.as_encoded_bytes()).filter(|_| same(&own, &found))?;
    match suffix {
        b"" => Some("the database"),
        b"-wal" => Some("the database's -wal"),
        b"-shm" => Some("the database's -shm"),
        b"-journal" => Some("the database's -journal"),
        _ => None,
    }
}

fn same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// A path and each path that its symbolic links lead to, including a dangling last one.
fn links(path: &Path) -> Vec<PathBuf> {
    let next = |path: &PathBuf| fs::read_link(path).ok().map(|target| folder(path).join(target));
    std::iter::successors(Some(path.to_owned()), next).take(LINKS_AT_MOST).collect()
}
