//! A `-wal` and a database that do not belong together, as people make them: with real SQLite in other processes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;
use walscope::finding::{Finding, Found, Severity};
use walscope::look::SizeStated;

use crate::common::command::walscope;
use crate::common::in_memory;
use crate::sqlite::{
    advice_keeps_everything, checkpoint, copy, fill, found, grave, one, shm, sqlite_says, verify, without_trees,
};
use crate::statements::Sqlite;
use crate::world::{SALTS, World, healthy, page_one, with_page_one};

const TOO_SHORT: &str = "database_too_short";
const OTHER: &str = "wal_of_other_database";
const STALE: &str = "stale_frames_not_in_database";

#[test]
fn an_older_backup_beside_the_wal_of_a_later_time_lacks_pages() {
    let folder = in_memory();
    let at = folder.path();
    let (db, backup) = (at.join("t.db"), at.join("backup.db"));
    let mut sqlite = Sqlite::open(&db);
    fill(&mut sqlite, 40);
    checkpoint(&mut sqlite, "TRUNCATE");
    fs::copy(&db, &backup).unwrap();
    fill(&mut sqlite, 400);
    checkpoint(&mut sqlite, "TRUNCATE");
    fill(&mut sqlite, 60);
    drop(sqlite);
    assert_eq!((sqlite_says(at), grave(&verify(at).1)), (Ok(500), vec![]));
    fs::rename(&backup, &db).unwrap();
    sqlite_says(at).unwrap_err();
    for with_index in [true, false] {
        if !with_index {
            fs::remove_file(shm(at)).unwrap();
        }
        let (code, document) = verify(at);
        assert_eq!((code, grave(&document)), (1, one(TOO_SHORT, "error")), "{document:#}");
        let finding = found(&document, TOO_SHORT);
        assert!(finding["evidence"]["missing"].as_u64().unwrap() > 10, "{finding:#}");
        advice_keeps_everything(&finding);
        let check = document["checks"].as_array().unwrap().iter().find(|row| row["check"] == "wal_against_database");
        let check = check.unwrap();
        assert!(check["result"] == "failed" && check["numbers"].as_str().unwrap().contains("are nowhere"), "{check:#}");
    }
}

/// Copies the database, lets a checkpoint and `then` come, and copies the `-wal`.
fn torn(sqlite: &mut Sqlite, from: &Path, to: &Path, then: impl FnOnce(&mut Sqlite)) {
    fs::copy(from.join("t.db"), to.join("t.db")).unwrap();
    checkpoint(sqlite, "PASSIVE");
    then(sqlite);
    fs::copy(from.join("t.db-wal"), to.join("t.db-wal")).unwrap();
}

#[test]
fn a_copy_of_two_moments_lacks_the_pages_that_were_new() {
    let (folder, copied) = (in_memory(), in_memory());
    let mut sqlite = Sqlite::open(&folder.path().join("t.db"));
    checkpoint(&mut sqlite, "TRUNCATE");
    fill(&mut sqlite, 300);
    torn(&mut sqlite, folder.path(), copied.path(), |sqlite| fill(sqlite, 20));
    sqlite_says(copied.path()).unwrap_err();
    let (code, document) = verify(copied.path());
    let both = [one(TOO_SHORT, "error"), one(STALE, "warning")].concat();
    assert_eq!((code, grave(&document)), (1, both), "{document:#}");
    assert_eq!(grave(&verify(folder.path()).1), []);
}

