//! `verify` of several sources and of folders: what is found, in which order, and the exit codes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::command::{self, EXE, connect, database, run, walscope};

/// A database without a `-wal`.
fn closed(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    connect(path).execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1)").unwrap();
}

/// A database that a killed process left. `damage` changes its `-wal`.
fn left(path: &Path, damage: impl Fn(&mut [u8])) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let made = path.with_extension("made");
    let db = database(&made);
    for suffix in ["", "-wal"] {
        let mut bytes = fs::read(format!("{}{suffix}", made.display())).unwrap();
        if suffix == "-wal" {
            damage(&mut bytes);
        }
        fs::write(format!("{}{suffix}", path.display()), bytes).unwrap();
    }
    drop(db);
    fs::remove_file(made).unwrap();
}

fn zero_header(wal: &mut [u8]) {
    wal[..32].fill(0);
}

fn labels(document: &Value) -> Vec<&str> {
    document["databases"].as_array().unwrap().iter().map(|one| one["source"]["label"].as_str().unwrap()).collect()
}

#[test]
fn every_database_below_a_folder_is_told_the_worst_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for number in 0..11 {
        closed(&at(&format!("many/{number}.db")));
    }
    left(&at("a/sound.db"), |_| {});
    left(&at("z/deep/er/broken.db"), zero_header);
    left(&at("no-database.db"), |_| {});
    fs::remove_file(at("no-database.db")).unwrap();
    // What is no database, and what must not be followed or opened.
    fs::write(at("notes"), "not a database").unwrap();
    fs::write(at("empty.dat"), []).unwrap();
    fs::write(at("texts.db"), "a list of names\n".repeat(9)).unwrap();
    fs::write(at("old-wal"), "not a WAL").unwrap();
    symlink("..", at("a/loop")).unwrap();
    symlink("sound.db", at("a/link.db")).unwrap();
    assert!(Command::new("mkfifo").arg(at("a/fifo.db")).status().unwrap().success());

    let ran = walscope(folder.path(), &["verify", "."]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.text());
    let text = ran.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("wrong       ./z/deep/er/broken.db: "), "{text}");
    assert!(lines.iter().any(|line| line.starts_with("doubtful    ./no-database.db: ")), "{text}");
    assert!(text.contains("[wal_without_database]") && !text.contains("many/3.db"), "{text}");
    assert!(
        lines.contains(&"other       1 file with the name of a database is of another format: ./texts.db (text)."),
        "{text}"
    );
    let count = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        count.ends_with("14 databases: 1 wrong, 1 with warnings, 12 sound. Sound ones are not listed. Whether each index has every row is not checked: that is PRAGMA integrity_check, in a copy. In full walscope verify PATH"),
        "{text}"
    );
    let ran = walscope(folder.path(), &["verify", ".", "--json", "--fail-on", "warning"]);
    let document = ran.json();
    assert_eq!((ran.code, &document["schema"]), (1, &Value::from("walscope/verify-many/1")));
    let labels = labels(&document);
    assert_eq!(labels.len(), 14, "{labels:?}");
    assert_eq!(labels[..3], ["./no-database.db", "./a/sound.db", "./many/0.db"]);
    assert_eq!(document["counts"]["sound"], 12);
    // Each is what it is alone.
    let alone = walscope(folder.path(), &["verify", "./z/deep/er/broken.db", "--json"]).json();
    assert_eq!(document["databases"].as_array().unwrap().last().unwrap()["findings"], alone["findings"]);
}

