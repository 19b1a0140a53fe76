//! Bad input: one message naming the file and what is wrong, exit 2, nothing on standard output, never a hang.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::common::command::{self, EXE, Ran, run, walscope};

/// Every command must refuse with these words.
fn refused_by_all(folder: &Path, name: &str, words: &[&str]) {
    for args in [
        vec!["inspect", name],
        vec!["inspect", "--json", name],
        vec!["compare", name, name],
        vec!["snapshot", name, "-o", "never.walsnap"],
        vec!["rescue", name, "-o", "never.walsnap"],
    ] {
        refused(&walscope(folder, &args), name, words, &format!("{args:?}"));
        assert!(!folder.join("never.walsnap").exists(), "{args:?} left a file behind");
    }
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
}

fn refused(ran: &Ran, name: &str, words: &[&str], what: &str) {
    assert_eq!(ran.code, 2, "{what}: {} {}", ran.text(), ran.stderr);
    assert!(ran.stdout.is_empty(), "{what}: {}", ran.text());
    for word in words.iter().chain([&name]) {
        assert!(ran.stderr.contains(word), "{what}: {word:?} is not in {:?}", ran.stderr);
    }
    assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{what}: {}", ran.stderr);
}

#[test]
fn a_file_that_is_not_sqlite_s_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("passwd"), [b'x'; 1221]).unwrap();
    // Whole pages can be those of an encrypted database; and beside a -wal a damaged database is still one.
    fs::write(folder.path().join("encrypted.db"), [0xe7; 1024]).unwrap();
    fs::write(folder.path().join("cut.db"), [0xe7; 1221]).unwrap();
    fs::write(folder.path().join("cut.db-wal"), []).unwrap();
    for command in ["inspect", "verify", "wal", "shm"] {
        let ran = walscope(folder.path(), &[command, "passwd"]);
        refused(&ran, "passwd", &["neither a database", "1221 bytes"], command);
        for name in ["encrypted.db", "cut.db"] {
            let ran = walscope(folder.path(), &[command, name]);
            assert_eq!(ran.code, 0, "{command} {name}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_source_of_a_process_needs_its_number() {
    let folder = tempfile::tempdir().unwrap();
    refused_by_all(folder.path(), "pid:abc:/t.db", &["needed pid:N:/path"]);
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    refused_by_all(folder.path(), "missing.db", &["No such file"]);
}

#[test]
fn a_directory_is_named_as_one_also_behind_a_link() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    symlink("dir", folder.path().join("link")).unwrap();
    refused_by_all(folder.path(), "dir", &["needed a regular file", "found a directory"]);
    // Some messages name the link, some what it leads to.
    for args in [["inspect", "link"].as_slice(), &["snapshot", "link", "-o", "never.walsnap"]] {
        refused(&walscope(folder.path(), args), "", &["needed a regular file", "found a directory"], "a link");
    }
}

#[test]
fn a_fifo_never_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    refused_by_all(folder.path(), "pipe", &["needed a regular file", "found a FIFO"]);
}

#[test]
fn a_fifo_in_the_place_of_a_wal_never_blocks() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.db"), [0; 4096]).unwrap();
    let made = Command::new("mkfifo").arg(folder.path().join("a.db-wal")).status().unwrap();
    assert!(made.success());
    let ran = walscope(folder.path(), &["inspect", "a.db"]);
    refused(&ran, "a.db-wal", &["FIFO"], "inspect");
}

