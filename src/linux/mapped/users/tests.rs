use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::evidence::{Access, DatabaseLock, Device};
use crate::linux::mapped::fake_proc::{ID, file_at, line, process, root_of};
use crate::linux::mapped::limits::BLOCK;
use crate::linux::mapped::wanted::Wanted;
use crate::linux::target::Target;
use crate::linux::text::locks::LockedFile;

const DATABASE: LockedFile = LockedFile { device: Device { major: 254, minor: 0 }, inode: 5 };
const SHM: LockedFile = LockedFile { device: ID.device, inode: ID.inode };

/// A fake proc file system beside the files of a database.
struct World(tempfile::TempDir);

/// What a process has: an open file, and the locks on it: `S` SHARED, `X` EXCLUSIVE, `D` the dead-man switch.
type Open<'a> = (&'a str, &'a str);

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["t.db", "t.db-wal", "t.db-shm", "other.db", "other.db-shm", "old.db-shm", "unknown"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        fs::write(root.path().join("locks"), "").unwrap();
        process(root.path(), "self", "mnt:[1]", "");
        root_of(root.path(), "self", root.path());
        Self(root)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// A process that has these files open for writing, and maps the `-shm` or not.
    fn process(&self, pid: &str, open: &[Open<'_>], mapped: bool) {
        let maps = if mapped { line(ID.inode, BLOCK, &self.path("t.db-shm")) } else { String::new() };
        process(self.0.path(), pid, "mnt:[1]", &maps);
        root_of(self.0.path(), pid, self.0.path());
        let folder = self.0.path().join(pid);
        fs::create_dir(folder.join("fd")).unwrap();
        fs::create_dir(folder.join("fdinfo")).unwrap();
        for (number, (name, locks)) in open.iter().enumerate() {
            symlink(self.path(name), folder.join("fd").join(number.to_string())).unwrap();
            let line = |kind| match kind {
                'S' => "lock:\t1: POSIX  ADVISORY  READ 1 fe:00:5 1073741826 1073742335\n",
                'X' => "lock:\t1: POSIX  ADVISORY  WRITE 1 fe:00:5 1073741824 1073742335\n",
                'D' => "lock:\t1: POSIX  ADVISORY  READ 1 fe:00:7 127 128\n",
                _ => "",
            };
            let text: String = locks.chars().map(line).collect();
            let flags = if locks.contains('r') { "flags:\t0100000\n" } else { "flags:\t0100002\n" };
            fs::write(folder.join("fdinfo").join(number.to_string()), flags.to_owned() + &text).unwrap();
        }
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).unwrap();
    }

    /// Gives a process a parent and a state.
    fn stat(&self, pid: &str, state: char, parent: u32) {
        let text = format!("{pid} (app) {state} {parent} 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 77 20");
        fs::write(self.0.path().join(pid).join("stat"), text).unwrap();
    }

    /// Maps the beginning of the `-shm` at these addresses.
    fn map(&self, pid: &str, addresses: &[&str]) {
        let path = self.path("t.db-shm");
        let line = |at: &&str| format!("{at}0000-{at}8000 rw-s 00000000 fe:00 {}      {path}\n", ID.inode);
        fs::write(self.0.path().join(pid).join("maps"), addresses.iter().map(line).collect::<String>()).unwrap();
    }

    fn wanted(&self, proc: &Proc) -> Wanted {
        let mut wanted = Wanted::new(proc, Some(ID), &Target::from(&self.path("t.db-shm")));
        wanted.database = Some(file_at(Path::new(&self.path("t.db"))));
        wanted.wal = Some(file_at(Path::new(&self.path("t.db-wal"))));
        wanted.shm = Some(file_at(Path::new(&self.path("t.db-shm"))));
        wanted
    }

    fn users(&self) -> Vec<User> {
        let proc = Proc::new(self.0.path());
        let subject = Subject::of_test(&proc, self.wanted(&proc), [DATABASE, SHM]);
        scan(&proc, &subject, None).value().unwrap().users.clone()
    }

    fn roles(&self) -> Vec<(u32, Role)> {
        self.users().iter().map(|user| (user.pid, user.role_at_this_look())).collect()
    }
}

