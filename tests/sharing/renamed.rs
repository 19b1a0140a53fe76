//! Databases that are renamed while processes have them open.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::actor::{APART, Actor};
use crate::common;
use crate::common::command::{connect, walscope};
use crate::sqlite::Sqlite;

/// A database in WAL mode with one row in it, and a process that has committed two more rows to its -wal.
fn made(path: &Path) -> Sqlite {
    let db = connect(path);
    db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(0)").unwrap();
    drop(db);
    let mut process = Sqlite::open(path);
    process.run("PRAGMA wal_autocheckpoint=0");
    process.run("INSERT INTO t VALUES(1)");
    process.run("INSERT INTO t VALUES(2)");
    process
}

fn inspect(folder: &Path, name: &str) -> (i32, Value) {
    let ran = walscope(folder, &["inspect", name, "--json"]);
    (ran.code, ran.json())
}

fn codes(document: &Value) -> Vec<String> {
    let grave = |finding: &&Value| finding["severity"] == "warning" || finding["severity"] == "error";
    let found = document["findings"].as_array().unwrap().iter().filter(grave);
    found.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

fn detail(document: &Value) -> String {
    let all = document["findings"].as_array().unwrap();
    let finding = all.iter().find(|finding| finding["code"] == "database_renamed").unwrap();
    format!("{} {}", finding["detail"].as_str().unwrap(), finding["advice"].as_str().unwrap())
}

fn evidence(document: &Value) -> Value {
    let all = document["findings"].as_array().unwrap();
    all.iter().find(|finding| finding["code"] == "database_renamed").unwrap()["evidence"]["renamed"].clone()
}

fn rows(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_database_that_was_renamed_in_use_is_told_by_both_names() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    fs::create_dir(root.join("other")).unwrap();
    let (old, old_wal) = (root.join("t.db"), root.join("t.db-wal"));
    for new in ["new.db", "other/t.db"] {
        let process = made(&old);
        let (pid, path) = (process.pid(), root.join(new));
        fs::rename(&old, &path).unwrap();
        let expected = json!([{"pid": pid, "command": evidence_command(pid), "container": null,
            "database": path, "opened_as": old, "wal": old_wal, "journal": null, "commits": 2}]);
        for (name, word) in [(new, "with the -wal of another name"), ("t.db", "Make no database here")] {
            let (code, document) = inspect(&root, name);
            assert_eq!((code, evidence(&document)), (1, expected.clone()), "{name}");
            let others = ["database_renamed", "wal_without_database"];
            let found = codes(&document);
            assert!(found.iter().all(|code| others.contains(&code.as_str())), "{name}: {found:?}");
            let told = detail(&document);
            assert!(told.contains(word) && told.contains("walscope rescue") && told.contains("2 commits"), "{told}");
            assert!(told.contains(&format!("pid {pid}")) && told.contains(old_wal.to_str().unwrap()), "{told}");
            assert_eq!(document["checkpoint"]["sentence"], "other_files");
            assert_eq!(walscope(&root, &["verify", name]).code, 1);
        }
        let compared = walscope(&root, &["compare", "t.db", new, "--json"]);
        assert_eq!(compared.code, 3);
        assert!(codes(&compared.json()).contains(&"database_renamed".to_owned()));
        // Its old name again, while the process runs: nothing was lost.
        fs::rename(&path, &old).unwrap();
        let (code, document) = inspect(&root, "t.db");
        assert_eq!((code, codes(&document)), (0, vec![]));
        drop(process);
        assert_eq!(rows(&old), 3);
        fs::remove_file(&old).unwrap();
    }
}

fn evidence_command(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim_end().to_owned()
}

#[test]
fn a_rotated_database_is_told_by_both_names_and_the_new_one_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let process = made(&root.join("t.db"));
    fs::rename(root.join("t.db"), root.join("t.db.1")).unwrap();
    fs::write(root.join("t.db"), "").unwrap();
    let (code, document) = inspect(&root, "t.db.1");
    assert_eq!((code, codes(&document)), (1, vec!["database_renamed".to_owned()]));
    let (code, document) = inspect(&root, "t.db");
    let found = codes(&document);
    assert!(code == 1 && found.contains(&"database_renamed".to_owned()), "{found:?}");
    assert!(found.contains(&"wal_index_shared_database_not".to_owned()), "{found:?}");
    assert!(detail(&document).contains("Another database lies here now"), "{}", detail(&document));
    assert_eq!(evidence(&document)[0]["pid"], process.pid());
}

