//! Which descriptors of one process belong to one database.

use super::held::Open;
use super::pairs::{Pair, Pairs, nearest_after, pairs};
use crate::evidence::{Part, Parts};

/// The descriptors of one database.
#[derive(Debug, Clone)]
pub(super) struct Unit<'o> {
    pub files: Parts<&'o Open>,
    /// Whether it is not sure which database they belong to.
    pub unsure: bool,
}

/// The databases of one process. `open` is in order of the numbers. `is_wanted` says that a file is one that was asked for. Units
/// that are unsure are there if one of them has a file that was asked for.
pub(super) fn units<'o>(open: &'o [Open], is_wanted: impl Fn(&Open) -> bool) -> Vec<Unit<'o>> {
    let mut found: Vec<Unit<'o>> = Vec::new();
    let has_wal = |shm: &Open| shm.base().is_some_and(|base| open.iter().any(|other| other.is(Part::Wal, base)));
    let wals = pairs(open, Part::Wal, |_| true);
    let unsure = wals.unsure.iter().any(|one| one.part == Part::Wal);
    // A process with a wal-index and without a -wal is seen through the -shm.
    let shms = if unsure { Pairs::default() } else { pairs(open, Part::Shm, |shm| !has_wal(shm)) };
    // A database that gave up WAL mode has a -journal; one in WAL mode has none.
    let journals = pairs(open, Part::Journal, |_| true);
    for kind in [wals, shms, journals] {
        let concerns = kind.unsure.iter().any(|open| is_wanted(open));
        found.extend(kind.sure.iter().map(|pair| Unit { files: parts(open, pair), unsure: false }));
        let swapped: Vec<_> = kind.doubted.iter().map(|pair| Unit { files: parts(open, pair), unsure: true }).collect();
        if swapped.iter().any(|unit| unit.files.iter().any(|open| is_wanted(open))) {
            found.extend(swapped);
        }
        for one in kind.unsure.iter().filter(|_| concerns) {
            let known = |unit: &Unit<'_>| unit.files.get(one.part).is_some_and(|known| known.file == one.file);
            if !found.iter().any(known) {
                let files = if one.part == Part::Database {
                    alone(one)
                } else {
                    parts(open, &Pair { database: None, sidecar: one })
                };
                found.push(Unit { files, unsure: true });
            }
        }
    }
    found.retain(|unit| unit.unsure || unit.files.iter().any(|open| is_wanted(open)));
    for database in open.iter().filter(|open| open.part == Part::Database && is_wanted(open)) {
        let is = |unit: &Unit<'_>| unit.files.get(Part::Database).is_some_and(|known| known.file == database.file);
        if !found.iter().any(is) {
            found.push(Unit { files: alone(database), unsure: false });
        }
    }
    found
}

fn alone(one: &Open) -> Parts<&Open> {
    Parts::new(|part| (part == one.part).then_some(one))
}

