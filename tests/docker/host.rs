//! Containers looked at from the host, with nothing inside of them: `NAME:/path` and `pid:N:/path`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, makedev, mknodat};
use serde_json::Value;

use crate::common;
use crate::common::command;
use crate::common::docker::{self, Shell, World};

const EXE: &str = env!("CARGO_BIN_EXE_walscope");

fn world() -> Option<World> {
    let root = common::have("root", rustix::process::geteuid().is_root());
    if root { World::with_sqlite3(&[]) } else { None }
}

/// A writer and a reader called `api` on one volume; the reader's transaction pins frame 3.
fn pinned(world: &World) -> (Shell, Shell, PathBuf) {
    let volume = world.volume("data");
    let mount = format!("{volume}:/data");
    let mut writer = world.shell("writer", &["-v", &mount], "/data/t.db");
    writer.sql("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES (1);");
    let mut api = world.shell("api", &["-v", &mount], "/data/t.db");
    assert_eq!(api.sql("BEGIN; SELECT count(*) FROM t;"), "1");
    writer.sql("INSERT INTO t VALUES (2);");
    let at = world.mountpoint(&volume).into();
    (writer, api, at)
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let out = Command::new("timeout").arg("120").arg(EXE).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn json(arguments: &[&str]) -> (i32, Value) {
    let (code, out, err) = run(&[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {err}")))
}

fn source(shell: &Shell) -> String {
    format!("{}:/data/t.db", shell.container)
}

fn pid(shell: &Shell) -> u64 {
    let out = docker::docker(&["inspect", "--format", "{{.State.Pid}}", &shell.container]);
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_blocking_reader_is_named_in_one_sentence_with_container_pid_slot_and_frame() {
    let Some(world) = world() else { return };
    let (writer, api, _) = pinned(&world);
    let (code, found) = json(&["inspect", &source(&writer)]);
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(found["checkpoint"]["state"], "blocked");
    let blocker = &found["checkpoint"]["blocked_by"][0];
    let frame = blocker["mark"].as_u64().unwrap();
    assert_eq!((blocker["slot"].as_u64(), blocker["holders"].as_array().unwrap().len()), (Some(1), 1), "{blocker:#}");
    let holder = &blocker["holders"][0];
    assert_eq!(holder["container"], api.container);
    assert_eq!(holder["pid"].as_u64(), Some(pid(&api)));
    let said = found["checkpoint"]["explanation"].as_str().unwrap();
    let sentence = said.split(". ").next().unwrap();
    for part in ["read1", &format!("frame {frame}"), &format!("pid {}", pid(&api)), &api.container] {
        assert!(sentence.contains(part), "{part} is not in: {said}");
    }
    assert!(said.contains("--for 5s") && said.contains("wal_checkpoint"), "{said}");
    let switch =
        found["shm"]["locks"].as_array().unwrap().iter().find(|lock| lock["name"] == "dead_man_switch").unwrap();
    let mut containers: Vec<&str> =
        switch["holders"].as_array().unwrap().iter().map(|holder| holder["container"].as_str().unwrap()).collect();
    containers.sort_unstable();
    assert_eq!(containers, [api.container.as_str(), writer.container.as_str()]);

    let (_, listed) = json(&["ps"]);
    let all = listed["wal_indexes"].as_array().unwrap();
    let mine = all.iter().find(|index| {
        index["processes"].as_array().unwrap().iter().any(|process| process["container"] == writer.container.as_str())
    });
    let mine = mine.unwrap_or_else(|| panic!("{listed:#}"));
    assert_eq!((mine["processes"].as_array().unwrap().len(), &mine["state"]), (2, &"current".into()), "{mine:#}");
    assert_eq!(mine["databases"], serde_json::json!(["/data/t.db"]));
    let look = mine["look"].as_str().unwrap();
    assert!([source(&writer), source(&api)].contains(&look.to_owned()), "{look}");
    assert_eq!(json(&["inspect", look]).0, 0);
}

#[test]
fn two_containers_are_proven_from_the_host_for_their_mappings() {
    let Some(world) = world() else { return };
    let (writer, api, _) = pinned(&world);
    let (code, found) = json(&["compare", &source(&writer), &source(&api)]);
    assert_eq!(code, 0, "{found:#}");
    assert_eq!((&found["verdict"]["sharing"], &found["verdict"]["subject"]), (&"proven".into(), &"mappings".into()));
    assert_eq!(
        found["verdict"]["decided_by"],
        serde_json::json!(["physical_pages", "kernel_identity", "lock_beacon"]),
        "{found:#}"
    );

    for (side, shell) in [(0, &writer), (1, &api)] {
        assert_eq!(found["sides"][side]["container_name"], shell.container.as_str(), "{found:#}");
    }
    let (_, page, _) = run(&["compare", &source(&writer), &source(&api), "--width", "200"]);
    let short = found["sides"][0]["container"].as_str().unwrap()[..12].to_owned();
    assert!(page.contains(&format!("container {} ({short})", writer.container)), "{page}");

    let by_pid = format!("pid:{}:/data/t.db", pid(&api));
    let id: String = found["sides"][0]["container"]["id"].as_str().map_or_else(String::new, |id| id[..12].to_owned());
    let by_id = if id.is_empty() { source(&writer) } else { format!("{id}:/data/t.db") };
    let (code, found) = json(&["compare", &by_id, &by_pid]);
    assert_eq!((code, &found["verdict"]["subject"]), (0, &"mappings".into()), "{found:#}");
}

#[test]
fn a_volume_of_one_s_own_is_refuted_from_the_host() {
    let Some(world) = world() else { return };
    let (writer, _api, at) = pinned(&world);
    let other = world.volume("other");
    let copy = PathBuf::from(world.mountpoint(&other));
    for file in ["t.db", "t.db-wal"] {
        fs::copy(at.join(file), copy.join(file)).unwrap();
    }
    let mut apart = world.shell("apart", &["-v", &format!("{other}:/data")], "/data/t.db");
    apart.sql("SELECT count(*) FROM t;");
    let (code, found) = json(&["compare", &source(&writer), &source(&apart)]);
    assert_eq!((code, &found["verdict"]["sharing"]), (1, &"refuted".into()), "{found:#}");
}

#[test]
fn a_snapshot_from_the_host_agrees_with_one_from_inside() {
    let Some(world) = world() else { return };
    let (writer, api, _) = pinned(&world);
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("w.walsnap");
    let bundle = bundle.to_str().unwrap();
    let (code, _, err) = run(&["snapshot", &source(&writer), "-o", bundle]);
    assert_eq!(code, 0, "{err}");
    let judged = |other: &Shell| {
        let (_, found) = json(&["compare", bundle, &source(other)]);
        (found["verdict"]["sharing"].clone(), found["verdict"]["subject"].clone(), found)
    };
    let (sharing, subject, found) = judged(&api);
    assert_eq!((sharing, subject), ("proven".into(), "mappings".into()), "{found:#}");
    // In the same container it is the same process that is met again.
    let (sharing, subject, found) = judged(&writer);
    assert_eq!((sharing, subject), ("proven".into(), "paths".into()), "{found:#}");
    let side = &found["sides"][0];
    assert_eq!(side["mount_namespace"], found["sides"][1]["mount_namespace"]);
    let own = Path::new("/proc/self/ns/mnt").read_link().unwrap();
    assert_ne!(side["mount_namespace"], own.to_str().unwrap(), "{side:#}");
}

#[test]
fn containers_are_probed_from_the_host_by_name_and_by_process() {
    let Some(world) = world() else { return };
    let (writer, api, _) = pinned(&world);
    let by_pid = format!("pid:{}:/data/t.db", pid(&api));
    let met = std::thread::scope(|scope| {
        let meet = |source: String| {
            scope.spawn(move || json(&["probe", "meet", &source, "--token", "hosts", "--timeout", "60"]))
        };
        let both = [meet(source(&writer)), meet(by_pid.clone())];
        both.map(|one| one.join().unwrap())
    });
    for (code, found) in met {
        assert_eq!((code, &found["verdict"]["locks"]), (0, &"proven".into()), "{found:#}");
    }
    let (code, found) = json(&["probe", "seek", &by_pid, "0123456789abcdef"]);
    assert_eq!((code, &found["verdict"]["sharing"]), (3, &"undecided".into()), "{found:#}");
    let (code, _, err) = run(&["probe", "seek", "walscope-no-such-container:/data/t.db", "0123456789abcdef"]);
    assert!(code == 2 && err.contains("walscope-no-such-container"), "{err}");
}

#[test]
fn a_hostile_container_is_refused_clearly_and_nothing_outside_of_it_is_read() {
    let Some(world) = world() else { return };
    let (writer, _api, at) = pinned(&world);
    let node = |name: &str, kind, device| mknodat(CWD, at.join(name), kind, 0o666.into(), device).unwrap();
    for name in ["link", "fifo", "device"] {
        fs::copy(at.join("t.db"), at.join(format!("{name}.db"))).unwrap();
    }
    symlink("/etc/shadow", at.join("link.db-shm")).unwrap();
    node("fifo.db-shm", FileType::Fifo, 0);
    node("device.db-shm", FileType::CharacterDevice, makedev(1, 5));
    for (name, kind) in [("link", "a symbolic link"), ("fifo", "a FIFO"), ("device", "a character device")] {
        let hostile = format!("{}:/data/{name}.db", writer.container);
        for command in ["inspect", "verify", "shm"] {
            let (code, out, err) = run(&[command, &hostile]);
            assert_eq!(code, 2, "{command}: {out}");
            assert!(err.contains(&format!("{name}.db-shm")) && err.contains(kind), "{command}: {err}");
        }
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("never.walsnap");
        for arguments in [
            ["snapshot", &hostile, "-o", bundle.to_str().unwrap()].as_slice(),
            &["probe", "hold", &hostile, "--for", "1"],
            &["probe", "seek", &hostile, "0123456789abcdef"],
            &["probe", "meet", &hostile, "--timeout", "1"],
        ] {
            let (code, out, err) = run(arguments);
            assert_eq!(code, 2, "{arguments:?}: {out}");
            assert!(err.contains(&format!("{name}.db-shm")) && err.contains(kind), "{arguments:?}: {err}");
        }
        assert!(!bundle.exists());
        let (code, _, err) = run(&["shm", &format!("{hostile}-shm")]);
        assert_eq!(code, 2, "{err}");
        let (code, found) = json(&["compare", &source(&writer), &hostile]);
        assert_ne!(code, 0, "{found:#}");
        assert!(!found.to_string().contains("root:"), "{found:#}");
    }
    // Links that mean to lead out end inside, and the magic ones of proc are not followed. What they mean is a database
    // that could well be inspected.
    let outside = tempfile::tempdir().unwrap();
    let database = outside.path().join("t.db");
    fs::copy(at.join("t.db"), &database).unwrap();
    assert_eq!(run(&["inspect", database.to_str().unwrap()]).0, 0);
    let up = Path::new("../../../../../..").join(outside.path().strip_prefix("/").unwrap());
    symlink(outside.path(), at.join("out")).unwrap();
    symlink(up, at.join("up")).unwrap();
    symlink(&database, at.join("out.db")).unwrap();
    symlink("/proc/1/root/data/t.db", at.join("magic.db")).unwrap();
    for path in ["out/t.db", "up/t.db", "out.db", "magic.db"] {
        let (code, out, err) = run(&["inspect", &format!("{}:/data/{path}", writer.container)]);
        assert_eq!(code, 2, "{path}: {out}{err}");
    }
    // A name that would move the terminal reaches it escaped, in answers and in refusals.
    let odd = "e\u{1b}[31m\nVerdict proven.db";
    fs::copy(at.join("t.db"), at.join(odd)).unwrap();
    let odd = format!("{}:/data/{odd}", writer.container);
    for (arguments, expected) in [
        (["inspect", &odd].as_slice(), 0),
        // One file in one folder, looked at twice: nothing is compared.
        (&["compare", &odd, &odd], 3),
        (&["inspect", &format!("{odd}x")], 2),
        (&["probe", "seek", &odd, "0123456789abcdef"], 2),
    ] {
        let (code, out, err) = run(arguments);
        assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "{arguments:?}: {out:?} {err:?}");
        assert!(!(out.clone() + &err).lines().any(|line| line.starts_with("Verdict proven.db")), "{out:?} {err:?}");
        assert_eq!(code, expected, "{arguments:?}: {out} {err}");
    }
    // A link that stays inside is followed as SQLite follows it: the siblings lie beside the target.
    symlink("/data/t.db", at.join("good.db")).unwrap();
    let (code, found) = json(&["inspect", &format!("{}:/data/good.db", writer.container)]);
    assert_eq!((code, &found["source"]["path"]), (0, &"/data/t.db".into()), "{found:#}");
    assert!(found["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "database_symlinked"));
}

#[test]
fn without_privileges_the_command_to_run_inside_is_shown() {
    let Some(world) = world() else { return };
    let (writer, _api, _) = pinned(&world);
    // The build folder need not be open to everybody.
    let folder = tempfile::tempdir().unwrap();
    let exe = folder.path().join("walscope");
    command::copy_executable(EXE, &exe);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let as_user = |source: &str| {
        let drop = ["--reuid", "1000", "--regid", "1000", "--clear-groups"];
        let out = Command::new("setpriv").args(drop).arg(&exe).args(["inspect", source]).output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, err) = as_user(&source(&writer));
    let inside = format!("docker exec {} walscope snapshot /data/t.db", writer.container);
    assert!(code == Some(2) && err.contains(&inside), "{code:?}: {err}");
    let (code, err) = as_user(&format!("pid:{}:/data/t.db", pid(&writer)));
    assert!(code == Some(2) && err.contains("CAP_SYS_PTRACE"), "{code:?}: {err}");
}

#[test]
fn an_unknown_container_is_reported_and_a_file_of_that_name_wins() {
    let Some(world) = world() else { return };
    let (writer, api, _) = pinned(&world);
    let (code, _, err) = run(&["inspect", "walscope-no-such-container:/data/t.db"]);
    assert!(code == 2 && err.contains("walscope-no-such-container") && err.contains("docker"), "{err}");
    let stopped = source(&api);
    api.quit();
    let (code, _, err) = run(&["inspect", &stopped]);
    assert!(code == 2 && err.contains("not running"), "{err}");
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join(format!("{}:", writer.container)).join("data");
    fs::create_dir_all(&here).unwrap();
    fs::write(here.join("t.db"), "").unwrap();
    let out = Command::new(EXE).args(["inspect", &source(&writer)]).current_dir(folder.path()).output().unwrap();
    assert!(String::from_utf8(out.stdout).unwrap().contains("empty"), "the file here was not taken");
}

/// The first process has made a folder its root, as a supervisor does that jails itself: `NAME:/path` is beneath the
/// container's root, and `pid:N:/path` beneath the jail.
#[test]
fn a_first_process_in_a_jail_does_not_move_its_container_s_paths() {
    let root = common::have("root", rustix::process::geteuid().is_root());
    let chroot = Path::new("/usr/sbin/chroot");
    if !(root && common::have("chroot", chroot.exists())) {
        return;
    }
    let sqlite3 = Path::new("/usr/bin/sqlite3");
    let libraries = docker::loaded_by(sqlite3);
    let in_jail: Vec<String> = libraries.iter().map(|library| format!("jail{library}")).collect();
    let mut programs = vec![(chroot, "chroot"), (sqlite3, "jail/sqlite3")];
    programs.extend(libraries.iter().map(Path::new).zip(in_jail.iter().map(String::as_str)));
    let Some(world) = World::with_sqlite3(&programs) else { return };
    let [outside, inside] = ["outside", "inside"].map(|name| world.volume(name));
    let mut peer = world.shell("peer", &["-v", &format!("{inside}:/data")], "/data/t.db");
    peer.sql("PRAGMA journal_mode=WAL; CREATE TABLE t(x);");
    // A folder of the image, and a mount of its own: an empty volume gets what the image has there.
    let mount = format!("{}:/jail", world.volume("jail"));
    for (name, options) in [("folder", &[][..]), ("mount", &["-v", &mount][..])] {
        let [at_root, in_jail] = [format!("{outside}:/data"), format!("{inside}:/jail/data")];
        let options = [options, &["-v", &at_root, "-v", &in_jail]].concat();
        let mut jailed = world.shell_by(name, &options, &["/chroot", "/jail", "/sqlite3", "-batch", "/data/t.db"]);
        jailed.sql("SELECT count(*) FROM t;");
        let by_pid = format!("pid:{}:/data/t.db", pid(&jailed));
        let (_, seen) = json(&["compare", &by_pid, &source(&peer)]);
        assert_eq!(seen["verdict"]["sharing"], "proven", "{name}: {seen:#}");

        let (code, _, told) = run(&["compare", &source(&jailed), &source(&peer)]);
        assert_eq!(code, 2, "{name}: {told}");
        assert!(told.contains(&format!("pid:{}:/path", pid(&jailed))) && told.contains("(/jail)"), "{name}: {told}");

        let mut outer = world.second_shell(&jailed.container, &[], "/data/t.db");
        outer.sql("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t(x); SELECT count(*) FROM t;");
        let (_, found) = json(&["compare", &source(&outer), &source(&peer)]);
        assert_eq!(found["verdict"]["sharing"], "refuted", "{name}: {found:#}");
        assert_eq!(found["sides"][0]["container_name"], jailed.container.as_str(), "{name}: {found:#}");
    }
}

#[test]
fn the_bare_name_of_a_container_is_answered_with_its_databases() {
    let Some(world) = world() else { return };
    let (writer, api, _) = pinned(&world);
    let (code, out, err) = run(&["inspect", &writer.container]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.lines().any(|line| line == format!("  walscope inspect {}", source(&writer))), "{err}");
    assert!(!err.contains("-wal") && !err.contains("-shm"), "{err}");
    let (code, out, err) = run(&[&writer.container]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(
        err.contains(&format!(
            "a container, and no command before it; its databases:\n  walscope inspect {}",
            writer.container
        )),
        "{err}"
    );
    let (code, out, err) = run(&["inspect", &format!("{}-not", writer.container)]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("No such file") && err.contains("there is no container of this name either"), "{err}");
    // No path leads to the database any more, and its processes still have it open.
    let path = source(&writer).split_once(':').unwrap().1.to_owned();
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(format!("/proc/{}/root{path}{suffix}", pid(&writer))).unwrap();
    }
    for command in [["inspect", &writer.container].as_slice(), &["rescue", &writer.container, "-o", "/nowhere/saved"]] {
        let (code, _, err) = run(command);
        let saves = format!("walscope rescue {} -o DIR", source(&writer));
        assert!(code == 2 && err.contains("deleted, and still open in pid") && err.contains(&saves), "{err}");
    }
    api.quit();
    writer.quit();
}

#[test]
fn errors_name_the_container_as_the_user_wrote_it() {
    let Some(world) = world() else { return };
    let (writer, api, _) = pinned(&world);
    for (path, says) in [("/data/none.db", "No such file"), ("/none/t.db", "No such file"), ("/data", "directory")] {
        let source = format!("{}:{path}", writer.container);
        for command in [
            ["inspect", &source].as_slice(),
            &["wal", &source],
            &["shm", &source],
            &["snapshot", &source, "-o", "-"],
            &["compare", &source, &source],
            &["rescue", &source, "-o", "/nowhere/saved"],
        ] {
            let (code, _, err) = run(command);
            assert_eq!(code, 2, "{command:?}: {err}");
            assert!(err.starts_with(&format!("walscope: {}:", writer.container)), "{command:?}: {err}");
            assert!(err.contains(says), "{command:?}: {err}");
            assert!(!err.contains("pid:"), "{command:?}: {err}");
        }
    }
    api.quit();
    writer.quit();
}