/// Makes a descriptor of a file that had this name: the name that the kernel prints is that of a link to the file.
fn deleted(world: &World, name: &str, descriptor: &Path) {
    let printed = world.path(&format!("{name} (deleted)"));
    let _ = [fs::remove_file(&printed), fs::remove_file(descriptor)];
    symlink(world.path("unknown"), &printed).unwrap();
    symlink(&printed, descriptor).unwrap();
}

#[test]
fn a_process_is_known_by_its_descriptors_its_mapping_and_its_locks() {
    let world = World::new();
    world.process("10", &[("t.db", "S"), ("t.db-wal", ""), ("t.db-shm", "D")], true);
    world.process("11", &[("t.db", ""), ("t.db-wal", ""), ("t.db-shm", "")], true);
    world.process("12", &[("t.db", "S"), ("t.db-wal", "")], false);
    world.process("13", &[("t.db", "")], false);
    world.process("14", &[("other.db", "S"), ("other.db-shm", "D")], false);
    world.process("15", &[("t.db", "X"), ("t.db-wal", "")], false);
    world.process("16", &[("t.db", ""), ("t.db-wal", "")], false);
    world.process("17", &[("t.db", "r"), ("t.db-wal", "r"), ("t.db-shm", "r")], false);
    assert_eq!(
        world.roles(),
        [
            (10, Role::Ordinary),
            (11, Role::WithoutLocks),
            (12, Role::NoIndexYet),
            (13, Role::Idle),
            (15, Role::Exclusive),
            (16, Role::WithoutIndex),
            (17, Role::Idle)
        ]
    );
    let first = &world.users()[0];
    assert_eq!((first.start_time, first.command.as_deref()), (Some(77), Some("app")));
    assert_eq!(first.names, [world.path("t.db")]);
    assert_eq!((first.database, first.wal, first.mapped), (Access::Writable, Access::Writable, Access::Writable));
}

#[test]
fn where_no_lock_is_listed_nobody_is_accused() {
    let world = World::new();
    world.process("11", &[("t.db", ""), ("t.db-wal", ""), ("t.db-shm", "")], true);
    world.process("12", &[("t.db", ""), ("t.db-wal", "")], false);
    fs::remove_file(world.0.path().join("locks")).unwrap();
    assert_eq!(world.roles(), [(11, Role::NotKnown), (12, Role::NotKnown)]);
    assert_eq!(world.users()[0].database_lock, DatabaseLock::NotKnown);
}

#[test]
fn a_child_has_inherited_if_its_parent_holds_the_locks() {
    let world = World::new();
    let all = [("t.db", ""), ("t.db-wal", ""), ("t.db-shm", "")];
    world.process("10", &[("t.db", "S"), ("t.db-wal", ""), ("t.db-shm", "D")], true);
    world.process("11", &all, true);
    world.process("12", &all, true);
    world.stat("11", 'S', 10);
    world.stat("12", 'S', 11);
    assert_eq!(world.roles(), [(10, Role::Ordinary), (11, Role::Inherited), (12, Role::Inherited)]);
    fs::remove_dir_all(world.0.path().join("10")).unwrap();
    assert_eq!(world.roles(), [(11, Role::WithoutLocks), (12, Role::WithoutLocks)]);
}

