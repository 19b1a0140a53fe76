//! Whether SQLite can open the database here: what `inspect` says is compared with what SQLite then does as the same user.

mod place;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::{Connection, ffi};
use serde_json::Value;

use crate::common;
use place::*;

/// Files with their rights: `-` is a file that is not there, `e` an empty one.
#[test]
fn sqlite_run_as_the_user_does_what_inspect_says() {
    if !root() {
        return;
    }
    let mut place = Place::new();
    let mut seen = BTreeMap::new();
    let at_rest = ["--", "ww", "rr", "rw", "wr", "r-", "e-", "er", "-r", "nr", "rn"];
    let in_use = ["ww", "rr", "wr", "rw", "rn"];
    let sidecars = at_rest.map(|files| (files, false)).into_iter().chain(in_use.map(|files| (files, true)));
    for (files, live) in sidecars {
        for [database_rights, folder_rights, mount] in [
            ['w', 'w', '-'],
            ['w', 'r', '-'],
            ['r', 'w', '-'],
            ['r', 'r', '-'],
            ['n', 'w', '-'],
            ['w', 'w', 'o'],
            ['r', 'r', 'o'],
        ] {
            if live && (database_rights == 'n' || [database_rights, folder_rights] == ['r', 'w']) {
                continue;
            }
            let mut make = |folder: &Path| {
                let path = database(folder, "WAL");
                let kept = (live || files != "--").then(|| opened(&path)).filter(|_| live);
                for (suffix, of) in ["-wal", "-shm"].into_iter().zip(files.chars()) {
                    let file = beside(&path, suffix);
                    match of {
                        '-' => drop(fs::remove_file(&file)),
                        'e' => {
                            fs::write(&file, "").unwrap();
                            rights(&file, 'r');
                        }
                        of => rights(&file, of),
                    }
                }
                rights(&path, database_rights);
                state(folder, path, folder_rights, mount == 'o', kept)
            };
            let name =
                format!("database {database_rights}, folder {folder_rights}, sidecars {files}, live {live}, {mount}");
            for said in place.judge(&name, &AS_USER, &mut make) {
                // Here nothing is in doubt.
                assert!(
                    said.refused || ![&said.read, &said.write].contains(&&"unknown".to_owned()),
                    "{name}: {said:?}"
                );
                *seen.entry((said.read.clone(), said.write.clone())).or_insert(0) += 1;
            }
        }
    }
    let of = |read: &str, write: &str| seen.get(&(read.to_owned(), write.to_owned())).copied().unwrap_or(0);
    assert!(of("yes", "yes") > 5 && of("yes", "no") > 20 && of("no", "no") > 20, "{seen:?}");
}

#[test]
fn sqlite_in_rollback_mode_does_what_inspect_says() {
    if !root() {
        return;
    }
    let mut place = Place::new();
    let mut told = 0;
    for journal in ['-', 'w', 'r', 'n', 'z'] {
        for [database_rights, folder_rights, mount] in
            [['w', 'w', '-'], ['w', 'r', '-'], ['r', 'w', '-'], ['r', 'r', '-'], ['w', 'w', 'o']]
        {
            let mut make = |folder: &Path| {
                let path = database(folder, "DELETE");
                let file = beside(&path, "-journal");
                match journal {
                    '-' => {}
                    'z' => {
                        fs::write(&file, [0; 512]).unwrap();
                        rights(&file, 'w');
                    }
                    of => {
                        killed_in_a_transaction(&path);
                        rights(&file, of);
                    }
                }
                rights(&path, database_rights);
                state(folder, path, folder_rights, mount == 'o', None)
            };
            let name = format!("database {database_rights}, folder {folder_rights}, journal {journal}, {mount}");
            let said = place.judge(&name, &AS_USER, &mut make);
            told += said.iter().filter(|said| said.codes.contains(&"cannot_open_here".to_owned())).count();
        }
    }
    assert!(told > 10, "{told}");
}

