//! Files that were copied as text: what a transfer changed is named, and undone SQLite has its rows again. Healthy files are
//! never called so, whatever is in them.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::common::command::walscope;
use crate::common::random::Random;
use crate::common::synthetic::WalWriter;
use crate::sqlite::{codes, verify};
use crate::statements::Sqlite;

/// A crashed database: 20 rows in it, 40 more in the WAL, one of them of many lines.
fn crashed(folder: &Path) -> Vec<u8> {
    let path = folder.join("t.db");
    let mut sqlite = Sqlite::open(&path);
    sqlite.run("PRAGMA wal_autocheckpoint=0");
    for row in 0..20 {
        sqlite.run(&format!("INSERT INTO t VALUES('row {row}, ' || hex(randomblob(150)))"));
    }
    sqlite.run("CREATE INDEX i ON t(x)");
    sqlite.run("PRAGMA wal_checkpoint(TRUNCATE)");
    for row in 0..40 {
        sqlite.run(&format!("INSERT INTO t VALUES('row {row}, ' || hex(randomblob(150)))"));
        if row == 12 {
            sqlite.run("UPDATE t SET x = replace('some#lines#of#text', '#', char(10)) || rowid WHERE rowid = 30");
        }
    }
    drop(sqlite);
    fs::remove_file(folder.join("t.db-shm")).unwrap();
    fs::read(folder.join("t.db-wal")).unwrap()
}

fn sqlite_reads(database: &[u8], wal: Option<&[u8]>) -> Option<u32> {
    let copy = tempfile::tempdir().unwrap();
    fs::write(copy.path().join("c.db"), database).unwrap();
    if let Some(wal) = wal {
        fs::write(copy.path().join("c.db-wal"), wal).unwrap();
    }
    let read = || -> rusqlite::Result<_> {
        let db = Connection::open(copy.path().join("c.db"))?;
        let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        Ok((check, db.query_row("SELECT count(*) FROM t NOT INDEXED", [], |row| row.get(0))?))
    };
    read().ok().filter(|(check, _)| check == "ok").map(|(_, rows)| rows)
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(from) {
            out.extend(to);
            at += from.len();
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

fn utf8(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()
}

fn utf16(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [*byte, 0]).collect()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.chunks(30).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for (i, three) in bytes.chunks(3).enumerate() {
        if i % 19 == 0 && i > 0 {
            out.push(b'\n');
        }
        let word = (0..3).fold(0_u32, |word, at| word << 8 | u32::from(*three.get(at).unwrap_or(&0)));
        let digits = [18, 12, 6, 0].map(|shift| DIGITS[(word >> shift) as usize & 63]);
        out.extend(&digits[..=three.len()]);
        out.extend(vec![b'='; 3 - three.len()]);
    }
    out
}

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// As `dd conv=swab` does it.
fn swapped(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect()
}

/// As `expand` does it.
fn expanded(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut column) = (Vec::new(), 0);
    for byte in bytes {
        if *byte == b'\t' {
            let spaces = 8 - column % 8;
            out.extend(vec![b' '; spaces]);
            column += spaces;
        } else {
            out.push(*byte);
            column = if *byte == b'\n' { 0 } else { column + 1 };
        }
    }
    out
}

fn found<'a>(document: &'a Value, code: &str) -> Option<&'a Value> {
    document["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == code)
}

