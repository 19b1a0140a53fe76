//! A `-wal` that was removed, replaced or cut off while real SQLite uses it: no comparison is proven, and every command that
//! sees it says so.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use crate::actor::{APART, Actor};
use crate::common::command::walscope;
use crate::dangers::{MAKE, Pair, READ, undecided};

/// The codes of the findings of a command that are errors, and name this database or are only about it.
fn errors(pair: &Pair, command: &[&str]) -> Vec<String> {
    let document = walscope(pair.folder.path(), &[command, &["--json"]].concat()).json();
    let here = |finding: &&Value| match &finding["evidence"]["side"] {
        Value::String(side) => side == "t.db" || *side == pair.database(),
        _ => command[0] != "ps",
    };
    let errors = document["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "error");
    errors.filter(here).map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

/// A `-wal` that is not there is an error by the files, and by the processes.
fn assert_named(pair: &Pair) {
    for command in ["inspect", "verify"] {
        assert_eq!(errors(pair, &[command, "t.db"]), ["shm_of_other_wal", "wal_index_shared_wal_not"], "{command}");
    }
    assert_eq!(errors(pair, &["ps"]), ["wal_index_shared_wal_not"]);
}

#[test]
fn a_wal_removed_from_beside_a_wal_index_in_use_proves_nothing_of_paths() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    pair.b.open(&database, READ);
    assert_eq!(pair.live().sharing(), "proven");
    fs::remove_file(pair.at("t.db-wal")).unwrap();
    let said = pair.live();
    undecided(&said);
    assert!(said.told().contains("walscope rescue SOURCE"), "{}", said.told());
    assert_named(&pair);
    let mut next = Actor::start(APART);
    assert_eq!(next.ask(&format!("open {database}")), "done");
    let opened = next.ask("sql SELECT count(*) FROM t");
    assert!(opened.contains("disk I/O error"), "{opened}");
}

#[test]
fn a_wal_cut_off_under_a_wal_index_in_use_proves_nothing_of_paths() {
    for left in [0, 100] {
        let Some(mut pair) = Pair::new() else { return };
        let database = pair.database();
        pair.a.open(&database, MAKE);
        pair.b.open(&database, READ);
        assert_eq!(pair.live().sharing(), "proven");
        fs::File::options().write(true).open(pair.at("t.db-wal")).unwrap().set_len(left).unwrap();
        let said = pair.live();
        undecided(&said);
        assert!(said.told().contains("frames that the -wal there does not have"), "{}", said.told());
        assert!(!said.told().contains("capture again"), "{}", said.told());
        assert!(!said.0.to_string().contains("bundle_unstable"), "{:#}", said.0);
    }
}

#[test]
fn a_wal_removed_from_beside_a_wal_index_without_frames_is_named() {
    // A WAL that was restarted, and one that nothing was ever written to.
    for first in ["INSERT INTO t VALUES (2); PRAGMA wal_checkpoint(TRUNCATE)", READ] {
        let Some(mut pair) = Pair::new() else { return };
        let database = pair.database();
        let mut made = Actor::start(&[]);
        made.open(&database, MAKE);
        made.ask("close");
        pair.a.open(&database, first);
        pair.b.open(&database, READ);
        assert!(pair.live().of_mappings());
        assert_eq!((errors(&pair, &["inspect", "t.db"]), errors(&pair, &["ps"])), (vec![], vec![]));
        fs::remove_file(pair.at("t.db-wal")).unwrap();
        assert_named(&pair);
        for said in [pair.live(), pair.bundles(&[])] {
            undecided(&said);
            assert!(!said.told().contains("counts frames"), "{}", said.told());
        }
        let told = walscope(pair.folder.path(), &["inspect", "t.db", "--width", "1000"]).text();
        assert!(told.contains("there is no -wal") && !told.contains("nothing waits"), "{told}");
        // The process goes on with the deleted file, and the next one makes another: what the first commits is lost.
        pair.a.sql("INSERT INTO t VALUES (7)");
        let mut next = Actor::start(APART);
        assert_eq!(next.ask(&format!("open {database}")), "done");
        let opened = next.ask("sql SELECT count(*) FROM t");
        assert!(opened.contains("disk I/O error"), "{opened}");
        // Now there is a -wal again, but not the one in use.
        assert_eq!(errors(&pair, &["ps"]), ["wal_index_shared_wal_not"]);
    }
}

#[test]
fn a_missing_wal_that_only_its_locks_show_to_be_in_use_has_words_of_its_own() {
    let Some(mut pair) = Pair::new() else { return };
    pair.a.open(&pair.database(), &format!("{MAKE}; PRAGMA wal_checkpoint(TRUNCATE)"));
    pair.b.open(&pair.database(), READ);
    fs::remove_file(pair.at("t.db-wal")).unwrap();
    // Of another user's processes nobody sees what they have open.
    let said = pair.bundles(&["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]);
    undecided(&said);
    assert!(said.told().contains("it is in use, and there is no -wal beside it"), "{}", said.told());
    assert!(!said.told().contains("counts frames"), "{}", said.told());
}

/// Overwrites a file in place, as `cp` does: the inode stays.
fn put(pair: &Pair, wal: &[u8]) {
    let path = pair.at("t.db-wal");
    let inode = fs::metadata(&path).unwrap().ino();
    fs::write(&path, wal).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
}

fn assert_not_its_wal(pair: &Pair) {
    let user: &[&str] = &["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"];
    for said in [pair.live(), pair.bundles(&[]), pair.bundles(user)] {
        undecided(&said);
        assert!(said.told().contains("frames that the -wal there does not have"), "{}", said.told());
        assert!(!said.0.to_string().contains("bundle_unstable"), "{:#}", said.0);
    }
}

#[test]
fn an_older_wal_put_in_the_place_of_one_in_use_proves_nothing_of_paths() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    let older = fs::read(pair.at("t.db-wal")).unwrap();
    pair.a.sql("PRAGMA wal_checkpoint(RESTART)");
    pair.a.sql("INSERT INTO t VALUES (2)");
    pair.b.open(&database, READ);
    assert!(pair.live().of_mappings());
    assert!(older.len() as u64 >= File::open(pair.at("t.db-wal")).unwrap().metadata().unwrap().len());
    put(&pair, &older);
    assert_not_its_wal(&pair);
    assert_eq!(errors(&pair, &["inspect", "t.db"]), ["shm_of_other_wal"]);
}

#[test]
fn an_older_state_of_the_same_wal_put_in_its_place_proves_nothing_of_paths() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    let older = fs::read(pair.at("t.db-wal")).unwrap();
    for row in 2..5 {
        pair.a.sql(&format!("INSERT INTO t VALUES ({row})"));
    }
    pair.b.open(&database, READ);
    assert!(pair.live().of_mappings());
    put(&pair, &older);
    assert_not_its_wal(&pair);
    // The next commit makes the file as long as it has to be, with a hole in it.
    pair.a.sql("INSERT INTO t VALUES (6)");
    assert_not_its_wal(&pair);
    assert_eq!(errors(&pair, &["inspect", "t.db"]), ["shm_beyond_wal"]);
}

#[test]
fn two_that_meet_beside_another_wal_than_the_one_in_use_prove_nothing() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    let older = fs::read(pair.at("t.db-wal")).unwrap();
    pair.a.sql("PRAGMA wal_checkpoint(RESTART)");
    pair.a.sql("INSERT INTO t VALUES (2)");
    let meet = || {
        let meet = ["probe", "meet", "t.db", "--timeout", "60", "--json"];
        let one = || walscope(pair.folder.path(), &meet).json();
        std::thread::scope(|scope| [scope.spawn(one), scope.spawn(one)].map(|thread| thread.join().unwrap()))
    };
    assert_eq!(meet().map(|said| said["verdict"]["sharing"].clone()), ["proven", "proven"]);
    put(&pair, &older);
    for said in meet() {
        assert_eq!(said["verdict"]["sharing"], "undecided", "{said:#}");
        assert!(said["explanation"].as_str().unwrap().contains("frames that the -wal there does not have"), "{said:#}");
    }
}

