//! Opening files for examination: of every kind, through links, with and without permission.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use walscope::evidence::Observation;
use walscope::linux::{identities, open_database, open_regular, paths_unchanged};

fn touch(path: &Path) -> u64 {
    fs::write(path, "x").unwrap();
    fs::metadata(path).unwrap().ino()
}

#[test]
fn opening_never_blocks_and_each_kind_of_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("directory")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = UnixListener::bind(path("socket")).unwrap();
    let device = Path::new("/dev/zero").to_owned();
    for (path, kind) in [
        (path("directory"), "found a directory"),
        (path("fifo"), "found a FIFO"),
        (path("socket"), "found a socket"),
        (device, "found a character device"),
        (folder.path().join(".."), "found a directory"),
    ] {
        let of_database = open_database(&path, walscope::linux::Care::default()).unwrap_err().to_string();
        let of_file = open_regular(&path, walscope::linux::Care::default()).unwrap_err().to_string();
        for message in [of_database, of_file] {
            assert!(message.contains(kind) && message.contains(path.to_str().unwrap()), "{message}");
        }
    }
}

#[test]
fn a_sibling_of_a_wrong_kind_is_an_observation_and_a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("t.db");
    touch(&db);
    touch(&folder.path().join("secret"));
    symlink("secret", folder.path().join("t.db-wal")).unwrap();
    let fifo = folder.path().join("t.db-shm");
    rustix::fs::mknodat(rustix::fs::CWD, fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let files = open_database(&db, walscope::linux::Care::default()).unwrap();
    assert!(files.wal.reason().unwrap().contains("found a symbolic link"));
    assert!(files.shm.reason().unwrap().contains("found a FIFO"));
    assert!(matches!(files.journal, Observation::Missing { .. }));
    assert!(paths_unchanged(&files));
}

#[test]
fn siblings_lie_beside_the_target_of_a_linked_database() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real");
    fs::create_dir(&real).unwrap();
    symlink("real/t.db", folder.path().join("one")).unwrap();
    symlink("one", folder.path().join("two")).unwrap();
    touch(&folder.path().join("two-wal"));
    let wal = touch(&real.join("t.db-wal"));
    // Dangling: the database itself is missing.
    let files = open_database(&folder.path().join("two"), walscope::linux::Care::default()).unwrap();
    assert_eq!(files.database_path, real.canonicalize().unwrap().join("t.db"));
    assert!(matches!(files.database, Observation::Missing { .. }));
    assert_eq!(files.wal.value().unwrap().metadata().unwrap().ino(), wal);
    assert!(paths_unchanged(&files));
    touch(&real.join("t.db"));
    assert!(!paths_unchanged(&files), "a database has appeared");
}

#[test]
fn endless_links_and_missing_files_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loop");
    symlink("loop", &path).unwrap();
    assert!(open_database(&path, walscope::linux::Care::default()).unwrap_err().to_string().contains("symbolic links"));
    let missing = open_database(&folder.path().join("none.db"), walscope::linux::Care::default()).unwrap_err();
    assert_eq!(missing.why.kind(), std::io::ErrorKind::NotFound);
    assert!(missing.to_string().contains("none.db-wal") || missing.to_string().contains("none.db"));
    assert!(
        open_database(Path::new(""), walscope::linux::Care::default()).unwrap_err().to_string().contains("not found")
    );
    assert!(open_database(&folder.path().join("no/such/t.db"), walscope::linux::Care::default()).is_err());
}

#[test]
fn replaced_removed_and_new_files_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("t.db");
    let shm = folder.path().join("t.db-shm");
    touch(&db);
    touch(&shm);
    let files = open_database(&db, walscope::linux::Care::default()).unwrap();
    assert!(paths_unchanged(&files));
    let kept = folder.path().join("kept");
    fs::rename(&shm, &kept).unwrap();
    assert!(!paths_unchanged(&files), "moved away");
    touch(&shm);
    assert!(!paths_unchanged(&files), "replaced");
    fs::rename(&kept, &shm).unwrap();
    assert!(paths_unchanged(&files), "put back");
    touch(&folder.path().join("t.db-wal"));
    assert!(!paths_unchanged(&files), "a WAL has appeared");
}

