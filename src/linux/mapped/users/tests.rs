use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::evidence::{Access, DatabaseLock, Device};
use crate::linux::mapped::fake_proc::{ID, file_at, line, process};
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
        Self(root)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// A process that has these files open for writing, and maps the `-shm` or not.
    fn process(&self, pid: &str, open: &[Open<'_>], mapped: bool) {
        let maps = if mapped { line(ID.inode, BLOCK, &self.path("t.db-shm")) } else { String::new() };
        process(self.0.path(), pid, "mnt:[1]", &maps);
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
            (12, Role::WithoutIndex),
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
    let stat = |pid: &str, parent: u32| {
        let text = format!("{pid} (app) S {parent} 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 77 20");
        fs::write(world.0.path().join(pid).join("stat"), text).unwrap();
    };
    stat("11", 10);
    stat("12", 11);
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
    assert_eq!(world.roles(), [(10, Role::WithoutIndex), (11, Role::MayBeElsewhere), (12, Role::WithoutIndex)]);
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
    assert_eq!(world.roles(), [(10, Role::Elsewhere), (11, Role::WithoutIndex)]);
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
        (11, Role::WithoutIndex),
        (12, Role::MayBeElsewhere),
        (13, Role::WithoutIndex),
        (14, Role::WithoutLocks),
        (15, Role::Exclusive),
    ];
    assert_eq!(world.roles(), expected);
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
