//! Command lines that walscope prints for a file are run by a shell as they stand, whatever name the file has.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Command;

use crate::common::command::{EXE, Ran, database, run};

fn names() -> Vec<OsString> {
    let names: [&[u8]; 10] = [
        b"a$(touch X).db",
        b"`touch X`.db",
        b"a b;touch X.db",
        b"it's \"so\".db",
        b"line\nbreak.db",
        b"tab\tand\x1b[31m\x07.db",
        b"back\\slash\n'.db",
        "r\u{202e}bd.db".as_bytes(),
        b"no\xfftext.db",
        b"-o.db",
    ];
    names.iter().map(|name| OsString::from_vec(name.to_vec())).collect()
}

/// Runs a printed line in bash, with another folder for DIR.
fn paste(folder: &Path, line: &str) -> Ran {
    let line = line.trim().replace(" -o DIR", " -o pasted");
    let path = format!("{}:{}", Path::new(EXE).parent().unwrap().display(), std::env::var("PATH").unwrap());
    run(Command::new("timeout").args(["60", "bash", "-c", &line]).current_dir(folder).env("PATH", path))
}

/// A command with a name as it is.
fn walscope(folder: &Path, words: &[&str], source: &OsString, rest: &[&str]) -> Ran {
    run(Command::new(EXE).args(words).arg(source).args(rest).current_dir(folder))
}

/// The line of a page or of an error that begins with these words, from `walscope` on.
fn printed(text: &str, before: &str) -> String {
    let found = text.lines().find(|line| line.trim_start().starts_with(before) && line.contains("walscope "));
    let line = found.unwrap_or_else(|| panic!("no line with {before}: {text}"));
    line[line.find("walscope ").unwrap()..].to_owned()
}

#[test]
fn a_printed_command_can_be_pasted_whatever_the_name_is() {
    for name in names() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::create_dir(at.join("data")).unwrap();
        let db = database(&at.join("data").join(&name));
        let source = Path::new("data").join(&name).into_os_string();

        // A database in a folder.
        let ran = walscope(at, &["inspect"], &"data".into(), &[]);
        let line = printed(&ran.stderr, "walscope inspect");
        let pasted = paste(at, &line);
        assert_eq!(pasted.code, 0, "{line}: {}", pasted.stderr);
        let page = String::from_utf8_lossy(&walscope(at, &["verify"], &"data".into(), &[]).stdout).into_owned();
        if name.to_str().is_some() {
            let pasted = paste(at, &printed(&page, "In full"));
            assert_eq!(pasted.code, 0, "{page}: {}", pasted.stderr);
        }

        // The same, deleted.
        for suffix in ["", "-wal", "-shm"] {
            let mut path = at.join(&source).into_os_string();
            path.push(suffix);
            fs::remove_file(path).unwrap();
        }
        let ran = walscope(at, &["inspect"], &source, &[]);
        let error = &ran.stderr;
        let line = &error[error.find("walscope rescue").unwrap_or_else(|| panic!("{error}"))..];
        let line = &line[..line.find(" saves it").unwrap()];
        let pasted = paste(at, line);
        assert_eq!(pasted.code, 0, "{line}: {}", pasted.stderr);
        assert!(at.join("pasted").join(&name).exists(), "{line}");
        let line = printed(&pasted.text(), "Check");
        let checked = paste(at, &line);
        assert_eq!(checked.code, 0, "{line}: {}", checked.stderr);
        let ran = walscope(at, &["inspect"], &"data".into(), &[]);
        fs::remove_dir_all(at.join("pasted")).unwrap();
        let line = printed(&ran.stderr, "deleted, and still open");
        let pasted = paste(at, &line);
        assert_eq!(pasted.code, 0, "{line}: {}", pasted.stderr);
        drop(db);

        // The name alone, and no command before it; it may begin as an option.
        let _db = database(&at.join(&name));
        if !name.as_encoded_bytes().starts_with(b"-") && name.to_str().is_some() {
            let line = printed(&walscope(at, &[], &name, &[]).stderr, "walscope inspect");
            assert_eq!(paste(at, &line).code, 0, "{line}");
        }
        let made: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!made.iter().any(|made| made == "X"), "{made:?}");
    }
}

#[test]
fn the_command_for_a_copy_whose_name_begins_as_an_option_can_be_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let ran = run(Command::new(EXE).args(["rescue", "t.db", "--output=-odd $(touch X)"]).current_dir(folder.path()));
    let line = printed(&ran.text(), "Check");
    assert_eq!(paste(folder.path(), &line).code, 0, "{line}");
    assert!(!folder.path().join("X").exists());
}