#[test]
fn a_wal_that_was_copied_as_text_is_named_and_all_its_commits_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let whole = crashed(folder.path());
    let database = fs::read(folder.path().join("t.db")).unwrap();
    assert_eq!(sqlite_reads(&database, Some(&whole)), Some(60));
    let frames = (whole.len() as u64 - 32) / 4120;
    let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
    let upper = |bytes: Vec<u8>| bytes.to_ascii_uppercase();
    let forms = [
        ("line_ends_added", replace(&whole, b"\n", b"\r\n")),
        ("utf8", utf8(&whole)),
        ("utf8", marked(UTF8_MARK, utf8(&whole))),
        ("utf16", utf16(&whole)),
        ("utf16", marked(b"\xff\xfe", utf16(&whole))),
        ("utf16", marked(b"\xfe\xff\0", utf16(&whole)[..2 * whole.len() - 1].to_vec())),
        ("hex", hex(&whole)),
        ("hex", upper(hex(&whole))),
        ("hex", marked(UTF8_MARK, hex(&whole))),
        ("hex", marked(b"\xff\xfe", utf16(&hex(&whole)))),
        ("base64", base64(&whole)),
        ("base64", marked(UTF8_MARK, base64(&whole))),
        ("base64", marked(b"\xff\xfe", utf16(&base64(&whole)))),
        ("swapped", swapped(&whole)),
    ];
    for (change, mangled) in forms {
        assert_ne!(sqlite_reads(&database, Some(&mangled)), Some(60), "{change}: SQLite reads it all the same");
        fs::write(folder.path().join("t.db-wal"), &mangled).unwrap();
        let (code, document) = verify(folder.path());
        let finding = found(&document, "wal_bytes_mangled").unwrap_or_else(|| panic!("{change}: {document:#}"));
        assert_eq!((code, finding["severity"].as_str()), (1, Some("error")), "{change}");
        let evidence = &finding["evidence"];
        assert_eq!(evidence["change"], change);
        assert_eq!(evidence["undone"]["frames"], frames, "{change}");
        assert_eq!(found(&document, "wal_commits_behind_break"), None, "{change}");
        if let Some(header) = found(&document, "wal_header_unusable") {
            assert!(header["advice"].as_str().unwrap().starts_with("See wal_bytes_mangled"), "{change}: {header:#}");
        }
        let salvaged = walscope(folder.path(), &["wal", "--salvage", "t.db-wal", "--json"]).json();
        let said = salvaged["explanation"].as_str().unwrap();
        assert!(said.contains(&format!("once that is undone {frames} frames with")), "{change}: {said}");
        assert!(!said.contains("at the usual offsets"), "{change}: {said}");
        let advice = finding["advice"].as_str().unwrap();
        assert_eq!(advice.contains("binary mode"), !["hex", "base64"].contains(&change), "{change}: {advice}");
        let ran = walscope(folder.path(), &["inspect", "t.db", "--json"]);
        assert_eq!(ran.code, 1);
        assert!(!ran.json()["checkpoint"]["explanation"].as_str().unwrap().contains("is committed and waits"));
    }
    let replaced = String::from_utf8_lossy(&whole).into_owned().into_bytes();
    let packed = packed_begins().into_iter().map(|begin| ("packed", "warning", [begin, whole.clone()].concat()));
    let lossy = [
        ("utf8_replaced", "error", replaced),
        ("zeros_replaced", "error", replace(&whole, b"\0", b" ")),
        ("top_bit_removed", "error", whole.iter().map(|byte| byte & 0x7f).collect()),
    ];
    for (change, severity, mangled) in lossy.into_iter().chain(packed) {
        fs::write(folder.path().join("t.db-wal"), &mangled).unwrap();
        let (_, document) = verify(folder.path());
        let finding = found(&document, "wal_bytes_mangled").unwrap_or_else(|| panic!("{change}: {document:#}"));
        assert_eq!(
            (finding["evidence"]["change"].as_str(), finding["severity"].as_str()),
            (Some(change), Some(severity))
        );
        assert_eq!(finding["evidence"]["undone"], Value::Null);
        let inspected = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
        for said in [&finding["advice"], &inspected["checkpoint"]["explanation"]] {
            let said = said.as_str().unwrap();
            assert_eq!(said.contains("npack"), change == "packed", "{said}");
            assert_eq!(said.contains("binary mode"), change != "packed", "{said}");
        }
    }
}

/// Beginnings of compressed files and archives. bzip2 has the size of its blocks in one digit.
fn packed_begins() -> Vec<Vec<u8>> {
    let bzip2 = (b'1'..=b'9').map(|digit| [b"BZh", &[digit][..], b"1AY&SY"].concat());
    bzip2.chain([b"\x1f\x8b\x08\0".to_vec(), b"PK\x03\x04".to_vec()]).collect()
}

