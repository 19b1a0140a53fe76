//! Whether both sides would look up and create the `-shm` in one folder.
//!
//! This evidence counts if there is no `-shm` to compare: it is missing on a side, or it was created again between the
//! captures or during one.

use super::{About, Apart, Because, Fact, Pair, Placed, Says, Side, identity, reach};
use crate::evidence::{FileView, Observation};
use crate::sides::{DirectoryFact, Identity, NotReached, Part, Recorded, Unknown, Unseen, What};

/// The folder as evidence. `shm` is what was found about the identity of the `-shm`.
pub(super) fn because(pair: &Pair<'_>, shm: &Identity) -> Because {
    let missing = |side: &Side| matches!(side.evidence.files.shm, Observation::Missing { .. });
    let (a_missing, b_missing) = (missing(pair.a.side), missing(pair.b.side));
    let needed = a_missing || b_missing || matches!(shm, Identity::Replaced(_));
    let (says, fact) = match identity::judge(pair, Part::Directory) {
        one @ Identity::OneInode(_) => match same_name(pair) {
            Err(reason) => (Says::Silent, DirectoryFact::Silent(reason)),
            Ok(name) if needed => match reach::by_folder(pair, shm) {
                Ok(()) => (Says::Proves, DirectoryFact::OpenersMeet(one, name)),
                Err(reason) => (Says::Silent, DirectoryFact::Silent(reason)),
            },
            Ok(_) => (Says::Supports, DirectoryFact::Identity(one)),
        },
        alike @ Identity::Alike(..) => (Says::Supports, DirectoryFact::Identity(alike)),
        // Who opens a side without a -shm makes one in its own folder. The other side's is another file, unless it is a mount point:
        // then it can be the one that was in this folder before.
        two @ Identity::TwoInodes(_) if makes_its_own(pair, [a_missing, b_missing]) => {
            (Says::Refutes, DirectoryFact::OpenersPart(two))
        }
        other => (Says::Silent, DirectoryFact::Identity(other)),
    };
    Because::new(About::Both, says, Fact::DirectoryIdentity(fact))
}

/// Whether a side has no `-shm`, so that its next opener makes one, and the other has none either, or one of its own folder.
fn makes_its_own(pair: &Pair<'_>, [a_missing, b_missing]: [bool; 2]) -> bool {
    let own = |of: Placed<'_>, missing: bool| missing || uncovered(of).is_ok();
    (a_missing || b_missing) && !reach::in_rollback_mode(pair) && own(pair.a, a_missing) && own(pair.b, b_missing)
}

/// The file name of the database, if it is the same on both sides and no mount covers one of the names.
fn same_name(pair: &Pair<'_>) -> Result<String, NotReached> {
    let name = |of: Placed<'_>| of.side.evidence.files.database_path.rsplit('/').next().unwrap_or_default().to_owned();
    let (a, b) = (name(pair.a), name(pair.b));
    if a != b {
        return Err(NotReached::Names([(pair.a.index, a), (pair.b.index, b)]));
    }
    uncovered(pair.a)?;
    uncovered(pair.b)?;
    Ok(a)
}

/// Whether every file was reached through the folder's own mount.
fn uncovered(of: Placed<'_>) -> Result<(), NotReached> {
    let files = &of.side.evidence.files;
    let unseen = |what, reason| NotReached::Unseen(Unseen { side: of.index, what, reason });
    let mount = |part: Part, file: &FileView| {
        file.mount_id.value().copied().ok_or_else(|| unseen(What::Mount(part), Recorded::of(&file.mount_id)))
    };
    let no_directory = || unseen(What::unseen_file(Part::Directory, &files.directory), Recorded::of(&files.directory));
    let directory = mount(Part::Directory, files.directory.value().ok_or_else(no_directory)?)?;
    for part in [Part::Database, Part::Wal, Part::Shm] {
        match part.of(files) {
            Observation::Seen { value } if mount(part, value)? == directory => {}
            Observation::Seen { .. } => return Err(NotReached::OwnMount(part, of.index)),
            Observation::Missing { .. } if part != Part::Database => {}
            other => return Err(unseen(What::unseen_file(part, other), Recorded::of(other))),
        }
    }
    Ok(())
}

/// Whether the sides have two volumes or folders, or two mounts. Two folders count only if the database in them is two files as
/// well: a file that is a mount of its own lies in any folder.
pub(super) fn apart(pair: &Pair<'_>) -> Option<Apart> {
    match identity::judge(pair, Part::Directory) {
        Identity::TwoInodes(looks) | Identity::TwoLockInodes(looks) => {
            let two = identity::judge(pair, Part::Database);
            let two = matches!(two, Identity::TwoInodes(_) | Identity::TwoLockInodes(_));
            two.then(|| Apart::Folders(looks, [pair.a, pair.b].map(|of| mounted(of.side))))
        }
        // FUSE and network file systems: one superblock each.
        Identity::Unknown(Unknown::FileSystem(looks, _)) if looks.a.id.device != looks.b.id.device => {
            Some(Apart::Mounts(looks))
        }
        _ => None,
    }
}

/// The folder of its file system that is mounted where the database lies: as a volume is known on the host.
fn mounted(side: &Side) -> Option<String> {
    let id = side.evidence.files.directory.value()?.mount_id.value()?;
    let mounts = side.evidence.host.mounts.value()?;
    mounts.iter().find(|mount| mount.id == *id).map(|mount| mount.root.clone())
}