/// Who is not the owner by number may be let in, or kept out, by other things.
#[test]
fn groups_attributes_and_sticky_folders_count() {
    if !root() {
        return;
    }
    let mut place = Place::new();
    let of_group = |folder: &Path| {
        let path = database(folder, "WAL");
        for (path, bits) in [(folder, 0o770), (path.as_path(), 0o660)] {
            chown(path, Some(0), Some(2000)).unwrap();
            mode(path, bits);
        }
        State { path, _kept: None, undo: Vec::new() }
    };
    let in_group = ["setpriv", "--reuid", "1000", "--regid", "1000", "--groups", "1999,2000"];
    for said in place.judge("of the group", &in_group, &mut { of_group }) {
        assert_eq!((said.read.as_str(), said.write.as_str()), ("yes", "yes"));
    }
    for said in place.judge("not of the group", &AS_USER, &mut { of_group }) {
        assert!(said.refused || said.read == "no", "{said:?}");
    }
    // Nobody may enter the folder above.
    let mut beneath = |folder: &Path| {
        let inner = folder.join("in");
        fs::create_dir(&inner).unwrap();
        mode(folder, 0o700);
        let path = database(&inner, "WAL");
        rights(&path, 'w');
        mode(&inner, 0o777);
        State { path, _kept: None, undo: Vec::new() }
    };
    for said in place.judge("beneath a closed folder", &AS_USER, &mut beneath) {
        assert!(said.refused || said.read == "no", "{said:?}");
    }
    for (owner, sticky) in [(0, 0o1777), (USER, 0o1777), (1001, 0o1777), (1001, 0o3775)] {
        for left in [false, true] {
            let mut make = |folder: &Path| {
                let path = database(folder, "WAL");
                if left {
                    drop(opened(&path));
                }
                for suffix in ["", "-wal", "-shm"] {
                    let file = beside(&path, suffix);
                    if file.exists() {
                        rights(&file, 'w');
                        chown(&file, Some(owner), Some(owner)).unwrap();
                    }
                }
                chown(folder, Some(1002), Some(USER)).unwrap();
                mode(folder, sticky);
                State { path, _kept: None, undo: Vec::new() }
            };
            for before in [&AS_USER[..], &["setpriv"]] {
                place.judge(&format!("owner {owner}, sticky {sticky:o}, left {left}"), before, &mut make);
            }
        }
    }
    // Not every file system has attributes.
    for (flag, of_folder) in [("i", false), ("a", false), ("i", true)] {
        let probe = place.at("attribute");
        fs::write(&probe, "").unwrap();
        let can = |sign: &str| {
            let out = Command::new("chattr").arg(format!("{sign}{flag}")).arg(&probe).stderr(Stdio::null()).status();
            out.is_ok_and(|status| status.success())
        };
        if !can("+") {
            continue;
        }
        assert!(can("-"));
        let mut make = |folder: &Path| {
            let path = database(folder, "WAL");
            rights(&path, 'w');
            mode(folder, 0o777);
            let of = if of_folder { folder } else { path.as_path() }.display().to_string();
            run(&["chattr", &format!("+{flag}"), &of]);
            let undo = vec![vec!["chattr".to_owned(), format!("-{flag}"), of]];
            State { path, _kept: None, undo }
        };
        for before in [&AS_USER[..], &["setpriv"]] {
            for said in place.judge(&format!("attribute {flag}, folder {of_folder}"), before, &mut make) {
                assert_eq!(said.write, "no", "{said:?}");
            }
        }
    }
}

