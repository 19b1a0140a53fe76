//! Findings about two or more sides.

use super::identity::{self, Identity, Part};
use super::mappings::{self, Mapped};
use super::verdict::Judged;
use super::{Answer, Pair, Side, continuity, history, temporal};
use crate::finding::surroundings;
use crate::finding::value::{Apart, GoneIndex, Sides, SplitIndex, Unsettled};
use crate::finding::{Finding, Found};

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
    let (part, found) = match (database.is_empty(), wal.is_empty()) {
        (false, _) => (identity::DATABASE, database),
        (true, false) => (identity::WAL, wal),
        (true, true) => return None,
    };
    Some(apart(
        part,
        Apart::Process {
            side: side.label.clone(),
            pids: found.iter().map(|mapping| mapping.pid).collect(),
            apart: part.name,
            processes: mappings::processes(&found),
        },
    ))
}

/// One wal-index over two databases, or over two logs.
fn apart(part: Part, apart: Apart) -> Finding {
    Finding::new(if part.name == identity::DATABASE.name {
        Found::WalIndexSharedDatabaseNot { apart }
    } else {
        Found::WalIndexSharedWalNot { apart }
    })
}

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
    (same_numbers && (same_source || same_content)).then(|| {
        Finding::new(Found::TwoMountsOfOneFileSystem {
            sides: sides(pair),
            file_system: a.2.clone(),
            devices: [a.1.device, b.1.device],
            inode: a.1.inode.to_string(),
            why,
        })
    })
}

fn split_brain(side: &Side) -> Option<Finding> {
    let Mapped::Split(split) = mappings::mapped(side) else { return None };
    Some(Finding::new(Found::SplitBrain {
        split: SplitIndex::Side {
            side: side.label.clone(),
            pids: split.pids(),
            mapped: split.inodes(),
            path_leads_to: split.path_leads_to,
            by_database: split.by_database(),
            detail: split.detail(side),
        },
    }))
}

fn shm_deleted(side: &Side) -> Option<Finding> {
    let file = side.evidence.files.shm.value()?;
    if identity::reachable(&side.evidence, file) {
        return None;
    }
    Some(Finding::new(Found::ShmDeleted {
        gone: GoneIndex::DuringCapture {
            side: side.label.clone(),
            links: file.links,
            paths_unchanged: side.evidence.paths_unchanged,
        },
    }))
}

fn unstable(side: &Side) -> Option<Finding> {
    let unsettled = || Unsettled::Side { side: side.label.clone() };
    (!side.stable).then(|| Finding::new(Found::BundleUnstable { unsettled: unsettled() }))
}

fn shared_wal_index(judged: &Judged<'_>) -> Option<Finding> {
    let (part, detail) = judged.apart.as_ref()?;
    let detail = detail.clone();
    Some(apart(*part, Apart::Pair { sides: sides(&judged.pair), apart: part.name, detail }))
}

/// Content that does not fit, from captures between which too much may have happened.
fn diverged(judged: &Judged<'_>) -> Option<Finding> {
    let pair = &judged.pair;
    let detail = history::parted(pair).or_else(|| temporal::fell_behind(pair))?;
    let why = continuity::unbroken(pair).err()?;
    Some(Finding::new(Found::CapturesDiverged { sides: sides(pair), detail, not_refuted_because: why }))
}

fn shared_database(judged: &Judged<'_>) -> Option<Finding> {
    let Identity::One(database) = identity::judge(&judged.pair, identity::DATABASE) else { return None };
    let (Identity::Two(shm) | Identity::LocksApart(shm)) = &judged.shm else { return None };
    Some(Finding::new(Found::DatabaseSharedWalIndexNot { sides: sides(&judged.pair), database, shm: shm.clone() }))
}

fn different_databases(judged: &Judged<'_>) -> Option<Finding> {
    if judged.sharing == Answer::Proven {
        return None;
    }
    let Identity::Two(database) = identity::judge(&judged.pair, identity::DATABASE) else { return None };
    Some(Finding::new(Found::DifferentDatabases { sides: sides(&judged.pair), database }))
}

fn sides(pair: &Pair<'_>) -> Sides {
    [pair.a.label.clone(), pair.b.label.clone()]
}