/// Whatever was put in the place of a database is told below a folder as it is told alone.
#[test]
fn nothing_with_the_name_of_a_database_is_left_out_in_silence() {
    const FORMS: &str = r#"
import base64, bz2, gzip, json, lzma, sqlite3, sys, zipfile
at = lambda name: sys.argv[1] + '/' + name
db = sqlite3.connect(at('sound.db'))
db.executescript('CREATE TABLE t(x)')
db.executemany('INSERT INTO t VALUES(hex(randomblob(50)))', [()] * 300)
db.commit()
dump = '\n'.join(db.iterdump())
db.close()
sound = open(at('sound.db'), 'rb').read()
zipfile.ZipFile(at('mangled-zip.db'), 'w').writestr('t.db', sound)
page = '<!DOCTYPE html><html><body>Not found</body></html>'
for name, content in {
    'mangled-gzip.db': gzip.compress(sound), 'mangled-xz.sqlite': lzma.compress(sound), 'mangled-bz.db3': bz2.compress(sound),
    'mangled-base64.db': base64.encodebytes(sound), 'mangled-hex.sqlite3': sound.hex().encode(),
    'unread-html.db': page.encode(), 'unread-page.db': page.ljust(4096).encode(), 'unread-json.db': b'{"error": 404}',
    'unread-long.db': json.dumps({'error': 'x' * 1011}).encode(), 'unread-dump.db': dump.encode(),
    'unread-lfs.db': b'version https://git-lfs.github.com/spec/v1\noid sha256:' + b'0' * 64 + b'\nsize 8192\n',
    'unread-two.db': b'** This file contains an SQLite 2.1 database **\0(u\xe3\xda'.ljust(4096, b'\0'), 'unread-x.db': b'x',
    'unread-text.sqlite': b'a list of names\n' * 64,
}.items():
    open(at(name), 'wb').write(content)
"#;
    let folder = tempfile::tempdir().unwrap();
    let mut made = Command::new("python3");
    made.args(["-c", FORMS]).arg(folder.path());
    let made = made.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let ran = walscope(folder.path(), &["verify", ".", "--json"]);
    let document = ran.json();
    assert_eq!((ran.code, &document["of_other_formats"]), (2, &serde_json::json!([])));
    let (mut mangled, mut unread) = (0, 0);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let label = format!("./{name}");
        let alone = walscope(folder.path(), &["verify", &label, "--json"]);
        let below = document["databases"].as_array().unwrap().iter().find(|one| one["source"]["label"] == *label);
        let not = document["not_looked_at"].as_array().unwrap().iter().find(|one| one["path"] == *label);
        if name.starts_with("unread") {
            unread += 1;
            let reason = not.unwrap_or_else(|| panic!("{name}: {document:#}"))["reason"].as_str().unwrap();
            assert!(alone.code == 2 && alone.stderr.contains(reason), "{name}: {reason}: {}", alone.stderr);
        } else {
            let below = below.unwrap_or_else(|| panic!("{name}: {document:#}"));
            assert_eq!(below["findings"], alone.json()["findings"], "{name}");
            let is = below["findings"].as_array().unwrap().iter().any(|one| one["code"] == "database_bytes_mangled");
            assert_eq!(is, name.starts_with("mangled"), "{name}");
            mangled += usize::from(is);
        }
    }
    assert_eq!((mangled, unread), (6, 9));
}

#[test]
fn databases_of_other_programs_are_named_and_are_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    closed(&at("sound.db"));
    let with = |at: usize, word: u32| {
        let mut bytes = vec![0; 8192];
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        bytes
    };
    let files: [(&str, Vec<u8>, &str); 7] = [
        ("Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".repeat(512), "thumbnails of Windows"),
        ("aliases.db", with(12, 0x0006_1561), "Berkeley DB"),
        ("index.db", with(0, 0x1357_9ace), "GDBM"),
        ("meta.db", with(16, 0xed0c_daed), "bbolt"),
        ("mails.db", with(16, 0xbeef_c0de), "LMDB"),
        ("nedb.db", b"{\"name\":\"a\",\"_id\":\"k3\"}\n".repeat(9), "NeDB"),
        ("zone.db", b"$TTL 3600\n@ IN SOA ns.example. root.example. (1 2 3 4 5)\n".repeat(9), "text"),
    ];
    for (name, bytes, _) in &files {
        fs::write(at(name), bytes).unwrap();
    }
    let ran = walscope(folder.path(), &["verify", ".", "--json", "--fail-on", "notice"]);
    let document = ran.json();
    assert_eq!((ran.code, labels(&document)), (0, vec!["./sound.db"]), "{document:#}");
    assert_eq!((&document["counts"]["of_other_formats"], &document["counts"]["not_looked_at"]), (&7.into(), &0.into()));
    for (name, _, format) in &files {
        let one = serde_json::json!({ "path": format!("./{name}"), "format": format });
        assert!(document["of_other_formats"].as_array().unwrap().contains(&one), "{name}: {document:#}");
    }
    let ran = walscope(folder.path(), &["verify", "."]);
    let text = ran.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("other 7 files with names of databases are of another format: ./Thumbs.db (thum"), "{text}");
    assert!(text.contains("and 2 more, which --json names."), "{text}");
}

