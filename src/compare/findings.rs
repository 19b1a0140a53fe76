//! Findings about two or more sides.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::identity::{self, Identity};
use super::mappings::{self, Mapped, Split};
use super::verdict::Judged;
use super::{Answer, Pair, Side, continuity, history, temporal};
use crate::finding::surroundings;
use crate::finding::{Finding, Severity};

/// Every code that comparing can give, sorted.
pub const CODES: &[&str] = &[
    "bundle_unstable",
    "captures_diverged",
    "database_shared_wal_index_not",
    "different_databases",
    "shm_deleted",
    "split_brain",
    "two_mounts_of_one_file_system",
    "wal_index_shared_database_not",
    "wal_index_shared_wal_not",
];

/// Everything worth saying: first about each side, then about each pair.
pub(super) fn findings(sides: &[Side], pairs: &[Judged<'_>]) -> Vec<Finding> {
    let of_sides = sides.iter().flat_map(|side| of_side(side).into_iter().chain(unstable(side)));
    let of_pairs = pairs.iter().filter(|pair| pair.same.is_none()).flat_map(|pair| {
        let two_mounts = || (pair.sharing != Answer::Proven).then(|| two_mounts(&pair.pair)).flatten();
        let files = shared_wal_index(pair)
            .or_else(|| shared_database(pair))
            .or_else(two_mounts)
            .or_else(|| different_databases(pair));
        [files, diverged(pair)]
    });
    of_sides.chain(of_pairs.flatten()).collect()
}

/// What one side's processes and path say.
pub(super) fn of_side(side: &Side) -> Vec<Finding> {
    [split_brain(side), shm_deleted(side), of_another_file(side)].into_iter().flatten().collect()
}

/// A process that goes on with the database or the `-wal` that was there before.
fn of_another_file(side: &Side) -> Option<Finding> {
    let database = mappings::of_others(side, |mapping| mapping.database_open);
    let wal = mappings::of_others(side, |mapping| mapping.wal_open);
    let (code, title, part, found) = match (database.is_empty(), wal.is_empty()) {
        (false, _) => (DATABASE_NOT, "A process uses this wal-index for another database file", "database", database),
        (true, false) => (WAL_NOT, "A process uses this wal-index with another -wal", "-wal", wal),
        (true, true) => return None,
    };
    let processes = mappings::processes(&found);
    let pids: BTreeSet<u32> = found.iter().map(|mapping| mapping.pid).collect();
    Some(Finding {
        code: code.to_owned(),
        severity: Severity::Error,
        title: title.to_owned(),
        detail: format!(
            "On {} {processes} maps the -shm, and has not the {part} open that the path leads to: it was replaced or deleted under the wal-index, or mounted apart from it. Whoever opens the database now shares frame numbers with it that are of other files: content is mixed, and commits are lost.",
            side.label
        ),
        evidence: evidence([("side", json!(side.label)), ("pids", json!(pids)), ("apart", json!(part))]),
        advice: START_AGAIN.to_owned(),
    })
}

const DATABASE_NOT: &str = "wal_index_shared_database_not";
const WAL_NOT: &str = "wal_index_shared_wal_not";

/// One folder behind two mounts, by the signs that such mounts leave: another device, the same inode numbers, and either
/// the same source or the same size and time of the database. Signs, no proof: so it never decides a verdict.
fn two_mounts(pair: &Pair<'_>) -> Option<Finding> {
    let view = |side: &Side| {
        let files = &side.evidence.files;
        let database = files.database.value()?.clone();
        let system = database.file_system.value()?.name.clone();
        let mounts = side.evidence.host.mounts.value();
        let mount = mounts.and_then(|all| all.iter().find(|mount| Some(&mount.id) == database.mount_id.value()));
        // An overlay's source is the word overlay.
        let source = mount.map(|mount| mount.source.clone()).filter(|source| *source != system);
        Some((files.directory.value()?.inode, database, system, source))
    };
    let (a, b) = (view(pair.a)?, view(pair.b)?);
    identity::same_kernel(pair).ok()?;
    let why = surroundings::needs_care(&a.2)?;
    let same_numbers = a.0 == b.0 && a.1.inode == b.1.inode && a.2 == b.2 && a.1.device != b.1.device;
    let same_source = a.3.is_some() && a.3 == b.3;
    let same_content = (a.1.size, a.1.modified) == (b.1.size, b.1.modified);
    (same_numbers && (same_source || same_content)).then(|| Finding {
        code: "two_mounts_of_one_file_system".to_owned(),
        severity: Severity::Warning,
        title: "What looks like one folder is reached through two mounts".to_owned(),
        detail: format!(
            "{} and {} have the same inode numbers on two devices, {} and {}, both {}: {why}.",
            pair.a.label, pair.b.label, a.1.device, b.1.device, a.2
        ),
        evidence: evidence([
            ("sides", json!([pair.a.label, pair.b.label])),
            ("file_system", json!(a.2)),
            ("devices", json!([a.1.device.to_string(), b.1.device.to_string()])),
            ("inode", json!(a.1.inode.to_string())),
        ]),
        advice: "Mount it once on the machine, and give that one mount to every container.".to_owned(),
    })
}

fn split_brain(side: &Side) -> Option<Finding> {
    let Mapped::Split(split) = mappings::mapped(side) else { return None };
    Some(Finding {
        code: "split_brain".to_owned(),
        severity: Severity::Error,
        title: "Running processes use another wal-index than the path leads to".to_owned(),
        detail: format!(
            "{}. Whoever opens the database next does not see their commits and locks.",
            split.detail(side)
        ),
        evidence: split_evidence(side, &split),
        advice: if split.by_database() { ONE_NAME } else { START_AGAIN }.to_owned(),
    })
}

const START_AGAIN: &str = "Stop every process that has the database open, keep a copy of the database, -wal and -shm, then start them again. Never delete or replace one of the files while it is in use.";
const ONE_NAME: &str = "Stop every process that has the database open, keep a copy of the database and of every -wal and -shm, then start them again so that all reach the database in one folder under one name: a bind mount of the file alone, a hard link and a rename leave -wal and -shm behind.";

fn split_evidence(side: &Side, split: &Split<'_>) -> Map<String, Value> {
    let inodes: Vec<String> = split.inodes().iter().map(ToString::to_string).collect();
    evidence([
        ("side", json!(side.label)),
        ("pids", json!(split.pids())),
        ("mapped", json!(inodes)),
        ("path_leads_to", json!(split.path_leads_to.map(|id| id.to_string()))),
    ])
}

fn shm_deleted(side: &Side) -> Option<Finding> {
    let file = side.evidence.files.shm.value()?;
    if identity::reachable(&side.evidence, file) {
        return None;
    }
    Some(Finding {
        code: "shm_deleted".to_owned(),
        severity: Severity::Warning,
        title: "The -shm was deleted or replaced during the capture".to_owned(),
        detail: format!(
            "On {} the path no longer led to the -shm that had been opened. The last connection may have closed, or somebody removed it.",
            side.label
        ),
        evidence: evidence([
            ("side", json!(side.label)),
            ("links", json!(file.links)),
            ("paths_unchanged", json!(side.evidence.paths_unchanged)),
        ]),
        advice: "Capture again while a connection stays open. Never delete the -shm of a database in use.".to_owned(),
    })
}

fn unstable(side: &Side) -> Option<Finding> {
    (!side.stable).then(|| Finding {
        code: "bundle_unstable".to_owned(),
        severity: Severity::Warning,
        title: "The capture is not of one moment".to_owned(),
        detail: format!(
            "The files of {} could not be shown to be of one moment; identities hold, the content may be mixed.",
            side.label
        ),
        evidence: evidence([("side", json!(side.label))]),
        advice: "Capture again, when there is less traffic or while a connection stays open.".to_owned(),
    })
}

/// One wal-index over two databases, or over two logs.
fn shared_wal_index(judged: &Judged<'_>) -> Option<Finding> {
    let (part, apart) = judged.apart.as_ref()?;
    let (code, title) = if part.name == identity::DATABASE.name {
        (DATABASE_NOT, "One wal-index, but each side has its own database")
    } else {
        (WAL_NOT, "One wal-index, but each side has its own -wal")
    };
    Some(Finding {
        code: code.to_owned(),
        severity: Severity::Error,
        title: title.to_owned(),
        detail: format!("The sides share one -shm, but {apart}. Each side reads frame numbers that the other wrote for other files: content is mixed, and commits are lost."),
        evidence: of_pair(judged, [("apart", json!(part.name)), ("detail", json!(apart))]),
        advice: "Stop every process that has either database open and keep a copy of all files. Then mount the folder that holds the database, with everything in it, from one place into every container; never mount or link a -shm by itself."
            .to_owned(),
    })
}

/// Content that does not fit, from captures between which too much may have happened.
fn diverged(judged: &Judged<'_>) -> Option<Finding> {
    let pair = &judged.pair;
    let detail = history::parted(pair).or_else(|| temporal::fell_behind(pair))?;
    let why = continuity::unbroken(pair).err()?;
    Some(Finding {
        code: "captures_diverged".to_owned(),
        severity: Severity::Warning,
        title: "The captures do not continue each other".to_owned(),
        detail: format!(
            "{detail}. Two writers on two wal-indexes leave that behind; {}, and {why}.",
            continuity::LOST_TAIL
        ),
        evidence: of_pair(judged, [("detail", json!(detail)), ("not_refuted_because", json!(why))]),
        advice: "Capture both sides again while a connection stays open on each, or compare the live databases."
            .to_owned(),
    })
}

fn shared_database(judged: &Judged<'_>) -> Option<Finding> {
    let Identity::One(database) = identity::judge(&judged.pair, identity::DATABASE) else { return None };
    let (Identity::Two(shm) | Identity::LocksApart(shm)) = &judged.shm else { return None };
    Some(Finding {
        code: "database_shared_wal_index_not".to_owned(),
        severity: Severity::Error,
        title: "One database, but each side has its own wal-index".to_owned(),
        detail: format!("{database}; {shm}. Commits of one side overwrite those of the other, and integrity_check does not notice."),
        evidence: of_pair(judged, [("database", json!(database)), ("shm", json!(shm))]),
        advice: "Mount the folder that holds the database, not the single file, and reach it under one name: a bind mount of the file alone and hard links leave -wal and -shm behind."
            .to_owned(),
    })
}

fn different_databases(judged: &Judged<'_>) -> Option<Finding> {
    if judged.sharing == Answer::Proven {
        return None;
    }
    let Identity::Two(detail) = identity::judge(&judged.pair, identity::DATABASE) else { return None };
    Some(Finding {
        code: "different_databases".to_owned(),
        severity: Severity::Warning,
        title: "The sides have different database files".to_owned(),
        detail: format!("{detail}. Equal content only means that one was copied."),
        evidence: of_pair(judged, [("database", json!(detail))]),
        advice: "If it should be one database, mount the same folder on every side.".to_owned(),
    })
}

fn of_pair<const N: usize>(judged: &Judged<'_>, more: [(&str, Value); N]) -> Map<String, Value> {
    let sides = json!([judged.pair.a.label, judged.pair.b.label]);
    let mut map = evidence([("sides", sides)]);
    map.extend(evidence(more));
    map
}

fn evidence<const N: usize>(items: [(&str, Value); N]) -> Map<String, Value> {
    items.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