#[test]
fn another_wal_index_counts_only_if_no_other_database_explains_it() {
    let world = World::new();
    let database = ("t.db", "S");
    world.process("10", &[database, ("other.db", "S"), ("other.db-shm", "D")], false);
    world.process("11", &[database, ("unknown", "D")], false);
    world.process("12", &[database, ("unknown", "")], false);
    assert_eq!(world.roles(), [(10, Role::NoIndexYet), (11, Role::MayBeElsewhere), (12, Role::NoIndexYet)]);
    // The -shm of the database's own name, and another file under that name now.
    fs::rename(world.0.path().join("t.db-shm"), world.0.path().join("kept")).unwrap();
    fs::write(world.0.path().join("t.db-shm"), "").unwrap();
    world.process("13", &[database, ("t.db-shm", "D")], false);
    let proc = Proc::new(world.0.path());
    let mut wanted = world.wanted(&proc);
    wanted.shm = Some(file_at(&world.0.path().join("kept")));
    let subject = Subject::of_test(&proc, wanted, [DATABASE, SHM]);
    let view = scan(&proc, &subject, Some(&BTreeSet::from([13])));
    assert_eq!(view.value().unwrap().users[0].role_at_this_look(), Role::Elsewhere);
}

#[test]
fn a_wal_index_in_another_folder_is_known_by_its_name() {
    let world = World::new();
    let database = file_at(Path::new(&world.path("t.db")));
    let device = rustix::fs::makedev(database.device.major, database.device.minor);
    let name = |inode: u64| format!("sqlite-shm-{:x}-{:x}", inode & 0xffff_ffff, device & 0xffff_ffff);
    for (pid, inode) in [("10", database.inode), ("11", database.inode + 1)] {
        let name = name(inode);
        fs::write(world.path(&name), "").unwrap();
        world.process(pid, &[("t.db", "S"), (name.as_str(), "D")], false);
    }
    assert_eq!(world.roles(), [(10, Role::Elsewhere), (11, Role::NoIndexYet)]);
}

#[test]
fn a_worker_on_files_that_lay_at_the_path_before_is_seen_in_the_same_place_only() {
    let world = World::new();
    world.process("10", &[("t.db", "S")], false);
    world.process("11", &[("t.db", "")], false);
    world.process("12", &[("t.db", "S")], false);
    fs::remove_file(world.0.path().join("12/ns/mnt")).unwrap();
    symlink("mnt:[2]", world.0.path().join("12/ns/mnt")).unwrap();
    let proc = Proc::new(world.0.path());
    let mut wanted = world.wanted(&proc);
    // The path leads to another file of the same device now.
    wanted.database = Some(file_at(Path::new(&world.path("other.db"))));
    let subject = Subject::of_test(&proc, wanted, [DATABASE, SHM]);
    let view = scan(&proc, &subject, None);
    let users = &view.value().unwrap().users;
    assert_eq!(users.iter().map(|user| (user.pid, user.role())).collect::<Vec<_>>(), [(10, Role::OnReplacedFiles)]);
}

#[test]
fn of_a_process_that_cannot_be_looked_into_the_lock_table_tells() {
    let world = World::new();
    let table = "1: POSIX  ADVISORY  READ 10 fe:00:5 1073741826 1073742335\n\
        2: POSIX  ADVISORY  READ 10 fe:00:7 128 128\n\
        3: POSIX  ADVISORY  READ 11 fe:00:5 1073741826 1073742335\n\
        4: POSIX  ADVISORY  READ 12 fe:00:5 1073741826 1073742335\n\
        5: POSIX  ADVISORY  READ 12 fe:00:9 120 128\n\
        6: POSIX  ADVISORY  READ 13 fe:00:5 1073741826 1073742335\n\
        7: POSIX  ADVISORY  READ 13 fe:00:8 1073741826 1073742335\n\
        8: POSIX  ADVISORY  READ 13 fe:00:9 128 128\n\
        9: POSIX  ADVISORY  READ 14 fe:00:7 128 128\n\
        10: POSIX  ADVISORY  WRITE 15 fe:00:5 1073741826 1073742335\n";
    fs::write(world.0.path().join("locks"), table).unwrap();
    for pid in ["10", "11", "12", "13", "14", "15", "16"] {
        // There is no folder `fd`; as root nothing is refused.
        process(world.0.path(), pid, "mnt:[1]", "");
        fs::write(world.0.path().join(pid).join("fd"), "").unwrap();
    }
    let expected = [
        (10, Role::Ordinary),
        (11, Role::NoIndexYet),
        (12, Role::MayBeElsewhere),
        (13, Role::NoIndexYet),
        (14, Role::WithoutLocks),
        (15, Role::Exclusive),
    ];
    assert_eq!(world.roles(), expected);
}

