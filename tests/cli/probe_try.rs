//! `probe try FOLDER`: both sides of a trial in one command.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::command::{EXE, database, walscope, with_signals};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn one_command_says_whether_a_folder_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let ran = walscope(folder.path(), &["probe", "try", ".", "--json"]);
    assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
    let document = ran.json();
    assert_eq!(
        (&document["schema"], &document["action"], &document["on"]),
        (&"walscope/probe/1".into(), &"try".into(), &"scratch_file".into())
    );
    assert_eq!(document["verdict"]["sharing"], "proven", "{document:#}");
    assert!(document["peer_nonce"].is_string(), "{document:#}");
    assert!(document["explanation"].as_str().unwrap().contains("between two processes here"), "{document:#}");
    assert_eq!(names(folder.path()), <[&str; 0]>::default(), "nothing is left");
}

/// Two at once are two trials: each has a word of its own.
#[test]
fn the_folder_of_a_database_is_tried_and_two_trials_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(&folder.path().join("t.db"));
    let before = names(folder.path());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let ran = walscope(folder.path(), &["probe", "try", "t.db", "--json"]);
                assert_eq!((ran.code, ran.json()["other_nonces"].as_array().unwrap().len()), (0, 0), "{}", ran.text());
            });
        }
    });
    assert_eq!(names(folder.path()), before);
    drop(db);
}

#[test]
fn a_folder_that_is_missing_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let ran = walscope(folder.path(), &["probe", "try", "nothing"]);
    assert_eq!(ran.code, 2, "{}", ran.text());
    assert!(ran.stdout.is_empty() && ran.stderr.contains("nothing"), "{}", ran.stderr);
    // Pseudo file systems take no new file.
    let ran = walscope(folder.path(), &["probe", "try", "/proc"]);
    assert_eq!(ran.code, 2, "{}", ran.text());
}

/// As soon as there is one file, and as soon as there are two; both processes end, and nothing is left.
#[test]
fn a_signal_leaves_no_scratch_file() {
    for (files, signal) in [(1, Signal::TERM), (2, Signal::INT), (1, Signal::HUP), (0, Signal::TERM)] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = with_signals("")
            .args(["probe", "try"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while names(folder.path()).len() < files && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = kill_process(Pid::from_child(&child), signal);
        child.wait().unwrap();
        assert_eq!(names(folder.path()), <[&str; 0]>::default(), "after {signal:?} with {files} files");
        let still = Command::new("pgrep").arg("-f").arg(folder.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&still.stdout), "", "{EXE} is still there");
    }
}
