//! Which files a process that maps a wal-index has open.
//!
//! A process can have the database open and use another wal-index for it, when it opened the database under another
//! name: by a hard link, a bind mount of the file alone, or a rename. And a process can use the wal-index with another
//! database or `-wal`, when that file was replaced while the process had it open.

use std::collections::BTreeSet;

use super::database_of::{self, MappedName};
use super::limits::{BLOCK, DESCRIPTORS_OF_A_PROCESS};
use super::one_process::{Descriptor, OneProcess};
use super::wanted::Wanted;
use crate::evidence::{FileOpen, LockSlot};
use crate::linux::text::maps::MapsLine;
use crate::number::FileId;

/// The lines that map another wal-index for the wanted database. Only for a process that does not map the wanted one.
/// Descriptors are looked at only when the process maps some `-shm`.
///
/// A wal-index belongs to a database that the process has open, usually the one with the same path. So a mapping counts
/// if no other open database explains it, and if it lies beside the name under which this database is open, has the
/// base name of this database's `-shm`, is deleted, or is left over as this database is.
///
/// Open is not in use: the process must hold a lock on the database. Beside the name under which the database is open, the
/// dead-man switch of the mapped file shows it too.
pub(super) fn other_indexes_of_database<'l, 't>(
    one: &OneProcess<'_>,
    lines: impl Iterator<Item = &'l MapsLine<'t>>,
    wanted: &Wanted,
) -> BTreeSet<&'l MapsLine<'t>>
where
    't: 'l,
{
    let Some(database) = wanted.database else { return BTreeSet::new() };
    let candidates: Vec<(&MapsLine<'_>, &[u8])> = lines
        .filter(|line| line.shared && line.length() >= BLOCK && Some(line.inode) != wanted.identity)
        .filter_map(|line| Some((line, line.path.strip_suffix(b"-shm")?)))
        .collect();
    if candidates.is_empty() {
        return BTreeSet::new();
    }
    let (mut this, mut others) = (BTreeSet::new(), BTreeSet::new());
    for descriptor in one.descriptors().unwrap_or_default() {
        let Some(file) = descriptor.file else { continue };
        let paths = if file == database { &mut this } else { &mut others };
        paths.insert(descriptor.path.as_slice());
    }
    if this.is_empty() {
        return BTreeSet::new();
    }
    let names: Vec<MappedName<'_>> =
        candidates.iter().map(|(line, _)| MappedName { path: line.path, inode: line.inode.inode }).collect();
    let left_over = database_of::of(one, &names);
    let left_over: BTreeSet<&[u8]> =
        names.iter().zip(left_over).filter(|(_, file)| *file == Some(database)).map(|(name, _)| name.path).collect();
    let counts = |(line, beside): &(&MapsLine<'_>, &[u8])| {
        this.contains(*beside)
            || left_over.contains(line.path)
            || (!others.contains(*beside) && (line.deleted_suffix || base(line.path) == base(&wanted.path)))
    };
    let in_use = |(line, beside): &(&MapsLine<'_>, &[u8])| {
        holds_database(one, wanted, false) || (this.contains(*beside) && holds_switch(one, line))
    };
    candidates.into_iter().filter(counts).filter(in_use).map(|(line, _)| line).collect()
}

/// Whether a process was seen to use the wal-index that it maps for the database at the wanted path: it holds a lock on the
/// database, or on a file that lay there before, or the dead-man switch of the mapped file.
///
/// What has been unlocked, or is not in the lock list, is not known to be in use.
pub(super) fn uses(one: &OneProcess<'_>, wanted: &Wanted, line: &MapsLine<'_>) -> bool {
    holds_database(one, wanted, true) || holds_switch(one, line)
}

fn holds_database(one: &OneProcess<'_>, wanted: &Wanted, by_path: bool) -> bool {
    let is = |descriptor: &&Descriptor| {
        (descriptor.file.is_some() && descriptor.file == wanted.database)
            || (by_path && descriptor.path == wanted.database_path())
    };
    let mut of_database = one.descriptors().unwrap_or_default().iter().filter(is);
    of_database.any(|descriptor| one.holds(descriptor, LockSlot::Database))
}

fn holds_switch(one: &OneProcess<'_>, line: &MapsLine<'_>) -> bool {
    let is = |descriptor: &&Descriptor| {
        descriptor.path == line.path && descriptor.file.is_some_and(|file| file.inode == line.inode.inode)
    };
    let mut of_index = one.descriptors().unwrap_or_default().iter().filter(is);
    of_index.any(|descriptor| one.holds(descriptor, LockSlot::DeadManSwitch))
}

/// Whether a process that maps the wanted wal-index has the wanted database and the wanted `-wal` open.
///
/// folklore: SQLite opens the database and the -wal before it maps the -shm, and closes both after it has unmapped it
/// (sqlite3WalOpen, sqlite3WalClose). A process that maps a -shm and has no -wal open does not use it: it is a child
/// process that closed the descriptors it inherited. Held by
/// `a_process_that_maps_the_wal_index_says_which_of_the_files_it_has_open`.
pub(super) fn has_open(one: &OneProcess<'_>, wanted: &Wanted) -> (FileOpen, FileOpen) {
    let Some(descriptors) = one.descriptors() else { return (FileOpen::NotKnown, FileOpen::NotKnown) };
    let any = |wanted: &dyn Fn(&Descriptor) -> bool| descriptors.iter().any(wanted);
    let whole = descriptors.len() < DESCRIPTORS_OF_A_PROCESS && !any(&|descriptor| descriptor.file.is_none());
    let at_work = at_work(one, |descriptor| descriptor.file.is_some() && descriptor.file == wanted.shm);
    let has = |file: Option<FileId>, absent: bool| {
        let found = match file {
            Some(file) => any(&|descriptor| descriptor.file == Some(file)),
            // Nobody has a file open that is not there.
            None if absent => false,
            None => return None,
        };
        (found || (whole && at_work)).then_some(found)
    };
    (has(wanted.database, false).into(), has(wanted.wal, wanted.wal_absent).into())
}

/// Whether a process that maps a wal-index has a `-wal` open, by its name, or holds the dead-man switch: then the `-wal` that
/// it has open may have been renamed. `of_index` says which descriptors are those of the wal-index.
pub(super) fn at_work(one: &OneProcess<'_>, of_index: impl Fn(&Descriptor) -> bool) -> bool {
    let descriptors = one.descriptors().unwrap_or_default();
    descriptors.iter().any(|descriptor| descriptor.path.ends_with(b"-wal"))
        || descriptors.iter().any(|found| of_index(found) && one.holds(found, LockSlot::DeadManSwitch))
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use crate::evidence::{CutOff, FileOpen};
    use crate::linux::Proc;
    use crate::linux::mapped::fake_proc::{ID, SHARED, SWITCH, file_at, line, opens, process};
    use crate::linux::mapped::limits::BLOCK;
    use crate::linux::mapped::of_side::{Wanted, scan};
    use crate::linux::path_leads::PathLeads;
    use crate::linux::target::Target;
    use crate::number::FileId;

    /// A fake proc file system, a database with two names, and another database.
    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            for name in ["t.db", "other.db"] {
                fs::write(root.path().join(name), "").unwrap();
            }
            fs::hard_link(root.path().join("t.db"), root.path().join("alias.db")).unwrap();
            Self(root)
        }

        fn path(&self, name: &str) -> String {
            self.0.path().join(name).display().to_string()
        }

        /// A process in another mount namespace with these databases open and these wal-indexes mapped.
        fn process(&self, pid: &str, open: &[&str], mapped: &[(u64, &str)]) {
            let maps: String = mapped.iter().map(|(inode, path)| line(*inode, BLOCK, &self.path(path))).collect();
            process(self.0.path(), pid, "mnt:[2]", &maps);
            for name in open {
                opens(self.0.path(), pid, &self.path(name), if name.ends_with(".db") { SHARED } else { "" });
            }
        }

        fn cut_off(&self) -> Vec<(u32, u64)> {
            self.cut_off_while(PathLeads::Here)
        }

        fn cut_off_while(&self, leads: PathLeads) -> Vec<(u32, u64)> {
            let proc = Proc::new(self.0.path());
            let mut wanted = Wanted::new(&proc, Some(ID), &Target::from(&self.path("t.db-shm")));
            wanted.database = Some(file_at(Path::new(&self.path("t.db"))));
            let view = scan(&proc, &wanted, leads);
            let found = view.value().unwrap().mappings.iter();
            let cut_off = found.filter(|found| found.cut_off == Some(CutOff::Database));
            cut_off.map(|found| (found.pid, found.inode.inode)).collect()
        }
    }

    #[test]
    fn a_database_open_under_another_name_is_seen_with_its_wal_index() {
        let world = World::new();
        world.process("10", &["alias.db"], &[(8, "alias.db-shm")]);
        assert_eq!(world.cut_off(), [(10, 8)]);
    }

    #[test]
    fn a_database_that_is_open_and_not_locked_is_not_in_use() {
        let world = World::new();
        fs::write(world.path("alias.db-shm"), "").unwrap();
        let inode = file_at(Path::new(&world.path("alias.db-shm"))).inode;
        for pid in ["10", "11", "12", "13"] {
            world.process(pid, &[], &[(inode, "alias.db-shm")]);
        }
        let opens = |pid: &str, name: &str, locks: &str| opens(world.0.path(), pid, &world.path(name), locks);
        opens("10", "alias.db", "");
        opens("11", "alias.db", SHARED);
        // Beside its name, the dead-man switch tells it too; not beside another name.
        opens("12", "alias.db", "");
        opens("12", "alias.db-shm", SWITCH);
        opens("13", "t.db", "");
        opens("13", "alias.db-shm", SWITCH);
        assert_eq!(world.cut_off(), [(11, inode), (12, inode)]);
    }

    #[test]
    fn whoever_maps_a_wal_index_that_came_after_the_files_were_opened_is_not_cut_off() {
        let world = World::new();
        world.process("10", &["t.db"], &[(8, "t.db-shm")]);
        assert_eq!(world.cut_off_while(PathLeads::Elsewhere(FileId { device: ID.device, inode: 8 })), []);
        assert_eq!(
            world.cut_off_while(PathLeads::Elsewhere(FileId { device: ID.device, inode: 9 })),
            [(10, 8)],
            "a third one"
        );
        assert_eq!(world.cut_off_while(PathLeads::Here), [(10, 8)]);
        assert_eq!(world.cut_off_while(PathLeads::Unknown), [(10, 8)]);
    }

    #[test]
    fn a_deleted_wal_index_and_one_of_the_same_base_name_belong_to_the_database_that_is_open() {
        let world = World::new();
        world.process("10", &["alias.db"], &[(8, "before-the-rename.db-shm (deleted)")]);
        world.process("11", &["alias.db"], &[(9, "elsewhere/t.db-shm")]);
        world.process("12", &["alias.db"], &[(10, "unknown.db-shm")]);
        assert_eq!(world.cut_off(), [(10, 8), (11, 9)]);
    }

    #[test]
    fn a_wal_index_and_a_database_that_are_left_over_belong_together() {
        let world = World::new();
        fs::write(world.path("old.db-shm"), "").unwrap();
        fs::write(world.path("o.db-shm"), "").unwrap();
        let inodes = ["old.db-shm", "o.db-shm"].map(|name| file_at(Path::new(&world.path(name))).inode);
        let maps = [(inodes[0], "old.db-shm"), (inodes[1], "o.db-shm")];
        for pid in ["10", "11", "12", "13"] {
            world.process(pid, &[], &maps[..if pid == "13" { 2 } else { 1 }]);
        }
        let opens = |pid: &str, name: &str, locks: &str| opens(world.0.path(), pid, &world.path(name), locks);
        for pid in ["10", "11", "12", "13"] {
            opens(pid, "t.db", SHARED);
            opens(pid, "old.db-shm", if pid == "11" { "" } else { SWITCH });
        }
        // Of two databases, or of two wal-indexes, nobody knows which is which.
        opens("12", "other.db", SHARED);
        opens("13", "o.db-shm", SWITCH);
        assert_eq!(world.cut_off(), [(10, inodes[0])]);
    }

    #[test]
    fn the_wal_index_of_another_open_database_is_its_own_business() {
        let world = World::new();
        world.process("10", &["t.db", "other.db"], &[(8, "other.db-shm (deleted)")]);
        world.process("11", &["other.db"], &[(8, "other.db-shm")]);
        assert_eq!(world.cut_off(), []);
    }

    #[test]
    fn a_process_that_maps_the_wal_index_says_which_of_the_files_it_has_open() {
        let world = World::new();
        for name in ["t.db-wal", "old.db-wal"] {
            fs::write(world.path(name), "").unwrap();
        }
        world.process("10", &["t.db", "t.db-wal"], &[(7, "t.db-shm")]);
        world.process("11", &["other.db", "t.db-wal"], &[(7, "t.db-shm")]);
        world.process("12", &["alias.db", "old.db-wal"], &[(7, "t.db-shm")]);
        // A process that is not using SQLite, and a process whose descriptors were not all seen.
        world.process("13", &["other.db"], &[(7, "t.db-shm")]);
        world.process("14", &["other.db", "old.db-wal", "vanished"], &[(7, "t.db-shm")]);
        let proc = Proc::new(world.0.path());
        let mut wanted = Wanted::new(&proc, Some(ID), &Target::from(&world.path("t.db-shm")));
        wanted.database = Some(file_at(Path::new(&world.path("t.db"))));
        wanted.wal = Some(file_at(Path::new(&world.path("t.db-wal"))));
        let open = |wanted: &Wanted| -> Vec<_> {
            let view = scan(&proc, wanted, PathLeads::Here).value().unwrap().clone();
            view.mappings.iter().map(|found| (found.pid, found.database_open, found.wal_open)).collect()
        };
        let (yes, no, unknown) = (FileOpen::Open, FileOpen::NotOpen, FileOpen::NotKnown);
        let seen = [(10, yes, yes), (11, no, yes), (12, yes, no), (13, unknown, unknown), (14, unknown, unknown)];
        assert_eq!(open(&wanted), seen);
        wanted.wal = None;
        assert_eq!(open(&wanted)[..2], [(10, yes, unknown), (11, no, unknown)]);
        wanted.wal_absent = true;
        assert_eq!(open(&wanted)[..4], [(10, yes, no), (11, no, no), (12, yes, no), (13, unknown, unknown)]);
        // A -wal that was renamed: only the dead-man switch tells that the process is at work.
        fs::rename(world.path("t.db-wal"), world.path("away")).unwrap();
        fs::write(world.path("t.db-shm"), "").unwrap();
        world.process("15", &["t.db", "away"], &[(7, "t.db-shm")]);
        let last = |wanted: &Wanted| open(wanted).last().copied();
        assert_eq!(last(&wanted), Some((15, yes, unknown)));
        opens(world.0.path(), "15", &world.path("t.db-shm"), SWITCH);
        wanted.shm = Some(file_at(Path::new(&world.path("t.db-shm"))));
        assert_eq!(last(&wanted), Some((15, yes, no)));
    }

    #[test]
    fn a_process_that_maps_the_wanted_wal_index_is_not_cut_off_from_it() {
        let world = World::new();
        world.process("10", &["t.db", "alias.db"], &[(7, "t.db-shm"), (8, "alias.db-shm")]);
        assert_eq!(world.cut_off(), []);
    }
}