/// An access list (linux/posix_acl_xattr.h) that lets a user in: version 2, then tag, permissions and id of each entry.
fn let_in(path: &Path, user: u32) -> bool {
    let entries = [(1_u16, 7_u16, u32::MAX), (2, 7, user), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    rustix::fs::setxattr(path, "system.posix_acl_access", &list, rustix::fs::XattrFlags::empty()).is_ok()
}

#[test]
fn an_access_list_is_asked_of_the_kernel_and_not_known_of_another_process() {
    if !root() {
        return;
    }
    let mut place = Place::new();
    for listed in [USER, 1001] {
        let mut there = true;
        let mut make = |folder: &Path| {
            let path = database(folder, "WAL");
            there &= let_in(folder, listed) && let_in(&path, listed);
            State { path, _kept: None, undo: Vec::new() }
        };
        let said = place.judge(&format!("access list of {listed}"), &AS_USER, &mut make);
        if there {
            let own = if listed == USER { "yes" } else { "no" };
            assert_eq!([&said[0].read, &said[1].read], [own, "unknown"]);
        }
    }
}

#[test]
fn sqlite_run_with_capabilities_does_what_inspect_says() {
    if !root() {
        return;
    }
    let mut place = Place::new();
    let with =
        |capability: &'static str| [&AS_USER[..], &["--inh-caps", capability, "--ambient-caps", capability]].concat();
    let without = ["setpriv", "--inh-caps", "-all", "--bounding-set", "-all"].to_vec();
    for (name, before) in
        [("override", with("+dac_override")), ("read", with("+dac_read_search")), ("root without any", without)]
    {
        for (owner, left, bits) in [(0, false, 0o600), (0, true, 0o600), (1001, false, 0o644), (1001, true, 0o644)] {
            let mut make = |folder: &Path| {
                let path = database(folder, "WAL");
                if left {
                    drop(opened(&path));
                }
                for suffix in ["", "-wal", "-shm"] {
                    let file = beside(&path, suffix);
                    if file.exists() {
                        mode(&file, bits);
                        chown(&file, Some(owner), Some(owner)).unwrap();
                    }
                }
                chown(folder, Some(owner), Some(owner)).unwrap();
                mode(folder, if bits == 0o600 { 0o700 } else { 0o755 });
                State { path, _kept: None, undo: Vec::new() }
            };
            place.judge(&format!("{name}, owner {owner}, left {left}"), &before, &mut make);
        }
    }
}

#[test]
fn a_user_namespace_counts_for_the_ids_that_it_knows() {
    let there = root() && {
        let mut command = Command::new("setpriv");
        let out = command.args(&AS_USER[1..]).args(["unshare", "-U", "-r", "true"]).output();
        common::have("userns", out.is_ok_and(|out| out.status.success()))
    };
    if !there {
        return;
    }
    let mut place = Place::new();
    let inside = [&AS_USER[..], &["unshare", "-U", "-r"]].concat();
    // What belongs to the user is its own inside, whatever the mode is; what belongs to others is as for others.
    for (owner, of_file, of_folder, read) in
        [(USER, 0o400, 0o500, "yes"), (0, 0o644, 0o755, "no"), (0, 0o666, 0o777, "yes")]
    {
        let mut make = |folder: &Path| {
            let path = database(folder, "WAL");
            for (path, bits) in [(path.as_path(), of_file), (folder, of_folder)] {
                chown(path, Some(owner), Some(owner)).unwrap();
                mode(path, bits);
            }
            State { path, _kept: None, undo: Vec::new() }
        };
        for said in place.judge(&format!("owner {owner}"), &inside, &mut make) {
            assert_eq!(said.read, read, "{said:?}");
        }
    }
}

/// A process that has mapped the wal-index goes on, whoever it is now.
#[test]
fn a_process_that_has_it_open_already_is_not_told_that_it_cannot() {
    if !root() {
        return;
    }
    let mut place = Place::new();
    let folder = place.at("open");
    fs::create_dir(&folder).unwrap();
    let path = database(&folder, "WAL");
    let kept = opened(&path);
    let source = format!("pid:{}:{}", kept.pid(), path.display());
    let said = place.asked(&[], &source);
    assert_eq!((said.read.as_str(), said.write.as_str(), said.page.as_str()), ("yes", "yes", ""));
    let others = Waiting::start(&AS_USER);
    rights(&path, 'n');
    let said = place.asked(&[], &format!("pid:{}:{}", others.pid, path.display()));
    assert_eq!((said.read.as_str(), said.codes.contains(&"cannot_open_here".to_owned())), ("no", true));
    place.made += 1;
}

/// Who only reads can read, and cannot write, before and while it has the database open.
#[test]
fn a_process_that_reads_without_a_right_to_write_can_read() {
    if !root() {
        return;
    }
    let place = Place::new();
    let folder = place.at("read");
    fs::create_dir(&folder).unwrap();
    mode(&folder, 0o755);
    let path = database(&folder, "WAL");
    let _kept = opened(&path);
    let reader = place.reader(&AS_USER, &path);
    let said = place.asked(&[], &format!("pid:{}:{}", reader.pid, path.display()));
    assert_eq!((said.read.as_str(), said.write.as_str()), ("yes", "no"), "{said:?}");
    assert_eq!(said.codes.iter().filter(|code| *code == "user_cannot_write").count(), 1, "{said:?}");
}

#[test]
fn a_process_that_ends_and_a_bundle_get_no_answer_that_alarms() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path(), "WAL");
    let walscope = env!("CARGO_BIN_EXE_walscope");
    let bundle = folder.path().join("t.walsnap");
    let made = Command::new(walscope).arg("snapshot").arg(&path).arg("-o").arg(&bundle).output().unwrap();
    assert!(made.status.success());
    for source in [&bundle, &beside(&path, "-wal")] {
        let out = Command::new(walscope).args(["inspect", "--json"]).arg(source).output().unwrap();
        let Ok(document) = serde_json::from_slice::<Value>(&out.stdout) else { continue };
        assert!(document["open"].is_null() && document["reasons"]["open"].is_string(), "{document}");
    }
    let out = Command::new(walscope).args(["inspect", "--json"]).arg(&path).output().unwrap();
    let document: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!([&document["open"]["read"], &document["open"]["write"]], ["yes", "yes"]);
}

/// A bindfs mount; unmounted on drop.
struct Fuse(PathBuf);

