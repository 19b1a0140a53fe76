//! The SOURCE syntax: `PATH`, `pid:N:/path`, `NAME:/path`, and where each leads.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::bundle::SnapshotError;
use crate::linux::{self, Target, runtimes};
use crate::shell_word::{shell_word, walscope};

/// Where a SOURCE that is no bundle is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    /// `PATH`.
    Here(&'a Path),
    /// `pid:N:/path`.
    Process(u32, &'a Path),
    /// `NAME:/path`.
    Container(&'a str, &'a Path),
    /// `pid:` and no number.
    NoNumber,
}

/// What the text of a SOURCE means. A file with exactly this name takes precedence.
fn place(argument: &OsStr, exists: impl Fn(&Path) -> bool) -> Place<'_> {
    let here = Place::Here(Path::new(argument));
    // A text that begins with a folder or `.` has no other form, and a text that is not UTF-8 can only be a path.
    let (Some((whose, path)), false) = (split(argument), exists(Path::new(argument))) else { return here };
    match whose.strip_prefix("pid:").map(str::parse) {
        Some(Ok(pid)) => Place::Process(pid, path),
        Some(Err(_)) => Place::NoNumber,
        None if runtimes::is_name(whose) => Place::Container(whose, path),
        _ => here,
    }
}

/// The process whose view a SOURCE asks for by its number: `pid:N:/path`.
#[must_use]
pub fn process(argument: &OsStr) -> Option<u32> {
    match place(argument, |path| path.symlink_metadata().is_ok()) {
        Place::Process(pid, _) => Some(pid),
        Place::Here(_) | Place::Container(..) | Place::NoNumber => None,
    }
}

/// Whether a text can be the name or the id of a container.
#[must_use]
pub fn is_container_name(text: &str) -> bool {
    runtimes::is_name(text)
}

/// Splits `WHOSE:/path` at the first colon before a slash.
fn split(argument: &OsStr) -> Option<(&str, &Path)> {
    let bytes = argument.as_bytes();
    let at = bytes.windows(2).position(|pair| pair == b":/")?;
    let whose = std::str::from_utf8(bytes.get(..at)?).ok()?;
    Some((whose, Path::new(OsStr::from_bytes(bytes.get(at + 1..)?))))
}

/// Where a SOURCE is: a path here, `pid:N:/path` as process N sees it, or `NAME:/path` beneath the root of a running
/// container (docker, podman or nerdctl; by name or id).
///
/// # Errors
/// When there is no such process or container, or this user may not look into it.
pub fn target(argument: &OsStr) -> Result<Target, SnapshotError> {
    let refused = |why: linux::OpenError, instead: String| match why.why.kind() {
        io::ErrorKind::PermissionDenied => SnapshotError::NotPermitted { why, instead },
        _ => SnapshotError::Open(why),
    };
    match place(argument, |path| path.symlink_metadata().is_ok()) {
        Place::Here(path) => Ok(Target::from(path)),
        Place::NoNumber => Err(SnapshotError::Unusable {
            path: PathBuf::from(argument),
            message: "needed pid:N:/path with the number of a process".to_owned(),
        }),
        Place::Process(pid, path) => Target::of_process(pid, path)
            .map_err(|why| refused(why, format!("run walscope as the user of process {pid}, or inside its container"))),
        Place::Container(name, path) => {
            runtimes::target(name, path).map_err(|error| refused(error.why, inside(error.runtime, name, path)))
        }
    }
}

/// The command to run inside the container instead, for the runtime that was found.
fn inside(runtime: Option<&str>, name: &str, path: &Path) -> String {
    let Some(runtime) = runtime else { return "run walscope inside of the container".to_owned() };
    let command = walscope("snapshot", path, "-o -");
    let given = shell_word(format!("{name}:{}", path.display()));
    format!("run inside: {runtime} exec {name} {command} > {name}.walsnap, and give {name}.walsnap in place of {given}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_says_whose_path_it_is_unless_a_file_is_called_so() {
        let meant = |text: &'static str| place(OsStr::new(text), |_| false);
        let path = Path::new("/data/t.db");
        assert_eq!(meant("writer:/data/t.db"), Place::Container("writer", path));
        assert_eq!(meant("0a1b2c3d4e5f:/data/t.db"), Place::Container("0a1b2c3d4e5f", path));
        assert_eq!(meant("pid:31:/data/t.db"), Place::Process(31, path));
        assert_eq!(meant("pid:x:/t.db"), Place::NoNumber);
        assert_eq!(meant("writer:/a:/b.db"), Place::Container("writer", Path::new("/a:/b.db")));
        for text in ["t.db", "/data/t.db", "C:/t.db", "./a:/t.db", "/x:/t.db", "writer:t.db", ":/t.db", "", "-x:/t.db"]
        {
            assert_eq!(meant(text), Place::Here(Path::new(text)), "{text}");
        }
        assert_eq!(place(OsStr::new("writer:/data/t.db"), |_| true), Place::Here(Path::new("writer:/data/t.db")));
    }

    #[test]
    fn the_command_to_run_inside_can_be_pasted() {
        assert!(
            inside(Some("podman"), "w1", Path::new("/data/t.db"))
                .contains("podman exec w1 walscope snapshot /data/t.db -o - > w1.walsnap")
        );
        assert!(!inside(None, "w1", Path::new("/data/t.db")).contains("exec"));
        assert!(inside(Some("docker"), "w1", Path::new("/my $x's")).contains(r"snapshot '/my $x'\''s' -o"));
    }
}