#[test]
fn of_several_sources_one_that_cannot_be_read_outranks_one_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    closed(&at("good.db"));
    left(&at("broken.db"), zero_header);
    fs::create_dir(at("none")).unwrap();
    let code = |args: &[&str]| walscope(folder.path(), &[&["verify"], args].concat()).code;
    assert_eq!(code(&["good.db", "good.db"]), 0);
    assert_eq!(code(&["good.db", "broken.db"]), 1);
    assert_eq!(code(&["good.db", "broken.db", "missing.db"]), 2);
    // An empty folder is no answer: a volume may not be mounted.
    assert_eq!(code(&["none"]), 2);
    let ran = walscope(folder.path(), &["verify", "missing.db", "good.db", "none"]);
    let text = ran.text();
    assert!(text.starts_with("not read    missing.db: ") && text.contains("No such file"), "{text}");
    assert!(text.contains("not read    none: no database lies below it"), "{text}");
    assert!(text.contains("1 database: 1 sound. Not everything could be read: 2 places."), "{text}");
    // A shell names all files of a database for `*`.
    let ran = walscope(folder.path(), &["verify", "broken.db", "broken.db-wal", "good.db", "--json"]);
    assert_eq!((ran.code, labels(&ran.json())), (1, vec!["broken.db", "good.db"]));
    // One file is answered as ever.
    let document = walscope(folder.path(), &["verify", "good.db", "--json"]).json();
    assert_eq!(document["schema"], "walscope/verify/1");
}

#[test]
fn a_name_with_a_line_break_fakes_no_line() {
    let folder = tempfile::tempdir().unwrap();
    closed(&folder.path().join(OsStr::from_bytes(b"a\nwrong       b.db: \x1b[1m\xff.db")));
    let ran = walscope(folder.path(), &["verify", "."]);
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert!(ran.text().starts_with("sound       ./a\\nwrong"), "{}", ran.text());
    assert!(!ran.text().contains('\u{1b}') && ran.text().contains("\u{fffd}.db"), "{}", ran.text());
}

#[test]
fn what_a_user_may_not_read_is_named_and_the_rest_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["tree/good.db", "tree/private/hidden.db", "tree/locked.db"] {
        closed(&at(name));
    }
    for name in ["tree/private", "tree/locked.db"] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    // The binary may lie where an ordinary user cannot reach it.
    command::copy_executable(EXE, &at("walscope"));
    let mut command = Command::new(at("walscope"));
    command.args(["verify", "tree", "--json"]).current_dir(folder.path());
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let ran = run(&mut command);
    let document = ran.json();
    assert_eq!((ran.code, labels(&document)), (2, vec!["tree/good.db"]), "{}", ran.stderr);
    let unread = document["not_looked_at"].as_array().unwrap();
    let paths: Vec<_> = unread.iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["tree/locked.db", "tree/private"]);
    assert!(unread.iter().all(|one| one["reason"].as_str().unwrap().contains("ermission denied")), "{unread:?}");
    fs::set_permissions(at("tree/private"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_sidecar_is_left_out_only_beside_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    left(&at("a.db"), |_| {});
    // A database may have such a name; a bundle and a folder have no sidecars.
    closed(&at("a.db-shm"));
    left(&at("gone"), |_| {});
    fs::remove_file(at("gone")).unwrap();
    let looked_at = |sources: &[&str]| {
        let ran = walscope(folder.path(), &[&["verify", "--json"], sources].concat());
        let document = ran.json();
        let mut all: Vec<String> = labels(&document).into_iter().map(str::to_owned).collect();
        all.extend(document["not_looked_at"].as_array().unwrap().iter().map(|one| one["path"].to_string()));
        all
    };
    assert_eq!(looked_at(&["a.db", "a.db-wal", "a.db-shm"]), ["a.db", "a.db-shm"]);
    assert_eq!(looked_at(&["gone", "gone-wal"]).len(), 2);
    fs::create_dir(at("folder")).unwrap();
    left(&at("folder-wal"), |_| {});
    assert_eq!(looked_at(&["folder", "folder-wal"]), ["folder-wal", "\"folder\""]);
}

#[test]
fn a_name_of_a_database_is_enough_where_its_header_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    closed(&at("a.db"));
    let mut lost = fs::read(at("a.db")).unwrap();
    lost[..16].fill(0xe7);
    fs::write(at("lost.db"), &lost).unwrap();
    fs::write(at("lost.bin"), &lost).unwrap();
    fs::write(at("zeros.sqlite"), [0; 8192]).unwrap();
    let ran = walscope(folder.path(), &["verify", ".", "--fail-on", "warning", "--json"]);
    let document = ran.json();
    assert_eq!((ran.code, labels(&document)), (1, vec!["./a.db", "./lost.db", "./zeros.sqlite"]), "{document:#}");
    assert_eq!(document["counts"]["missing_wal"], 0, "none of them is in WAL mode");
}