/// `ln` and `rm` are a rename, too.
#[test]
fn a_name_that_was_removed_after_another_was_made_is_a_rename() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let process = made(&root.join("t.db"));
    fs::hard_link(root.join("t.db"), root.join("new.db")).unwrap();
    let (_, document) = inspect(&root, "new.db");
    assert!(!codes(&document).contains(&"database_renamed".to_owned()), "two names are no rename");
    fs::remove_file(root.join("t.db")).unwrap();
    let (code, document) = inspect(&root, "new.db");
    assert!(code == 1 && codes(&document).contains(&"database_renamed".to_owned()), "{:?}", codes(&document));
    assert_eq!(evidence(&document)[0]["pid"], process.pid());
}

#[test]
fn sidecars_that_were_renamed_without_the_database_are_renamed_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let process = made(&root.join("t.db"));
    for suffix in ["-wal", "-shm"] {
        fs::rename(root.join(format!("t.db{suffix}")), root.join(format!("old.db{suffix}"))).unwrap();
    }
    let (code, document) = inspect(&root, "t.db");
    assert!(code == 1 && codes(&document).contains(&"database_renamed".to_owned()), "{:?}", codes(&document));
    let told = detail(&document);
    assert!(
        !told.contains("give the database its old name back") && !told.contains("database open by its old"),
        "{told}"
    );
    let advice = "or the -wal and the -shm, if the database still has the name that the application uses";
    assert!(told.contains("one of the two was renamed") && told.contains(advice), "{told}");
    for suffix in ["-wal", "-shm"] {
        fs::rename(root.join(format!("old.db{suffix}")), root.join(format!("t.db{suffix}"))).unwrap();
    }
    assert_eq!((inspect(&root, "t.db").0, codes(&inspect(&root, "t.db").1)), (0, vec![]));
    drop(process);
    assert_eq!(rows(&root.join("t.db")), 3);
}

/// "Put the bad one aside, and restore the backup": the names have something behind them that SQLite never makes.
#[test]
fn a_process_whose_files_were_moved_aside_does_not_share_with_one_of_the_new_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    for aside in [".old", "~", "-1", "_bak"] {
        let path = root.join("t.db");
        let first = made(&path);
        let moved = |suffix: &str| root.join(format!("t.db{suffix}{aside}"));
        for suffix in ["", "-wal", "-shm"] {
            fs::rename(root.join(format!("t.db{suffix}")), moved(suffix)).unwrap();
        }
        let told = |source: &str| {
            let (code, document) = inspect(&root, source);
            (code, codes(&document))
        };
        let by_first = format!("pid:{}:{}", first.pid(), path.display());
        // By its new name the database has no -wal, although one is in use.
        let new = format!("t.db{aside}");
        let (code, document) = inspect(&root, &new);
        let renamed = &evidence(&document)[0];
        assert_eq!((code, codes(&document)), (1, vec!["database_renamed".to_owned()]), "{aside}");
        let wal = format!("t.db-wal{aside}");
        assert_eq!((&renamed["commits"], &renamed["wal"]), (&json!(2), &json!(root.join(&wal))), "{aside}");
        let second = made(&path);
        let by_second = format!("pid:{}:{}", second.pid(), path.display());
        for source in ["t.db", &by_first, &by_second] {
            let ran = walscope(&root, &["inspect", source, "--json"]);
            let document = ran.json();
            let split: Vec<&Value> =
                document["findings"].as_array().unwrap().iter().filter(|one| one["code"] == "split_brain").collect();
            // These are two databases.
            assert_eq!((ran.code, split.len(), &split[0]["severity"]), (0, 1, &json!("info")), "{aside} {source}");
            assert!(split[0]["detail"].as_str().unwrap().contains("is another one"), "{aside} {source}");
        }
        assert_eq!(told(&new).0, 1, "{aside}");
        let compared = walscope(&root, &["compare", &by_first, &by_second, "--json"]);
        let document = compared.json();
        assert_eq!((compared.code, &document["verdict"]["sharing"]), (1, &"refuted".into()), "{aside}");
        assert!(document.to_string().contains(&format!("t.db-shm{aside}")), "{aside}");
        drop(first);
        assert_eq!(told("t.db"), (0, vec![]), "{aside}");
        // At rest: the commits of the database are in a -wal that SQLite does not find.
        assert_eq!(told(&new), (0, vec!["sidecars_under_other_name".to_owned()]), "{aside}");
        fs::copy(moved(""), root.join("copy")).unwrap();
        fs::copy(moved("-wal"), root.join("copy-wal")).unwrap();
        assert_eq!([rows(&moved("")), rows(&root.join("copy"))], [1, 3], "{aside}");
        drop(second);
        for name in [path.as_path(), &root.join("copy"), &moved(""), &moved("-wal"), &moved("-shm")] {
            let _ = fs::remove_file(name);
        }
    }
}