#[test]
fn a_copy_of_two_moments_of_a_database_that_did_not_grow_is_known_by_the_frames_before() {
    let (folder, copied) = (in_memory(), in_memory());
    let mut sqlite = Sqlite::open(&folder.path().join("t.db"));
    fill(&mut sqlite, 200);
    checkpoint(&mut sqlite, "TRUNCATE");
    sqlite.run("UPDATE t SET x = zeroblob(300)");
    let before = fs::read(folder.path().join("t.db-wal")).unwrap();
    torn(&mut sqlite, folder.path(), copied.path(), |sqlite| sqlite.run("UPDATE t SET x = 1 WHERE rowid = 1"));
    assert_eq!(sqlite_says(copied.path()), Ok(200), "SQLite does not notice");
    let (code, document) = verify(copied.path());
    assert_eq!((code, grave(&document)), (0, one(STALE, "warning")), "{document:#}");
    let finding = found(&document, STALE);
    advice_keeps_everything(&finding);
    assert!(finding["evidence"]["missing"].as_u64().unwrap() > 10, "{finding:#}");
    // The whole pair: every page of the generation before is in the database.
    let (code, document) = verify(folder.path());
    assert_eq!((code, grave(&document)), (0, vec![]));
    let rows = document["checks"].as_array().unwrap();
    let check = rows.iter().find(|row| row["check"] == "stale_frames_in_database").unwrap();
    assert!(check["result"] == "passed" && check["numbers"].as_str().unwrap().contains(", 0 not in"), "{check:#}");
    // Only the header of the next generation is written, as by a writer that was killed then.
    let restarted = in_memory();
    copy(folder.path(), restarted.path());
    let wal = File::options().write(true).open(restarted.path().join("t.db-wal")).unwrap();
    wal.write_all_at(&before[32..], 32).unwrap();
    fs::remove_file(shm(restarted.path())).unwrap();
    let document = walscope(restarted.path(), &["inspect", "t.db", "--json"]).json();
    let explained = document["checkpoint"]["explanation"].as_str().unwrap().to_owned();
    assert!(explained.contains("pages of them were compared"), "{explained}");
}

#[test]
fn a_wal_of_an_earlier_time_beside_a_newer_database_is_known_by_page_1() {
    let folder = in_memory();
    let at = folder.path();
    let mut sqlite = Sqlite::open(&at.join("t.db"));
    fill(&mut sqlite, 20);
    checkpoint(&mut sqlite, "TRUNCATE");
    fill(&mut sqlite, 30);
    let newer = in_memory();
    copy(at, newer.path());
    drop(sqlite);
    fs::remove_file(shm(at)).unwrap();
    // More connections have written since: the counter has risen.
    for _ in 0..5 {
        let db = Connection::open(newer.path().join("t.db")).unwrap();
        db.execute_batch("INSERT INTO t SELECT randomblob(300) FROM t LIMIT 10").unwrap();
    }
    fs::copy(newer.path().join("t.db"), at.join("t.db")).unwrap();
    let (code, document) = without_trees(at);
    assert_eq!((code, grave(&document)), (1, one(OTHER, "error")), "{document:#}");
    let finding = found(&document, OTHER);
    assert_eq!(finding["evidence"]["signs"], serde_json::json!(["change_counter_behind"]));
    assert!(finding["detail"].as_str().unwrap().contains("the -wal is older than the database"), "{finding:#}");
    advice_keeps_everything(&finding);
    // Another database with more tables, made by one connection.
    fs::remove_file(at.join("t.db")).unwrap();
    let other = in_memory();
    let mut sqlite = Sqlite::open(&other.path().join("t.db"));
    for table in 0..5 {
        sqlite.run(&format!("CREATE TABLE more{table}(a)"));
    }
    fill(&mut sqlite, 60);
    checkpoint(&mut sqlite, "TRUNCATE");
    drop(sqlite);
    fs::copy(other.path().join("t.db"), at.join("t.db")).unwrap();
    let (code, document) = without_trees(at);
    assert_eq!((code, grave(&document)), (0, one(OTHER, "warning")), "{document:#}");
    assert_eq!(found(&document, OTHER)["evidence"]["signs"], serde_json::json!(["schema_cookie_behind"]));
}