const ORDINARY: [Open<'_>; 3] = [("t.db", "S"), ("t.db-wal", ""), ("t.db-shm", "D")];
const WITHOUT: [Open<'_>; 3] = [("t.db", ""), ("t.db-wal", ""), ("t.db-shm", "")];

#[test]
fn a_process_whose_descriptors_are_listed_but_refused_is_judged_by_its_locks() {
    let world = World::new();
    let table = "1: POSIX  ADVISORY  READ 10 fe:00:5 1073741826 1073742335\n\
        2: POSIX  ADVISORY  READ 11 fe:00:5 1073741826 1073742335\n\
        3: POSIX  ADVISORY  READ 11 fe:00:7 128 128\n";
    fs::write(world.0.path().join("locks"), table).unwrap();
    for pid in ["10", "11", "12"] {
        process(world.0.path(), pid, "mnt:[1]", "");
        fs::create_dir(world.0.path().join(pid).join("fd")).unwrap();
        // A loop: like EACCES, neither where it leads nor that it has gone.
        symlink("3", world.0.path().join(pid).join("fd/3")).unwrap();
    }
    let proc = Proc::new(world.0.path());
    let subject = Subject::of_test(&proc, world.wanted(&proc), [DATABASE, SHM]);
    let view = scan(&proc, &subject, None).value().unwrap().clone();
    let roles: Vec<_> = view.users.iter().map(|user| (user.pid, user.role_at_this_look())).collect();
    assert_eq!(roles, [(10, Role::NoIndexYet), (11, Role::Ordinary)]);
    assert_eq!(view.processes_denied, 3);
    assert!(view.denied_reason.unwrap().starts_with("10/fd: "));
}

#[test]
fn an_orphan_has_inherited_nothing_from_its_new_parent() {
    let world = World::new();
    world.process("10", &ORDINARY, true);
    for pid in ["11", "12", "13"] {
        world.process(pid, &WITHOUT, true);
        world.stat(pid, 'S', 10);
    }
    // Its mapping is not where the parent has it.
    world.map("12", &["2"]);
    // It has a descriptor that the parent has not: a connection of its own, of the same library.
    world.process("14", &[WITHOUT.as_slice(), &[("t.db", "")]].concat(), true);
    world.stat("14", 'S', 10);
    // It holds a lock of the -shm: it works with what it inherited.
    let at_work = "flags:\t0100002\nlock:\t1: POSIX  ADVISORY  READ 1 fe:00:7 124 124\n";
    fs::write(world.0.path().join("13/fdinfo/2"), at_work).unwrap();
    let expected = [
        (10, Role::Ordinary),
        (11, Role::Inherited),
        (12, Role::WithoutLocks),
        (13, Role::WithoutLocks),
        (14, Role::WithoutLocks),
    ];
    assert_eq!(world.roles(), expected);
}

#[test]
fn a_started_program_that_keeps_the_descriptors_of_its_parent_is_no_sqlite() {
    let world = World::new();
    world.process("10", &ORDINARY, true);
    world.process("11", &WITHOUT, false);
    // An own wal-index in memory, beside the parent: nothing of the -shm is open.
    world.process("12", &WITHOUT[..2], false);
    // The same numbers, at another position of the file.
    world.process("13", &WITHOUT, false);
    fs::write(world.0.path().join("13/fdinfo/0"), "pos:\t7\nflags:\t0100002\n").unwrap();
    for pid in ["11", "12", "13"] {
        world.stat(pid, 'S', 10);
    }
    let expected = [(10, Role::Ordinary), (11, Role::Bystander), (12, Role::WithoutIndex), (13, Role::WithoutIndex)];
    assert_eq!(world.roles(), expected);
}

#[test]
fn two_sqlite_libraries_in_one_process_have_the_wal_index_twice() {
    let world = World::new();
    let twice = [ORDINARY.as_slice(), &WITHOUT].concat();
    world.process("10", &twice, true);
    world.map("10", &["1", "2"]);
    // A second descriptor alone, or a second mapping alone, is of something else.
    world.process("11", &twice, true);
    world.process("12", &ORDINARY, true);
    world.map("12", &["1", "2"]);
    // A child with a connection of its own by another library, beside what it inherited.
    world.process("13", &WITHOUT, true);
    world.process("14", &[WITHOUT.as_slice(), &ORDINARY].concat(), true);
    world.map("14", &["1", "2"]);
    world.stat("14", 'S', 13);
    let roles: Vec<Role> = world.roles().into_iter().map(|(_, role)| role).collect();
    let expected = [Role::SeveralLibraries, Role::Ordinary, Role::Ordinary, Role::WithoutLocks, Role::Ordinary];
    assert_eq!(roles, expected);
}

#[test]
fn a_program_that_looks_at_its_own_wal_index_has_one_library() {
    let world = World::new();
    let read = [ORDINARY.as_slice(), &[("t.db-shm", "r")]].concat();
    let written = [ORDINARY.as_slice(), &[("t.db-shm", "")]].concat();
    // For each: its descriptors, and whether both mappings are for writing.
    for (pid, open, both) in
        [("10", &read, false), ("11", &read, true), ("12", &written, false), ("13", &written, true)]
    {
        world.process(pid, open, true);
        world.map(pid, &["1", "2"]);
        let maps = world.0.path().join(pid).join("maps");
        let text = fs::read_to_string(&maps).unwrap();
        let text = if both { text } else { text.replacen("rw-s", "r--s", 1) };
        fs::write(maps, text).unwrap();
    }
    let roles: Vec<Role> = world.roles().into_iter().map(|(_, role)| role).collect();
    assert_eq!(roles, [Role::Ordinary, Role::Ordinary, Role::Ordinary, Role::SeveralLibraries]);
}

#[test]
fn who_uses_the_wal_index_with_a_renamed_database_is_told_from_who_lost_its_locks() {
    let world = World::new();
    fs::rename(world.0.path().join("t.db"), world.0.path().join("old.db")).unwrap();
    fs::write(world.0.path().join("t.db"), "").unwrap();
    world.process("10", &[("old.db", "S"), ("t.db-wal", ""), ("t.db-shm", "D")], true);
    world.process("11", &ORDINARY, true);
    assert_eq!(world.roles(), [(10, Role::OtherDatabase), (11, Role::Ordinary)]);
    let other = world.users()[0].other_database.clone().unwrap();
    assert_eq!((other.path, other.inode.unwrap().inode), (Some(world.path("old.db")), 5));
    // By the lock table alone: one database more than wal-indexes.
    let table = "1: POSIX  ADVISORY  READ 12 fe:00:8 1073741826 1073742335\n\
        2: POSIX  ADVISORY  READ 12 fe:00:7 128 128\n";
    fs::write(world.0.path().join("locks"), table).unwrap();
    process(world.0.path(), "12", "mnt:[1]", "");
    fs::write(world.0.path().join("12/fd"), "").unwrap();
    assert_eq!(world.roles()[2], (12, Role::OtherDatabase));
    assert_eq!(world.users()[2].other_database.clone().unwrap().inode.unwrap().inode, 8);
}

#[test]
fn another_database_is_known_by_its_lock() {
    let lock = |range: &str| {
        let line = format!("1: POSIX  ADVISORY  READ 12 fe:00:8 {range}");
        crate::linux::text::locks::parse_line(line.as_bytes()).unwrap()
    };
    for (range, is) in [
        ("1073741826 1073742335", true),
        ("1073741825 1073742335", true),
        ("1073741824 1073742335", true),
        ("0 EOF", false),
        ("1073741826 1073741826", false),
        ("128 128", false),
    ] {
        assert_eq!(super::super::descriptors::is_database_lock(&lock(range)), is, "{range}");
    }
}

#[test]
fn who_goes_on_with_a_deleted_wal_uses_no_wal_index() {
    let world = World::new();
    let deleted = |pid: &str, name: &str| deleted(&world, name, &world.0.path().join(pid).join("fd/1"));
    world.process("10", &[("t.db", ""), ("unknown", "")], false);
    deleted("10", "t.db-wal");
    world.process("11", &[("t.db", ""), ("unknown", "")], false);
    deleted("11", "other.db-wal");
    world.process("12", &[("t.db", "r"), ("unknown", "r")], false);
    deleted("12", "t.db-wal");
    assert_eq!(world.roles(), [(10, Role::WithoutIndex), (11, Role::Idle), (12, Role::Idle)]);
}

#[test]
fn who_is_stopped_is_no_suspect_of_anything_else() {
    let world = World::new();
    world.process("10", &[("t.db", "S"), ("t.db-wal", "")], false);
    for (state, role) in [('S', Role::NoIndexYet), ('T', Role::Stopped), ('t', Role::Stopped)] {
        world.stat("10", state, 1);
        assert_eq!(world.roles(), [(10, role)]);
    }
}

#[test]
fn who_waits_for_a_stopped_process_is_not_accused() {
    let world = World::new();
    world.process("10", &[("t.db", "S"), ("t.db-wal", "")], false);
    world.process("11", &[("t.db", "S"), ("t.db-wal", "")], false);
    // Without SHARED it does not wait for anybody.
    world.process("12", &[("t.db", ""), ("t.db-wal", "")], false);
    let roles = || -> Vec<Role> {
        let (view, _) = settle_all(|_| (true, world.users()));
        view.users.iter().map(User::role).collect()
    };
    assert_eq!(roles(), [Role::NoIndexYet, Role::NoIndexYet, Role::WithoutIndex]);
    world.stat("10", 'T', 1);
    assert_eq!(roles(), [Role::Stopped, Role::Passing, Role::WithoutIndex]);
}

#[test]
fn a_service_with_its_own_tmp_is_innocent() {
    let world = World::new();
    let elsewhere = tempfile::tempdir().unwrap();
    // The path leads to another file of the same device now.
    let roles = |world: &World| -> Vec<Role> {
        let proc = Proc::new(world.0.path());
        let mut wanted = world.wanted(&proc);
        wanted.database = Some(file_at(Path::new(&world.path("other.db"))));
        let subject = Subject::of_test(&proc, wanted, [DATABASE, SHM]);
        let users = scan(&proc, &subject, None).value().unwrap().users.clone();
        users.iter().map(User::role).collect()
    };
    world.process("10", &[("t.db", "S")], false);
    assert_eq!(roles(&world), [Role::OnReplacedFiles]);
    // Another root in the same mount namespace.
    root_of(world.0.path(), "10", elsewhere.path());
    assert_eq!(roles(&world), []);
    // A mount namespace of its own under the same root.
    root_of(world.0.path(), "10", world.0.path());
    world.remove("10/ns/mnt");
    symlink("mnt:[2]", world.0.path().join("10/ns/mnt")).unwrap();
    assert_eq!(roles(&world), []);
    // The file that it has open is deleted: no path leads to it.
    deleted(&world, "t.db", &world.0.path().join("10/fd/0"));
    assert_eq!(roles(&world), [Role::OnReplacedFiles]);
    root_of(world.0.path(), "10", elsewhere.path());
    assert_eq!(roles(&world), []);
}

#[test]
fn what_a_child_does_at_any_look_counts() {
    let child = |in_transaction| User { ancestor_holds: true, in_transaction, ..lost(11) };
    for at_work in 1..=6 {
        let (view, looks) = settle_all(|look| (true, vec![child(look == at_work)]));
        assert_eq!((view.users[0].role(), looks), (Role::WithoutLocks, 6), "{at_work}");
    }
    let (view, _) = settle_all(|_| (true, vec![child(false)]));
    assert_eq!(view.users[0].role(), Role::Inherited);
}

#[test]
fn an_exclusive_lock_of_somebody_unseen_counts_if_it_stays() {
    let held = |last: usize| {
        let mut looks = 0;
        let seen = settled(
            |_| {
                looks += 1;
                (true, Observation::seen(UsersView { exclusive_unseen: looks <= last, ..UsersView::default() }))
            },
            || {},
        );
        (seen.value().unwrap().exclusive_unseen, looks)
    };
    assert_eq!([held(0), held(1), held(5), held(6)], [(false, 1), (false, 2), (false, 6), (true, 6)]);
}

/// What a look shows: which users there are, after how many looks.
fn settle_all(look: impl Fn(usize) -> (bool, Vec<User>)) -> (UsersView, usize) {
    let mut looks = 0;
    let seen = settled(
        |_| {
            looks += 1;
            let (in_place, users) = look(looks);
            (in_place, Observation::seen(UsersView { users, ..UsersView::default() }))
        },
        || {},
    );
    (seen.value().unwrap().clone(), looks)
}

fn lost(pid: u32) -> User {
    let world = World::new();
    world.process("11", &[("t.db", ""), ("t.db-wal", ""), ("t.db-shm", "")], true);
    User { pid, ..world.users()[0].clone() }
}

#[test]
fn who_never_has_its_locks_counts_and_who_has_them_at_one_look_does_not() {
    let (view, looks) = settle_all(|_| (true, vec![lost(11)]));
    assert_eq!((view.users[0].role(), looks, view.passing), (Role::WithoutLocks, 6, 0));
    for last in 1..=5 {
        let (view, looks) = settle_all(|look| {
            let held = User { database_lock: DatabaseLock::Shared, dead_man_switch: SwitchLock::Held, ..lost(11) };
            (true, vec![if look <= last { lost(11) } else { held }])
        });
        assert_eq!((view.users[0].role(), looks), (Role::Ordinary, last + 1));
        let (view, _) = settle_all(|look| (true, if look <= last { vec![lost(11)] } else { vec![] }));
        assert_eq!((view.users.len(), view.passing), (0, 1));
    }
}

#[test]
fn another_process_under_the_same_pid_and_files_that_moved_confirm_nothing() {
    let (view, _) = settle_all(|look| (true, vec![User { start_time: Some(look as u64), ..lost(11) }]));
    assert_eq!(view.users.iter().filter(|user| user.role().is_suspect()).count(), 0);
    let (view, looks) = settle_all(|_| (false, vec![lost(11)]));
    assert_eq!((view.users[0].role(), looks), (Role::Passing, 1));
    let (view, _) = settle_all(|look| (look < 3, vec![lost(11)]));
    assert_eq!(view.users[0].role(), Role::Passing);
    let (view, _) = settle_all(|_| (true, vec![User { start_time: None, ..lost(11) }]));
    assert_eq!(view.users[0].role(), Role::Passing);
}

#[test]
fn without_a_suspicion_one_look_is_enough() {
    let world = World::new();
    world.process("13", &[("t.db", "")], false);
    let user = world.users()[0].clone();
    let (view, looks) = settle_all(|_| (true, vec![user.clone()]));
    assert_eq!((view.users[0].role(), looks), (Role::Idle, 1));
}

#[test]
fn on_fuse_only_who_holds_a_listed_lock_shows_that_locks_are_listed() {
    let world = World::new();
    world.process("10", &WITHOUT, true);
    world.process("11", &ORDINARY, true);
    let roles = || -> Vec<Role> {
        let proc = Proc::new(world.0.path());
        let subject = Subject::of_test(&proc, world.wanted(&proc), [DATABASE, SHM]).on_fuse();
        let first = scan(&proc, &subject, None);
        let again = scan(&proc, &subject, None);
        let role = |view: &Observation<UsersView>, at: usize| view.value().unwrap().users[at].role_at_this_look();
        vec![role(&first, 0), role(&first, 1), role(&again, 0)]
    };
    // The second process is seen after the first one, and counts from then on.
    assert_eq!(roles(), [Role::NotKnown, Role::Ordinary, Role::WithoutLocks]);
    // By the lock table alone a lock that is not listed is not absent.
    let table = "1: POSIX  ADVISORY  READ 12 fe:00:5 1073741826 1073742335\n";
    fs::write(world.0.path().join("locks"), table).unwrap();
    process(world.0.path(), "12", "mnt:[1]", "");
    fs::write(world.0.path().join("12/fd"), "").unwrap();
    let proc = Proc::new(world.0.path());
    let subject = Subject::of_test(&proc, world.wanted(&proc), [DATABASE, SHM]).on_fuse();
    let view = scan(&proc, &subject, Some(&BTreeSet::from([12])));
    let user = &view.value().unwrap().users[0];
    assert_eq!((user.database_lock, user.dead_man_switch), (DatabaseLock::Shared, SwitchLock::NotKnown));
    assert_eq!(user.role_at_this_look(), Role::NotKnown);
}

#[test]
fn on_btrfs_a_mapping_or_a_listed_lock_may_be_of_another_subvolume() {
    let world = World::new();
    world.process("10", &ORDINARY, true);
    let proc = Proc::new(world.0.path());
    let mut wanted = world.wanted(&proc);
    wanted.exact = wanted.shm;
    let role = |wanted: &Wanted| {
        let subject = Subject::of_test(&proc, wanted.clone(), [DATABASE, SHM]);
        let view = scan(&proc, &subject, None);
        let user = view.value().unwrap().users[0].clone();
        (user.mapped, user.role_at_this_look())
    };
    // What is mapped cannot be looked at: there is no folder map_files, and the path leads nowhere below that root.
    root_of(world.0.path(), "10", &world.0.path().join("nowhere"));
    assert_eq!(role(&wanted), (Access::NotKnown, Role::Ordinary));
    let mapped = world.0.path().join("10/map_files");
    fs::create_dir(&mapped).unwrap();
    let range = format!("10000-{:x}", 0x10000 + BLOCK);
    symlink(world.path("other.db-shm"), mapped.join(&range)).unwrap();
    assert_eq!(role(&wanted), (Access::No, Role::NoIndexYet));
    fs::remove_file(mapped.join(&range)).unwrap();
    symlink(world.path("t.db-shm"), mapped.join(&range)).unwrap();
    assert_eq!(role(&wanted), (Access::Writable, Role::Ordinary));
    // The lock table prints one device for all subvolumes.
    let table = "1: POSIX  ADVISORY  READ 12 fe:00:5 1073741826 1073742335\n";
    fs::write(world.0.path().join("locks"), table).unwrap();
    process(world.0.path(), "12", "mnt:[1]", "");
    fs::write(world.0.path().join("12/fd"), "").unwrap();
    let subject = Subject::of_test(&proc, wanted, [DATABASE, SHM]);
    let view = scan(&proc, &subject, Some(&BTreeSet::from([12])));
    assert_eq!(view.value().unwrap().users[0].role_at_this_look(), Role::NotKnown);
}