#[test]
fn another_folder_with_the_same_files_is_a_change() {
    let outer = tempfile::tempdir().unwrap();
    let (folder, away) = (outer.path().join("data"), outer.path().join("away"));
    fs::create_dir(&folder).unwrap();
    touch(&folder.join("t.db"));
    let files = open_database(&folder.join("t.db"), walscope::linux::Care::default()).unwrap();
    fs::rename(&folder, &away).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::hard_link(away.join("t.db"), folder.join("t.db")).unwrap();
    assert!(!paths_unchanged(&files), "the next -shm would be made elsewhere");
}

#[test]
fn open_descriptors_still_describe_a_deleted_file() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("t.db");
    let shm = folder.path().join("t.db-shm");
    touch(&db);
    let inode = touch(&shm);
    let files = open_database(&db, walscope::linux::Care::default()).unwrap();
    fs::remove_file(&shm).unwrap();
    let view = identities(&files);
    let shm = view.shm.value().unwrap();
    assert_eq!((shm.inode, shm.links), (inode, 0));
    assert_eq!(shm.maps_identity.value().unwrap().inode, inode);
    assert!(view.database.value().unwrap().maps_identity.reason().is_some());
    assert!(view.directory.value().unwrap().file_system.value().is_some());
    assert!(!paths_unchanged(&files));
}

/// Runs `look` without any privilege: in a thread that has become `nobody`, or as the user of the tests if that is not
/// root.
fn unprivileged<T: Send>(look: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            look()
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_file_of_somebody_else_is_opened_with_a_notice_or_strictly_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let own = folder.path().join("own.db");
    touch(&own);
    // An ordinary user does not own root's files, and neither does root after it has become nobody.
    let foreign = if rustix::process::geteuid().is_root() { own.clone() } else { "/etc/passwd".into() };
    let (lenient, strict) = unprivileged(|| {
        (
            open_database(&foreign, walscope::linux::Care::default()),
            open_database(&foreign, walscope::linux::Care { strict_atime: true, ..walscope::linux::Care::default() }),
        )
    });
    let noatime = rustix::fs::statvfs(&foreign).unwrap().f_flag.contains(rustix::fs::StatVfsMountFlags::NOATIME);
    assert_eq!(lenient.unwrap().access_time_moved.is_empty(), noatime);
    assert_eq!(strict.is_ok(), noatime);
    // The owner never gets this notice.
    assert!(
        open_database(&own, walscope::linux::Care { strict_atime: true, ..walscope::linux::Care::default() })
            .unwrap()
            .access_time_moved
            .is_empty()
    );
}

#[test]
fn a_denied_sibling_is_an_observation_and_a_denied_database_alone_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let db = folder.path().join("t.db");
    let wal = folder.path().join("t.db-wal");
    touch(&db);
    touch(&wal);
    fs::set_permissions(&wal, Permissions::from_mode(0o0)).unwrap();
    let files = unprivileged(|| open_database(&db, walscope::linux::Care::default())).unwrap();
    assert!(matches!(files.wal, Observation::Denied { .. }));
    fs::set_permissions(&db, Permissions::from_mode(0o0)).unwrap();
    let denied = unprivileged(|| open_database(&db, walscope::linux::Care::default())).unwrap_err();
    assert_eq!(denied.why.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn a_path_through_another_root_stays_there() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs none \"$0\" && echo inside > \"$0/t.db\" && echo ready && read line";
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line != "ready\n" {
        let required = std::env::var("WALSCOPE_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "userns"), "user namespaces are required and not to be had");
        eprintln!("SKIPPED: no user namespaces here");
        child.wait().unwrap();
        return;
    }
    // The same path in this process's own mount namespace is another file.
    touch(&folder.path().join("t.db"));
    let root = format!("/proc/{}/root", child.id());
    let path = Path::new(&root).join(folder.path().strip_prefix("/").unwrap()).join("t.db");
    let files = open_database(&path, walscope::linux::Care::default()).unwrap();
    let seen = std::io::read_to_string(files.database.value().unwrap().as_ref()).unwrap();
    assert_eq!(seen, "inside\n");
    assert_eq!(files.database_path, path);
    assert!(paths_unchanged(&files));
    drop(child.stdin.take());
    child.wait().unwrap();
}