#[test]
fn a_wal_of_a_later_time_beside_an_old_database_is_known_by_page_1() {
    let folder = in_memory();
    let (at, db) = (folder.path(), folder.path().join("t.db"));
    let mut sqlite = Sqlite::open(&db);
    fill(&mut sqlite, 100);
    checkpoint(&mut sqlite, "TRUNCATE");
    fs::copy(&db, at.join("old.db")).unwrap();
    for _ in 0..5 {
        let mut other = Sqlite::open(&db);
        other.run("UPDATE t SET x = randomblob(300)");
        other.run("CREATE TABLE u(x)");
        other.run("DROP TABLE u");
        checkpoint(&mut other, "TRUNCATE");
    }
    sqlite.run("CREATE TABLE v(x)");
    drop(sqlite);
    assert_eq!(grave(&verify(at).1), []);
    fs::rename(at.join("old.db"), &db).unwrap();
    let (code, document) = verify(at);
    assert_eq!(code, 1, "{document:#}");
    let finding = found(&document, OTHER);
    assert_eq!(finding["evidence"]["signs"], serde_json::json!(["change_counter_ahead"]));
}

#[test]
fn equal_cookies_with_other_tables_are_of_two_databases() {
    let (one_folder, other) = (in_memory(), in_memory());
    for (folder, table) in [(&one_folder, "u(x)"), (&other, "v(y)")] {
        let mut sqlite = Sqlite::open(&folder.path().join("t.db"));
        checkpoint(&mut sqlite, "TRUNCATE");
        sqlite.run(&format!("CREATE TABLE {table}"));
        fill(&mut sqlite, 3);
        if table == "v(y)" {
            checkpoint(&mut sqlite, "TRUNCATE");
        }
    }
    assert_eq!(grave(&verify(one_folder.path()).1), []);
    fs::copy(other.path().join("t.db"), one_folder.path().join("t.db")).unwrap();
    let (_, document) = verify(one_folder.path());
    assert_eq!(grave(&document), one(OTHER, "warning"), "{document:#}");
    assert_eq!(found(&document, OTHER)["evidence"]["signs"], serde_json::json!(["schema_differs"]));
    // Page 1 of the database without its rows is another one too: SQLite reads it from the -wal, and the other pages may be damaged.
    let mut database = fs::read(one_folder.path().join("t.db")).unwrap();
    database[512..4096].fill(0);
    fs::write(one_folder.path().join("t.db"), database).unwrap();
    let (_, document) = verify(one_folder.path());
    assert_eq!(grave(&document), one(OTHER, "warning"), "{document:#}");
    assert!(found(&document, OTHER)["detail"].as_str().unwrap().contains("damaged"));
}

#[test]
fn a_schema_cookie_that_was_set_by_hand_is_a_warning_that_says_so() {
    let folder = in_memory();
    let mut sqlite = Sqlite::open(&folder.path().join("t.db"));
    for table in 0..5 {
        sqlite.run(&format!("CREATE TABLE more{table}(a)"));
    }
    checkpoint(&mut sqlite, "TRUNCATE");
    sqlite.run("PRAGMA schema_version = 2");
    let (code, document) = verify(folder.path());
    assert_eq!((code, grave(&document)), (0, one(OTHER, "warning")), "{document:#}");
    assert!(found(&document, OTHER)["detail"].as_str().unwrap().contains("by hand"));
}

#[test]
fn a_writer_killed_before_the_index_showed_its_commit_leaves_a_warning_and_no_error() {
    let folder = in_memory();
    let (at, db) = (folder.path(), folder.path().join("t.db"));
    let mut other = Sqlite::open(&db);
    fill(&mut other, 200);
    checkpoint(&mut other, "TRUNCATE");
    other.run("INSERT INTO t VALUES('the first commit of this generation')");
    let mut victim = Sqlite::open(&db);
    let index = File::options().read(true).write(true).open(shm(at)).unwrap();
    let mut head = [0; 96];
    index.read_exact_at(&mut head, 0).unwrap();
    victim.run("UPDATE t SET x = zeroblob(300)");
    drop(victim);
    index.write_all_at(&head, 0).unwrap();
    other.run("UPDATE t SET x = 'o' WHERE rowid = 1");
    checkpoint(&mut other, "RESTART");
    // The next generation covers the place where the dead frames begin.
    for n in 0..4 {
        other.run(&format!("UPDATE t SET x = {n} WHERE rowid = 1"));
    }
    drop(other);
    assert_eq!(sqlite_says(at), Ok(201));
    let (code, document) = verify(at);
    assert_eq!((code, grave(&document)), (0, one(STALE, "warning")), "{document:#}");
    assert!(found(&document, STALE)["detail"].as_str().unwrap().contains("nothing is missing"));
}

