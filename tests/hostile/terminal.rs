//! Nothing that a terminal would obey is printed, wherever it comes from: names of files, of processes and containers,
//! strings in bundles, arguments.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use walscope::report::is_terminal_control;

use crate::common::command::copy_executable;
use crate::common::command::{EXE, Ran, run};
use crate::common::rewritten::rewritten;
use crate::sqlite::Sqlite;

/// Sets the title, rings, clears the screen in the 8-bit way, turns the direction, forges a line.
const HOSTILE: &str = "x\u{1b}]0;t\u{7}\u{9b}2J\r\nFORGED\u{7f}\u{85}\u{2028}\u{202e}y";

/// Runs a command with colours, without, and as JSON; `codes`: how it may end. Returns what the first printed.
fn harmless(folder: &Path, args: &[&OsStr], codes: &[i32]) -> String {
    let mut first = None;
    for form in ["--color=always", "--color=never", "--width=40", "--json"] {
        let ran = run(Command::new(EXE).args(args).arg(form).current_dir(folder));
        let what = format!("{args:?} {form}");
        // Some commands have no such form: that is an answer, too.
        let usage = ran.code == 2 && ran.stderr.starts_with("error: ");
        assert!(codes.contains(&ran.code) || usage, "{what}: {} {} {}", ran.code, ran.text(), ran.stderr);
        check(&ran, &what);
        if form == "--json" && !ran.stdout.is_empty() {
            serde_json::from_slice::<Value>(&ran.stdout).unwrap_or_else(|e| panic!("{what}: {e}: {}", ran.text()));
        }
        first.get_or_insert(ran);
    }
    let ran = first.unwrap();
    ran.text() + &ran.stderr
}

fn check(ran: &Ran, what: &str) {
    for text in [&ran.text(), &ran.stderr] {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c == '\u{1b}' {
                // walscope's own colours.
                let end = chars.by_ref().find(|c| !(*c == '[' || *c == ';' || c.is_ascii_digit()));
                assert_eq!(end, Some('m'), "{what}: {text:?}");
            } else {
                assert!(c == '\n' || !is_terminal_control(c), "{what}: {c:?} in {text:?}");
            }
        }
        // What is escaped may be wrapped behind it; clap repeats an argument with its line ends.
        let lines: Vec<&str> = text.lines().collect();
        let begins = |line: &str| line.trim_start_matches([' ', '│', '"']).starts_with("FORGED");
        let forged = begins(lines.first().unwrap_or(&""))
            || lines.windows(2).any(|pair| begins(pair[1]) && !pair[0].contains("\\n"));
        assert!(!forged || ran.stderr.starts_with("error: "), "{what}: {text}");
    }
}

#[test]
fn no_file_name_controls_the_terminal_in_any_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join(HOSTILE);
    fs::create_dir(&at).unwrap();
    let name = format!("{HOSTILE}.db");
    let mut sqlite = Sqlite::open(&at.join(&name));
    sqlite.run("INSERT INTO t VALUES(1)");
    let path = at.join(&name).into_os_string();
    let with = |suffix: &str| {
        let mut name = path.clone();
        name.push(suffix);
        name
    };
    let (wal, shm, bundle) = (with("-wal"), with("-shm"), with(".walsnap"));
    let pid = OsString::from(format!("pid:{}:{}", sqlite.pid(), path.to_str().unwrap()));
    let os = OsStr::new;
    let here = folder.path();
    for args in [
        [os("snapshot"), &path, os("-o"), &bundle].as_slice(),
        &[os("inspect"), &path],
        &[os("inspect"), &bundle],
        &[os("inspect"), &wal],
        &[os("inspect"), &shm],
        &[os("inspect"), &pid],
        &[os("verify"), &path],
        &[os("verify"), &bundle],
        &[os("verify"), at.as_os_str()],
        &[os("wal"), &path],
        &[os("wal"), &bundle, os("--transactions")],
        &[os("wal"), &wal, os("--frame"), os("1..2"), os("--hex")],
        &[os("wal"), &path, os("--jsonl")],
        &[os("shm"), &path, os("--pages")],
        &[os("shm"), &bundle, os("--hash")],
        &[os("shm"), &shm, os("--jsonl")],
        &[os("rescue"), &path, os("-o"), os("saved")],
        &[os("probe"), os("seek"), &path, os("0123456789abcdef")],
        &[os("compare"), &path, &path],
        &[os("compare"), &bundle, &path],
        &[os("compare"), &bundle, &path, &pid],
    ] {
        // A bundle and copies are written once, and not over others.
        let code = if ["snapshot", "rescue"].map(os).contains(&args[0]) { [0, 2].as_slice() } else { &[0, 3] };
        harmless(here, args, code);
    }
    // Access for everybody else on this machine is not the test's business: only its own line.
    let text = harmless(here, &[os("ps")], &[0, 1]);
    assert!(text.contains("FORGED"), "ps does not show the test's own wal-index: {text}");
}

