//! Which descriptors of one process belong to one database.
//!
//! SQLite opens a database, then its `-wal`, then its `-shm`, each by the name of the database at that moment. So a sidecar
//! belongs to the database with the rest of its name. If several have that name, because it was replaced, it belongs to the
//! one that was opened last before it. A database that was renamed while it was open has no sidecar with its new name: it
//! is told by the lock that it carries.

use std::collections::BTreeSet;

use crate::evidence::{Part, Parts};
use crate::number::FileId;

/// A descriptor of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    /// Its number.
    pub number: u32,
    /// The path as the kernel prints it here, without ` (deleted)`.
    pub path: Vec<u8>,
    /// The file.
    pub file: FileId,
}

impl Open {
    /// What it is by its name, and the name of the database.
    pub(super) fn named(&self) -> (Part, &[u8]) {
        let sidecar = [Part::Wal, Part::Shm, Part::Journal].into_iter().find_map(|part| {
            let base = self.path.strip_suffix(part.suffix().as_bytes())?;
            (!base.is_empty()).then_some((part, base))
        });
        sidecar.unwrap_or((Part::Database, &self.path))
    }

    fn is(&self, part: Part, base: &[u8]) -> bool {
        self.named() == (part, base)
    }
}

/// The descriptors of one database.
pub(super) type Unit<'o> = Parts<&'o Open>;

/// The databases of one process. `open` is in order of the numbers. `is_database` says that a file is the wanted database,
/// `locked` that a descriptor carries a lock of a database.
pub(super) fn units<'o>(
    open: &'o [Open],
    is_database: impl Fn(&Open) -> bool,
    locked: impl Fn(&Open) -> bool,
) -> Vec<Unit<'o>> {
    let mut found: Vec<Unit<'o>> = Vec::new();
    let mut seen = BTreeSet::new();
    // A process with a wal-index and without a -wal is seen through the -shm.
    for part in [Part::Wal, Part::Shm] {
        for sidecar in open.iter().filter(|open| open.named().0 == part) {
            let (_, base) = sidecar.named();
            let known = part == Part::Shm && open.iter().any(|other| other.is(Part::Wal, base));
            if known || !seen.insert(sidecar.file) {
                continue;
            }
            let database = nearest_before(open, sidecar, |other| other.is(Part::Database, base))
                .or_else(|| renamed(open, sidecar, &locked));
            found.push(Unit::new(|of| match of {
                Part::Database => database,
                _ if of == part => Some(sidecar),
                // Each -wal is a unit of its own.
                Part::Wal => None,
                Part::Shm | Part::Journal => nearest_after(open, sidecar, |other| other.is(of, base)),
            }));
        }
    }
    for database in open.iter().filter(|open| open.named().0 == Part::Database) {
        let journal = nearest_after(open, database, |other| other.is(Part::Journal, &database.path));
        let known = found.iter().any(|unit| unit.get(Part::Database).is_some_and(|known| known.file == database.file));
        if !known && (journal.is_some() || is_database(database)) {
            found.push(Unit::new(|of| match of {
                Part::Database => Some(database),
                Part::Journal => journal,
                Part::Wal | Part::Shm => None,
            }));
        }
    }
    found
}

/// What was opened last before a descriptor, or else first after it.
fn nearest_before<'o>(open: &'o [Open], to: &Open, is: impl Fn(&Open) -> bool) -> Option<&'o Open> {
    before(open, to, &is).or_else(|| after(open, to, &is))
}

/// What was opened first after a descriptor, or else last before it: the connections of a process share one `-shm`.
fn nearest_after<'o>(open: &'o [Open], to: &Open, is: impl Fn(&Open) -> bool) -> Option<&'o Open> {
    after(open, to, &is).or_else(|| before(open, to, &is))
}

fn before<'o>(open: &'o [Open], to: &Open, is: impl Fn(&Open) -> bool) -> Option<&'o Open> {
    open.iter().rev().find(|other| other.number < to.number && is(other))
}