#[test]
fn a_backup_copied_over_a_database_in_use_names_who_has_it_open() {
    let folder = in_memory();
    let (at, db) = (folder.path(), folder.path().join("t.db"));
    let mut sqlite = Sqlite::open(&db);
    fill(&mut sqlite, 40);
    checkpoint(&mut sqlite, "TRUNCATE");
    let backup = fs::read(&db).unwrap();
    fill(&mut sqlite, 100);
    checkpoint(&mut sqlite, "PASSIVE");
    fill(&mut sqlite, 5);
    assert_eq!(grave(&verify(at).1), []);
    // As cp does it: the same file, cut to nothing and written again.
    fs::write(&db, backup).unwrap();
    let (code, document) = verify(at);
    assert_eq!(code, 1, "{document:#}");
    let finding = found(&document, TOO_SHORT);
    let (detail, advice) = (finding["detail"].as_str().unwrap(), finding["advice"].as_str().unwrap());
    assert!(detail.contains("while it is open") && detail.contains(&format!("pid {}", sqlite.pid())), "{detail}");
    assert!(advice.contains("Run no checkpoint") && advice.contains("do not stop its processes yet"), "{advice}");
    advice_keeps_everything(&finding);
}

#[test]
fn a_database_that_was_cut_off_and_has_no_wal_is_too_short_for_its_own_header() {
    let folder = in_memory();
    let (at, db) = (folder.path(), folder.path().join("t.db"));
    {
        let db = Connection::open(&db).unwrap();
        db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(50000));").unwrap();
    }
    assert_eq!(grave(&verify(at).1), []);
    let whole = fs::read(&db).unwrap();
    fs::write(&db, &whole[..whole.len() - 4096]).unwrap();
    sqlite_says(at).unwrap_err();
    let (code, document) = verify(at);
    assert_eq!((code, grave(&document)), (1, one(TOO_SHORT, "error")), "{document:#}");
    let finding = found(&document, TOO_SHORT);
    assert_eq!(finding["evidence"]["missing"], 1);
    advice_keeps_everything(&finding);
    // SQLite takes a part of the last page for the whole, and calls a part of an earlier one malformed.
    for (cut, opens) in [(100, true), (4096 + 100, false)] {
        fs::write(&db, &whole[..whole.len() - cut]).unwrap();
        let malformed = sqlite_says(at).is_err_and(|said| said.contains("malformed"));
        let detail = found(&verify(at).1, TOO_SHORT)["detail"].as_str().unwrap().to_owned();
        assert_eq!([!malformed, detail.contains("reads zeros")], [opens; 2], "{cut}: {detail}");
    }
    // A longer file is none: SQLITE_FCNTL_CHUNK_SIZE. Nor is a size that was not written with the change counter.
    fs::write(&db, [&whole[..], &[0; 8192]].concat()).unwrap();
    assert_eq!(grave(&verify(at).1), []);
    let mut older = whole[..whole.len() - 4096].to_vec();
    older[92..96].fill(0);
    fs::write(&db, older).unwrap();
    assert_eq!(grave(&verify(at).1), one("trees_damaged", "error"), "a page of the table is missing");
}

/// The frames of `with`, each a commit of `pages` pages, beside a database of `size` pages of 512 bytes.
fn beside(size: usize, pages: u32, with: &[u32]) -> World {
    let mut world = healthy();
    world.shm = None;
    let mut wal = crate::common::synthetic::WalWriter::new(512, false, SALTS);
    for page in with {
        wal.frame(*page, pages, 1);
    }
    world.database().resize(size * 512, 0);
    world.wal = Some(wal);
    world
}

fn missing(world: &World) -> Option<(u64, u32)> {
    let pages = world.examine().pages.unwrap();
    pages.first_missing.map(|first| (pages.missing, first.0))
}

