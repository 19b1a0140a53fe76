//! The regular files below a folder, each with its first bytes.
//!
//! Everything is opened relative to the descriptor of its folder, and no symbolic link is followed. Only regular files are
//! opened, as `open` does it. Other file systems that are mounted below are entered, but none that shows the kernel's own
//! texts ([`is_pseudo`]). The order depends on the names alone: the entries of a folder, then its folders, each by the bytes
//! of the name.

use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::evidence::file_system::is_pseudo;
use crate::linux::open::{Care, access_time_would_move, keeps_no_access_times, open_regular_unless};
use crate::linux::open_error::OpenError;
use crate::linux::own_locks;
use crate::linux::procfs::Proc;
use crate::linux::stat::magic_of;
use crate::linux::target::Target;
use crate::linux::unopened;
use crate::number::FileId;

/// Bytes that are read of most regular files.
pub const HEAD: usize = 16;
/// Bytes that are read of a file that begins with [`HEAD`] zero bytes.
pub const LONG_HEAD: usize = 108;
/// At most so many folders deep. The descriptors of all folders on the way are held.
const DEPTH: usize = 256;
/// At most so many entries in all.
const ENTRIES: usize = 4_000_000;

/// An entry of a folder that is no folder itself.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// What is there.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Debug)]
pub enum EntryKind {
    /// A regular file with its first bytes: as many as were asked for, and at least [`LONG_HEAD`] if the first [`HEAD`] are zero.
    File(Vec<u8>),
    /// A regular file with the name of a `-shm`, on FUSE: it is not opened, because that could harm those that use it.
    Unopened,
    /// A regular file that could not be read, and why.
    Unreadable(io::Error),
    /// A link, a FIFO, a socket, a device or a folder. It was not opened as a file.
    Other,
}

/// What a walk comes to.
#[derive(Debug)]
pub enum Step<'a> {
    /// A folder, by its path below the root of the walk, with its entries in the order of their names.
    Folder(&'a Path, Vec<Entry>),
    /// A folder that could not be looked into, or only in part, and why.
    Unreadable(&'a Path, io::Error),
}

/// Whether the target is a folder, also behind a symbolic link.
#[must_use]
pub fn is_folder(target: &Target) -> bool {
    target.open(OFlags::PATH | OFlags::DIRECTORY).is_ok()
}

/// Walks through a folder and all folders below it, until `each` breaks. `head_of` says how many bytes are read of a file with this
/// name, at least [`HEAD`].
///
/// # Errors
/// When the folder itself cannot be opened, or is on a pseudo file system.
pub fn walk(
    root: &Target,
    care: Care,
    head_of: &dyn Fn(&OsStr) -> usize,
    each: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
) -> Result<(), OpenError> {
    let refused = |why| OpenError::new(Path::new(&root.to_string()), "looking into the folder", why);
    let folder = File::from(root.open(OFlags::PATH | OFlags::DIRECTORY).map_err(refused)?);
    let device = folder.metadata().map_err(refused)?.dev();
    if magic_of(&folder).is_ok_and(is_pseudo) {
        return Err(refused(io::Error::other("it is on a pseudo file system, which holds no databases")));
    }
    let held = own_locks::all(&Proc::system());
    let mut walk = Walk { care, held, left: ENTRIES, head_of, each };
    let _ = walk.folder(&folder, device, &mut PathBuf::new(), DEPTH);
    Ok(())
}

struct Walk<'a> {
    care: Care,
    /// Files that this process itself holds locks on.
    held: BTreeSet<FileId>,
    left: usize,
    head_of: &'a dyn Fn(&OsStr) -> usize,
    each: &'a mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &File, device: u64, path: &mut PathBuf, depth: usize) -> ControlFlow<()> {
        let names = match depth {
            0 => Err(io::Error::other(format!("more than {DEPTH} folders deep"))),
            _ => self.names(folder),
        };
        let names = match names {
            Ok(names) => names,
            Err(why) => return (self.each)(Step::Unreadable(path, why)),
        };
        if names.is_none() {
            let why = io::Error::other(format!("more than {ENTRIES} files: the walk ends here"));
            (self.each)(Step::Unreadable(path, why))?;
            return ControlFlow::Break(());
        }
        let (mut entries, mut folders) = (Vec::new(), Vec::new());
        for (name, kind) in names.unwrap_or_default() {
            let kind = match kind {
                FileType::Directory => {
                    folders.push(name.clone());
                    EntryKind::Other
                }
                FileType::RegularFile | FileType::Unknown => self.file(folder, &name, &mut folders),
                _ => EntryKind::Other,
            };
            entries.push(Entry { name, kind });
        }
        (self.each)(Step::Folder(path, entries))?;
        for name in folders {
            path.push(&name);
            self.below(folder, &name, device, path, depth)?;
            path.pop();
        }
        ControlFlow::Continue(())
    }

    /// The names in a folder with the kind that the folder says, sorted. `None`: there are too many.
    fn names(&mut self, folder: &File) -> io::Result<Option<Vec<(OsString, FileType)>>> {
        let mut names = Vec::new();
        for entry in Dir::new(self.open_to_list(folder)?)? {
            let entry = entry?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
            self.left = left;
            names.push((owned(name), entry.file_type()));
        }
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Some(names))
    }

    fn open_to_list(&self, folder: &File) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(folder, c".", flags | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM) if self.care.strict_atime && !keeps_no_access_times(folder) => {
                Err(access_time_would_move())
            }
            Err(Errno::PERM) => Ok(openat(folder, c".", flags, Mode::empty())?),
            opened => Ok(opened?),
        }
    }

    /// A file with its first bytes. Where the folder does not say the kinds of its entries, it may be a folder.
    fn file(&self, folder: &File, name: &OsStr, folders: &mut Vec<OsString>) -> EntryKind {
        let by_name = |flags| Ok(openat(folder, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
        if unopened::kept_closed(name.as_bytes(), self.care.look_anyway, by_name).is_some() {
            return EntryKind::Unopened;
        }
        let opened = match open_regular_unless(by_name, |id| self.held.contains(id)) {
            Ok(opened) if opened.access_time_may_move && self.care.strict_atime => {
                return EntryKind::Unreadable(access_time_would_move());
            }
            Ok(opened) => opened.file,
            // It is of another kind.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                if openat(folder, name, AS_FOLDER, Mode::empty()).is_ok() {
                    folders.push(name.to_owned());
                }
                return EntryKind::Other;
            }
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return EntryKind::Other,
            Err(error) => return EntryKind::Unreadable(error),
        };
        let asked = (self.head_of)(name).max(HEAD);
        match head(&opened, asked) {
            Ok(first) if asked < LONG_HEAD && first.starts_with(&[0; HEAD]) => head(&opened, LONG_HEAD),
            first => first,
        }
        .map_or_else(EntryKind::Unreadable, EntryKind::File)
    }

    fn below(&mut self, parent: &File, name: &OsStr, device: u64, path: &mut PathBuf, depth: usize) -> ControlFlow<()> {
        // O_PATH mounts nothing that waits to be mounted.
        let opened = openat(parent, name, AS_FOLDER, Mode::empty()).map_err(io::Error::from).map(File::from);
        let found = opened.and_then(|folder| Ok((folder.metadata()?.dev(), folder)));
        match found {
            // Another device is another mount.
            Ok((other, folder)) if other != device && magic_of(&folder).is_ok_and(is_pseudo) => {
                ControlFlow::Continue(())
            }
            Ok((device, folder)) => self.folder(&folder, device, path, depth.saturating_sub(1)),
            // It was removed, or replaced by something else, meanwhile.
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
                ControlFlow::Continue(())
            }
            Err(error) => (self.each)(Step::Unreadable(path, error)),
        }
    }
}

