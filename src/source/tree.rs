//! The databases below a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use super::other_format::{self, is_named_as_database, of_another_program};
use super::target;
use super::{Kind, kind};
use crate::bundle::SnapshotError;
use crate::bytes::{FileBytes, ReadAt};
use crate::format::db::{HEADER_SIZE, MAGIC};
use crate::format::{first_page, journal};
use crate::linux::walk::{self, Entry, EntryKind, Step};
use crate::linux::{Care, Target, open_regular};

/// At most so many databases are listed of one folder.
const DATABASES: usize = 10_000;

/// What lies below a folder.
#[derive(Debug, Default)]
pub struct Tree {
    /// The databases, in the order of the walk.
    pub databases: Vec<Found>,
    /// What could not be looked at.
    pub unread: Vec<Unread>,
    /// What has the name of a database, and is of another program.
    pub others: Vec<Other>,
    /// Whether the search was ended before everything was looked at, because its time was over.
    pub ended_early: bool,
}

/// A database that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The folder as the user typed it, with the path below it: a SOURCE.
    pub label: OsString,
    /// Where it is.
    pub target: Target,
}

/// A file with the name of a database that is of another program.
#[derive(Debug)]
pub struct Other {
    /// The folder as the user typed it, with the path below it.
    pub label: OsString,
    /// The name of its format.
    pub format: &'static str,
}

/// A file or folder that could not be looked at.
#[derive(Debug)]
pub struct Unread {
    /// The folder as the user typed it, with the path below it.
    pub label: OsString,
    /// Why.
    pub reason: String,
}

/// The databases below a folder. `None`: the SOURCE is no folder.
///
/// A database is told by its content, or by a `-wal` or `-shm` beside it: it may be encrypted, or its header may be lost. A
/// name that ends in `.db`, `.db3`, `.sqlite` or `.sqlite3` is enough too, whatever the file holds: what another program keeps
/// under the name `.db` is not looked at, and is named in [`Tree::others`]. Behind a header of zero bytes the first table tells it. A
/// `-wal`, `-shm` or `-journal` that waits, without its database, stands for the database that is missing. Other files cost 16 bytes of reading.
///
/// # Errors
/// When there is no such process or container, or when the folder itself cannot be looked into.
pub fn tree(argument: &OsStr, care: Care) -> Result<Option<Tree>, SnapshotError> {
    tree_until(argument, care, None)
}