#[test]
fn each_page_behind_the_file_needs_a_committed_frame() {
    assert_eq!(missing(&beside(4, 4, &[2])), None);
    assert_eq!(missing(&beside(5, 4, &[2])), None, "a longer file is normal");
    assert_eq!(missing(&beside(3, 5, &[4, 5])), None);
    assert_eq!(missing(&beside(3, 5, &[5, 5])), Some((1, 4)));
    assert_eq!(missing(&beside(3, 5, &[4, 4, 2])), Some((1, 5)));
    assert_eq!(missing(&beside(3, 9, &[6, 8])), Some((4, 4)));
    assert_eq!(missing(&beside(3, 5, &[4, 6])), Some((1, 5)), "page 6 is beyond the database");
    assert_eq!(
        missing(&beside(3, u32::MAX, &[4])),
        Some((u64::from(u32::MAX) - 5, 5)),
        "the page of the lock bytes is one of them"
    );
    // Half a page is none.
    let mut world = beside(4, 4, &[2]);
    world.database().pop();
    assert_eq!(missing(&world), Some((1, 4)));
    // A frame without a commit does not count.
    let mut world = beside(3, 4, &[2]);
    world.wal().frame(4, 0, 1);
    assert_eq!(missing(&world), Some((1, 4)));
    world.wal().frame(3, 4, 1);
    assert_eq!(missing(&world), None);
}

#[test]
fn the_page_of_the_lock_bytes_is_not_missing() {
    // With pages of 65536 bytes it is page 16385.
    let folder = in_memory();
    let look = |pages: u64, last: u32, frames: &[u32]| {
        let mut wal = crate::common::synthetic::WalWriter::new(65536, false, SALTS);
        for page in frames {
            wal.frame(*page, last, 1);
        }
        fs::write(folder.path().join("t.db-wal"), wal.bytes).unwrap();
        let file = File::create(folder.path().join("t.db")).unwrap();
        let mut head = page_one(2, 5, 3_053_000);
        head[16..18].copy_from_slice(&[0, 1]);
        file.write_all_at(&head, 0).unwrap();
        file.set_len(pages * 65536).unwrap();
        let document = without_trees(folder.path()).1;
        let evidence = document["findings"].as_array().unwrap().first().map(|finding| finding["evidence"].clone());
        evidence.map(|evidence| [&evidence["missing"], &evidence["first_missing"]].map(|value| value.as_u64().unwrap()))
    };
    assert_eq!(look(16384, 16386, &[16386]), None);
    assert_eq!(look(16383, 16386, &[16384, 16386]), None);
    assert_eq!(look(16384, 16387, &[16387]), Some([1, 16386]));
    assert_eq!(look(16384, 16387, &[16386]), Some([1, 16387]));
    assert_eq!(look(16382, 16386, &[16386]), Some([2, 16383]));
    assert_eq!(look(16384, 16386, &[16385]), Some([1, 16386]), "a frame of that page counts for no other");
}

#[test]
fn the_change_counter_is_at_most_one_ahead_and_never_behind() {
    let of = |database: u32, wal: &[u32]| {
        let mut world = with_page_one(&page_one(2, database, 3_053_000));
        world.shm = None;
        let mut frames = crate::common::synthetic::WalWriter::new(512, false, SALTS);
        for counter in wal {
            frames.frame_of(1, 4, &page_one(2, *counter, 3_053_000));
        }
        world.wal = Some(frames);
        let found = world.findings().into_iter().find_map(|finding| match finding.found {
            Found::WalOfOtherDatabase { signs, .. } => Some((finding.severity, signs)),
            _ => None,
        });
        found.map(|(severity, signs)| {
            assert_eq!(severity, Severity::Error);
            signs.iter().map(|sign| sign.name()).collect::<Vec<_>>()
        })
    };
    for (database, wal) in [(5, vec![5]), (5, vec![6]), (5, vec![6, 7, 8]), (7, vec![6, 7]), (u32::MAX, vec![0, 1])] {
        assert_eq!(of(database, &wal), None, "{database} {wal:?}");
    }
    assert_eq!(of(5, &[7]), Some(vec!["change_counter_ahead"]));
    assert_eq!(of(5, &[3, 4]), Some(vec!["change_counter_behind"]));
    assert_eq!(of(0, &[u32::MAX]), Some(vec!["change_counter_behind"]));
    // Page 1 of a transaction without a commit does not count.
    let mut world = healthy();
    world.shm = None;
    world.wal().frame_of(1, 0, &page_one(2, 99, 3_053_000));
    assert_eq!(world.codes(), []);
}

