//! What `inspect` says while a reader in another container holds up the checkpoint: inside the container, and from the
//! bundle that was made there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::docker::{Shell, World};

const WALSCOPE: &str = env!("CARGO_BIN_EXE_walscope");

fn json(what: &str, stdout: &[u8], stderr: &[u8]) -> Value {
    serde_json::from_slice(stdout).unwrap_or_else(|e| panic!("{what}: {e}: {}", String::from_utf8_lossy(stderr)))
}

/// The page as made in the writer's container, and as made here from a bundle captured there.
fn pages(world: &World, writer: &Shell, folder: &Path) -> [Value; 2] {
    let out = world.exec(writer, &[], &["/walscope", "inspect", "/data/t.db", "--json"]);
    let inside = json("inside", &out.stdout, &out.stderr);
    let out = world.exec(writer, &[], &["/walscope", "snapshot", "/data/t.db", "-o", "-"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let bundle = folder.join("b.walsnap");
    fs::write(&bundle, out.stdout).unwrap();
    fs::set_permissions(&bundle, Permissions::from_mode(0o600)).unwrap();
    let out = Command::new(WALSCOPE).arg("inspect").arg(&bundle).arg("--json").output().unwrap();
    [inside, json("bundle", &out.stdout, &out.stderr)]
}

fn states(pages: &[Value; 2]) -> [&str; 2] {
    pages.each_ref().map(|page| page["checkpoint"]["state"].as_str().unwrap())
}

#[test]
fn a_reader_in_another_container_blocks_the_checkpoint_until_it_ends() {
    let Some(world) = World::with_sqlite3(&[(Path::new(WALSCOPE), "walscope")]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("{}:/data", world.volume("shared"));
    let mut writer = world.shell("writer", &["-v", &mount], "/data/t.db");
    writer.sql("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES (1);");
    let mut reader = world.shell("reader", &["-v", &mount], "/data/t.db");
    assert_eq!(reader.sql("BEGIN; SELECT count(*) FROM t;"), "1");
    let [before, _] = pages(&world, &writer, folder.path());
    let mark = before["wal"]["frames"]["committed"].clone();
    writer.sql("INSERT INTO t VALUES (2); PRAGMA wal_checkpoint(PASSIVE);");

    let blocked = pages(&world, &writer, folder.path());
    assert_eq!(states(&blocked), ["blocked"; 2], "{blocked:#?}");
    for page in &blocked {
        let checkpoint = &page["checkpoint"];
        let blocker = &checkpoint["blocked_by"][0];
        assert!(blocker["slot"].as_u64().is_some_and(|slot| slot >= 1), "{checkpoint:#}");
        assert_eq!((&blocker["mark"], &checkpoint["safe_to"]), (&mark, &mark), "{checkpoint:#}");
        let explanation = checkpoint["explanation"].as_str().unwrap();
        assert!(explanation.contains(&format!("at frame {mark}")), "{explanation}");
        let errors = page["findings"].as_array().unwrap().iter();
        assert_eq!(errors.filter(|finding| finding["severity"] != "info").count(), 0, "{page:#}");
    }
    let out = world.exec(&writer, &[], &["/walscope", "inspect", "/data/t.db", "--width", "100"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("^ read1") || text.contains(" ^\n"), "{text}");

    reader.sql("COMMIT;");
    assert_eq!(states(&pages(&world, &writer, folder.path())), ["pending"; 2]);
    writer.sql("PRAGMA wal_checkpoint(PASSIVE);");
    assert_eq!(states(&pages(&world, &writer, folder.path())), ["complete"; 2]);
    let out = world.exec(&writer, &[], &["/walscope", "verify", "/data/t.db", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stdout));
    reader.quit();
    writer.quit();
}