fn after<'o>(open: &'o [Open], to: &Open, is: impl Fn(&Open) -> bool) -> Option<&'o Open> {
    open.iter().find(|other| other.number > to.number && is(other))
}

/// A database without a sidecar of its own name.
fn renamed<'o>(open: &'o [Open], sidecar: &Open, locked: impl Fn(&Open) -> bool) -> Option<&'o Open> {
    let lonely = |other: &Open| {
        other.named().0 == Part::Database
            && !open.iter().any(|beside| beside.named().0 != Part::Database && beside.named().1 == other.path)
    };
    nearest_before(open, sidecar, |other| lonely(other) && locked(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Device;

    fn open(files: &[(u64, &str)]) -> Vec<Open> {
        let device = Device { major: 0, minor: 1 };
        let each = files.iter().zip(3..).map(|((inode, path), number)| Open {
            number,
            path: path.as_bytes().to_vec(),
            file: FileId { device, inode: *inode },
        });
        each.collect()
    }

    /// The inode numbers of each unit; 0 where there is none.
    fn found(files: &[(u64, &str)], locked: &[u64]) -> Vec<[u64; 4]> {
        let open = open(files);
        let is = |open: &Open| open.path == b"/d/t.db";
        let units = units(&open, is, |open| locked.contains(&open.file.inode));
        let inode = |unit: &Unit<'_>, part| unit.get(part).map_or(0, |open| open.file.inode);
        units.iter().map(|unit| Part::ALL.map(|part| inode(unit, part))).collect()
    }

    #[test]
    fn connections_of_one_database_are_one_unit() {
        let two = [(1, "/d/t.db"), (2, "/d/t.db-wal"), (3, "/d/t.db-shm"), (1, "/d/t.db"), (2, "/d/t.db-wal")];
        assert_eq!(found(&two, &[]), [[1, 2, 3, 0]]);
        let others = [(9, "/dev/null"), (1, "/d/t.db"), (4, "/d/o.db"), (5, "/d/o.db-wal"), (2, "/d/t.db-wal")];
        assert_eq!(found(&others, &[]), [[4, 5, 0, 0], [1, 2, 0, 0]]);
    }

    #[test]
    fn a_connection_on_replaced_files_is_told_from_one_on_new_files() {
        let files = [
            (1, "/d/t.db"),
            (2, "/d/t.db-wal"),
            (3, "/d/t.db-shm"),
            (11, "/d/t.db"),
            (12, "/d/t.db-wal"),
            (13, "/d/t.db-shm"),
        ];
        assert_eq!(found(&files, &[]), [[1, 2, 3, 0], [11, 12, 13, 0]]);
    }

    #[test]
    fn a_renamed_database_is_told_by_its_lock() {
        let files = [(8, "/var/log/app.log"), (1, "/d/old.db"), (2, "/d/t.db-wal"), (3, "/d/t.db-shm")];
        assert_eq!(found(&files, &[1]), [[1, 2, 3, 0]]);
        assert_eq!(found(&files, &[]), [[0, 2, 3, 0]]);
        let with_other = [(4, "/d/o.db"), (5, "/d/o.db-wal"), (1, "/d/old.db"), (2, "/d/t.db-wal")];
        assert_eq!(found(&with_other, &[1, 4]), [[4, 5, 0, 0], [1, 2, 0, 0]]);
    }

    #[test]
    fn a_database_without_a_wal_is_found_by_its_name_or_its_journal() {
        assert_eq!(found(&[(1, "/d/t.db"), (4, "/d/text")], &[]), [[1, 0, 0, 0]]);
        assert_eq!(found(&[(4, "/d/x"), (5, "/d/x-journal")], &[]), [[4, 0, 0, 5]]);
        assert_eq!(found(&[(4, "/d/x"), (5, "/d/x-shm")], &[]), [[4, 0, 5, 0]]);
        assert!(found(&[(4, "/d/x"), (5, "-wal")], &[]).is_empty(), "a name of nothing but the suffix");
    }
}
