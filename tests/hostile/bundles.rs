//! A bundle is somebody else's file: names in it are labels, never paths, and what it claims is checked against its bytes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::common::command::{self, walscope};

/// A recorded bundle with one more member in front of its manifest.
fn with_member(entry: tar::EntryType, name: &str, link: Option<&str>) -> Vec<u8> {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/bundles/shared/writer.walsnap");
    let bundle = fs::read(recorded).unwrap();
    let mut out = tar::Builder::new(Vec::new());
    for member in tar::Archive::new(bundle.as_slice()).entries().unwrap() {
        let mut member = member.unwrap();
        let header = member.header().clone();
        if member.path().unwrap().to_str() == Some("manifest.json") {
            let mut header = header.clone();
            header.set_entry_type(entry);
            // The crate itself refuses such names.
            let field = &mut header.as_gnu_mut().unwrap().name;
            field.fill(0);
            field[..name.len()].copy_from_slice(name.as_bytes());
            if let Some(link) = link {
                header.set_link_name(link).unwrap();
            }
            let content: &[u8] = if link.is_some() { b"" } else { b"evil" };
            header.set_size(content.len() as u64);
            header.set_cksum();
            out.append(&header, content).unwrap();
        }
        out.append(&header, &mut member).unwrap();
    }
    out.into_inner().unwrap()
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            all.extend(listing(&path));
        }
        all.push(path);
    }
    all.sort();
    all
}

#[test]
fn no_member_s_name_is_a_path_and_no_member_is_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("a/b/c");
    fs::create_dir_all(&at).unwrap();
    let absolute = folder.path().join("absolute").to_str().unwrap().to_owned();
    for name in ["../../../evil", &absolute, "/etc/walscope-evil", "..", "proc/../../../evil", "C:\\evil", "\u{1b}[2J"]
    {
        fs::write(at.join("t.walsnap"), with_member(tar::EntryType::Regular, name, None)).unwrap();
        let before = listing(folder.path());
        for args in [
            ["inspect", "t.walsnap"].as_slice(),
            &["verify", "t.walsnap"],
            &["wal", "t.walsnap"],
            &["shm", "t.walsnap"],
            &["compare", "t.walsnap", "t.walsnap"],
        ] {
            let ran = walscope(&at, args);
            assert!([0, 3].contains(&ran.code), "{name:?} {args:?}: {}", ran.stderr);
            assert_eq!(listing(folder.path()), before, "{name:?} {args:?} left a file behind");
        }
        assert!(!Path::new("/etc/walscope-evil").exists());
    }
    for entry in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Directory, tar::EntryType::Char] {
        fs::write(at.join("t.walsnap"), with_member(entry, "wal-tail", Some("/etc/passwd"))).unwrap();
        let ran = walscope(&at, &["inspect", "t.walsnap"]);
        assert_eq!(ran.code, 2, "{entry:?}: {}", ran.text());
        assert!(ran.stderr.contains("needed a regular file as member"), "{entry:?}: {}", ran.stderr);
    }
}

/// The name under which a bundle is to be written is somebody else's link.
#[test]
fn a_bundle_is_written_through_no_link_and_over_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _db = command::database(&folder.path().join("t.db"));
    fs::write(folder.path().join("precious"), "precious").unwrap();
    symlink("precious", folder.path().join("link.walsnap")).unwrap();
    for name in ["link.walsnap", "precious"] {
        let ran = walscope(folder.path(), &["snapshot", "t.db", "-o", name]);
        assert_eq!(ran.code, 2, "{name}: {}", ran.text());
        assert_eq!(fs::read_to_string(folder.path().join("precious")).unwrap(), "precious", "{name}");
    }
}
