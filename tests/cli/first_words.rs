//! What people type first: a folder, a name, a path without a command, and the commands of other tools. The answer names what
//! to type, and the exit code is 2.

use std::fs;
use std::path::Path;

use crate::common::command::{connect, database, walscope};

/// The command lines that a message offers.
fn offered(stderr: &str) -> Vec<&str> {
    stderr.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with("walscope ")).collect()
}

fn refused(folder: &Path, args: &[&str]) -> String {
    let ran = walscope(folder, args);
    assert_eq!(ran.code, 2, "{args:?}: {}", ran.text());
    assert!(ran.stdout.is_empty(), "{args:?}: {}", ran.text());
    ran.stderr
}

#[test]
fn a_folder_is_answered_with_the_databases_in_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("srv/deep er")).unwrap();
    let dbs = ["srv/b.db", "srv/a.db", "srv/deep er/c.db"].map(|name| database(&folder.path().join(name)));
    let said = refused(folder.path(), &["inspect", "srv"]);
    let expected = ["walscope inspect srv/a.db", "walscope inspect srv/b.db", "walscope inspect 'srv/deep er/c.db'"];
    assert_eq!(offered(&said), expected, "{said}");
    assert!(said.contains("all of them: walscope verify srv"), "{said}");
    // The line is the one that was typed: it can be copied.
    let said = refused(folder.path(), &["snapshot", "srv", "-o", "new.walsnap"]);
    assert_eq!(offered(&said)[0], "walscope snapshot srv/a.db -o new.walsnap");
    let said = refused(folder.path(), &["compare", "srv/a.db", "srv"]);
    assert_eq!(offered(&said)[0], "walscope compare srv/a.db srv/a.db");
    for command in ["wal", "shm"] {
        let said = refused(folder.path(), &[command, "srv", "--json"]);
        assert_eq!(offered(&said)[0], format!("walscope {command} srv/a.db --json"));
    }
    let said = refused(folder.path(), &["rescue", "srv", "-o", "saved"]);
    assert_eq!(offered(&said)[0], "walscope rescue srv/a.db -o saved");
    assert!(walscope(folder.path(), &["inspect", "srv/a.db"]).code == 0);
    drop(dbs);
}

/// What a process still has open of a folder is not in the folder.
#[test]
fn databases_that_were_deleted_while_they_are_open_are_named_with_their_rescue() {
    let folder = tempfile::tempdir().unwrap();
    let srv = fs::canonicalize(folder.path()).unwrap().join("srv");
    fs::create_dir(&srv).unwrap();
    let wal = database(&srv.join("wal.db"));
    let rollback = connect(&srv.join("plain.db"));
    rollback.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1)").unwrap();
    fs::read_dir(&srv).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    let rescue = |name: &str| format!("walscope rescue {} -o DIR", srv.join(name).display());
    for command in ["inspect", "rescue"] {
        let words = [command, "srv", "-o", "saved"];
        let said = refused(folder.path(), if command == "inspect" { &words[..2] } else { &words });
        assert!(said.contains(&rescue("wal.db")) && said.contains(&rescue("plain.db")), "{said}");
        assert!(said.contains(&format!("pid {}", std::process::id())), "{said}");
    }
    let said = walscope(folder.path(), &["verify", "srv", "--json"]);
    let all = &said.json()["not_looked_at"];
    let named = |name: &str| all.as_array().unwrap().iter().find(|one| one["path"] == format!("srv/{name}")).unwrap();
    assert_eq!(said.code, 2, "{all:#}");
    for name in ["wal.db", "plain.db"] {
        assert!(named(name)["reason"].as_str().unwrap().contains(&rescue(name)), "{all:#}");
    }
    // The folder is gone, too.
    fs::remove_dir(&srv).unwrap();
    for command in ["inspect", "verify"] {
        let said = refused(folder.path(), &[command, "srv"]);
        assert!(said.contains("it was deleted, and pid") && said.contains("walscope rescue "), "{said}");
    }
    // What was renamed is not deleted.
    fs::create_dir(folder.path().join("moved")).unwrap();
    let moved = database(&folder.path().join("moved/old.db"));
    fs::rename(folder.path().join("moved/old.db"), folder.path().join("moved/new.db")).unwrap();
    assert_eq!(walscope(folder.path(), &["verify", "moved", "--json"]).json()["not_looked_at"], serde_json::json!([]));
    drop(moved);
    // What is there again is no deleted database.
    fs::create_dir(&srv).unwrap();
    let again = database(&srv.join("wal.db"));
    let said = walscope(folder.path(), &["verify", "srv", "--json"]).json();
    let all = said["not_looked_at"].as_array().unwrap();
    assert!(all.iter().all(|one| one["path"] != "srv/wal.db"), "{all:#?}");
    drop((wal, rollback, again));
}

#[test]
fn of_many_databases_ten_are_listed_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("00.db");
    drop(database(&first));
    for n in 1..13 {
        fs::copy(&first, folder.path().join(format!("{n:02}.db"))).unwrap();
    }
    let said = refused(folder.path(), &["inspect", "."]);
    let lines = offered(&said);
    assert_eq!((lines.len(), lines[0], lines[9]), (10, "walscope inspect ./00.db", "walscope inspect ./09.db"));
    assert!(said.contains("\n  and 3 more\n"), "{said}");
}