/// Who opens the database after the `-wal` was deleted makes another one. What it lacks is not lost while a process has the
/// deleted one open.
#[test]
fn frames_of_a_deleted_wal_are_not_called_lost_while_a_process_has_it_open() {
    let Some(mut pair) = Pair::new() else { return };
    let database = pair.database();
    pair.a.open(&database, MAKE);
    fs::remove_file(pair.at("t.db-wal")).unwrap();
    let mut next = Actor::start(APART);
    next.ask(&format!("open {database}"));
    next.ask("sql SELECT count(*) FROM t");
    assert!(pair.at("t.db-wal").exists());
    let document = walscope(pair.folder.path(), &["inspect", "t.db", "--json"]).json();
    let all = document["findings"].as_array().unwrap();
    let found = all.iter().find(|found| found["code"] == "wal_truncated").unwrap();
    let told = found["detail"].as_str().unwrap();
    assert!(!told.contains("commits are lost"), "{told}");
    assert!(told.contains(&format!("pid {} by /proc/{}/fd/", pair.a.pid, pair.a.pid)), "{told}");
    assert_eq!(found["evidence"]["deleted_wals"][0]["pid"], pair.a.pid);
    assert!(found["evidence"]["deleted_wals"][0]["commits"].as_u64() > Some(0), "{found:#}");
}
