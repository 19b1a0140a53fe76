//! A `-shm` in use on FUSE is not opened: no page of its processes is dropped, and the answers are right all the same.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::common;
use crate::common::command::{EXE, run, walscope};
use crate::idle::Bindfs;
use crate::sqlite::Sqlite;

/// Whether the first page of the `-shm` is in the page table of a process: bit 63 of its entry (man 5 proc_pid_pagemap).
fn has_page(sqlite: &Sqlite) -> bool {
    let maps = fs::read_to_string(format!("/proc/{}/maps", sqlite.pid())).unwrap();
    let line = maps.lines().find(|line| line.ends_with("t.db-shm") && line.contains(" 00000000 ")).unwrap();
    let address = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
    let mut entry = [0; 8];
    let table = fs::File::open(format!("/proc/{}/pagemap", sqlite.pid())).unwrap();
    table.read_exact_at(&mut entry, address / rustix::param::page_size() as u64 * 8).unwrap();
    u64::from_le_bytes(entry) >> 63 == 1
}

/// Every command that looks at a database in use, without one that writes into the folder.
fn commands(folder: &Path, pids: [u32; 2]) -> Vec<Vec<String>> {
    let database = folder.join("t.db").display().to_string();
    let sides = pids.map(|pid| format!("pid:{pid}:{database}"));
    let out = folder.parent().unwrap().join("out").display().to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    vec![
        words(&["inspect", &database, "--json"]),
        words(&["inspect", &sides[0], "--for", "10ms"]),
        words(&["verify", &database]),
        words(&["verify", &folder.display().to_string()]),
        words(&["wal", &database]),
        words(&["shm", &database, "--hash"]),
        words(&["snapshot", &database, "-o", "-"]),
        words(&["compare", &sides[0], &sides[1]]),
        words(&["ps", "--json"]),
        words(&["rescue", &database, "-o", &out]),
        words(&["shm", &format!("{database}-shm")]),
    ]
}

#[test]
fn a_wal_index_in_use_on_fuse_is_answered_about_and_not_opened() {
    let strace = Command::new("strace").arg("-V").output().is_ok_and(|out| out.status.success());
    let Some(bindfs) = Bindfs::mount().filter(|_| common::have("strace", strace)) else { return };
    let folder = bindfs.folder();
    let (mut a, mut b) = (Sqlite::open(&folder.join("t.db")), Sqlite::open(&folder.join("t.db")));
    a.run("INSERT INTO t VALUES(1)");
    b.run("INSERT INTO t VALUES(2)");
    b.run("SELECT count(*) FROM t");
    let shm = folder.join("t.db-shm").display().to_string();
    for arguments in commands(&folder, [a.pid(), b.pid()]) {
        let _ = fs::remove_dir_all(folder.parent().unwrap().join("out"));
        // With a word behind it, -y shows where the descriptor that was opened leads to.
        let traced = Command::new("strace")
            .args(["-f", "-y", "-qq", "-e", "trace=open,openat,openat2", EXE])
            .args(&arguments)
            .output()
            .unwrap();
        let calls = String::from_utf8_lossy(&traced.stderr);
        let opened = |line: &&str| {
            let to = line.rsplit(" = ").next().unwrap_or_default();
            line.contains("openat") && to.contains(&shm) && !line.contains("O_PATH")
        };
        assert_eq!(calls.lines().find(opened), None, "{arguments:?}");
        assert!(calls.contains("t.db"), "{arguments:?}: {calls}");
        assert!(has_page(&a) && has_page(&b), "{arguments:?}");
    }
    let looked = walscope(&folder, &["inspect", "t.db", "--json"]);
    let document = looked.json();
    assert_eq!(looked.code, 0, "{document:#}");
    assert_eq!(document["shm"]["headers"][0]["mx_frame"], document["wal"]["frames"]["committed"], "{document:#}");
    assert_eq!(document["shm"]["headers_agree"], true);
    // A lock that is held is seen in the lock table.
    let locks = document["shm"]["locks"].as_array().unwrap();
    let switch = locks.iter().find(|lock| lock["name"] == "dead_man_switch").unwrap();
    assert_eq!(switch["lock"], "shared", "{locks:#?}");
    // The open drops the pages: what this test would see.
    let looked = walscope(&folder, &["inspect", "t.db", "--look-anyway"]);
    assert_eq!(looked.code, 0, "{}", looked.text());
    assert!(!has_page(&a), "an open on FUSE dropped nothing: this test cannot fail here");
}

/// Who may not read the memory of the processes is told so before anything is opened.
#[test]
fn who_cannot_read_the_memory_of_the_processes_is_told_first() {
    let Some(bindfs) = Bindfs::mount() else { return };
    let folder = bindfs.folder();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(folder.parent().unwrap(), 0o755);
    let mut a = Sqlite::open(&folder.join("t.db"));
    a.run("INSERT INTO t VALUES(1)");
    for name in ["t.db", "t.db-wal", "t.db-shm"] {
        mode(&folder.join(name), 0o644);
    }
    let as_user =
        |arguments: &[&str]| run(Command::new(EXE).args(arguments).current_dir(&folder).uid(65534).gid(65534));
    for arguments in [["inspect", "t.db"], ["verify", "t.db"], ["shm", "t.db"], ["shm", "t.db-shm"]] {
        let ran = as_user(&arguments);
        assert_eq!(ran.code, 2, "{}", ran.text());
        assert!(ran.stderr.contains("--look-anyway") && ran.stderr.contains("FUSE mount and in use"), "{}", ran.stderr);
        assert!(has_page(&a), "{arguments:?}");
    }
    let ran = as_user(&["inspect", "t.db", "--look-anyway"]);
    assert_eq!(ran.code, 0, "{}{}", ran.text(), ran.stderr);
    drop(a);
    // Nobody uses it any more: it is opened as any other file.
    let ran = walscope(&folder, &["inspect", "t.db", "--json"]);
    assert_eq!((ran.code, &ran.json()["shm"]["headers_agree"]), (0, &true.into()));
}

/// The one mount does not show who uses the other one, nor what is used behind it.
#[test]
fn a_second_fuse_mount_is_not_said_to_be_unused() {
    let Some(bindfs) = Bindfs::mount() else { return };
    let mut a = Sqlite::open(&bindfs.folder().join("t.db"));
    a.run("INSERT INTO t VALUES(1)");
    let low = bindfs.folder().with_file_name("low");
    let second = bindfs.folder().with_file_name("second");
    fs::create_dir(&second).unwrap();
    assert!(Command::new("bindfs").args([&low, &second]).status().unwrap().success());
    let told = walscope(&second, &["inspect", "t.db", "--json"]);
    let unmounted = Command::new("umount").arg("-l").arg(&second).status().unwrap();
    assert!(unmounted.success());
    let document = told.json();
    let explanation = document["checkpoint"]["explanation"].as_str().unwrap();
    assert!(!explanation.contains("nobody") && !explanation.contains("the next to open it"), "{explanation}");
    assert!(explanation.contains("as far as these files tell"), "{explanation}");
}