fn head(file: &File, bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; bytes];
    let read = file.read_at(&mut head, 0)?;
    head.truncate(read);
    Ok(head)
}

const AS_FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn owned(name: &CStr) -> OsString {
    OsString::from_vec(name.to_bytes().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Every step as a line.
    fn walked(root: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        walk(&Target::from(root), Care::default(), &|name| if name == "long" { 50 } else { HEAD }, &mut |step| {
            match step {
                Step::Folder(path, entries) => lines.extend(entries.iter().map(|entry| {
                    let what = match &entry.kind {
                        EntryKind::File(head) => format!("{} bytes", head.len()),
                        EntryKind::Unopened => "not opened".to_owned(),
                        EntryKind::Unreadable(why) => why.to_string(),
                        EntryKind::Other => "other".to_owned(),
                    };
                    format!("{}: {what}", path.join(&entry.name).display())
                })),
                Step::Unreadable(path, why) => lines.push(format!("{}! {why}", path.display())),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn a_walk_is_in_order_and_opens_regular_files_only() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("b/c")).unwrap();
        fs::write(at("z"), [1; 100]).unwrap();
        fs::write(at("a"), [1; 3]).unwrap();
        fs::write(at("long"), [1; 100]).unwrap();
        fs::write(at("b/c/empty"), []).unwrap();
        symlink("..", at("b/loop")).unwrap();
        symlink("z", at("b/link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("b/fifo"), Mode::RUSR).unwrap();
        let expected = [
            "a: 3 bytes",
            "b: other",
            "long: 50 bytes",
            "z: 16 bytes",
            "b/c: other",
            "b/fifo: other",
            "b/link: other",
            "b/loop: other",
        ];
        assert_eq!(walked(root.path()), [&expected[..], &["b/c/empty: 0 bytes"]].concat());
    }

    #[test]
    fn a_walk_has_an_end_and_says_so() {
        let root = tempfile::tempdir().unwrap();
        // Made step by step: the whole path may be longer than the kernel takes.
        let mut folder = fs::File::open(root.path()).unwrap();
        for _ in 0..DEPTH + 2 {
            rustix::fs::mkdirat(&folder, c"deep", Mode::RWXU).unwrap();
            folder = openat(&folder, c"deep", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap().into();
        }
        let lines = walked(root.path());
        assert_eq!(lines.len(), DEPTH + 1);
        assert!(lines.last().unwrap().ends_with("! more than 256 folders deep"), "{:?}", lines.last());
    }

    #[test]
    fn pseudo_file_systems_are_not_walked() {
        let why = walk(&Target::from("/proc/sys"), Care::default(), &|_| HEAD, &mut |_| ControlFlow::Continue(()))
            .unwrap_err();
        assert!(why.to_string().contains("pseudo file system"), "{why}");
        // From the folder above, it is passed over.
        let root = Target::from("/");
        let mut seen = Vec::new();
        let root = File::from(root.open(OFlags::PATH | OFlags::DIRECTORY).unwrap());
        let device = root.metadata().unwrap().dev();
        let mut each = |step: Step<'_>| {
            let (Step::Folder(path, _) | Step::Unreadable(path, _)) = step;
            seen.push(path.to_owned());
            ControlFlow::Break(())
        };
        let mut walk =
            Walk { care: Care::default(), held: BTreeSet::new(), left: ENTRIES, head_of: &|_| HEAD, each: &mut each };
        let _ = walk.below(&root, OsStr::new("proc"), device, &mut PathBuf::from("proc"), DEPTH);
        assert_eq!(seen, Vec::<PathBuf>::new());
    }
}