impl Drop for Fuse {
    fn drop(&mut self) {
        let _ = Command::new("fusermount").args(["-u", "-z"]).arg(&self.0).status();
    }
}

#[test]
fn a_file_system_without_shared_mappings_is_named() {
    let there = Path::new("/dev/fuse").exists()
        && Command::new("bindfs").arg("--version").output().is_ok_and(|out| out.status.success());
    if !common::have("fuse", there) || !root() {
        return;
    }
    let place = Place::new();
    let (origin, at) = (place.at("origin"), place.at("mount"));
    fs::create_dir(&origin).unwrap();
    fs::create_dir(&at).unwrap();
    database(&origin, "WAL");
    let options = ["--no-allow-other", "-o", "direct_io"];
    assert!(Command::new("bindfs").args(options).arg(&origin).arg(&at).status().unwrap().success());
    let mount = Fuse(at);
    let path = mount.0.join("t.db");
    for tries in 0..2 {
        let said = place.asked(&[], &path.display().to_string());
        assert_eq!((said.read.as_str(), said.write.as_str()), ("no", "no"), "{said:?}");
        assert!(said.codes.contains(&"shared_mappings_refused".to_owned()), "{said:?}");
        // What the failed attempt left is no fault of its own.
        let signs = ["shm_truncated", "used_without_wal_index", "shm_header_checksum_wrong", "cannot_open_here"];
        assert!(!said.codes.iter().any(|code| signs.contains(&&**code)), "{said:?}");
        let read = place.tried(&[], "read", &path);
        assert_eq!(read, Some(ffi::SQLITE_IOERR_SHMMAP), "attempt {tries}");
        let out = place.command(&[], "walscope").args(["inspect", "--json"]).arg(&path).output().unwrap();
        let document: Value = serde_json::from_slice(&out.stdout).unwrap();
        let states = include_str!("../../../docs/states.md");
        let explanation = document["checkpoint"]["explanation"].as_str().unwrap();
        let first = explanation.split(" A database that was closed properly").next().unwrap();
        assert!(states.contains(&format!("\n> {first}\n")), "{explanation}");
    }
    // Alone, with the wal-index on its heap, SQLite works there.
    let db = Connection::open(&path).unwrap();
    db.query_row("PRAGMA locking_mode=EXCLUSIVE", [], |_| Ok(())).unwrap();
    let rows: i64 = db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
    db.execute("INSERT INTO t VALUES (3)", []).unwrap();
    let said = place.asked(&[], &path.display().to_string());
    assert!(!said.codes.contains(&"shared_mappings_refused".to_owned()), "{said:?}");
    drop(db);
    let mut meet = place.command(&[], "walscope");
    let out = meet.args(["probe", "meet", "--timeout", "1"]).arg(&mount.0).output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{error}");
    assert!(error.contains("refuses to map a file shared") && !error.contains("os error"), "{error}");
    // Without that option the same mount maps files.
    drop(mount);
    let at = place.at("mount");
    assert!(Command::new("bindfs").arg("--no-allow-other").arg(&origin).arg(&at).status().unwrap().success());
    let mount = Fuse(at);
    let path = mount.0.join("t.db");
    let said = place.asked(&[], &path.display().to_string());
    assert_eq!((said.read.as_str(), said.write.as_str()), ("yes", "yes"), "{said:?}");
    assert_eq!(place.tried(&[], "write", &path), None);
}

/// Runs a program behind a filter that answers EPERM to faccessat2(2), as older container runtimes do.
#[cfg(target_arch = "x86_64")]
const FILTERED: &str = r"
import ctypes, os, struct, sys
FACCESSAT2, EPERM = 439, 1
code = [(0x20, 0, 0, 0), (0x15, 0, 1, FACCESSAT2), (0x06, 0, 0, 0x00050000 | EPERM), (0x06, 0, 0, 0x7fff0000)]
code = b''.join(struct.pack('HBBI', *one) for one in code)
kept = ctypes.create_string_buffer(code)
filter = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(code) // 8, ctypes.addressof(kept)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
#[cfg(target_arch = "x86_64")]
fn a_filter_of_system_calls_is_no_attribute_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x)").unwrap();
    let program = env!("CARGO_BIN_EXE_walscope");
    let ran =
        std::process::Command::new("python3").args(["-c", FILTERED, program, "inspect", "--json"]).arg(&path).output();
    let Ok(ran) = ran else {
        common::have("python3", false);
        return;
    };
    let document: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let open = &document["open"];
    assert_eq!((&open["read"], &open["write"]), (&"yes".into(), &"yes".into()), "{open:#}");
}
