//! Every field of the evidence is in a piece that can go missing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::pieces::{LIVE_PIECES, PIECES};
use super::*;

/// Fields in no piece: a capture always has them, or the verdict does not look at them. A new field of the evidence
/// belongs into a piece above, or here if no verdict can rest on it.
const IN_NO_PIECE: &[&str] = &[
    "begun.boottime",
    "begun.realtime.nanoseconds",
    "begun.realtime.seconds",
    "ended.boottime",
    "ended.realtime.nanoseconds",
    "ended.realtime.seconds",
    "files.database_path",
    "files.journal",
    "files.links_followed",
    "folder_unchanged",
    "host.container",
    "host.gid",
    "host.host_name",
    "host.kernel_release",
    "host.namespaces.pid",
    "host.namespaces.time",
    "host.namespaces.user",
    "host.pid",
    "host.uid",
    "paths_unchanged",
    "space",
];

/// Every field of a JSON value with all values that it has. What was seen stands where its observation stands.
fn fields(value: &Value, at: &str, all: &mut BTreeMap<String, Vec<Value>>) {
    match value {
        Value::Object(fields) if fields.contains_key("status") && fields.contains_key("value") => {
            self::fields(&fields["value"], at, all);
        }
        Value::Object(fields) if !fields.contains_key("status") => {
            for (name, field) in fields {
                let dot = if at.is_empty() { "" } else { "." };
                self::fields(field, &format!("{at}{dot}{name}"), all);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, at, all)),
        other => all.entry(at.to_owned()).or_default().push(other.clone()),
    }
}

fn fields_of(side: &Side) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    fields(&serde_json::to_value(&side.evidence).unwrap(), "", &mut all);
    all
}

#[test]
fn every_field_of_the_evidence_is_in_a_piece_that_can_go_missing() {
    let [side, _] = pair();
    let before = fields_of(&side);
    let mut kept: BTreeSet<&str> = before.keys().map(String::as_str).collect();
    for piece in PIECES {
        let mut less = side.clone();
        (piece.take)(&mut less);
        let after = fields_of(&less);
        kept.retain(|name| before.get(*name) == after.get(*name));
    }
    let expected: BTreeSet<&str> = IN_NO_PIECE.iter().copied().collect();
    assert_eq!(kept, expected);
}

#[test]
fn every_piece_has_a_name_of_its_own_and_takes_something_away() {
    let names: BTreeSet<&str> = PIECES.iter().map(|piece| piece.name).collect();
    assert_eq!(names.len(), PIECES.len());
    let names: BTreeSet<&str> = LIVE_PIECES.iter().map(|piece| piece.name).collect();
    assert_eq!(names.len(), LIVE_PIECES.len());
    let [side, _] = pair();
    for piece in PIECES {
        let mut less = side.clone();
        (piece.take)(&mut less);
        let bytes = less.shm.is_some() != side.shm.is_some()
            || less.wal != side.wal
            || less.database.is_some() != side.database.is_some();
        assert!(bytes || less.evidence != side.evidence, "{} takes nothing away", piece.name);
    }
    for piece in LIVE_PIECES {
        let mut less = live();
        (piece.take)(&mut less);
        assert_ne!(less, live(), "{} takes nothing away", piece.name);
    }
}