#[test]
fn no_error_message_controls_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let os = OsStr::new;
    let (missing, option) = (format!("{HOSTILE}.db"), format!("--{HOSTILE}"));
    fs::write(at.join(format!("short{HOSTILE}")), [7; 40]).unwrap();
    fs::create_dir(at.join(format!("dir{HOSTILE}"))).unwrap();
    let sources = [
        missing.clone(),
        format!("short{HOSTILE}"),
        format!("dir{HOSTILE}"),
        format!("pid:1:/{missing}"),
        format!("pid:4194305:/{missing}"),
        format!("no-such-container:/{missing}"),
        // A name that is none, so a path.
        format!("{HOSTILE}:/t.db"),
    ];
    for source in &sources {
        for command in ["inspect", "verify", "wal", "shm"] {
            harmless(at, &[os(command), os(source)], &[2]);
        }
        // What is too short to be decoded can still be compared by where it lies.
        harmless(at, &[os("compare"), os(source), os(source)], &[2, 3]);
        harmless(at, &[os("snapshot"), os(source), os("-o"), os("x.walsnap")], &[0, 2]);
        harmless(at, &[os("probe"), os("seek"), os(source), os("0123456789abcdef")], &[2, 3]);
    }
    for args in [
        [os(HOSTILE)].as_slice(),
        &[os("inspect"), os(&option)],
        &[os("inspect"), os("t.db"), os("--width"), os(HOSTILE)],
        &[os("wal"), os("t.db"), os("--frame"), os(HOSTILE)],
        &[os("explain"), os(HOSTILE)],
        &[os("schema"), os(HOSTILE)],
        &[os("probe"), os("seek"), os("t.db"), os(HOSTILE)],
        &[os("lab"), os("--runtime"), os(HOSTILE)],
        &[os("lab"), os("--keep"), os("/proc/self/environ/x"), os("--scenario"), os(HOSTILE)],
    ] {
        harmless(at, args, &[2]);
    }
}

/// Every string of a value replaced, but for those that decide how the rest is read.
fn poison(value: &mut Value) {
    match value {
        // Numbers travel as text, too.
        Value::String(text) if text.parse::<u64>().is_err() => *text = HOSTILE.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(poison),
        Value::Object(fields) => {
            for (name, field) in fields {
                // Of a fixed form; the parser refuses another.
                let fixed = ["status", "device", "state", "lock", "inode", "cut_off", "fsid", "mapper"];
                if !fixed.contains(&name.as_str()) {
                    poison(field);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn no_string_in_a_bundle_controls_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut names = Vec::new();
    for (pair, side) in [("shared", "writer"), ("shared", "reader"), ("copied", "writer"), ("file-mount", "reader")] {
        let bundle =
            fs::read(format!("{}/testdata/bundles/{pair}/{side}.walsnap", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut archive = tar::Archive::new(bundle.as_slice());
        let mut manifest = archive.entries().unwrap().map(Result::unwrap);
        let manifest = manifest.find(|entry| entry.path().unwrap().to_str() == Some("manifest.json")).unwrap();
        let mut manifest: Value = serde_json::from_reader(manifest).unwrap();
        poison(&mut manifest["evidence"]);
        for text in ["path", "walscope_version", "schema"] {
            poison(&mut manifest[text]);
        }
        manifest["stability"] = serde_json::json!({"stable": false, "reason": HOSTILE, "attempts": 1});
        manifest["access_time_moved"] = serde_json::json!([HOSTILE]);
        manifest["missing_texts"] = serde_json::json!({ HOSTILE: HOSTILE });
        let name = format!("{pair}-{side}.walsnap");
        fs::write(at.join(&name), rewritten(&bundle, "manifest.json", &serde_json::to_vec(&manifest).unwrap()))
            .unwrap();
        fs::set_permissions(at.join(&name), Permissions::from_mode(0o600)).unwrap();
        names.push(name);
    }
    let os = OsStr::new::<str>;
    let all: Vec<&OsStr> = names.iter().map(|name| os(name)).collect();
    for name in &all {
        for command in ["inspect", "verify", "wal", "shm"] {
            let text = harmless(at, &[os(command), name], &[0, 1]);
            assert!(text.contains("FORGED") || ["wal", "shm"].contains(&command), "{command}: {text}");
        }
    }
    for pair in [&all[..2], &all[1..3], &all[2..], &all] {
        harmless(at, &[&[os("compare")], pair].concat(), &[0, 1, 3]);
    }
}

/// A process whose name is hostile holds locks and maps the wal-index.
#[test]
fn no_process_name_controls_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // `comm` has room for 15 bytes.
    let program = at.join("a\u{1b}]0;\u{7}\u{9b}J\r\nFO");
    copy_executable(std::env::current_exe().unwrap(), &program);
    let mut sqlite = Sqlite::open_by(&program, &at.join("t.db"));
    sqlite.run("INSERT INTO t VALUES(1)");
    sqlite.run("BEGIN IMMEDIATE");
    let os = OsStr::new;
    let held = harmless(at, &[os("inspect"), os("t.db")], &[0, 1]);
    assert!(held.contains("(a\\u{1b}]0;"), "the holder is not named: {held}");
    harmless(at, &[os("shm"), os("t.db")], &[0]);
    harmless(at, &[os("verify"), os("t.db")], &[0]);
    harmless(at, &[os("compare"), os("t.db"), os("t.db")], &[3]);
    assert!(harmless(at, &[os("ps")], &[0, 1]).contains("a\\u{1b}]0;"));
    harmless(at, &[os("snapshot"), os("t.db"), os("-o"), os("t.walsnap")], &[0, 2]);
    harmless(at, &[os("inspect"), os("t.walsnap")], &[0, 1]);
}
