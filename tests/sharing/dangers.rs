//! Set-ups in which two sides seem to share and do not, or share and seem not to: real SQLite, asked by each means that
//! applies. What must not be said of them is asserted. Each process is in namespaces of its own, as in a container.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::actor::{APART, Actor, Said, for_all};
use crate::common;
use crate::common::command::walscope;

pub const MAKE: &str =
    "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES (1)";
pub const READ: &str = "PRAGMA wal_autocheckpoint=0; SELECT count(*) FROM t";
const USER_1000: &[&str] = &["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"];

/// A folder for everybody, and two processes that have nothing open yet.
pub struct Pair {
    pub a: Actor,
    pub b: Actor,
    pub program: String,
    pub folder: tempfile::TempDir,
}

impl Pair {
    /// `None`, with a message, without root.
    pub fn new() -> Option<Self> {
        common::have("root", rustix::process::geteuid().is_root()).then(|| {
            let folder = tempfile::tempdir().unwrap();
            fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
            let program = for_all(folder.path());
            Self { a: Actor::start(APART), b: Actor::start(APART), program, folder }
        })
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn database(&self) -> String {
        self.at("t.db").display().to_string()
    }

    pub fn live(&self) -> Said {
        Said::compare(&self.source(self.a.pid), &self.source(self.b.pid))
    }

    pub fn source(&self, pid: u32) -> String {
        format!("pid:{pid}:{}", self.database())
    }

    fn capture(&self, of: &Actor, user: &[&str], name: &str) -> String {
        let to = self.at(name);
        of.snapshot(&self.at("t.db"), user, &self.program, &to);
        to.display().to_string()
    }

    pub fn bundles(&self, user: &[&str]) -> Said {
        let [a, b] = [(&self.a, "a.walsnap"), (&self.b, "b.walsnap")].map(|(of, name)| self.capture(of, user, name));
        Said::compare(&a, &b)
    }

    /// The sentence of `inspect` from the host, and whether it or a finding names the process.
    fn inspect(&self, pid: u32) -> (String, bool) {
        let document = walscope(self.folder.path(), &["inspect", "t.db", "--json"]).json();
        let told = document["checkpoint"]["explanation"].as_str().unwrap().to_owned();
        let named = told.contains(&format!("process {pid}")) || told.contains(&format!("pid {pid}"));
        (told, named)
    }

    /// The pids of a process: on the host, and in its namespace.
    fn pids(of: &Actor) -> [u32; 2] {
        [of.pid, 1]
    }
}

fn never_of_mappings_nor_without_a_warning(said: &Said) {
    assert!(!said.of_mappings(), "{:#}", said.0);
    assert!(said.sharing() != "proven" || said.warned(), "{:#}", said.0);
    assert!(!said.told().contains("nothing to do"), "{}", said.told());
}

pub fn undecided(said: &Said) {
    assert_eq!(said.sharing(), "undecided", "{:#}", said.0);
}

#[test]
fn a_program_that_copied_its_own_database_is_named_by_every_means_that_sees_it() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    pair.b.open(&database, READ);
    assert!(pair.live().of_mappings());
    let copy = |pair: &mut Pair| {
        for suffix in ["", "-wal", "-shm"] {
            assert_eq!(pair.a.ask(&format!("copy {database}{suffix}")), "done");
        }
    };
    copy(&mut pair);
    for said in [pair.live(), pair.bundles(&[])] {
        never_of_mappings_nor_without_a_warning(&said);
        assert!(said.names(&Pair::pids(&pair.a)), "{:#}", said.0);
    }
    assert!(!pair.bundles(USER_1000).of_mappings());
    pair.a.sql("BEGIN; SELECT count(*) FROM t");
    copy(&mut pair);
    let (told, named) = pair.inspect(pair.a.pid);
    assert!(named || !told.contains("no reader was seen"), "{told}");
    pair.b = Actor::start(APART);
    copy(&mut pair);
    let (told, named) = pair.inspect(pair.a.pid);
    assert!(named || !told.contains("nobody has"), "{told}");
}

