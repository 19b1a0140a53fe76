//! Processes that look alike in `maps`: beneath two roots of one mount namespace, and on two subvolumes of one btrfs.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::common;
use crate::common::btrfs::Btrfs;
use crate::common::command::{EXE, Ran, run, walscope};
use crate::sqlite::Sqlite;

/// A mount namespace with two chroot jails. Both have one volume at `/mnt`; outside of them `/mnt` is another folder.
struct Jails {
    folder: tempfile::TempDir,
    holder: Child,
}

impl Jails {
    /// `None`, with a message, where this is not possible.
    fn make() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["v", "outside", "root", "one", "two"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        // Both jails are one root folder, mounted twice. Disks of other tests are let go: they would stay in use.
        let script = r#"set -e
            awk '$1 ~ "^/dev/loop" { print $2 }' /proc/self/mounts | while read -r disk; do umount -l "$disk"; done
            mount -t tmpfs jail root
            mkdir -p root/mnt root/proc root/tmp
            for there in /usr /bin /sbin /lib /lib64 /etc "$@"; do
                if [ -L "$there" ]; then cp -P "$there" "root$there"; elif [ -d "$there" ]; then
                    mkdir -p "root$there"; mount --bind "$there" "root$there"; fi
            done
            for jail in one two; do
                mount --rbind root $jail; mount --bind v $jail/mnt; mount -t proc proc $jail/proc
            done
            mount --bind outside /mnt
            echo made; read -r end"#;
        let program = std::env::current_exe().unwrap();
        let programs = [program.as_path(), Path::new(EXE)].map(|program| program.parent().unwrap());
        let mut holder = Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh"])
            .args(programs)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = String::new();
        let _ = BufReader::new(holder.stdout.take()?).read_line(&mut said);
        let made = Self { folder, holder };
        common::have("root", said == "made\n").then_some(made)
    }

    /// The words before a command that let it run in a jail, or outside of them.
    fn enter(&self, jail: Option<&str>) -> Vec<String> {
        let mut words: Vec<String> = ["nsenter", "-m", "-t"].map(str::to_owned).into();
        words.push(self.holder.id().to_string());
        if let Some(jail) = jail {
            words.extend(["chroot".to_owned(), self.folder.path().join(jail).display().to_string()]);
        }
        words
    }

