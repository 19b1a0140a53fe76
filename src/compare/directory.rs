//! Would both sides look up and create the `-shm` in the same directory?
//!
//! Speaks where there is no `-shm` to compare: it is missing on a side, or it was made anew between the captures or while one was
//! under way.

use super::identity::{self, Identity};
use super::{About, Because, Kind, Pair, Says, Side};
use crate::evidence::{FileView, Observation};

/// The directory as evidence. `shm` is what the identity of the `-shm` came to.
pub(super) fn because(pair: &Pair<'_>, shm: &Identity) -> Because {
    let kind = Kind::DirectoryIdentity;
    let silent = |reason: String| Because::silent(kind, About::Both, reason, "the directory decides nothing here");
    let missing = |side: &Side| matches!(side.evidence.files.shm, Observation::Missing { .. });
    let (a_missing, b_missing) = (missing(pair.a), missing(pair.b));
    let needed = a_missing || b_missing || matches!(shm, Identity::MadeAnew(_));
    match identity::judge(pair, identity::DIRECTORY) {
        Identity::One(detail) => match same_name(pair) {
            Err(reason) => silent(reason),
            Ok(name) if needed => Because::new(
                kind,
                About::Both,
                Says::Proves,
                format!("{detail}; whoever opens {name} next, on either side, looks up or creates the -shm there"),
            ),
            Ok(_) => Because::new(kind, About::Both, Says::Supports, detail),
        },
        Identity::Alike(detail) => Because::new(kind, About::Both, Says::Supports, detail),
        // A -shm that is on neither side cannot be a mount point: each side creates its own.
        Identity::Two(detail) if a_missing && b_missing => Because::new(
            kind,
            About::Both,
            Says::Refutes,
            format!("{detail}; there is no -shm yet, and each side would create its own"),
        ),
        Identity::Two(detail) => {
            silent(format!("{detail}; files in different directories can still be one by mounts or hard links"))
        }
        Identity::LocksApart(reason) | Identity::MadeAnew(reason) | Identity::Unknown(reason) => silent(reason),
    }
}

/// The file name of the database, when it is the same on both sides and no mount covers one of the names.
fn same_name(pair: &Pair<'_>) -> Result<String, String> {
    let name = |side: &Side| side.evidence.files.database_path.rsplit('/').next().unwrap_or_default().to_owned();
    let (a, b) = (name(pair.a), name(pair.b));
    if a != b {
        return Err(format!("the database is called {a} on {} and {b} on {}", pair.a.label, pair.b.label));
    }
    uncovered(pair.a)?;
    uncovered(pair.b)?;
    Ok(a)
}

/// Every file was reached through the directory's own mount.
fn uncovered(side: &Side) -> Result<(), String> {
    let files = &side.evidence.files;
    let mount = |what: &str, file: &FileView| {
        file.mount_id.value().copied().ok_or_else(|| {
            let reason = file.mount_id.reason().unwrap_or_default();
            format!("the mount of the {what} of {} was not seen: {reason}", side.label)
        })
    };
    let directory = files.directory.value().ok_or_else(|| format!("the directory of {} was not seen", side.label))?;
    let directory = mount("directory", directory)?;
    for (what, file) in [("database", &files.database), ("-wal", &files.wal), ("-shm", &files.shm)] {
        match file {
            Observation::Seen { value } if mount(what, value)? == directory => {}
            Observation::Seen { .. } => {
                return Err(format!(
                    "on {} the {what} is a mount of its own: the directory says nothing about it",
                    side.label
                ));
            }
            Observation::Missing { .. } if what != "database" => {}
            other => {
                let reason = other.reason().unwrap_or_default();
                return Err(format!("the {what} of {} was not seen: {reason}", side.label));
            }
        }
    }
    Ok(())
}