#[test]
fn carriage_returns_that_were_removed_are_put_back_frame_by_frame() {
    let mut several = 0;
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut wal = WalWriter::new(1024, seed % 2 == 0, [0x1234_5678, 0x9abc_def1]);
        for frame in 0..60_u32 {
            let mut page: Vec<u8> = (0..1024).map(|_| random.below(256) as u8).collect();
            if random.one_in(8) {
                page[200..240].copy_from_slice(b"Dear reader,\r\nthis is a text of a mail\r\n");
            }
            wal.frame_of(1 + frame % 7, if frame % 3 == 2 { 9 } else { 0 }, &page);
        }
        let mangled = replace(&wal.bytes, b"\r\n", b"\n");
        if mangled.len() == wal.bytes.len() || mangled[..32] != wal.bytes[..32] {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("t.db-wal"), &mangled).unwrap();
        let ran = walscope(folder.path(), &["verify", "t.db-wal", "--json"]);
        let document = ran.json();
        let finding = found(&document, "wal_bytes_mangled").unwrap_or_else(|| panic!("{seed}: {document:#}"));
        assert_eq!((ran.code, &finding["evidence"]["change"]), (1, &"line_ends_removed".into()));
        let undone = &finding["evidence"]["undone"];
        several += u32::from(undone["frames"] == 60 && undone["commits"] == 20);
    }
    assert!(several >= 10, "all frames came back in {several} of 20");
}

#[test]
fn carriage_returns_are_put_back_into_the_header_too() {
    let mut frames = 0;
    for (seed, salts) in (0..).zip([[0x0d0a_1234, 5], [7, 0x1234_0d0a], [0x0d0a_0d0a, 0x0a0a_0d0a], [0x0a0d_0a0a, 9]]) {
        let mut random = Random(seed);
        let mut wal = WalWriter::new(1024, seed % 2 == 0, salts);
        for frame in 0..10_u32 {
            let page: Vec<u8> = (0..1024).map(|_| random.below(256) as u8).collect();
            wal.frame_of(1 + frame % 7, 9, &page);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("t.db-wal"), replace(&wal.bytes, b"\r\n", b"\n")).unwrap();
        let ran = walscope(folder.path(), &["verify", "t.db-wal", "--json"]);
        let document = ran.json();
        let finding = found(&document, "wal_bytes_mangled").unwrap_or_else(|| panic!("{seed}: {document:#}"));
        assert_eq!((ran.code, &finding["evidence"]["change"]), (1, &"line_ends_removed".into()));
        frames += finding["evidence"]["undone"]["frames"].as_u64().unwrap();
    }
    // Their salts have line ends, too.
    assert!(frames >= 20, "{frames}");
}