/// The databases below a folder, as [`tree`] finds them, but no folder is begun after this moment.
///
/// # Errors
/// As for [`tree`].
pub fn tree_until(argument: &OsStr, care: Care, end: Option<Instant>) -> Result<Option<Tree>, SnapshotError> {
    let root = target(argument)?;
    if !walk::is_folder(&root) {
        return Ok(None);
    }
    let mut tree = Tree::default();
    let label = |path: &Path| match path.as_os_str().is_empty() {
        true => argument.to_owned(),
        false => Path::new(argument).join(path).into_os_string(),
    };
    let mut each = |step: Step<'_>| {
        match step {
            Step::Unreadable(path, why) => tree.unread.push(unread(label(path), &why)),
            Step::Folder(folder, entries) => {
                let (sources, others) = sources(entries);
                let other = |(name, format)| Other { label: label(&folder.join(name)), format };
                tree.others.extend(others.into_iter().map(other));
                for (name, why) in sources {
                    let path = folder.join(name);
                    match why {
                        Some(why) => tree.unread.push(unread(label(&path), &why)),
                        None if tree.databases.len() == DATABASES => {
                            let why = io::Error::other(format!("more than {DATABASES} databases: the walk ends here"));
                            tree.unread.push(unread(label(folder), &why));
                            return ControlFlow::Break(());
                        }
                        None => {
                            let target = root.beneath(&path);
                            tree.databases.push(Found { label: label(&path), target });
                        }
                    }
                }
            }
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            tree.ended_early = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let head_of = |name: &OsStr| if is_named_as_database(name) { other_format::HEAD } else { walk::HEAD };
    walk::walk(&root, care, &head_of, &mut each)?;
    Ok(Some(tree))
}

fn unread(label: OsString, why: &io::Error) -> Unread {
    Unread { label, reason: why.to_string() }
}

/// Whether a look at the database takes in this other SOURCE: both are files, and this one is no database itself.
#[must_use]
pub fn is_beside(sidecar: &OsStr, database: &OsStr, care: Care) -> bool {
    let head = |target: &Target| {
        let opened = open_regular(target.clone(), care).ok()?;
        let mut head = [0; 16];
        FileBytes::whole(opened.file).ok()?.read_at(&mut head, 0).ok()?;
        Some(head)
    };
    let (Ok(sidecar), Ok(database)) = (target(sidecar), target(database)) else { return false };
    // What is there and cannot be opened is looked at with its database, which names the reason. Of a -wal or -shm without a
    // usable header only the name tells what it is.
    sidecar.exists()
        && !walk::is_folder(&sidecar)
        && head(&sidecar).is_none_or(|head| !head.starts_with(MAGIC))
        && head(&database).is_some_and(|head| kind(&head) == Kind::Database)
}

/// What of a folder is looked at, by name, with the reason if it cannot be read.
type Sources = BTreeMap<OsString, Option<io::Error>>;

/// What of a folder is looked at, and what has only the name of a database, with its format.
fn sources(entries: Vec<Entry>) -> (Sources, Vec<(OsString, &'static str)>) {
    let mut entries: BTreeMap<OsString, EntryKind> =
        entries.into_iter().map(|entry| (entry.name, entry.kind)).collect();
    let (mut sources, mut others) = (BTreeSet::new(), Vec::new());
    let beside = |name: &OsStr, entries: &BTreeMap<OsString, EntryKind>| {
        SIBLINGS.iter().any(|suffix| entries.get(&with(name, suffix)).is_some_and(is_file))
    };
    for (name, kind) in &entries {
        let database = of_database(name).map(|database| (database, entries.get(database)));
        match (kind, database) {
            (EntryKind::Other | EntryKind::Unopened, _) => {}
            // It is looked at with its database.
            (_, Some((_, Some(of)))) if is_file(of) && !is_database(kind) => {}
            (EntryKind::Unreadable(_), _) => {
                sources.insert(name.clone());
            }
            (EntryKind::File(_), _) if is_database(kind) || beside(name, &entries) => {
                sources.insert(name.clone());
            }
            (EntryKind::File(head), Some((database, there))) if could_be_sibling(head) => {
                // A name that leads to something else cannot stand for the database.
                let name = if there.is_none() { database } else { name };
                sources.insert(name.to_owned());
            }
            // It stands for the database that it was left without.
            (EntryKind::File(head), _) if head.starts_with(journal::MAGIC) => {
                let database = name.as_bytes().strip_suffix(b"-journal").map(OsStr::from_bytes);
                let alone = database.filter(|name| !name.is_empty() && !entries.contains_key(*name));
                sources.extend(alone.map(OsStr::to_owned));
            }
            (EntryKind::File(head), _) if is_wal(head) => {
                sources.insert(name.clone());
            }
            // Its header may be lost, or something else stands in its place.
            (EntryKind::File(head), _) if is_named_as_database(name) => match of_another_program(name, head) {
                Some(format) => others.push((name.clone(), format)),
                None => {
                    sources.insert(name.clone());
                }
            },
            (EntryKind::File(_), _) => {}
        }
    }
    let why = |name: OsString| match entries.remove(&name) {
        Some(EntryKind::Unreadable(why)) => (name, Some(why)),
        _ => (name, None),
    };
    (sources.into_iter().map(why).collect(), others)
}

const SIBLINGS: [&str; 2] = ["-wal", "-shm"];

fn with(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

/// The name of the database beside which SQLite would give a file this name.
fn of_database(name: &OsStr) -> Option<&OsStr> {
    let name = SIBLINGS.iter().find_map(|suffix| name.as_bytes().strip_suffix(suffix.as_bytes()))?;
    (!name.is_empty()).then(|| OsStr::from_bytes(name))
}

fn is_file(kind: &EntryKind) -> bool {
    !matches!(kind, EntryKind::Other)
}

fn is_database(kind: &EntryKind) -> bool {
    matches!(kind, EntryKind::File(head) if head.starts_with(MAGIC) || is_zeroed_database(head))
}

/// Whether the 100 bytes of the header are zero, and the head of a table with rows stands behind them.
fn is_zeroed_database(head: &[u8]) -> bool {
    let zeroed = head.get(..HEADER_SIZE).is_some_and(|header| header.iter().all(|byte| *byte == 0));
    zeroed && matches!(head.get(HEADER_SIZE), Some(5 | 13)) && first_page::cells(head) > 0
}

/// Magic number and version of a `-wal`.
fn is_wal(head: &[u8]) -> bool {
    let word = |at: usize| head.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok()).map(u32::from_be_bytes);
    word(0).is_some_and(|magic| magic | 1 == 0x377f_0683) && word(4) == Some(3_007_000)
}

/// Whether a file with the name of a `-wal` or `-shm` is one without its database. The name alone is not enough. A header of
/// zero bytes is: it may have been lost.
fn could_be_sibling(head: &[u8]) -> bool {
    let magic = head.get(..4).and_then(|word| <[u8; 4]>::try_from(word).ok());
    let lost = !head.is_empty() && head.iter().all(|byte| *byte == 0);
    let is = |word| u32::from_be_bytes(word) | 1 == 0x377f_0683;
    let version = |word| u32::from_le_bytes(word) == 3_007_000 || u32::from_be_bytes(word) == 3_007_000;
    lost || magic.is_some_and(|word| is(word) || version(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &[u8] = b"SQLite format 3\0";
    const WAL: &[u8] = &[0x37, 0x7f, 0x06, 0x83, 0, 0x2d, 0xe2, 0x18];
    const SHM: &[u8] = &[0x18, 0xe2, 0x2d, 0];

    /// The sources among these files.
    fn found(files: &[(&str, Option<&[u8]>)]) -> Vec<String> {
        let entry = |(name, head): &(&str, Option<&[u8]>)| Entry {
            name: OsString::from(name),
            kind: head.map_or(EntryKind::Other, |head| EntryKind::File(head.to_vec())),
        };
        let (sources, _) = sources(files.iter().map(entry).collect());
        sources.into_keys().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_database_is_told_by_its_content_or_by_what_lies_beside_it() {
        let files = |files: &[(&'static str, &'static [u8])]| {
            found(&files.iter().map(|(name, head)| (*name, Some(*head))).collect::<Vec<_>>())
        };
        assert_eq!(files(&[("a", DATABASE), ("a-wal", WAL), ("a-shm", SHM), ("text", b"x"), ("empty", b"")]), ["a"]);
        assert_eq!(files(&[("zeroed", &[0; 16]), ("zeroed-wal", WAL)]), ["zeroed"]);
        assert_eq!(files(&[("encrypted", b"\xe7\x01"), ("encrypted-shm", &[0; 16])]), ["encrypted"]);
        assert_eq!(files(&[("new", b""), ("new-wal", b"")]), ["new"]);
        const ZEROED: [u8; 108] = {
            let mut head = [0; 108];
            (head[100], head[104]) = (13, 2);
            head
        };
        assert_eq!(files(&[("zeroed", &ZEROED), ("zeros", &[0; 108])]), ["zeroed"]);
        // The database is missing: one source, by its name.
        assert_eq!(files(&[("b-wal", WAL), ("b-shm", SHM)]), ["b"]);
        assert_eq!(files(&[("b-wal", &[0; 16])]), ["b"]);
        const JOURNAL: &[u8] = &[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
        assert_eq!(files(&[("j.db-journal", JOURNAL), ("k-journal", &[0; 16]), ("-journal", JOURNAL)]), ["j.db"]);
        assert_eq!(files(&[("a", DATABASE), ("a-journal", JOURNAL)]), ["a"]);
        // The names alone are not enough.
        assert_eq!(files(&[("notes-wal", b"text"), ("c-shm", b""), ("-wal", b"x")]), [""; 0]);
        assert_eq!(files(&[("copied.bin", WAL)]), ["copied.bin"]);
        // The name of a database, and a header that is lost, or nothing at all.
        assert_eq!(
            files(&[("a.db", b"\xe7\x01"), ("b.SQLITE", b""), ("c.sqlite3", &[0; 16])]),
            ["a.db", "b.SQLITE", "c.sqlite3"]
        );
        assert_eq!(
            files(&[("text.db", &[b'a'; 100]), ("index.db", b"\xce\x9a\x57\x13\0"), ("x.dbx", b"\x01")]),
            [""; 0]
        );
        assert_eq!(files(&[("Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1")]), [""; 0]);
        // A database may be called so.
        assert_eq!(files(&[("a", DATABASE), ("a-wal", DATABASE), ("a-wal-wal", WAL)]), ["a", "a-wal"]);
    }

    #[test]
    fn a_link_or_a_folder_stands_for_no_database() {
        assert_eq!(found(&[("a", None), ("a-wal", Some(WAL))]), ["a-wal"]);
        assert_eq!(found(&[("a", Some(b"text")), ("a-wal", None)]), [""; 0]);
    }
}
