//! Files that have the name of a database and are of another format.
//!
//! folklore: only the name `.db` is used by many programs. `.db3`, `.sqlite` and `.sqlite3` are SQLite's. Text in `.db` is usual: zone
//! files of name servers, tables of scanners, indexes of documents. A web page, an answer of a server, a dump and a pointer
//! of git-lfs are not kept under that name by any program: there something was put in the place of the database.

use std::ffi::OsStr;
use std::path::Path;

use crate::format::db::{HEADER_SIZE, MAGIC};
use crate::look::is_another_form;

/// Bytes of a file by which it is told.
pub(super) const HEAD: usize = 512;

/// The format of a file that is none of SQLite's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OtherFormat {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether it is what another program keeps under a name that ends in `.db`.
    pub(super) of_program: bool,
}

/// Whether a file has a name as databases of SQLite have it.
pub(super) fn is_named_as_database(name: &OsStr) -> bool {
    ["db", "db3", "sqlite", "sqlite3"].iter().any(|known| has_extension(name, known))
}

fn has_extension(name: &OsStr, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// The format of a file that another program keeps under this name. `None`: what the file is instead has to be found out.
pub(super) fn of_another_program(name: &OsStr, head: &[u8]) -> Option<&'static str> {
    let found = format(head).filter(|found| found.of_program)?;
    has_extension(name, "db").then_some(found.name)
}

/// The format that the beginning of a file shows, at most [`HEAD`] bytes of it. `None`: SQLite's, or a database in another
/// form, or nothing that is known.
pub(super) fn format(head: &[u8]) -> Option<OtherFormat> {
    if head.starts_with(MAGIC) || is_another_form(head) {
        return None;
    }
    let program = |name| OtherFormat { name, of_program: true };
    let accident = |name| OtherFormat { name, of_program: false };
    let begins = BEGINS.iter().find(|(begin, _)| head.starts_with(begin)).map(|(_, name)| program(name));
    let old = || head.starts_with(b"** This file contains an SQLite 2").then(|| accident("a database of SQLite 2"));
    begins.or_else(|| words(head).map(program)).or_else(old).or_else(|| text(head))
}

/// Thumbnails of Windows, GVariant, H2, RPM, plocate and mlocate.
const BEGINS: [(&[u8], &str); 8] = [
    (b"\xd0\xcf\x11\xe0", "thumbnails of Windows"),
    (b"CMMM", "thumbnails of Windows"),
    (b"GVariant", "GVariant"),
    (b"H:2,", "H2"),
    (b"-- H2 ", "H2"),
    (b"RpmP", "RPM"),
    (b"\0plocate", "plocate"),
    (b"\0mlocate", "mlocate"),
];

/// Formats that are told by a number of four bytes, in either order.
fn words(head: &[u8]) -> Option<&'static str> {
    const GDBM: &[u32] = &[0x1357_9ace, 0x1357_9acd, 0x1357_9acf, 0x1357_9ad0];
    // Hash, tree, queue.
    const BERKELEY: &[u32] = &[0x0006_1561, 0x0005_3162, 0x0004_2253, 0x0007_4582];
    // Of Berkeley DB old files have it at 0.
    const ALL: [(usize, &[u32], &str); 5] = [
        (0, GDBM, "GDBM"),
        (0, BERKELEY, "Berkeley DB"),
        (12, BERKELEY, "Berkeley DB"),
        (16, &[0xbeef_c0de], "LMDB"),
        (16, &[0xed0c_daed], "bbolt"),
    ];
    let is = |at: usize, magics: &[u32]| {
        let word = head.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
        word.is_some_and(|word| {
            magics.contains(&u32::from_le_bytes(word)) || magics.contains(&u32::from_be_bytes(word))
        })
    };
    ALL.into_iter().find(|(at, magics, _)| is(*at, magics)).map(|(_, _, name)| name)
}

