//! The descriptors of one process, and what each of them is.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use crate::evidence::file_system::FileSystemKind;
use crate::evidence::{LockSlot, Part};
use crate::linux::file_id::file_id;
use crate::linux::lock_view::are_listed;
use crate::linux::mapped::limits::DESCRIPTORS_OF_A_PROCESS;
use crate::linux::mapped::link::Link;
use crate::linux::mapped::one_process::carries;
use crate::linux::open::{Care, Opened, open_regular_by};
use crate::linux::procfs::{Proc, Process};
use crate::linux::stat;
use crate::linux::unopened;
use crate::linux::unseen::{refused, vanished};
use crate::number::FileId;

/// The first number of a `-shm`. Source: walformat, section 2.1.
const SHM_VERSION: u32 = 3_007_000;
/// Bytes that tell what a file is.
pub(super) const HEAD: usize = 20;

/// A descriptor of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    /// Its number.
    pub number: u32,
    /// The path as the kernel prints it here, without ` (deleted)`.
    pub path: Vec<u8>,
    /// Whether no path leads to the file any more.
    pub deleted: bool,
    /// The file.
    pub file: FileId,
    /// What it is: by its content, or else by its name.
    pub part: Part,
    /// Whether the header of a database says WAL mode; `None`: not known.
    pub wal_mode: Option<bool>,
    /// Whether it carries a lock of a database, or may do so, where the locks are not listed.
    pub locked: bool,
    /// Which file of the database that was asked for has this name at this place.
    pub asked: Option<Part>,
}

impl Open {
    /// A descriptor of which only the name is known.
    pub(super) fn named(number: u32, path: Vec<u8>, file: FileId) -> Self {
        let part = Part::of_name(&path).0;
        Self { number, part, path, deleted: false, file, wal_mode: None, locked: false, asked: None }
    }

    /// The name of its database, if its own name tells that.
    pub(super) fn base(&self) -> Option<&[u8]> {
        let base = self.path.strip_suffix(self.part.suffix().as_bytes())?;
        (!base.is_empty()).then_some(base)
    }

    /// The name of its database before both were moved aside, if its own name tells that: `t.db` of `t.db-wal.old`.
    pub(super) fn base_before(&self) -> Option<&[u8]> {
        let (part, base, _) = Part::moved_aside(&self.path)?;
        (part == self.part).then_some(base)
    }

    /// Whether it is this part of the database with this name.
    pub(super) fn is(&self, part: Part, base: &[u8]) -> bool {
        self.part == part && self.base() == Some(base)
    }

    /// The folder in its path.
    pub(super) fn folder(&self) -> Option<&Path> {
        Path::new(OsStr::from_bytes(&self.path)).parent()
    }
}

/// The descriptors of files of a process, in order of their numbers, and those that lead to a file that is not shown.
///
/// # Errors
/// What the system said. Who may list the descriptors of a process may not always follow them: root without CAP_SYS_PTRACE,
/// as in a container (see `descriptors`). Then nothing was seen.
pub(super) fn descriptors(process: &Process) -> io::Result<(Vec<Open>, Vec<String>)> {
    let (mut open, mut unseen) = (Vec::new(), Vec::new());
    for name in process.names("fd")?.iter().take(DESCRIPTORS_OF_A_PROCESS) {
        let link = format!("fd/{name}");
        let Link { path, deleted } = match Link::of(process, name) {
            // `socket:[1]`, `anon_inode:[eventfd]` and the like.
            Ok(link) if link.path.first() != Some(&b'/') => continue,
            Ok(link) => link,
            Err(error) if refused(&error) => return Err(error),
            Err(_) => continue,
        };
        let Ok(number) = name.parse() else { continue };
        match process.file_behind(&link) {
            Ok(file) => open.push(Open { deleted, ..Open::named(number, path, file) }),
            // A FUSE mount that shows its files to its owner only.
            Err(error) if refused(&error) => unseen.push(String::from_utf8_lossy(&path).into_owned()),
            Err(_) => {}
        }
    }
    open.sort_unstable_by_key(|open| open.number);
    Ok((open, unseen))
}