#[test]
fn a_child_that_goes_on_with_an_inherited_connection_is_named() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    pair.b.open(&database, READ);
    let inner: u32 = pair.a.ask("fork").parse().unwrap();
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", pair.a.pid)).unwrap();
    // The thread that serves is not the first one.
    let tasks = fs::read_dir(format!("/proc/{}/task", pair.a.pid)).unwrap();
    let of_all: String =
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default()).collect();
    let child: u32 = (children + &of_all).split_whitespace().next().unwrap().parse().unwrap();
    let by_child = Said::compare(&pair.source(child), &pair.source(pair.b.pid));
    for said in [pair.live(), by_child, pair.bundles(&[])] {
        never_of_mappings_nor_without_a_warning(&said);
        assert!(said.names(&[child, inner]), "{:#}", said.0);
    }
    let (told, named) = pair.inspect(child);
    assert!(named || !told.contains("no reader was seen"), "{told}");
}

#[test]
fn a_side_with_a_wal_index_on_its_heap_is_never_proven_of_mappings() {
    for how in ["vfs=unix-none", "vfs=unix-dotfile"] {
        let Some(mut pair) = Pair::new() else { return };
        let database = pair.database();
        pair.a.open(&database, MAKE);
        pair.a.sql("PRAGMA wal_checkpoint");
        pair.b.open(&format!("file:{database}?{how}"), "PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES (2)");
        for said in [pair.live(), pair.bundles(&[])] {
            never_of_mappings_nor_without_a_warning(&said);
            assert!(said.names(&Pair::pids(&pair.b)), "{how}: {:#}", said.0);
        }
        // An ordinary process beside it makes the picture look whole.
        let mut ordinary = Actor::start(&["nsenter", "-t", &pair.b.pid.to_string(), "-m", "-p"]);
        ordinary.open(&database, READ);
        for said in [pair.live(), pair.bundles(&[])] {
            never_of_mappings_nor_without_a_warning(&said);
            assert!(said.names(&Pair::pids(&pair.b)), "{how}: {:#}", said.0);
        }
    }
}

#[test]
fn a_side_that_reads_with_immutable_is_named_and_never_refuted() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    pair.a.sql("PRAGMA wal_checkpoint");
    pair.b.open(&format!("file:{database}?immutable=1"), "SELECT count(*) FROM t");
    for said in [pair.live(), pair.bundles(&[])] {
        assert_ne!(said.sharing(), "refuted", "{:#}", said.0);
        assert!(!said.told().contains("nothing to do"), "{}", said.told());
        assert!(said.sharing() != "proven" || said.names(&Pair::pids(&pair.b)), "{:#}", said.0);
    }
}

#[test]
fn a_process_of_the_second_name_without_a_wal_index_is_not_made_up_for_by_those_of_the_first() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["v", "w"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    // The mount ends with its namespace.
    let mut one = Actor::start(&["unshare", "-m"]);
    let mounted = one.beside(&["mount", "--bind", &at(&folder, "v"), &at(&folder, "w")]);
    assert_eq!(mounted.code, 0, "{}", mounted.stderr);
    let enter = one.pid.to_string();
    let beside = ["nsenter", "-t", &enter, "-m"];
    let (mut two, mut other) = (Actor::start(&beside), Actor::start(&beside));
    let (v, w) = (at(&folder, "v/t.db"), at(&folder, "w/t.db"));
    one.open(&v, MAKE);
    two.open(&v, READ);
    let compare = || Said::of(&one.beside(&[common::command::EXE, "compare", &v, &w, "--json"]));
    let said = compare();
    assert!(!said.of_mappings() && said.sharing() != "refuted", "{:#}", said.0);
    other.open(&format!("file:{w}?vfs=unix-none"), "PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES (2)");
    let said = compare();
    never_of_mappings_nor_without_a_warning(&said);
    assert!(said.names(&[other.pid]), "{:#}", said.0);
}