#[test]
fn a_folder_without_a_database_is_said_to_have_none() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), "text").unwrap();
    let said = refused(folder.path(), &["inspect", "."]);
    assert!(said.contains("no database was found below it") && offered(&said).is_empty(), "{said}");
}

#[test]
fn a_path_in_the_place_of_a_command_is_inspected() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), "x").unwrap();
    fs::create_dir(folder.path().join("srv")).unwrap();
    for (typed, meant) in [
        ("app.db", "walscope inspect app.db"),
        ("/srv/none/app.sqlite", "walscope inspect /srv/none/app.sqlite"),
        ("data", "walscope inspect data"),
        ("writer:/data/app.db", "walscope inspect writer:/data/app.db"),
        ("my app.db", "walscope inspect 'my app.db'"),
        ("srv", "walscope verify srv"),
    ] {
        let said = refused(folder.path(), &[typed]);
        assert_eq!(offered(&said)[0], meant, "{said}");
    }
}

#[test]
fn commands_of_other_tools_lead_to_those_of_walscope() {
    let folder = tempfile::tempdir().unwrap();
    for (typed, meant) in [
        (["check", "a.db"].as_slice(), "walscope verify a.db"),
        (&["doctor"], "walscope verify SOURCE"),
        (&["integrity_check", "a.db"], "walscope verify a.db"),
        (&["status", "a.db"], "walscope inspect a.db"),
        (&["info"], "walscope inspect SOURCE"),
        (&["show"], "walscope inspect SOURCE"),
        (&["ls"], "walscope ps"),
        (&["list"], "walscope ps"),
        (&["top"], "walscope ps"),
        (&["locks", "a.db"], "walscope shm a.db"),
        (&["diff", "a.db", "b.db"], "walscope compare a.db b.db"),
        (&["dump", "a.db"], "walscope wal a.db"),
        (&["recover", "a.db"], "walscope rescue a.db -o DIR"),
        (&["save"], "walscope rescue SOURCE -o DIR"),
        (&["backup", "a.db"], "walscope snapshot a.db -o FILE"),
        (&["STATUS"], "walscope inspect SOURCE"),
    ] {
        let said = refused(folder.path(), typed);
        assert_eq!(offered(&said)[0], meant, "{typed:?}: {said}");
    }
    // clap knows near spellings itself.
    assert!(refused(folder.path(), &["inspct"]).contains("'inspect'"));
}

/// Also where no runtime is installed: then nothing is said of containers.
#[test]
fn a_missing_file_is_no_container_either() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(folder.path(), &["inspect", "no-such-container"]);
    assert!(said.contains("No such file") && said.lines().count() == 1, "{said}");
    if crate::common::docker::engine() {
        assert!(said.contains("there is no container of this name either"), "{said}");
    }
    // A path is no name.
    let said = refused(folder.path(), &["inspect", "./no-such-container"]);
    assert!(!said.contains("container of this name"), "{said}");
}

/// `shm` of a `-wal`: the database is meant, or it is missing.
#[test]
fn a_wal_that_was_given_to_shm_leads_to_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(&folder.path().join("t.db"));
    let said = refused(folder.path(), &["shm", "t.db-wal"]);
    assert!(said.contains("the database lies beside it: walscope shm t.db"), "{said}");
    let copied = std::process::Command::new("cp").args(["t.db-wal", "lost.db-wal"]).current_dir(folder.path()).status();
    assert!(copied.unwrap().success());
    let said = refused(folder.path(), &["shm", "lost.db-wal"]);
    assert!(said.contains("its database lost.db is not there, so keep this file"), "{said}");
    drop(db);
}

#[test]
fn a_source_that_is_not_finished_is_answered_with_one_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(&folder.path().join("t.db"));
    fs::copy(folder.path().join("t.db"), folder.path().join("closed.db")).unwrap();
    for (typed, meant) in [
        (["inspect", "closed.db-wal"].as_slice(), "walscope inspect closed.db"),
        (&["wal", "closed.db-shm"], "walscope wal closed.db"),
        (&["inspect", "pid:7"], "walscope inspect pid:7:/path"),
        (&["inspect", "pid:7:data/a:b.db"], "walscope inspect pid:7:/data/a:b.db"),
        (&["inspect", "writer:data/app.db"], "walscope inspect writer:/data/app.db"),
        (&["ps", "t.db"], "walscope inspect t.db"),
    ] {
        let said = refused(folder.path(), typed);
        assert_eq!(offered(&said).first(), Some(&meant), "{typed:?}: {said}");
    }
    drop(db);
}

#[test]
fn an_empty_wal_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.db-wal"), []).unwrap();
    let seen = walscope(folder.path(), &["inspect", "t.db-wal", "--json"]).json();
    assert!(seen["database"].is_null() && seen["wal"]["end"]["reason"] == "empty_file", "{seen:#}");
}