#[test]
fn a_process_in_exclusive_locking_mode_is_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    drop(made(&root.join("t.db")));
    let mut process = Sqlite::open(&root.join("t.db"));
    process.run("PRAGMA locking_mode=EXCLUSIVE");
    process.run("INSERT INTO t VALUES(1)");
    fs::rename(root.join("t.db"), root.join("new.db")).unwrap();
    for name in ["new.db", "t.db"] {
        let (code, document) = inspect(&root, name);
        assert_eq!((code, &evidence(&document)[0]["pid"]), (1, &process.pid().into()), "{name}");
    }
}

#[test]
fn a_renamed_folder_a_program_that_reads_and_a_symbolic_link_are_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    fs::create_dir(root.join("a")).unwrap();
    let mut process = made(&root.join("a/t.db"));
    fs::rename(root.join("a"), root.join("b")).unwrap();
    let (code, document) = inspect(&root, "b/t.db");
    assert_eq!((code, codes(&document)), (0, vec![]));
    // It goes on with the right files.
    process.run("INSERT INTO t VALUES(3)");
    assert_eq!(rows(&root.join("b/t.db")), 4);
    // This process has the database and the -wal open, as a program does that copies them.
    let at_rest = root.join("c.db");
    drop(made(&at_rest));
    let _wal = fs::File::create(root.join("c.db-wal")).unwrap();
    let _reader = fs::OpenOptions::new().read(true).write(true).open(&at_rest).unwrap();
    fs::rename(&at_rest, root.join("d.db")).unwrap();
    for name in ["d.db", "c.db"] {
        let (_, document) = inspect(&root, name);
        assert!(!codes(&document).contains(&"database_renamed".to_owned()), "{name}");
    }
    std::os::unix::fs::symlink(root.join("b/t.db"), root.join("link.db")).unwrap();
    let by_link = Sqlite::open(&root.join("link.db"));
    assert!(by_link.pid() > 0);
    for name in ["b/t.db", "link.db"] {
        let (code, document) = inspect(&root, name);
        assert!(code == 0 && !codes(&document).contains(&"database_renamed".to_owned()), "{name}");
    }
}

/// Codes of `ps` that name this folder, with the processes.
fn listed(folder: &Path) -> Vec<(String, Value)> {
    let document = walscope(Path::new("/"), &["ps", "--json"]).json();
    let all = document["findings"].as_array().unwrap().iter();
    let here = all.filter(|finding| finding.to_string().contains(folder.to_str().unwrap()));
    here.map(|finding| (finding["code"].as_str().unwrap().to_owned(), finding["evidence"]["pids"].clone())).collect()
}

fn pids(processes: [&Sqlite; 2]) -> Value {
    let mut pids = processes.map(Sqlite::pid);
    pids.sort_unstable();
    json!(pids)
}