/// The kind of a text.
fn text(head: &[u8]) -> Option<OtherFormat> {
    let words = match std::str::from_utf8(head) {
        Ok(words) => words,
        // The last character was cut off.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?,
        Err(_) => return None,
    };
    if words.is_empty() || words.chars().any(|one| one.is_control() && !one.is_ascii_whitespace()) {
        return None;
    }
    let words = words.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let begins = |all: &[&str]| all.iter().any(|begin| words.starts_with(begin));
    let (name, of_program) = if begins(&["<!doctype html", "<html"]) {
        ("HTML", false)
    } else if begins(&["<?xml", "<error"]) && (words.contains("<error") || words.contains("<html")) {
        ("XML of an error", false)
    } else if begins(&["version https://git-lfs", "/annex/objects/"]) {
        ("a pointer of git-lfs or git-annex", false)
    } else if begins(&["pragma ", "begin transaction", "begin;", "create table", "insert into", "-- "])
        && (!words.starts_with("-- ") || words.contains(" dump"))
        || words.starts_with("--\n-- ") && words.contains(" dump")
    {
        ("SQL", false)
    } else if is_json(&words) {
        // NeDB keeps a document a line.
        if words.contains("\"_id\":") || words.contains("\"$$") { ("NeDB", true) } else { ("JSON", false) }
    } else {
        // Fewer bytes than a header are what is left of a file.
        ("text", head.len() >= HEADER_SIZE)
    };
    Some(OtherFormat { name, of_program })
}

/// Whether a text begins as JSON. A section of a configuration begins with `[` too.
fn is_json(words: &str) -> bool {
    let after = |begin: char, next: &str| {
        let inner = words.strip_prefix(begin).map(str::trim_start);
        inner.is_some_and(|inner| inner.chars().next().is_none_or(|first| next.contains(first)))
    };
    after('{', "\"}") || after('[', "{[]\"-0123456789")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_its_beginning() {
        let long = |text: &str| text.repeat(HEADER_SIZE).into_bytes();
        let at = |at: usize, word: u32| [vec![0; at], word.to_le_bytes().to_vec(), vec![0; 99]].concat();
        for (head, name, of_program) in [
            (b"** This file contains an SQLite 2.1 database **\0(u\xe3\xda".to_vec(), "a database of SQLite 2", false),
            (b"\xef\xbb\xbf\n<!DOCTYPE html>".to_vec(), "HTML", false),
            (b"<?xml version=\"1.0\"?><Error><Code>".to_vec(), "XML of an error", false),
            (long("<div class=\"index\">"), "text", true),
            (b"{\"error\": 1}".to_vec(), "JSON", false),
            (b"[\n {".to_vec(), "JSON", false),
            (long("[section]\n"), "text", true),
            (b"{\"name\":\"a\",\"_id\":\"k3\"}\n".to_vec(), "NeDB", true),
            (b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;".to_vec(), "SQL", false),
            (b"-- MySQL dump 10.13".to_vec(), "SQL", false),
            (b"--\n-- PostgreSQL database dump\n--".to_vec(), "SQL", false),
            (long("-- a table of a name server"), "text", true),
            (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "a pointer of git-lfs or git-annex", false),
            (b"x".to_vec(), "text", false),
            (long("\u{dc}ber "), "text", true),
            (at(0, 0x1357_9ace), "GDBM", true),
            (at(12, 0x0006_1561), "Berkeley DB", true),
            (at(16, 0xbeef_c0de), "LMDB", true),
            (at(16, 0xed0c_daed), "bbolt", true),
            (b"\xd0\xcf\x11\xe0\xa1\xb1".to_vec(), "thumbnails of Windows", true),
        ] {
            assert_eq!(format(&head), Some(OtherFormat { name, of_program }), "{}", String::from_utf8_lossy(&head));
        }
        // SQLite's, a database in another form, noise, and nothing.
        for head in [&MAGIC[..], b"U1FMaXRlIGZvcm1hdCAzABAAAQ==", b"\x1f\x8b\x08\0", b"\xe7\x01\0\xff", &[0; 512], b""]
        {
            assert_eq!(format(head), None, "{head:?}");
        }
    }

    #[test]
    fn another_program_has_the_name_db_only() {
        let head = b"a list of names\n".repeat(9);
        assert_eq!(of_another_program(OsStr::new("a.DB"), &head), Some("text"));
        assert_eq!(of_another_program(OsStr::new("a.sqlite"), &head), None);
        assert_eq!(of_another_program(OsStr::new("a.db"), b"{\"error\": 1}"), None);
    }
}
