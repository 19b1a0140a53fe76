//! A `-shm` that is cut off under its processes, and one that is only being made.

use std::fs::{self, File};
use std::path::Path;

use walscope::evidence::LockState;
use walscope::finding::Severity;
use walscope::report::verify::{VerdictResult, VerifyDocument};

use crate::common::command::walscope;
use crate::sqlite::{child, codes, copy, shm, verify};
use crate::sqlite_child::{SqliteChild, judge};
use crate::world::{at_rest, byte, healthy, open};

fn wal_mode(folder: &Path) -> SqliteChild {
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.join("t.db").display()));
    sqlite.run("create WAL");
    sqlite
}

fn cut(folder: &Path, bytes: u64) {
    File::options().write(true).open(shm(folder)).unwrap().set_len(bytes).unwrap();
}

#[test]
fn a_shm_that_was_cut_off_in_use_kills_its_process() {
    for bytes in [0, 3, 136, 4096, 20_000] {
        let (folder, opened) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut sqlite = wal_mode(folder.path());
        let rows = sqlite.run("insert 1");
        cut(folder.path(), bytes);
        let (code, document) = verify(folder.path());
        assert_eq!((code, codes(&document)), (1, vec![("shm_truncated".to_owned(), "error".to_owned())]), "{bytes}");
        let found = &document["findings"][0];
        assert_eq!(
            (&found["evidence"]["size"], &found["evidence"]["needed"], &found["evidence"]["pids"]),
            (&bytes.into(), &32768.into(), &serde_json::json!([sqlite.pid()]))
        );
        let (detail, advice) = (found["detail"].as_str().unwrap(), found["advice"].as_str().unwrap());
        assert!(detail.contains(&format!("process {} (", sqlite.pid())) && detail.contains("SIGBUS"), "{detail}");
        assert!(advice.contains("First save what they have open: `walscope rescue SOURCE -o DIR`"), "{advice}");
        assert!(!document["explanation"].as_str().unwrap().contains("sound"), "{document:#}");
        let inspected = walscope(folder.path(), &["inspect", "t.db"]).text();
        assert!(inspected.contains("Do not checkpoint") && !inspected.contains("Look again"), "{inspected}");
        // ps lists it beside its processes, and so does a bundle.
        let ps = walscope(folder.path(), &["ps", "--json"]).json();
        let of_this = |found: &&serde_json::Value| {
            found["code"] == "shm_truncated" && found["evidence"]["pids"] == serde_json::json!([sqlite.pid()])
        };
        assert_eq!(ps["findings"].as_array().unwrap().iter().filter(of_this).count(), 1, "{ps:#}");
        let taken = walscope(folder.path(), &["snapshot", "t.db", "-o", "t.walsnap", "--force"]);
        assert_eq!(taken.code, 0, "{}", taken.stderr);
        let bundled = walscope(folder.path(), &["verify", "t.walsnap", "--json"]).json();
        assert!(codes(&bundled).contains(&("shm_truncated".to_owned(), "error".to_owned())), "{bundled:#}");
        // The copy that the advice asks for has every row, and the process dies.
        copy(folder.path(), opened.path());
        assert_eq!(judge(&opened.path().join("t.db")).unwrap(), ("ok".to_owned(), rows), "{bytes}");
        assert_eq!(sqlite.dies("insert 1"), Some(7), "SIGBUS with {bytes} bytes");
    }
}

#[test]
fn a_shm_that_lost_a_later_block_is_an_error_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = wal_mode(folder.path());
    for _ in 0..200 {
        sqlite.run("update");
    }
    assert_eq!(fs::metadata(shm(folder.path())).unwrap().len(), 2 * 32768, "two blocks");
    let (_, document) = verify(folder.path());
    assert_eq!(codes(&document), []);
    cut(folder.path(), 32768);
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (1, vec![("shm_truncated".to_owned(), "error".to_owned())]));
    assert_eq!(document["findings"][0]["evidence"]["needed"], 65536);
    sqlite.kill();
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (0, vec![("shm_frames_unreachable".to_owned(), "notice".to_owned())]));
}

#[test]
fn a_shm_that_is_only_being_made_is_no_more_than_a_notice() {
    for bytes in [0, 3, 4096, 28_672] {
        let mut world = healthy();
        world.shm = Some(vec![0; bytes]);
        for (locks, used) in [(open(), true), (at_rest(), false)] {
            world.locks = Some(locks);
            let found: Vec<_> = world.codes().into_iter().filter(|(code, _)| code == "shm_truncated").collect();
            let expected = (used && bytes < 136).then_some(Severity::Notice);
            assert_eq!(found.first().map(|(_, severity)| *severity), expected, "{bytes}");
            // A check that could not be made because of it takes "sound" away.
            let verdict = VerifyDocument::new(&world.examine()).verdict.result;
            assert_eq!(verdict == VerdictResult::Sound, !used, "{bytes}: {verdict:?}");
            assert!(world.codes().iter().all(|(_, severity)| *severity <= Severity::Notice), "{:?}", world.codes());
        }
        // A writer makes it longer under the write lock. Only a reader has read a header.
        let mut locks = open();
        locks.write = byte(LockState::Exclusive);
        world.locks = Some(locks);
        assert!(world.codes().iter().all(|(_, severity)| *severity <= Severity::Notice), "{:?}", world.codes());
    }
}