/// Two wal-indexes over one `-wal`: each process counts frames that the other one overwrites.
#[test]
fn a_wal_index_that_keeps_the_old_name_is_a_split() {
    for (moved, name) in [(["", "-wal"].as_slice(), "b.db"), (&["-shm"], "a.db")] {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let first = made(&root.join("a.db"));
        for part in moved {
            fs::rename(root.join(format!("a.db{part}")), root.join(format!("b.db{part}"))).unwrap();
        }
        let database = root.join(name);
        let (code, document) = inspect(&root, name);
        assert_eq!((code, codes(&document)), (1, vec!["split_brain".to_owned()]), "{moved:?}");
        assert_eq!(document["checkpoint"]["sentence"], "other_files", "{moved:?}");
        let second = Sqlite::open(&database);
        let (code, document) = inspect(&root, name);
        assert!(code == 1 && codes(&document).contains(&"split_brain".to_owned()), "{moved:?} {:?}", codes(&document));
        let side = |process: &Sqlite| format!("pid:{}:{}", process.pid(), database.display());
        let verdict = &walscope(&root, &["compare", &side(&first), &side(&second), "--json"]).json()["verdict"];
        assert_eq!([&verdict["sharing"], &verdict["memory"]], ["refuted", "refuted"], "{moved:?}");
        let both = ("split_brain".to_owned(), pids([&first, &second]));
        assert!(listed(&root).contains(&both), "{moved:?} {:?}", listed(&root));
    }
}

#[test]
fn a_database_that_was_renamed_with_its_sidecars_is_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let first = made(&root.join("a.db"));
    for part in ["", "-wal", "-shm"] {
        fs::rename(root.join(format!("a.db{part}")), root.join(format!("b.db{part}"))).unwrap();
    }
    let second = Sqlite::open(&root.join("b.db"));
    let (code, document) = inspect(&root, "b.db");
    assert_eq!((code, codes(&document), listed(&root)), (0, vec![], vec![]));
    let side = |process: &Sqlite| format!("pid:{}:{}", process.pid(), root.join("b.db").display());
    let compared = walscope(&root, &["compare", &side(&first), &side(&second), "--json"]).json();
    assert_eq!([&compared["verdict"]["sharing"], &compared["verdict"]["subject"]], ["proven", "mappings"]);
}

/// The new name has a `-wal` and a `-shm` of its own, beside those of the old name.
#[test]
fn a_renamed_database_that_is_open_by_both_names_is_refuted_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let first = made(&root.join("a.db"));
    fs::rename(root.join("a.db"), root.join("b.db")).unwrap();
    let second = Sqlite::open(&root.join("b.db"));
    let side = |process: &Sqlite| format!("pid:{}:{}", process.pid(), root.join("b.db").display());
    let compared = walscope(&root, &["compare", &side(&first), &side(&second), "--json"]).json();
    assert_eq!([&compared["verdict"]["sharing"], &compared["verdict"]["memory"]], ["refuted", "refuted"]);
    assert!(codes(&compared).contains(&"database_renamed".to_owned()), "{:?}", codes(&compared));
    assert_eq!(listed(&root), [("split_brain".to_owned(), pids([&first, &second]))]);
}