/// The files of a pair: beside a `-wal` also its `-shm`.
fn parts<'o>(open: &'o [Open], pair: &Pair<'o>) -> Parts<&'o Open> {
    let Pair { database, sidecar } = *pair;
    Parts::new(|part| match part {
        Part::Database => database,
        part if part == sidecar.part => Some(sidecar),
        Part::Shm if sidecar.part == Part::Wal => {
            let base = sidecar.base()?;
            nearest_after(open, sidecar, |other| other.is(Part::Shm, base))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::{Device, FileId};

    /// What is known of a database: its lock, and the mode that its header says.
    #[derive(Clone, Copy)]
    enum Known {
        Locked(u64),
        Wal(u64),
        Rollback(u64),
    }
    use Known::{Locked, Rollback, Wal};

    /// The inode numbers of each unit; 0 where there is none. A last number of 1 says that it is unsure. A name of nothing is a
    /// number that is free or of no file. The wanted database is `/d/t.db`.
    fn found(files: &[(u64, &str)], known: &[Known]) -> Vec<[u64; 5]> {
        let device = Device { major: 0, minor: 1 };
        let each = files.iter().zip(3..).filter(|((_, path), _)| !path.is_empty()).map(|((inode, path), number)| {
            let mut open = Open::named(number, path.as_bytes().to_vec(), FileId { device, inode: *inode });
            for known in known {
                match known {
                    Locked(of) if of == inode => open.locked = true,
                    Wal(of) if of == inode => (open.locked, open.wal_mode) = (true, Some(true)),
                    Rollback(of) if of == inode => open.wal_mode = Some(false),
                    _ => {}
                }
            }
            open
        });
        let open: Vec<Open> = each.collect();
        let wanted = |open: &Open| open.base() == Some(b"/d/t.db");
        let inode = |unit: &Unit<'_>, part| unit.files.get(part).map_or(0, |open| open.file.inode);
        let each = |unit: &Unit<'_>| {
            let [database, wal, shm, journal] = Part::ALL.map(|part| inode(unit, part));
            [database, wal, shm, journal, unit.unsure.into()]
        };
        units(&open, wanted).iter().map(each).collect()
    }

    #[test]
    fn connections_of_one_database_are_one_unit() {
        let two = [(1, "/d/t.db"), (2, "/d/t.db-wal"), (3, "/d/t.db-shm"), (1, "/d/t.db"), (2, "/d/t.db-wal")];
        assert_eq!(found(&two, &[Wal(1)]), [[1, 2, 3, 0, 0]]);
        let others = [(9, "/dev/null"), (1, "/d/t.db"), (4, "/d/o.db"), (5, "/d/o.db-wal"), (2, "/d/t.db-wal")];
        assert_eq!(found(&others, &[Wal(1), Wal(4)]), [[1, 2, 0, 0, 0]]);
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
        assert_eq!(found(&files, &[Wal(1), Wal(11)]), [[1, 2, 3, 0, 0], [11, 12, 13, 0, 0]]);
        // The database alone was replaced: the process uses one -wal with both.
        let shared = [(1, "/d/t.db"), (2, "/d/t.db-wal"), (11, "/d/t.db"), (2, "/d/t.db-wal")];
        assert_eq!(found(&shared, &[Wal(1), Wal(11)]), [[1, 2, 0, 0, 0], [11, 2, 0, 0, 0]]);
    }

    #[test]
    fn a_renamed_database_is_told_by_its_lock_or_its_header() {
        let files = [(8, "/var/log/app.log"), (1, "/d/old.db"), (2, "/d/t.db-wal"), (3, "/d/t.db-shm")];
        assert_eq!(found(&files, &[Locked(1)]), [[1, 2, 3, 0, 0]]);
        assert_eq!(found(&files, &[]), [[0, 2, 3, 0, 0]]);
        let with_other = [(4, "/d/o.db"), (5, "/d/o.db-wal"), (1, "/d/old.db"), (2, "/d/t.db-wal")];
        assert_eq!(found(&with_other, &[Wal(1), Wal(4)]), [[1, 2, 0, 0, 0]]);
    }

    #[test]
    fn a_new_database_with_the_old_name_does_not_get_the_wal_of_the_renamed_one() {
        let rotated = [
            (1, "/d/t.db.1"),
            (2, "/d/t.db-wal"),
            (3, "/d/t.db-shm"),
            (11, "/d/t.db"),
            (12, "/d/t.db-wal"),
            (3, "/d/t.db-shm"),
        ];
        let mut units = found(&rotated, &[Wal(1), Wal(11)]);
        units.sort_unstable();
        assert_eq!(units, [[1, 2, 3, 0, 0], [11, 12, 3, 0, 0]]);
        // It has not read the new one yet.
        let mut units = found(&rotated[..4], &[Wal(1)]);
        units.sort_unstable();
        assert_eq!(units, [[1, 2, 3, 0, 0], [11, 0, 0, 0, 0]]);
    }

    #[test]
    fn exchanged_names_are_doubted_and_all_their_files_are_there() {
        let swapped = [
            (1, "/d/o.db"),
            (2, "/d/t.db-wal"),
            (3, "/d/t.db-shm"),
            (11, "/d/t.db"),
            (12, "/d/o.db-wal"),
            (13, "/d/o.db-shm"),
        ];
        let mut units = found(&swapped, &[Wal(1), Wal(11)]);
        units.sort_unstable();
        assert_eq!(units, [[1, 12, 13, 0, 1], [11, 2, 3, 0, 1]]);
        let elsewhere = [(1, "/e/o.db"), (2, "/d/t.db-wal"), (11, "/d/t.db"), (12, "/e/o.db-wal")];
        assert_eq!(found(&elsewhere, &[Wal(1), Wal(11)]), [[11, 2, 0, 0, 0]]);
        let in_a_circle = [
            (1, "/d/o.db"),
            (2, "/d/t.db-wal"),
            (11, "/d/q.db"),
            (12, "/d/o.db-wal"),
            (21, "/d/t.db"),
            (22, "/d/q.db-wal"),
        ];
        assert!(found(&in_a_circle, &[Wal(1), Wal(11), Wal(21)]).iter().all(|unit| unit[4] == 1));
    }

    #[test]
    fn a_lower_number_alone_contradicts_no_name() {
        let alone = [(2, "/d/t.db-wal"), (3, "/d/t.db-shm"), (1, "/d/t.db")];
        assert_eq!(found(&alone, &[Wal(1)]), [[1, 2, 3, 0, 0]]);
        let beside = [(4, "/d/o.db"), (5, "/d/o.db-wal"), (2, "/d/t.db-wal"), (1, "/d/t.db")];
        assert_eq!(found(&beside, &[Wal(1), Wal(4)]), [[1, 2, 0, 0, 0]]);
        // Another database was renamed.
        let renamed = [(4, "/d/old"), (5, "/d/o.db-wal"), (2, "/d/t.db-wal"), (1, "/d/t.db")];
        assert_eq!(found(&renamed, &[Wal(1), Wal(4)]), [[1, 2, 0, 0, 0]]);
    }

    #[test]
    fn two_renamed_databases_without_an_order_stay_unsure() {
        let both = [(1, "/d/a"), (4, "/d/b"), (2, "/d/t.db-wal"), (5, "/d/o.db-wal")];
        let mut units = found(&both, &[Wal(1), Wal(4)]);
        units.sort_unstable();
        assert_eq!(units, [[0, 2, 0, 0, 1], [0, 5, 0, 0, 1], [1, 0, 0, 0, 1], [4, 0, 0, 0, 1]]);
        let ordered = [(1, "/d/a"), (2, "/d/t.db-wal"), (4, "/d/b"), (5, "/d/o.db-wal")];
        assert_eq!(found(&ordered, &[Wal(1), Wal(4)]), [[1, 2, 0, 0, 0]]);
        // One of two belongs to a database that has none.
        let several = [(1, "/d/t.db"), (2, "/d/t.db-wal"), (12, "/d/t.db-wal"), (4, "/d/b")];
        assert!(found(&several, &[Wal(1), Wal(4)]).iter().all(|unit| unit[4] == 1));
    }

    #[test]
    fn a_renamed_database_in_a_transaction_has_the_journal_of_its_old_name() {
        let renamed = [(9, "/d/text"), (1, "/d/moved.db"), (5, "/d/t.db-journal")];
        assert_eq!(found(&renamed, &[Locked(1), Rollback(1)]), [[1, 0, 0, 5, 0]]);
        assert_eq!(found(&renamed, &[Rollback(1)]), [[1, 0, 0, 5, 0]]);
        let rotated = [(1, "/d/t.db.1"), (5, "/d/t.db-journal"), (11, "/d/t.db")];
        let mut units = found(&rotated, &[Locked(1), Rollback(1), Rollback(11)]);
        units.sort_unstable();
        assert_eq!(units, [[1, 0, 0, 5, 0], [11, 0, 0, 0, 0]]);
    }

    #[test]
    fn a_database_without_a_wal_is_found_by_its_name_or_its_journal() {
        assert_eq!(found(&[(1, "/d/t.db"), (4, "/d/text")], &[]), [[1, 0, 0, 0, 0]]);
        assert_eq!(found(&[(4, "/d/t.db"), (5, "/d/t.db-journal")], &[]), [[4, 0, 0, 5, 0]]);
        assert_eq!(found(&[(4, "/d/t.db"), (5, "/d/t.db-shm")], &[]), [[4, 0, 5, 0, 0]]);
        assert!(found(&[(4, "/d/x"), (5, "-wal")], &[]).is_empty(), "a name of nothing but the suffix");
    }
}