#[test]
fn a_snapshot_with_a_fifo_or_link_in_place_of_a_file_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.db"), [0; 4096]).unwrap();
    let put = |suffix: &str, kind: &str| {
        let path = folder.path().join(format!("a.db{suffix}"));
        let _ = fs::remove_file(&path);
        match kind {
            "a FIFO" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
            _ => symlink("/etc/shadow", &path).unwrap(),
        }
        path
    };
    let here = format!("pid:{}:{}", std::process::id(), folder.path().join("a.db").display());
    for suffix in ["-wal", "-shm"] {
        for kind in ["a FIFO", "a symbolic link"] {
            let path = put(suffix, kind);
            for source in ["a.db", &here] {
                for output in ["never.walsnap", "-"] {
                    let ran = walscope(folder.path(), &["snapshot", source, "-o", output]);
                    refused(&ran, &format!("a.db{suffix}"), &["needed a regular file", kind], source);
                    assert!(!folder.path().join("never.walsnap").exists());
                }
            }
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_device_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    refused_by_all(folder.path(), "/dev/zero", &["needed a regular file", "found a character device"]);
}

#[test]
fn a_link_to_nothing_and_a_link_to_itself_are_named() {
    let folder = tempfile::tempdir().unwrap();
    symlink("nothing", folder.path().join("dangling")).unwrap();
    symlink("loop", folder.path().join("loop")).unwrap();
    for name in ["dangling", "loop"] {
        let ran = walscope(folder.path(), &["inspect", name]);
        refused(&ran, "", &[], name);
    }
}

#[test]
fn too_few_bytes_say_what_was_needed_and_found() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("one", 1), ("header-less", 31), ("header", 32), ("cut", 99)] {
        fs::write(folder.path().join(name), vec![0x5a; bytes]).unwrap();
        let ran = walscope(folder.path(), &["inspect", name]);
        refused(&ran, name, &["offset 0", "needed 100 bytes", &format!("found {bytes} bytes")], name);
    }
}

#[test]
fn a_denied_file_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.path().join("a.db"), [0; 4096]).unwrap();
    fs::write(folder.path().join("a.db-wal"), [0; 64]).unwrap();
    // The binary may lie where an ordinary user cannot reach it.
    let exe = folder.path().join("walscope");
    command::copy_executable(EXE, &exe);
    let as_nobody = |name: &str| {
        let mut command = Command::new(&exe);
        command.args(["inspect", name]).current_dir(folder.path());
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        run(&mut command)
    };
    fs::set_permissions(folder.path().join("a.db-wal"), fs::Permissions::from_mode(0o000)).unwrap();
    refused(&as_nobody("a.db"), "a.db-wal", &["ermission denied"], "a -wal that cannot be read");
    fs::set_permissions(folder.path().join("a.db"), fs::Permissions::from_mode(0o000)).unwrap();
    refused(&as_nobody("a.db"), "a.db", &["ermission denied"], "a database that cannot be read");
}

#[test]
fn a_bundle_cut_short_or_from_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let _db = command::database(&path);
    let ran = walscope(folder.path(), &["snapshot", "t.db", "-o", "good.walsnap"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let good = fs::read(folder.path().join("good.walsnap")).unwrap();

    fs::write(folder.path().join("cut.walsnap"), &good[..good.len() / 2]).unwrap();
    for args in [["inspect", "cut.walsnap"].as_slice(), &["compare", "good.walsnap", "cut.walsnap"]] {
        refused(&walscope(folder.path(), args), "cut.walsnap", &["cut short"], &format!("{args:?}"));
    }

    // The manifest's field, in place: the same length, another number.
    let field = b"\"bundle_version\":";
    let at = good.windows(field.len()).position(|window| window == field).expect("the field stands in the bundle");
    let digit = at + good[at..].iter().position(u8::is_ascii_digit).unwrap();
    let mut newer = good.clone();
    newer[digit] = b'9';
    fs::write(folder.path().join("newer.walsnap"), newer).unwrap();
    refused(&walscope(folder.path(), &["inspect", "newer.walsnap"]), "newer.walsnap", &["newer", "9"], "newer");
}

#[test]
fn bad_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        ["frobnicate"].as_slice(),
        &["inspect"],
        &["compare", "only-one"],
        &["inspect", "x", "--width", "19"],
        &["inspect", "x", "--width", "1001"],
        &["snapshot", "x"],
    ] {
        let ran = walscope(folder.path(), args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(walscope(folder.path(), &["--help"]).code, 0);
    assert_eq!(walscope(folder.path(), &["--version"]).code, 0);
}

#[test]
fn control_characters_of_a_name_never_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let name = "a\u{1b}[31m\nVerdict proven.db";
    let ran = walscope(folder.path(), &["inspect", name]);
    assert_eq!(ran.code, 2);
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{:?}", ran.stderr);
    let path = folder.path().join(name);
    let _db = command::database(&path);
    // One path given twice is not compared: undecided.
    for (args, code) in [(["inspect", name].as_slice(), 0), (&["compare", name, name], 3)] {
        let ran = walscope(folder.path(), args);
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert!(!ran.text().contains('\u{1b}'), "{:?}", ran.text());
        let forged = |line: &str| line.trim_start_matches([' ', '│']).starts_with("Verdict proven.db");
        assert!(!ran.text().lines().any(forged), "{}", ran.text());
    }
}