/// A database with an index on one page, and what a transfer makes of it: SQLite does not read it any more, and it is never
/// called sound.
#[test]
fn a_database_that_was_changed_byte_by_byte_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE t(x); CREATE INDEX i ON t(length(x)); BEGIN").unwrap();
    for row in 0..300 {
        db.execute("INSERT INTO t VALUES(?)", [format!("row {row} and some\ttext\nbehind it") + &"z".repeat(row)])
            .unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    drop(db);
    let whole = fs::read(&path).unwrap();
    assert_eq!(sqlite_reads(&whole, None), Some(300));
    let each = |of: fn(u8) -> u8| whole.iter().map(|byte| of(*byte)).collect::<Vec<u8>>();
    let forms = [
        ("utf16", "error", utf16(&whole)),
        ("hex", "error", hex(&whole)),
        ("hex", "error", [b"\xff\xfe".as_slice(), &utf16(&hex(&whole))].concat()),
        ("base64", "error", base64(&whole)),
        ("base64", "error", [UTF8_MARK, &base64(&whole)].concat()),
        ("swapped", "error", swapped(&whole)),
        ("zeros_replaced", "error", each(|byte| if byte == 0 { b' ' } else { byte })),
        ("packed", "warning", [b"BZh51AY&SY".as_slice(), &whole].concat()),
        ("top_bit_removed", "warning", each(|byte| byte & 0x7f)),
        ("returns_replaced", "warning", each(|byte| if byte == b'\r' { b'\n' } else { byte })),
        ("feeds_replaced", "warning", each(|byte| if byte == b'\n' { b'\r' } else { byte })),
        ("tabs_expanded", "warning", expanded(&whole)),
    ];
    for (change, severity, mangled) in forms {
        assert_ne!(sqlite_reads(&mangled, None), Some(300), "{change}");
        fs::write(&path, &mangled).unwrap();
        let (code, document) = verify(folder.path());
        let finding = found(&document, "database_bytes_mangled").unwrap_or_else(|| panic!("{change}: {document:#}"));
        assert_eq!((code == 1, finding["severity"].as_str()), (severity == "error", Some(severity)), "{change}");
        assert_eq!(finding["evidence"]["change"], change);
        assert!(!["sound", "noted"].contains(&document["verdict"]["result"].as_str().unwrap()), "{change}");
    }
    // Cut off or with other bytes behind it, it is nothing of this.
    // So it is with a page 1 that is damaged alone, and with a header before zero bytes.
    let page_one = |at: usize, byte: u8| [&whole[..at], &[byte], &whole[at + 1..]].concat();
    let others = [
        whole[..whole.len() - 700].to_vec(),
        [&whole[..], &[7; 700]].concat(),
        whole.clone(),
        page_one(100, 10),
        page_one(108, 0),
        [&whole[..100], &vec![0; whole.len() - 100]].concat(),
    ];
    for (number, other) in others.iter().enumerate() {
        fs::write(&path, other).unwrap();
        assert_eq!(found(&verify(folder.path()).1, "database_bytes_mangled"), None, "{number}");
    }
}

#[test]
fn a_database_that_was_copied_as_text_is_named() {
    let folder = tempfile::tempdir().unwrap();
    crashed(folder.path());
    fs::remove_file(folder.path().join("t.db-wal")).unwrap();
    let whole = fs::read(folder.path().join("t.db")).unwrap();
    assert_eq!(sqlite_reads(&whole, None), Some(20));
    let replaced = String::from_utf8_lossy(&whole).into_owned().into_bytes();
    for (change, mangled) in
        [("line_ends_added", replace(&whole, b"\n", b"\r\n")), ("utf8", utf8(&whole)), ("utf8_replaced", replaced)]
    {
        assert_ne!(sqlite_reads(&mangled, None), Some(20), "{change}");
        fs::write(folder.path().join("t.db"), &mangled).unwrap();
        let (code, document) = verify(folder.path());
        let finding = found(&document, "database_bytes_mangled").unwrap_or_else(|| panic!("{change}: {document:#}"));
        assert_eq!((code, &finding["evidence"]["change"]), (1, &change.into()));
    }
}

#[test]
fn a_database_from_which_carriage_returns_were_removed_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE t(x); BEGIN").unwrap();
    for row in 0..4000 {
        let line = if row == 1000 { "a\r\nb\r\nc".to_owned() } else { format!("row {row} and some text behind it") };
        db.execute("INSERT INTO t VALUES(?)", [line]).unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    drop(db);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, replace(&whole, b"\r\n", b"\n")).unwrap();
    let (_, document) = verify(folder.path());
    let finding = found(&document, "database_bytes_mangled").unwrap_or_else(|| panic!("{document:#}"));
    assert_eq!(
        (&finding["evidence"]["change"], &finding["severity"]),
        (&"line_ends_removed".into(), &"warning".into())
    );
    // Cut short, it has no page in a wrong place.
    for cut in [2, 700, 5000] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let (_, document) = verify(folder.path());
        assert_eq!(found(&document, "database_bytes_mangled"), None, "{document:#}");
    }
}