fn at(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn a_wal_index_that_was_deleted_between_two_captures_is_never_proven() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    let before = pair.capture(&pair.a, &[], "before.walsnap");
    let before_1000 = pair.capture(&pair.a, USER_1000, "before-1000.walsnap");
    fs::remove_file(pair.at("t.db-shm")).unwrap();
    pair.b.open(&database, READ);
    pair.a.sql("INSERT INTO t VALUES (2)");
    let said = Said::compare(&before, &pair.capture(&pair.b, &[], "after.walsnap"));
    assert_ne!(said.sharing(), "proven", "{:#}", said.0);
    let said = Said::compare(&before_1000, &pair.capture(&pair.b, USER_1000, "after-1000.walsnap"));
    assert!(said.sharing() != "proven" || said.warned(), "{:#}", said.0);
    assert_ne!(pair.bundles(&[]).sharing(), "proven");
    assert!(!pair.bundles(USER_1000).of_mappings());
    assert_eq!(pair.live().sharing(), "refuted");
}

#[test]
fn without_a_wal_index_to_share_nothing_is_proven_or_refuted() {
    let exclusive = "PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES (2)";
    for (life, first, then, holder) in [
        ("rollback journal", "CREATE TABLE t(x); INSERT INTO t VALUES (1)", "SELECT count(*) FROM t", false),
        ("exclusive before the first read", "", exclusive, true),
        ("exclusive after a read", "SELECT count(*) FROM t", exclusive, true),
    ] {
        let Some(mut pair) = Pair::new() else { return };
        let database = pair.database();
        if holder {
            let mut made = Actor::start(&[]);
            made.open(&database, &format!("{MAKE}; PRAGMA wal_checkpoint"));
            made.ask("close");
        }
        pair.a.open(&database, first);
        pair.a.sql(then);
        assert_eq!(pair.b.ask(&format!("open {database}")), "done");
        let opened = pair.b.ask("sql SELECT count(*) FROM t");
        assert_eq!(opened == "done", !holder, "{life}: {opened}");
        undecided(&pair.live());
        undecided(&pair.bundles(&[]));
        let (told, named) = pair.inspect(pair.a.pid);
        assert!(named || !holder || !(told.contains("no reader was seen") || told.contains("nobody has")), "{told}");
    }
}

#[test]
fn two_sides_that_meet_on_a_database_that_is_held_exclusively_prove_nothing() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    let meet = |pair: &Pair| {
        std::thread::scope(|scope| {
            let meet = ["probe", "meet", "t.db", "--timeout", "60", "--json"];
            let start =
                || scope.spawn(move || walscope(pair.folder.path(), &meet).json()["verdict"]["sharing"].clone());
            let (a, b) = (start(), start());
            [a.join().unwrap(), b.join().unwrap()]
        })
    };
    assert_eq!(meet(&pair), ["proven", "proven"]);
    pair.a.sql("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES (2)");
    assert_eq!(meet(&pair), ["undecided", "undecided"]);
}

#[test]
fn a_program_that_maps_the_wal_index_to_read_it_is_no_sqlite() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    pair.b.open(&database, READ);
    let open = |name: &str| fs::File::open(pair.at(name)).unwrap();
    let (_database, _wal, shm) = (open("t.db"), open("t.db-wal"), open("t.db-shm"));
    // SAFETY: nothing is read through the mapping.
    #[allow(unsafe_code)]
    let _mapping = unsafe { memmap2::MmapOptions::new().len(32768).map(&shm).unwrap() };
    let said = pair.live();
    assert!(said.of_mappings() && !said.warned(), "{:#}", said.0);
}

#[test]
fn a_boot_id_that_is_mounted_over_refutes_nothing_and_live_it_is_proven() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    for (side, name) in [(&pair.a, "one"), (&pair.b, "two")] {
        let id = pair.at(name);
        fs::write(&id, format!("00000000-0000-4000-8000-{:012}\n", side.pid)).unwrap();
        let over = side.beside(&["mount", "--bind", id.to_str().unwrap(), "/proc/sys/kernel/random/boot_id"]);
        assert_eq!(over.code, 0, "{}", over.stderr);
    }
    pair.a.open(&database, MAKE);
    pair.b.open(&database, READ);
    let said = pair.live();
    assert!(said.of_mappings(), "{:#}", said.0);
    assert_ne!(pair.bundles(&[]).sharing(), "refuted");
    let meet = [pair.program.as_str(), "probe", "meet", &database, "--timeout", "60", "--json"];
    let both = std::thread::scope(|scope| {
        let each = [&pair.a, &pair.b].map(|side| scope.spawn(|| Said::of(&side.beside(&meet))));
        each.map(|thread| thread.join().unwrap())
    });
    for said in both {
        assert_ne!(said.sharing(), "refuted", "{:#}", said.0);
    }
}