/// What `rescue` saves: for each set the processes, and the commits in its `-wal`, as rows.
fn rescued(folder: &Path, name: &str) -> (i32, Vec<(Vec<u32>, i64)>) {
    let out = tempfile::tempdir_in(folder).unwrap();
    let ran = walscope(folder, &["rescue", name, "-o", out.path().to_str().unwrap(), "--json"]);
    let document = ran.json();
    let sets = document["sets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|set| (pids_of(set), rows(Path::new(set["database"].as_str().unwrap()))));
    (ran.code, sets.collect())
}

/// The commits are in no folder: only the descriptor of the process leads to them.
#[test]
fn commits_in_a_deleted_wal_of_a_renamed_database_are_told_by_their_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let process = made(&root.join("t.db"));
    fs::rename(root.join("t.db"), root.join("new.db")).unwrap();
    fs::remove_file(root.join("t.db-wal")).unwrap();
    let told = |name: &str| {
        let (code, document) = inspect(&root, name);
        let (told, evidence) = (detail(&document), evidence(&document)[0].clone());
        let place = format!("/proc/{}/fd/", process.pid());
        assert!(code == 1 && told.contains("2 commits") && told.contains(&place), "{name}: {told}");
        assert!(!told.contains(&format!("{}/t.db-wal", root.display())), "{name}: {told}");
        assert!(evidence["wal"].as_str().unwrap().starts_with(&place), "{name}: {evidence}");
        assert_eq!(evidence["database"], *root.join("new.db").to_str().unwrap());
        codes(&document)
    };
    assert_eq!(told("new.db"), ["database_renamed"]);
    // Only the -shm is left under the old name.
    assert!(!told("t.db").contains(&"wal_index_shared_database_not".to_owned()));
    // It is in the set of the process, and not a set of its own, also while another program looks at it.
    let looks = fs::File::open(root.join("t.db-shm")).unwrap();
    assert_eq!(rescued(&root, "t.db"), (0, vec![(vec![process.pid()], 3)]));
    drop(looks);
    // Somebody makes another database with the old name: the -shm is used with both, and the new -wal lacks what it counts.
    let other = Sqlite::open(&root.join("t.db"));
    let (_, document) = inspect(&root, "t.db");
    let all = document["findings"].as_array().unwrap();
    let lost = all.iter().filter(|found| found["code"] == "wal_truncated").map(|found| found["detail"].to_string());
    assert!(lost.into_iter().all(|told| !told.contains("commits are lost") && told.contains("still open")), "{all:#?}");
    assert!(told("t.db").contains(&"wal_index_shared_database_not".to_owned()));
    // Both databases are saved by each of the names.
    for name in ["t.db", "new.db"] {
        let (_, sets) = rescued_pids(&root, name);
        assert!(sets.contains(&vec![process.pid()]) && sets.contains(&vec![other.pid()]), "{name}: {sets:?}");
    }
}

/// The processes of a set, without a `ps` of another test that looks at it.
fn pids_of(set: &Value) -> Vec<u32> {
    let by = set["processes"].as_array().unwrap().iter().filter(|by| by["command"] != "walscope");
    by.map(|by| u32::try_from(by["pid"].as_u64().unwrap()).unwrap()).collect()
}

/// What `rescue` saves, whatever the copies hold.
fn rescued_pids(folder: &Path, name: &str) -> (i32, Vec<Vec<u32>>) {
    let out = tempfile::tempdir_in(folder).unwrap();
    let ran = walscope(folder, &["rescue", name, "-o", out.path().to_str().unwrap(), "--json"]);
    let document = ran.json();
    (ran.code, document["sets"].as_array().unwrap().iter().map(pids_of).collect())
}

#[test]
fn rescue_by_the_old_name_saves_also_what_the_new_name_has_by_now() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let first = made(&root.join("a.db"));
    fs::rename(root.join("a.db"), root.join("b.db")).unwrap();
    let mut second = Sqlite::open(&root.join("b.db"));
    second.run("INSERT INTO t VALUES(9)");
    for name in ["a.db", "b.db"] {
        let (code, mut sets) = rescued(&root, name);
        sets.sort();
        let mut both = vec![(vec![first.pid()], 3), (vec![second.pid()], 2)];
        both.sort();
        assert_eq!((code, sets), (0, both), "{name}");
    }
}

#[test]
fn a_process_whose_files_have_several_names_is_listed_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let process = made(&root.join("a.db"));
    for part in ["", "-wal"] {
        fs::rename(root.join(format!("a.db{part}")), root.join(format!("b.db{part}"))).unwrap();
    }
    for name in ["a.db", "b.db"] {
        assert_eq!(rescued(&root, name), (0, vec![(vec![process.pid()], 3)]), "{name}");
    }
    let (code, document) = inspect(&root, "a.db");
    assert_eq!((code, &evidence(&document)[0]["pid"]), (1, &process.pid().into()));
    assert_eq!(evidence(&document)[0]["wal"], *root.join("b.db-wal").to_str().unwrap());
}

