//! File names: any bytes are taken, and a side of a comparison has a name that tells it from the others.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use crate::common::command::{EXE, Ran, database, run, walscope};

fn ran(folder: &Path, args: &[&OsStr]) -> Ran {
    run(Command::new(EXE).args(args).current_dir(folder))
}

#[test]
fn every_command_takes_names_that_are_not_utf8_and_shows_them_readably() {
    let folder = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"caf\xe9\x1b[1m.db");
    let _db = database(&folder.path().join(name));
    let mut wal = name.to_owned();
    wal.push("-wal");
    let bundle = OsStr::from_bytes(b"caf\xe9.walsnap");
    let os = OsStr::new;
    for args in [
        [os("snapshot"), name, os("-o"), bundle].as_slice(),
        &[os("inspect"), name],
        &[os("inspect"), bundle],
        &[os("inspect"), &wal],
        &[os("wal"), name],
        &[os("shm"), name],
        &[os("verify"), name],
        &[os("rescue"), name, os("-o"), os("saved")],
        &[os("probe"), os("seek"), name, os("0123456789abcdef")],
        &[os("compare"), name, name],
        &[os("compare"), bundle, name],
    ] {
        let ran = ran(folder.path(), args);
        // Nobody holds a beacon, and what is compared with itself is not compared.
        let undecided = args[0] == "probe" || args[1..] == [name, name];
        assert_eq!(ran.code, if undecided { 3 } else { 0 }, "{args:?}: {} {}", ran.text(), ran.stderr);
        let unnamed = ["wal", "shm", "probe"].map(os).contains(&args[0]);
        assert!(ran.text().contains("caf\u{fffd}") || unnamed, "{args:?}: {}", ran.text());
        assert!(!ran.text().contains('\u{1b}') && ran.stderr.is_empty(), "{args:?}: {}", ran.stderr);
    }
    let missing = OsStr::from_bytes(b"\xff.db");
    for command in ["inspect", "wal", "shm", "verify", "snapshot", "compare"] {
        let mut args = vec![os(command), missing];
        match command {
            "snapshot" => args.extend([os("-o"), os("x")]),
            "compare" => args.push(missing),
            _ => {}
        }
        let ran = ran(folder.path(), &args);
        assert_eq!(ran.code, 2, "{command}");
        assert!(ran.stderr.contains("\u{fffd}.db") && ran.stderr.contains("No such file"), "{}", ran.stderr);
    }
}

/// What is asked for a container's name is a program as any other: here one that shows what it has.
#[test]
fn a_runtime_that_is_asked_has_nothing_that_walscope_inherited() {
    let folder = tempfile::tempdir().unwrap();
    let runtimes = folder.path().join("bin");
    fs::create_dir(&runtimes).unwrap();
    // Another process makes them, so that no program that another test starts has them open for writing.
    let script = "for n in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$n ] && echo has $n; done; echo asked; exit 1";
    let make = "for name; do printf '#!/bin/sh\nexec >&2\n%s\n' \"$SCRIPT\" >$name; chmod +x $name; done";
    let mut shell = Command::new("sh");
    let names = ["docker", "podman", "nerdctl"];
    let shell = shell.args(["-c", make, "sh"]).args(names).env("SCRIPT", script).current_dir(&runtimes);
    assert_eq!(run(shell).code, 0);
    let usual = std::env::var_os("PATH").unwrap();
    let paths = std::env::join_paths([runtimes].into_iter().chain(std::env::split_paths(&usual))).unwrap();
    // The caller left a descriptor open, and ignores the end of its children.
    let line = format!("exec 7>left-open; exec env --ignore-signal=CHLD {EXE} inspect some-container:/t.db");
    let ran = run(Command::new("sh").args(["-c", &line]).env("PATH", paths).current_dir(folder.path()));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("docker: asked"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("has ") && !ran.stderr.contains("No child processes"), "{}", ran.stderr);
}

#[cfg(feature = "lab")]
#[test]
fn the_lab_keeps_its_bundles_in_a_folder_of_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join(OsStr::from_bytes(b"k\xff"));
    let os = OsStr::new;
    let args = ["lab", "--runtime", "processes", "--rows", "1", "--keep"].map(os);
    let ran = ran(folder.path(), &[&args, [keep.as_os_str()].as_slice()].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // A bundle of each side, and what the two showed together.
    assert_eq!(fs::read_dir(keep).unwrap().count(), 3);
}

#[test]
fn a_side_has_the_shortest_unique_name() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    for place in ["a/x", "b/x", "b/y"] {
        fs::create_dir_all(folder.path().join(place)).unwrap();
        let output = format!("{place}/writer.walsnap");
        assert_eq!(walscope(folder.path(), &["snapshot", "t.db", "-o", &output]).code, 0);
    }
    fs::copy(folder.path().join("a/x/writer.walsnap"), folder.path().join("a/x/reader.walsnap")).unwrap();
    let absolute: OsString = folder.path().join("a/x/writer.walsnap").into();
    let labels = |sources: &[&str]| -> Vec<String> {
        let ran = walscope(folder.path(), &[&["compare", "--json"], sources].concat());
        let document = ran.json();
        let sides = document["sides"].as_array().unwrap();
        sides.iter().map(|side| side["label"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(labels(&["a/x/writer.walsnap", "a/x/reader.walsnap"]), ["writer", "reader"]);
    assert_eq!(labels(&["b/x/writer.walsnap", "b/y/writer.walsnap"]), ["x/writer", "y/writer"]);
    assert_eq!(labels(&["a/x/writer.walsnap", "b/x/writer.walsnap"]), ["a/x/writer", "b/x/writer"]);
    assert_eq!(labels(&["a/x/writer.walsnap", "t.db"]), ["writer", "t.db"]);
    assert_eq!(labels(&["b/y/writer.walsnap", "b/y/writer.walsnap"]), ["writer", "writer (2)"]);
    // One file under two spellings: the shorter one is no name of its own.
    let absolute = absolute.to_str().unwrap();
    let both = labels(&["a/x/writer.walsnap", absolute]);
    assert_eq!(both[0], "a/x/writer.walsnap");
    assert!(both[1].ends_with("/a/x/writer"), "{both:?}");
}