/// The file of a descriptor, opened anew.
pub(super) enum Anew {
    /// It is open.
    Opened(Opened),
    /// The process has closed it meanwhile.
    Closed,
    /// A `-shm` on FUSE: an open could harm those that use it.
    NotOpened,
}

impl Anew {
    pub(super) fn opened(self) -> Option<Opened> {
        match self {
            Self::Opened(opened) => Some(opened),
            Self::Closed | Self::NotOpened => None,
        }
    }
}

/// Opens the file of a descriptor anew.
///
/// # Errors
/// What the system said.
pub(super) fn open_anew(process: &Process, open: &Open, care: Care) -> io::Result<Anew> {
    let link = format!("fd/{}", open.number);
    if unopened::kept_closed(&open.path, care.look_anyway, |flags| process.open_link(&link, flags)).is_some() {
        return Ok(Anew::NotOpened);
    }
    let opened = match open_regular_by(|flags| process.open_link(&link, flags)) {
        Err(error) if vanished(&error) => return Ok(Anew::Closed),
        opened => opened?,
    };
    let same = file_id(&opened.file.metadata()?) == open.file;
    Ok(if same { Anew::Opened(opened) } else { Anew::Closed })
}

/// The first bytes of a file. None where reading may not change the access time, and would.
pub(super) fn head(opened: &Opened, strict_atime: bool) -> Vec<u8> {
    let mut head = vec![0; HEAD];
    let may = !(strict_atime && opened.access_time_may_move);
    let read = if may { opened.file.read_at(&mut head, 0).unwrap_or(0) } else { 0 };
    head.truncate(read);
    head
}

/// Looks at the files that may be of a database: those with such a name or lock, and those in one folder with a file that is
/// wanted. No other file is opened.
pub(super) fn describe(process: &Process, open: &mut [Open], wanted: impl Fn(&Open) -> bool, care: Care) {
    let folders: Vec<_> =
        open.iter().filter(|open| wanted(open)).filter_map(Open::folder).map(Path::to_owned).collect();
    for one in open {
        one.locked = carries(process, &one.number.to_string(), LockSlot::Database);
        let near = one.folder().is_some_and(|folder| folders.iter().any(|known| known == folder));
        if near || one.locked || one.part != Part::Database || wanted(one) {
            look(process, one, care);
        }
    }
}

fn look(process: &Process, one: &mut Open, care: Care) {
    let opened = open_anew(process, one, care).ok().and_then(Anew::opened);
    let metadata = opened.as_ref().and_then(|opened| opened.file.metadata().ok());
    let links = metadata.map_or(1, |metadata| metadata.nlink());
    if one.deleted && links > 0 {
        // Elsewhere the file has another name: a hard link.
        one.deleted = opened.as_ref().is_some_and(|opened| keeps_links(&opened.file));
    }
    let Some(opened) = opened else { return };
    let head = head(&opened, care.strict_atime);
    // A -shm has no magic number, but the one version that there is.
    let version = head.first_chunk().map(|word| u32::from_ne_bytes(*word));
    let aside = || Part::moved_aside(&one.path).filter(|(part, ..)| *part == Part::Shm && version == Some(SHM_VERSION));
    one.part = Part::of_content(&head).or_else(|| aside().map(|(part, ..)| part)).unwrap_or(one.part);
    one.wal_mode = Part::says_wal(&head);
    one.locked |= one.wal_mode.is_some() && !are_listed(&Proc::system(), &opened.file);
}

/// Whether the number of links of a deleted file may stay.
fn keeps_links(file: &Arc<std::fs::File>) -> bool {
    let kind = stat::magic_of(file).map(FileSystemKind::by_magic);
    kind.is_ok_and(|kind| !kind.is_local())
}