/// A path of a container is none of this mount namespace.
#[test]
fn a_path_of_another_mount_namespace_is_told_with_its_process() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let (there, inside) = (root.join("there"), root.join("inside"));
    [&there, &inside].iter().for_each(|folder| fs::create_dir(folder).unwrap());
    drop(made(&there.join("t.db")));
    let mut actor = Actor::start(APART);
    let mounted = actor.beside_mounts(&["mount", "--bind", there.to_str().unwrap(), inside.to_str().unwrap()]);
    if !common::have("mount", mounted.code == 0) {
        return;
    }
    actor.open(inside.join("t.db").to_str().unwrap(), "INSERT INTO t VALUES(5)");
    fs::rename(there.join("t.db"), there.join("new.db")).unwrap();
    let (_, document) = inspect(&there, "new.db");
    let told = evidence(&document)[0].clone();
    let seen = |name: &str| format!("pid:{}:{}", actor.pid, inside.join(name).display());
    assert_eq!(told["database"], *there.join("new.db").to_str().unwrap());
    assert_eq!((&told["opened_as"], &told["wal"]), (&seen("t.db").into(), &seen("t.db-wal").into()));
    // By the old name, the new one is of the other mount namespace.
    let (_, document) = inspect(&there, "t.db");
    let told = evidence(&document)[0].clone();
    assert_eq!(told["database"], seen("new.db"));
    assert_eq!(told["opened_as"], *there.join("t.db").to_str().unwrap());
}

/// In rollback mode the journal keeps the old name: who opens the new one takes half a transaction for a whole database.
#[test]
fn a_database_that_was_renamed_in_a_rollback_transaction_is_an_error_that_names_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let mut process = Sqlite::open(&root.join("t.db"));
    let rows_of_500 = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 500)";
    process.run("PRAGMA journal_mode=DELETE");
    process.run("PRAGMA cache_size=5");
    process.run(&format!("{rows_of_500} INSERT INTO t SELECT randomblob(500) FROM n"));
    process.run("BEGIN IMMEDIATE");
    process.run("UPDATE t SET x = randomblob(500)");
    let journal = root.join("t.db-journal");
    assert!(fs::metadata(&journal).unwrap().len() > 0);
    let (code, document) = inspect(&root, "t.db");
    assert_eq!((code, codes(&document)), (0, vec![]), "in its place it is a transaction like others");
    fs::rename(root.join("t.db"), root.join("new.db")).unwrap();
    let (code, document) = inspect(&root, "new.db");
    assert_eq!((code, codes(&document)), (1, vec!["database_renamed".to_owned()]));
    let told = detail(&document);
    assert!(told.contains("in a transaction") && told.contains(journal.to_str().unwrap()), "{told}");
    assert_eq!(evidence(&document)[0]["journal"], *journal.to_str().unwrap());
    assert_eq!(walscope(&root, &["verify", "."]).code, 1);
    // It is killed at this point: only the files are left.
    fs::create_dir(root.join("killed")).unwrap();
    for (file, copy) in [("new.db", "killed/new.db"), ("t.db-journal", "killed/t.db-journal")] {
        fs::copy(root.join(file), root.join(copy)).unwrap();
    }
    half_a_transaction_lies_beside_its_journal(&root.join("killed"));
    // It ends the transaction with the files that it has.
    process.run("COMMIT");
    let (code, document) = inspect(&root, "new.db");
    assert_eq!((code, codes(&document)), (0, vec![]));
    drop(process);
    assert_eq!(rows(&root.join("new.db")), 500);
}