    /// A process with `/mnt/t.db` open, in a jail or outside of them.
    fn sqlite(&self, jail: Option<&str>) -> Sqlite {
        let program = self.folder.path().join(format!("start-{}", jail.unwrap_or("outside")));
        let exe = std::env::current_exe().unwrap();
        let words = self.enter(jail).join(" ");
        fs::write(&program, format!("#!/bin/sh\nexec {words} {} \"$@\"\n", exe.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Sqlite::open_by(&program, Path::new("/mnt/t.db"))
    }

    fn walscope(&self, jail: &str, arguments: &[&str]) -> Ran {
        let words = self.enter(Some(jail));
        run(Command::new(&words[0]).args(&words[1..]).arg(EXE).args(arguments))
    }

    /// A bundle that is made in a jail.
    fn bundle(&self, jail: &str) -> PathBuf {
        let made = self.walscope(jail, &["snapshot", "/mnt/t.db", "-o", "-"]);
        let bundle = self.folder.path().join(format!("{jail}.walsnap"));
        fs::write(&bundle, made.stdout).unwrap();
        bundle
    }
}

impl Drop for Jails {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn verdict(ran: &Ran) -> (String, String) {
    let document = ran.json();
    let text = |name: &str| document["verdict"][name].as_str().unwrap().to_owned();
    (text("sharing"), text("subject"))
}

fn codes(document: &Value) -> Vec<&str> {
    document["findings"].as_array().unwrap().iter().filter_map(|found| found["code"].as_str()).collect()
}

fn mappings_proven() -> (String, String) {
    ("proven".to_owned(), "mappings".to_owned())
}

#[test]
fn two_jails_with_equal_paths_are_not_split_by_a_database_outside_of_them() {
    let Some(jails) = Jails::make() else { return };
    let _outside = jails.sqlite(None);
    let (_one, two) = (jails.sqlite(Some("one")), jails.sqlite(Some("two")));
    let bundles = ["one", "two"].map(|jail| jails.bundle(jail));
    let bundles = bundles.each_ref().map(|bundle| bundle.to_str().unwrap());
    let ran = walscope(jails.folder.path(), &["compare", bundles[0], bundles[1], "--json"]);
    assert_eq!(verdict(&ran), mappings_proven(), "{}", ran.text());
    let other = format!("pid:{}:/mnt/t.db", two.pid());
    let ran = jails.walscope("one", &["compare", "/mnt/t.db", &other, "--json"]);
    assert_eq!(verdict(&ran), mappings_proven(), "{}", ran.text());
    let document = jails.walscope("one", &["inspect", "/mnt/t.db", "--json"]).json();
    let found = codes(&document);
    assert!(!found.contains(&"split_brain") && !found.contains(&"worker_on_replaced_files"), "{found:?}");
    // The processes of other tests are listed too.
    let mapped = jails.walscope("one", &["ps", "--json"]).json();
    let of_this = |found: &&Value| found["code"] == "split_brain" && found.to_string().contains("/mnt/t.db-shm");
    assert_eq!(mapped["findings"].as_array().unwrap().iter().find(of_this), None);
}

#[test]
fn a_wal_index_that_was_deleted_within_a_jail_is_a_split_also_from_outside() {
    let Some(jails) = Jails::make() else { return };
    let mut one = jails.sqlite(Some("one"));
    one.run("INSERT INTO t VALUES(1)");
    fs::remove_file(jails.folder.path().join("v/t.db-shm")).unwrap();
    let _new = jails.sqlite(Some("two"));
    let document = jails.walscope("one", &["inspect", "/mnt/t.db", "--json"]).json();
    assert!(codes(&document).contains(&"split_brain"), "{:?}", codes(&document));
    // From outside of the jails: the path that leads there.
    let path = jails.folder.path().join("one/mnt/t.db").display().to_string();
    let words = jails.enter(None);
    let ran = run(Command::new(&words[0]).args(&words[1..]).arg(EXE).args(["inspect", &path, "--json"]));
    assert!(codes(&ran.json()).contains(&"split_brain"), "{}", ran.text());
}

#[test]
fn a_process_that_also_has_the_database_of_a_btrfs_snapshot_open_shares_all_the_same() {
    let Some(btrfs) = Btrfs::mount() else { return };
    let (one, copy) = (btrfs.path("one"), btrfs.path("copy"));
    btrfs.subvolume(&[&one]);
    let other = Sqlite::open(&one.join("t.db"));
    btrfs.subvolume(&[&one, &copy]);
    // The copy is mapped first or last: the kernel lists mappings by their addresses.
    let open = |folder: &Path| {
        let db = Connection::open(folder.join("t.db")).unwrap();
        db.query_row("SELECT count(*) FROM t", (), |_| Ok(())).unwrap();
        db
    };
    for order in [[&one, &copy], [&copy, &one]] {
        let _both = order.map(|folder| open(folder));
        let source = |pid: u32, folder: &Path| format!("pid:{pid}:{}/t.db", folder.display());
        let (a, b) = (source(std::process::id(), &one), source(other.pid(), &one));
        for pair in [[&a, &b], [&b, &a]] {
            let ran = walscope(&one, &["compare", pair[0], pair[1], "--json"]);
            assert_eq!(verdict(&ran), mappings_proven(), "{}", ran.text());
        }
        let ran = walscope(&one, &["compare", &source(std::process::id(), &copy), &b, "--json"]);
        assert_eq!(verdict(&ran).0, "refuted", "{}", ran.text());
    }
}

#[test]
fn a_process_that_only_reads_the_database_beside_the_wal_index_of_another_is_no_split() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _user = Sqlite::open(&ours.path().join("app.db"));
    let _other = Sqlite::open(&theirs.path().join("app.db"));
    // Somebody copies our database, and uses theirs under a name that is gone since.
    let db = Connection::open(theirs.path().join("app.db")).unwrap();
    db.query_row("SELECT count(*) FROM t", (), |_| Ok(())).unwrap();
    let mut copied = fs::File::open(ours.path().join("app.db")).unwrap();
    copied.read_exact(&mut [0; 16]).unwrap();
    fs::rename(theirs.path().join("app.db"), theirs.path().join("renamed.db")).unwrap();
    let document = walscope(ours.path(), &["inspect", "app.db", "--json"]).json();
    assert!(!codes(&document).contains(&"split_brain"), "{:?}", codes(&document));
}