#[test]
fn a_damaged_frame_of_text_with_carriage_returns_was_not_mangled() {
    let mut tried = 0;
    for salt in 0..40 {
        let mut wal = WalWriter::new(512, false, [0x5000_0000 + salt, 7]);
        let text = b"\r\n".repeat(256);
        wal.frame_of(1, 0, &text).frame_of(2, 2, &text).frame_of(2, 2, &text);
        for frame in [1, 2] {
            let mut bytes = wal.bytes.clone();
            let at = wal.offset(frame) + 24 + 101;
            bytes[at] = b'x';
            bytes[at - 1] = b'x';
            // Otherwise a checksum has a line feed of its own, and nothing looks like a transfer.
            let feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
            tried += u32::from(bytes.windows(2).filter(|two| *two == b"\r\n").count() == feeds);
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("t.db-wal"), &bytes).unwrap();
            let document = walscope(folder.path(), &["verify", "t.db-wal", "--json"]).json();
            assert_eq!(found(&document, "wal_bytes_mangled"), None, "{salt}, frame {frame}");
        }
    }
    assert!(tried >= 20, "{tried}");
}

/// Whole databases full of text and of random bytes, and their WALs: nothing of it is called a damage of a transfer, also
/// if the files are torn.
#[test]
fn healthy_and_torn_files_of_any_content_were_not_mangled() {
    let mut random = Random(11);
    let contents: [fn(&mut Random) -> Vec<u8>; 5] = [
        |random| (0..random.below(3000)).map(|_| random.below(256) as u8).collect(),
        |random| b"line of a mail\r\n".repeat(random.below(200) as usize),
        |random| b"line of a log\n".repeat(random.below(200) as usize),
        |random| "Zeilen voller Umlaute: äöü ß €\n".repeat(random.below(60) as usize).into_bytes(),
        |random| vec![random.pick(b"\n\r\0\x0d\x0a\xff"); random.below(3000) as usize],
    ];
    for round in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let db = Connection::open(&path).unwrap();
        let page_size = random.pick(&[512, 1024, 4096, 65536]);
        db.execute_batch(&format!(
            "PRAGMA page_size={page_size}; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF;
             CREATE TABLE t(x); CREATE INDEX i ON t(x)"
        ))
        .unwrap();
        let content = contents[round % contents.len()];
        for row in 0..60 {
            db.execute("INSERT INTO t VALUES(?)", [content(&mut random)]).unwrap();
            if row % 20 == 19 {
                db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
            }
        }
        for _ in 0..random.below(9) {
            db.execute("INSERT INTO t VALUES(?)", [content(&mut random)]).unwrap();
        }
        // By another process: to read the files here would drop SQLite's locks.
        let copy = tempfile::tempdir().unwrap();
        for suffix in ["", "-wal"] {
            let from = folder.path().join(format!("t.db{suffix}"));
            let copied = std::process::Command::new("cp").arg(from).arg(copy.path()).status().unwrap();
            assert!(copied.success());
        }
        drop(db);
        let (_, document) = verify(copy.path());
        let is_mangled = |document: &Value| codes(document).iter().any(|(code, _)| code.ends_with("_bytes_mangled"));
        assert!(!is_mangled(&document), "{round}: {document:#}");
        for (suffix, cut) in [("-wal", random.below(5000)), ("", random.below(5000))] {
            let name = copy.path().join(format!("t.db{suffix}"));
            let bytes = fs::read(&name).unwrap();
            fs::write(&name, &bytes[..bytes.len().saturating_sub(cut as usize).max(100)]).unwrap();
            let (_, document) = verify(copy.path());
            assert!(!is_mangled(&document), "{round}, {suffix} cut by {cut}: {document:#}");
            // One bit of it.
            let mut bytes = fs::read(&name).unwrap();
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
            fs::write(&name, &bytes).unwrap();
            let (_, document) = verify(copy.path());
            assert!(!is_mangled(&document), "{round}, a bit of t.db{suffix} at {at}: {document:#}");
        }
    }
}