#[test]
fn a_lock_whose_taker_is_dead_is_said_to_be_held_by_the_one_that_keeps_its_descriptors() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let database = at(&folder, "t.db");
    let (mut writer, mut taker) = (Actor::start(&[]), Actor::start(&[]));
    writer.open(&database, MAKE);
    taker.open(&database, "BEGIN; SELECT count(*) FROM t");
    let keeper: u32 = taker.ask("share").parse().unwrap();
    let keeper = Ended(keeper);
    let gone = taker.pid;
    drop(taker);
    writer.sql("INSERT INTO t VALUES (2)");
    let document = walscope(Path::new(&folder.path()), &["inspect", "t.db", "--json"]).json();
    let told = document["checkpoint"]["explanation"].as_str().unwrap();
    assert_eq!(document["checkpoint"]["state"], "blocked", "{document:#}");
    let holders = &document["checkpoint"]["blocked_by"][0]["holders"];
    assert_eq!(holders[0]["pid"], keeper.0, "{holders:#}");
    assert!(!told.contains(&format!("by pid {gone}")), "{told}");
}

/// A process that this test has to end: nobody is its parent any more.
struct Ended(u32);

impl Drop for Ended {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.0).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// A mount namespace in which the three files of the volume are mounted one by one, and a process there.
fn with_three_mounts(volume: &Path, inside: &Path) -> Actor {
    fs::create_dir_all(inside).unwrap();
    let mut script = "true".to_owned();
    for suffix in ["", "-wal", "-shm"] {
        let [from, to] = [volume, inside].map(|folder| folder.join(format!("t.db{suffix}")));
        fs::OpenOptions::new().create(true).append(true).open(&from).unwrap();
        fs::write(&to, "").unwrap();
        script.push_str(&format!(" && mount --bind {} {}", from.display(), to.display()));
    }
    script.push_str(" && exec \"$@\"");
    Actor::start(&["unshare", "-m", "sh", "-c", &script, "sh"])
}