#[test]
fn without_a_header_the_length_of_the_file_is_only_a_warning() {
    let mut world = with_page_one(&[0xe5; 512]);
    world.shm = None;
    world.database().truncate(1024);
    let grave: Vec<Finding> = world.findings().into_iter().filter(|one| one.severity > Severity::Notice).collect();
    let [finding] = &grave[..] else { panic!("{grave:?}") };
    assert_eq!(finding.severity, Severity::Warning);
    assert!(matches!(finding.found, Found::DatabaseTooShort { missing: 1, stated: SizeStated::ByCommit { .. }, .. }));
    assert!(walscope::say::finding::finding(finding).detail.contains("compressed"));
}

/// A restarted WAL: frame 1 is of the new generation, and `old` stand behind it.
fn restarted(old: impl FnOnce(&mut World), new: (u32, u32)) -> World {
    let mut world = healthy();
    world.shm = None;
    world.database()[512..1024].fill(9);
    old(&mut world);
    world.wal().set_salts([SALTS[0] + 1, 99]);
    world.wal().frame_at(1, new.0, new.1, 12);
    world
}

#[test]
fn frames_of_the_generation_before_are_compared_only_where_nothing_explains_another_content() {
    let compared = |world: &World| world.examine().stale.map(|stale| (stale.pages, stale.missing));
    let differ = |mut world: World| {
        world.database()[512..].fill(77);
        compared(&world)
    };
    // Frames 2 to 4 are of pages 2, 3 and 2. Nothing vouches for the first of them.
    let plain = || restarted(|_| {}, (4, 4));
    assert_eq!(compared(&plain()), Ok((2, 0)));
    assert_eq!(differ(plain()), Ok((2, 2)));
    // The current generation has a frame of page 2, or of both.
    assert_eq!(differ(restarted(|_| {}, (2, 4))), Ok((1, 1)));
    // It made the database smaller: page 3 was cut off.
    assert_eq!(differ(restarted(|_| {}, (4, 2))), Ok((1, 1)));
    // The generation before made it smaller and larger again.
    let smaller = restarted(|world| _ = world.wal().frame(2, 2, 6).frame(2, 4, 7), (4, 4));
    assert_eq!(differ(smaller), Ok((1, 1)));
    // What was never committed was never copied.
    let open = restarted(|world| _ = world.wal().frame(3, 0, 8).frame(4, 0, 8), (1, 4));
    assert_eq!(compared(&open), Ok((2, 0)));
    // A break of their chain ends them, and what is behind it may have been copied later: page 3.
    let broken = restarted(
        |world| {
            let at = world.wal().frame(3, 4, 8).offset(5) + 100;
            world.wal().bytes[at] ^= 1;
        },
        (4, 4),
    );
    assert_eq!(differ(broken), Ok((1, 1)));
    // The same if it is the salts that were damaged, and for a transaction whose commit is behind the break.
    for (page, size, in_frame, byte) in [(3, 4, 5, 8), (3, 0, 6, 100)] {
        let damaged = restarted(
            |world| {
                let at = world.wal().frame(page, size, 8).frame(4, 4, 8).offset(in_frame) + byte;
                world.wal().bytes[at] ^= 1;
            },
            (4, 4),
        );
        assert_eq!(differ(damaged), Ok((1, 1)), "frame {in_frame}");
    }
    // So may frames of the current generation behind a break of its chain: page 2.
    let mut residue = plain();
    let at = residue.wal().frame_at(2, 2, 4, 13).offset(2) + 100;
    residue.wal().bytes[at] ^= 1;
    assert!(differ(residue).is_err());
    // Another generation than the one directly before.
    let mut older = plain();
    older.wal().set_salts([SALTS[0] + 2, 99]);
    older.wal().frame_at(1, 4, 4, 12);
    assert!(compared(&older).is_err());
}
