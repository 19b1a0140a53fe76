//! The JSON contract: the schemas in `docs/schema` are those of the types, and the names that were promised are there.

use std::fs;
use std::process::Command;

use serde_json::Value;

const WALSCOPE: &str = env!("CARGO_BIN_EXE_walscope");

fn walscope(args: &[&str]) -> String {
    let out = Command::new(WALSCOPE).args(args).output().unwrap();
    assert!(out.status.code() != Some(2), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&walscope(args)).unwrap()
}

/// `walscope schema NAME > docs/schema/NAME.json` mends what this finds, once the change is known to be wanted: fields
/// may be added within a version, never renamed or retyped.
#[test]
fn the_schemas_are_those_of_the_types() {
    let mut listed: Vec<String> = walscope(&["schema"]).lines().map(|name| format!("{name}.json")).collect();
    let mut kept: Vec<String> =
        fs::read_dir("docs/schema").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    // An examiner's build has no lab, and so no document of it.
    if cfg!(not(feature = "lab")) {
        kept.retain(|name| !name.starts_with("lab"));
    }
    listed.sort();
    kept.sort();
    assert_eq!(listed, kept);
    for file in listed {
        let name = file.strip_suffix(".json").unwrap();
        let kept = fs::read_to_string(format!("docs/schema/{file}")).unwrap();
        assert!(kept == walscope(&["schema", name]), "docs/schema/{file} has drifted from its type");
    }
}

/// Every one of `names` (`a.b`, `a[].b`) is in the document.
fn promised(document: &Value, names: &str) {
    for name in names.split_whitespace() {
        let mut at = vec![document];
        for part in name.split('.') {
            let (key, list) = part.strip_suffix("[]").map_or((part, false), |key| (key, true));
            at =
                at.iter().map(|v| v.get(key).unwrap_or_else(|| panic!("{name}: there is no {key} in {v:#}"))).collect();
            if list {
                at = at.iter().flat_map(|v| v.as_array().unwrap_or_else(|| panic!("{name}: no list"))).collect();
                assert!(!at.is_empty(), "{name}: nothing to look at");
            }
        }
    }
}

const WAL: &str = "wal.header.magic wal.header.checksum_byte_order wal.header.format_version wal.header.page_size
    wal.header.checkpoint_sequence wal.header.salt1 wal.header.salt2 wal.header.checksum1 wal.header.checksum2
    wal.header.checksum_ok wal.frames.in_file wal.frames.valid wal.frames.committed wal.frames.uncommitted
    wal.frames.residue wal.frames.stale wal.frames.unwritten wal.frames.unrelated wal.frames.torn_bytes wal.end.frame wal.end.reason
    wal.commits wal.database_pages wal.last_checksum wal.generations[].salt1 wal.generations[].salt2
    wal.generations[].frames wal.generations[].role";
const SHM: &str = "shm.byte_order shm.headers[].version shm.headers[].change_counter shm.headers[].initialized
    shm.headers[].big_endian_checksums shm.headers[].page_size shm.headers[].mx_frame shm.headers[].database_pages
    shm.headers[].frame_checksum shm.headers[].salt1 shm.headers[].salt2 shm.headers[].checksum
    shm.headers[].checksum_ok shm.headers_agree shm.blocks shm.checkpoint.backfilled
    shm.checkpoint.backfill_attempted shm.checkpoint.read_marks[].slot shm.checkpoint.read_marks[].mark
    shm.checkpoint.read_marks[].lock shm.checkpoint.read_marks[].holders shm.locks[].name shm.locks[].lock
    shm.locks[].holders";
const CHECKPOINT: &str = "checkpoint.state checkpoint.committed checkpoint.backfilled checkpoint.pending
    checkpoint.safe_to checkpoint.can_restart checkpoint.blocked_by[].lock checkpoint.blocked_by[].slot
    checkpoint.blocked_by[].mark checkpoint.blocked_by[].holders checkpoint.explanation";

#[test]
fn inspect_keeps_the_promised_names() {
    let document = json(&["inspect", "--json", "testdata/bundles/shared/writer.walsnap"]);
    assert_eq!(document["schema"], "walscope/inspect/1");
    for names in [WAL, SHM, CHECKPOINT, "findings"] {
        promised(&document, names);
    }
    assert_eq!(document["shm"]["headers"].as_array().unwrap().len(), 2);
    let locks: Vec<&str> =
        document["shm"]["locks"].as_array().unwrap().iter().map(|lock| lock["name"].as_str().unwrap()).collect();
    let names = ["write", "checkpoint", "recover", "read0", "read1", "read2", "read3", "read4", "dead_man_switch"];
    assert_eq!(locks, names);
}

#[test]
fn wal_keeps_the_promised_names() {
    let six = "testdata/cases/six-classes-wal/t.db-wal";
    let document = json(&["wal", "--json", six]);
    assert_eq!(document["schema"], "walscope/wal/1");
    promised(&document, WAL);
    promised(
        &document,
        "frames[].frame frames[].offset frames[].page frames[].commit_pages frames[].salt1 frames[].salt2
         frames[].checksum1 frames[].checksum2 frames[].checksum_ok frames[].class frames[].transaction",
    );
    promised(
        &json(&["wal", "--json", "--transactions", six]),
        "transactions[].transaction transactions[].first_frame transactions[].last_frame
         transactions[].database_pages transactions[].pages",
    );
}

#[test]
fn compare_keeps_the_promised_names() {
    let of = |scenario: &str, side: &str| format!("testdata/bundles/{scenario}/{side}.walsnap");
    let document = json(&["compare", "--json", &of("file-mount", "writer"), &of("file-mount", "reader")]);
    assert_eq!(document["schema"], "walscope/compare/1");
    promised(
        &document,
        "verdict.sharing verdict.memory verdict.locks verdict.subject verdict.decided_by[] verdict.groups
         verdict.because[].kind verdict.because[].about verdict.because[].says verdict.because[].reason
         verdict.because[].detail lineage.relation findings[].code findings[].severity findings[].title
         findings[].detail findings[].evidence findings[].advice",
    );
}