/// A database with a part of a transaction, and the journal of its old name, which nobody has open.
fn half_a_transaction_lies_beside_its_journal(folder: &Path) {
    let codes_of = |name: &str| codes(&inspect(folder, name).1);
    let (_, document) = inspect(folder, "new.db");
    assert_eq!(codes(&document), ["sidecars_under_other_name"]);
    let all = document["findings"].as_array().unwrap();
    let found = all.iter().find(|found| found["code"] == "sidecars_under_other_name").unwrap();
    assert_eq!(found["evidence"]["files"], json!([folder.join("t.db-journal")]));
    assert_eq!(walscope(folder, &["verify", ".", "--fail-on", "warning"]).code, 1);
    // Both were moved aside, and another database lies at their old name.
    for (name, aside) in [("new.db", "t.db.old"), ("t.db-journal", "t.db-journal.old")] {
        fs::copy(folder.join(name), folder.join(aside)).unwrap();
    }
    drop(connect(&folder.join("made.db")).execute_batch("CREATE TABLE o(y)"));
    fs::rename(folder.join("made.db"), folder.join("t.db")).unwrap();
    let (_, document) = inspect(folder, "t.db.old");
    assert_eq!(codes(&document), ["sidecars_under_other_name"]);
    assert!(document.to_string().contains("t.db-journal.old"), "{document}");
    for name in ["t.db", "t.db.old", "t.db-journal.old"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    // The journal of another database, and a copy from before the transaction, are no sign.
    drop(connect(&folder.join("other.db")).execute_batch("CREATE TABLE o(y); INSERT INTO o VALUES(randomblob(9000))"));
    assert_eq!(codes_of("other.db"), [""; 0]);
    fs::rename(folder.join("t.db-journal"), folder.join("new.db-journal")).unwrap();
    assert!(!codes_of("new.db").contains(&"sidecars_under_other_name".to_owned()), "it stands beside it");
    assert_eq!(rows(&folder.join("new.db")), 500);
    fs::copy(folder.join("new.db"), folder.join("before.db")).unwrap();
    assert_eq!(codes_of("before.db"), [""; 0]);
}

/// Who looks inside of a container does not see the process that has the database open. Its lock is seen.
#[test]
fn a_database_renamed_by_processes_that_are_not_seen_is_told_by_what_lies_beside_it() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let mut process = made(&root.join("t.db"));
    process.run("INSERT INTO t SELECT randomblob(40) FROM t a, t b, t c LIMIT 20");
    process.run("PRAGMA wal_checkpoint(TRUNCATE)");
    (0..2).for_each(|_| process.run("INSERT INTO t VALUES(4)"));
    let apart = Actor::start(APART);
    let inside = |name: &str| {
        let ran = apart.beside(&[common::command::EXE, "inspect", root.join(name).to_str().unwrap(), "--json"]);
        ran.json()
    };
    assert_eq!(codes(&inside("t.db")), [""; 0]);
    fs::rename(root.join("t.db"), root.join("new.db")).unwrap();
    let document = inside("new.db");
    assert_eq!(codes(&document), ["sidecars_under_other_name"]);
    let all = document["findings"].as_array().unwrap();
    let found = all.iter().find(|found| found["code"] == "sidecars_under_other_name").unwrap();
    assert_eq!(found["evidence"]["files"], json!([root.join("t.db-shm"), root.join("t.db-wal")]));
    assert!(found["detail"].as_str().unwrap().contains("not visible from here"), "{found:#}");
    // Its close has copied nothing: the commits are under the old name alone.
    drop(process);
    let (code, document) = inspect(&root, "new.db");
    assert_eq!((code, codes(&document)), (0, vec!["sidecars_under_other_name".to_owned()]));
    let all = document["findings"].as_array().unwrap();
    let found = all.iter().find(|found| found["code"] == "sidecars_under_other_name").unwrap();
    let evidence = &found["evidence"];
    assert_eq!((&evidence["files"], &evidence["commits"]), (&json!([root.join("t.db-wal")]), &2.into()));
    // Beside another database it says nothing.
    let other = connect(&root.join("other.db"));
    other
        .execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE u(a, b); INSERT INTO u VALUES(randomblob(200), 1)")
        .unwrap();
    drop(other);
    assert_eq!(codes(&inspect(&root, "other.db").1), [""; 0]);
    // As advised.
    fs::create_dir(root.join("copy")).unwrap();
    fs::copy(root.join("new.db"), root.join("copy/new.db")).unwrap();
    fs::copy(root.join("t.db-wal"), root.join("copy/new.db-wal")).unwrap();
    assert_eq!(rows(&root.join("copy/new.db")), 25);
}