#[test]
fn three_mounted_files_are_shared_until_somebody_deletes_them_in_the_folder() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [volume, a, b] = ["volume", "a", "b"].map(|name| folder.path().join(name));
    fs::create_dir(&volume).unwrap();
    let at_home = volume.join("t.db").display().to_string();
    let mut outside = Actor::start(&["unshare", "-m"]);
    outside.open(&at_home, MAKE);
    assert_eq!(outside.ask("close"), "done");
    let [mut one, mut two] = [&a, &b].map(|inside| with_three_mounts(&volume, inside));
    let [of_one, of_two] = [&a, &b].map(|inside| inside.join("t.db").display().to_string());
    one.open(&of_one, READ);
    two.open(&of_two, READ);
    one.sql("INSERT INTO t VALUES (2)");
    two.sql("INSERT INTO t VALUES (3)");
    let sources = [format!("pid:{}:{of_one}", one.pid), format!("pid:{}:{of_two}", two.pid)];
    let bundles = [(&one, &of_one, "one.walsnap"), (&two, &of_two, "two.walsnap")].map(|(of, database, name)| {
        let to = folder.path().join(name);
        let ran = of.beside_mounts(&[crate::common::command::EXE, "snapshot", database, "-o", "-"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        fs::write(&to, ran.stdout).unwrap();
        to.display().to_string()
    });
    for [x, y] in [&sources, &bundles] {
        let said = Said::compare(x, y);
        assert!(said.of_mappings() && !said.warned(), "{:#}", said.0);
    }
    let inspect = |source: &str| walscope(folder.path(), &["inspect", source, "--json"]).json();
    let mounts = |document: &serde_json::Value| {
        let all = document["findings"].as_array().unwrap().iter();
        let about = all.filter(|finding| finding["code"] == "database_file_mount");
        about.map(|finding| (finding["severity"].clone(), finding["evidence"]["deleted"].clone())).collect::<Vec<_>>()
    };
    let notice = [(serde_json::json!("notice"), serde_json::json!([]))];
    assert_eq!(mounts(&inspect(&sources[0])), notice);
    // SQLite cannot delete what is mounted: both stay, and the next to open the database goes on with them.
    for of in [&mut one, &mut two] {
        assert_eq!(of.ask("close"), "done");
    }
    assert!(fs::metadata(volume.join("t.db-wal")).unwrap().len() > 0 && volume.join("t.db-shm").exists());
    one.open(&of_one, "INSERT INTO t VALUES (4)");
    assert_eq!(one.ask("close"), "done");
    assert_eq!(mounts(&inspect(&sources[0])), notice);
    // The last one to close in the folder deletes them there.
    outside.open(&at_home, "INSERT INTO t VALUES (5)");
    assert_eq!(outside.ask("close"), "done");
    assert!(!volume.join("t.db-wal").exists() && !volume.join("t.db-shm").exists());
    let deleted = [(serde_json::json!("warning"), serde_json::json!(["-wal", "-shm"]))];
    assert_eq!(mounts(&inspect(&sources[0])), deleted);
    // What is committed through the mounts from now on, nobody finds in the folder.
    one.open(&of_one, "PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES (6)");
    assert_eq!(mounts(&inspect(&sources[0])), deleted);
    let rows =
        rusqlite::Connection::open(&at_home)
            .unwrap()
            .query_row("SELECT count(*) FROM t WHERE x = 6", [], |row| row.get::<_, i64>(0));
    assert_eq!(rows, Ok(0));
    let said = Said::compare(&sources[0], &at_home);
    assert!(said.sharing() != "proven" && said.warned(), "{:#}", said.0);
}

#[test]
fn of_two_copies_that_nobody_uses_no_process_is_to_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let db = crate::users::database(folder.path());
    for (to, more) in [("one", ""), ("two", "INSERT INTO t VALUES(2)")] {
        db.execute_batch(more).unwrap();
        std::fs::create_dir(folder.path().join(to)).unwrap();
        for name in ["t.db", "t.db-wal", "t.db-shm"] {
            std::fs::copy(folder.path().join(name), folder.path().join(to).join(name)).unwrap();
        }
    }
    let ran = crate::common::command::walscope(folder.path(), &["compare", "one/t.db", "two/t.db"]);
    let page = ran.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(ran.code == 1 && page.contains("copies have nothing in common"), "{page}");
    assert!(!page.contains("kill -STOP") && !page.contains("stop the processes"), "{page}");
    // The one that is in use is a danger.
    let _user = crate::sqlite::Sqlite::open(&folder.path().join("two/t.db"));
    let ran = crate::common::command::walscope(folder.path(), &["compare", "one/t.db", "two/t.db"]);
    let page = ran.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("If they are meant to be two databases") && page.contains("kill -STOP"), "{page}");
}

#[test]
fn a_copy_that_nobody_has_opened_does_not_share_the_wal_index_of_its_original() {
    let folder = tempfile::tempdir().unwrap();
    let _db = crate::users::database(folder.path());
    std::fs::create_dir(folder.path().join("copy")).unwrap();
    std::fs::copy(folder.path().join("t.db"), folder.path().join("copy/t.db")).unwrap();
    let ran = crate::common::command::walscope(folder.path(), &["compare", "t.db", "copy/t.db", "--json"]);
    let said = ran.json();
    assert_eq!(said["verdict"]["decided_by"], serde_json::json!(["directory_identity"]), "{said:#}");
    assert_eq!((ran.code, &said["verdict"]["sharing"]), (1, &"refuted".into()));
}