#[test]
fn a_database_in_wal_mode_without_a_wal_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    left(&at("whole.db"), |_| {});
    left(&at("copied.db"), |_| {});
    fs::remove_file(at("copied.db-wal")).unwrap();
    let ran = walscope(folder.path(), &["verify", ".", "--json"]);
    assert_eq!(ran.json()["counts"]["missing_wal"], 1);
    let text = walscope(folder.path(), &["verify", "."]).text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("1 in WAL mode without a -wal"), "{text}");
    assert!(text.contains("sound ./copied.db: WAL mode, no -wal"), "{text}");
    // Of many sound ones these are still named.
    for number in 0..12 {
        left(&at(&format!("{number}.db")), |_| {});
    }
    let text = walscope(folder.path(), &["verify", "."]).text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.starts_with("sound ./copied.db: WAL mode, no -wal Total 14 databases: 14 sound."), "{text}");
    assert!(text.contains("Other sound ones are not listed."), "{text}");
    (0..12).for_each(|number| {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(at(&format!("{number}.db{suffix}")));
        }
    });
    fs::remove_file(at("copied.db")).unwrap();
    let text = walscope(folder.path(), &["verify", "."]).text();
    assert!(text.ends_with("\nIn full     walscope verify ./whole.db\n"), "{text}");
}

/// Whatever its name is, and however narrow the terminal is.
#[test]
fn the_command_that_tells_the_one_database_in_full_can_be_copied() {
    let folder = tempfile::tempdir().unwrap();
    let name = "it's a database with a name that is longer than the line $(touch x).db";
    closed(&folder.path().join(name));
    for width in ["40", "100"] {
        let text = walscope(folder.path(), &["verify", ".", "--width", width]).text();
        let command = text.lines().find(|line| line.contains("walscope verify")).unwrap().trim_start_matches("In full");
        let arguments = command.trim().strip_prefix("walscope ").unwrap();
        let mut shell = Command::new("sh");
        let ran = run(shell.args(["-c", &format!("\"$0\" {arguments}"), EXE]).current_dir(folder.path()));
        assert!(ran.code == 0 && ran.text().contains("$(touch x).db"), "{} {}", ran.text(), ran.stderr);
    }
}

#[test]
fn an_empty_database_is_called_empty_and_not_sound() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("new.db"), []).unwrap();
    let one = walscope(folder.path(), &["verify", "new.db", "--json"]);
    let document = one.json();
    assert_eq!((one.code, &document["verdict"]["result"]), (0, &Value::from("noted")), "{document:#}");
    assert!(document["explanation"].as_str().unwrap().starts_with("empty: the database has 0 bytes."), "{document:#}");
    let text = walscope(folder.path(), &["verify", "."]).text();
    assert!(text.starts_with("noted       ./new.db: empty\n"), "{text}");
    // Beside a -wal with commits it is a finding.
    left(&at("t.db"), |_| {});
    fs::write(at("t.db"), []).unwrap();
    let document = walscope(folder.path(), &["verify", "t.db", "--json"]).json();
    assert_eq!(document["findings"][0]["code"], "wal_without_database", "{document:#}");
}

/// What the README says of `noted`: a notice is red at its level, and a check without a finding at none.
#[test]
fn noted_is_red_by_its_notice_and_not_without_a_finding() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    for (source, codes) in [("big-endian/recovered-big.db", [0, 1, 1]), ("cases/wal-residue/t.db", [0, 0, 0])] {
        for (level, code) in ["warning", "notice", "info"].into_iter().zip(codes) {
            let ran = walscope(&root, &["verify", source, "--fail-on", level, "--json"]);
            assert_eq!((ran.code, &ran.json()["verdict"]["result"]), (code, &"noted".into()), "{source} {level}");
        }
    }
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let words = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("A noted check without a finding is red at no level: a script reads `verdict.result`"));
}
