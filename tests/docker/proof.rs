//! Two containers proven from the host by three independent proofs, and from inside without privilege by their locks.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::common;
use crate::common::docker::{Shell, World};

const WALSCOPE: &str = env!("CARGO_BIN_EXE_walscope");

fn world() -> Option<World> {
    let root = common::have("root", rustix::process::geteuid().is_root());
    if root { World::with_sqlite3(&[(Path::new(WALSCOPE), "walscope")]) } else { None }
}

fn pair(world: &World) -> [Shell; 2] {
    let mount = format!("{}:/data", world.volume("shared"));
    let mut writer = world.shell("writer", &["-v", &mount], "/data/t.db");
    writer.sql("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1);");
    let mut reader = world.shell("reader", &["-v", &mount], "/data/t.db");
    assert_eq!(reader.sql("SELECT count(*) FROM t;"), "1");
    [writer, reader]
}

fn document(out: &Output) -> Value {
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)))
}

#[test]
fn two_containers_are_proven_from_the_host_by_pages_identity_and_beacon() {
    let Some(world) = world() else { return };
    let [writer, reader] = pair(&world);
    let sources = [&writer, &reader].map(|shell| format!("{}:/data/t.db", shell.container));
    let out = Command::new(WALSCOPE).arg("compare").args(sources).arg("--json").output().unwrap();
    let verdict = &document(&out)["verdict"];
    assert_eq!(out.status.code(), Some(0), "{verdict:#}");
    assert_eq!(verdict["subject"], "mappings");
    assert_eq!(verdict["decided_by"], json!(["physical_pages", "kernel_identity", "lock_beacon"]), "{verdict:#}");
}

#[test]
fn two_containers_meet_as_an_ordinary_user_with_default_seccomp_and_capabilities() {
    let Some(world) = world() else { return };
    let shells = pair(&world);
    for (place, decided) in [
        ("/data/t.db", json!(["kernel_identity", "lock_beacon"])),
        ("/data", json!(["lock_beacon", "tried_locks", "mapping_coherence"])),
    ] {
        let command = ["/walscope", "probe", "meet", place, "--timeout", "60", "--json"];
        let both = std::thread::scope(|scope| {
            let world = &world;
            let each = shells.each_ref().map(|shell| scope.spawn(move || world.exec(shell, &["-u", "1000"], &command)));
            each.map(|thread| thread.join().unwrap())
        });
        for out in both {
            let found = document(&out);
            assert_eq!(out.status.code(), Some(0), "{found:#}");
            assert_eq!((&found["verdict"]["locks"], &found["verdict"]["memory"]), (&"proven".into(), &"proven".into()));
            assert_eq!(found["verdict"]["decided_by"], decided, "{found:#}");
        }
    }
}

/// One volume, read-only in the second container: while the writer keeps the `-shm` alive, both share it. Without a `-shm`
/// the reader cannot make one.
#[test]
fn a_read_only_volume_is_proven_only_while_somebody_keeps_the_shm_alive() {
    let Some(world) = world() else { return };
    let volume = world.volume("shared");
    let mut writer = world.shell("writer", &["-v", &format!("{volume}:/data")], "/data/t.db");
    writer.sql("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1);");
    let reader = world.shell("reader", &["-v", &format!("{volume}:/data:ro")], "/data/t.db");
    let folder = tempfile::tempdir().unwrap();
    let capture = |shell: &Shell, name: &str| {
        let out = world.exec(shell, &["-u", "0"], &["/walscope", "snapshot", "/data/t.db", "-o", "-"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let bundle = folder.path().join(name);
        std::fs::write(&bundle, out.stdout).unwrap();
        bundle
    };
    let verdicts = |writer: &Shell, when: &str| {
        let bundles = [capture(writer, &format!("{when}-a.walsnap")), capture(&reader, &format!("{when}-b.walsnap"))];
        let live = [writer, &reader].map(|shell| format!("{}:/data/t.db", shell.container));
        let compare = |command: &mut Command| document(&command.output().unwrap());
        [
            compare(Command::new(WALSCOPE).args(["compare", "--json"]).args(live)),
            compare(Command::new(WALSCOPE).args(["compare", "--json"]).args(bundles)),
        ]
    };
    for found in verdicts(&writer, "alive") {
        assert_eq!(found["verdict"]["sharing"], "proven", "{found:#}");
    }
    writer.sql(".open :memory:");
    for found in verdicts(&writer, "closed") {
        assert_eq!(found["verdict"]["sharing"], "undecided", "{found:#}");
        assert!(found["explanation"].as_str().unwrap().contains("mounted read-only"), "{found:#}");
    }
}

/// Two captures from inside, one of which is held in the background while the other is made.
#[test]
fn captures_from_inside_two_containers_meet() {
    let Some(world) = world() else { return };
    let [writer, reader] = pair(&world);
    let folder = tempfile::tempdir().unwrap();
    let keep = |name: &str, out: Output| {
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let bundle = folder.path().join(name);
        std::fs::write(&bundle, out.stdout).unwrap();
        bundle
    };
    let streamed = ["/walscope", "snapshot", "/data/t.db", "-o", "-"];
    let alone = keep("alone.walsnap", world.exec(&writer, &[], &streamed));
    let held = ["/walscope", "snapshot", "/data/t.db", "-o", "/data/held.walsnap", "--hold=600"];
    assert!(world.exec(&writer, &["-d"], &held).status.success());
    let there = format!("{}/held.walsnap", world.mountpoint(&world.volume("shared")));
    while !Path::new(&there).exists() {
        common::pause();
    }
    let first = std::path::PathBuf::from(there);
    let second = keep("second.walsnap", world.exec(&reader, &["-u", "1000"], &streamed));
    for (bundle, code, assuming) in [(&first, 0, json!([])), (&alone, 3, json!(["one_machine", "one_disk"]))] {
        let out =
            Command::new(WALSCOPE).args(["compare", "--strict", "--json"]).args([bundle, &second]).output().unwrap();
        let verdict = &document(&out)["verdict"];
        assert_eq!((&verdict["sharing"], &verdict["assuming"]), (&"proven".into(), &assuming), "{verdict:#}");
        assert_eq!(out.status.code(), Some(code));
    }
}
