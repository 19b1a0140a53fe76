//! Findings about two or more sides.

use super::judge::Judged;
use super::{Answer, HeldBack, Pair, Placed, Side, history, identity, kernel, users};
use crate::evidence::{UnstableCause, User};
use crate::finding::value::{Apart, Diverged, Sides, TwoDatabases, TwoIndexes, Unsettled};
use crate::finding::{self, Finding, Found, Severity, processes, surroundings};
use crate::sides::{Identity, NotRefuted, Part, SideIndex};

/// All findings: first those about each side, then those about each pair.
pub(super) fn findings(sides: &[Side], pairs: &[Judged<'_>]) -> Vec<Finding> {
    let placed: Vec<Placed<'_>> = Placed::all(sides).collect();
    let users = users::accused(&placed);
    let of_sides = placed.iter().zip(&users).flat_map(|(of, users)| of_side(*of, users));
    let of_pairs = pairs.iter().filter(|pair| pair.verdict.one_side.is_none()).flat_map(|pair| {
        let two_mounts = || (pair.verdict.sharing != Answer::Proven).then(|| two_mounts(&pair.pair)).flatten();
        let files = shared_wal_index(pair)
            .or_else(|| shared_database(pair))
            .or_else(two_mounts)
            .or_else(|| different_databases(pair));
        [files, diverged(pair)]
    });
    let mut all: Vec<Finding> = of_sides.collect();
    // Where one process looked at all sides, equal numbers are one process.
    if pairs.iter().all(|pair| pair.pair.looked_at_by_one_process()) {
        all = once(&placed, all);
    }
    all.extend(of_pairs.flatten());
    all
}

/// Findings about the processes of one side, and about its capture.
fn of_side(Placed { index, side }: Placed<'_>, users: &[&User]) -> Vec<Finding> {
    let (label, evidence) = (&side.label, &side.evidence);
    let of_users = finding::users::findings(label, evidence, side.database.as_ref(), users);
    // A verdict about sharing cannot leave open whether a child uses the connection that it inherited.
    let of_users = of_users.into_iter().map(|found| match &found.found {
        // Nothing speaks against these processes.
        Found::UsedWithoutWalIndex { .. } | Found::UsedThroughFuse { .. } if found.severity == Severity::Notice => {
            found
        }
        Found::MappingWithoutLocks { users } | Found::UsedWithoutWalIndex { users, .. }
            if finding::users::are_left_over(users) =>
        {
            found
        }
        _ => Finding { severity: found.code().gravest(), ..found },
    });
    let mut found = processes::findings(index, label, evidence);
    found.extend(of_users.chain(unstable(side)));
    found
}

/// Findings about the processes of a side that is looked at alone, as the two sides of a probe are. The gravest come first.
#[must_use]
pub fn findings_of_one(side: &Side) -> Vec<Finding> {
    let placed = [Placed { index: SideIndex(0), side }];
    let users = users::accused(&placed).into_iter().flatten().collect::<Vec<_>>();
    let [of] = placed;
    let mut found = of_side(of, &users);
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

/// Leaves what two sides found of the same processes only with one side: with the one that they belong to, else the first.
fn once(placed: &[Placed<'_>], all: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::with_capacity(all.len());
    for finding in all {
        match kept.iter_mut().find(|before| is_one_fact(before, &finding)) {
            Some(before) if !is_of_its_own(placed, before) && is_of_its_own(placed, &finding) => *before = finding,
            Some(_) => {}
            None => kept.push(finding),
        }
    }
    kept
}

/// Whether two findings say the same of the same processes.
fn is_one_fact(a: &Finding, b: &Finding) -> bool {
    match (&a.found, &b.found) {
        (
            Found::WalIndexSharedDatabaseNot { apart: Apart::Process { apart: x, processes: of_a, .. } }
            | Found::WalIndexSharedWalNot { apart: Apart::Process { apart: x, processes: of_a, .. } },
            Found::WalIndexSharedDatabaseNot { apart: Apart::Process { apart: y, processes: of_b, .. } }
            | Found::WalIndexSharedWalNot { apart: Apart::Process { apart: y, processes: of_b, .. } },
        ) => (x, of_a) == (y, of_b),
        _ => false,
    }
}

/// Whether a process that a finding names is in the mount namespace of the side that it names.
fn is_of_its_own(placed: &[Placed<'_>], finding: &Finding) -> bool {
    let (Found::WalIndexSharedDatabaseNot { apart } | Found::WalIndexSharedWalNot { apart }) = &finding.found else {
        return false;
    };
    let Apart::Process { side, processes, .. } = apart else { return false };
    let of = placed.iter().filter(|of| of.side.label == *side);
    of.map(|of| &of.side.evidence).any(|evidence| {
        let mappings = evidence.mappings.value().into_iter().flat_map(|view| &view.mappings);
        let own = evidence.host.namespaces.mount.value();
        let here = mappings.filter(|mapping| own.is_some() && mapping.mount_namespace.value() == own);
        here.map(|mapping| mapping.pid).any(|pid| processes.iter().any(|process| process.pid == pid))
    })
}

/// One folder behind two mounts. The signs are another device, the same inode numbers, and either the same source or
/// the same size and time of the database. They are no proof, so they never decide a verdict.
fn two_mounts(pair: &Pair<'_>) -> Option<Finding> {
    let view = |side: &Side| {
        let files = &side.evidence.files;
        let database = files.database.value()?.clone();
        let system = database.file_system.value()?.name.clone();
        let mounts = side.evidence.host.mounts.value();
        let mount = mounts.and_then(|all| all.iter().find(|mount| Some(&mount.id) == database.mount_id.value()));
        // The source of an overlay is the word overlay.
        let source = mount.map(|mount| mount.source.clone()).filter(|source| *source != system);
        Some((files.directory.value()?.inode, database, system, source))
    };
    let (a, b) = (view(pair.a.side)?, view(pair.b.side)?);
    kernel::one_kernel(pair).ok()?;
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

fn unstable(side: &Side) -> Option<Finding> {
    let unsettled = || Unsettled::Side { side: side.label.clone() };
    // What is so of this one, the sentence of the verdict says; another capture would show the same.
    let moving = !side.stable && side.unstable != Some(UnstableCause::WalCutOff);
    moving.then(|| Finding::new(Found::BundleUnstable { unsettled: unsettled() }))
}

fn shared_wal_index(judged: &Judged<'_>) -> Option<Finding> {
    let two = judged.verdict.two_files.as_ref()?;
    let (Identity::TwoInodes(looks) | Identity::TwoLockInodes(looks)) = two else { return None };
    let files = Box::new(two.clone());
    let apart = Apart::Pair { sides: sides(&judged.pair), apart: looks.part, files };
    Some(Finding::new(Found::apart(apart)))
}

/// Content that does not fit together and refutes nothing. It is an error where identity says that the files are one.
fn diverged(judged: &Judged<'_>) -> Option<Finding> {
    let told = history::parting(&judged.verdict.because).map(|(parting, why)| (parting, why.clone()));
    let (severity, parting, not_refuted) = match judged.verdict.held_back {
        Some(HeldBack::Contradicted(parting)) => {
            (Severity::Error, parting, told.map_or(NotRefuted::InPlace, |(_, why)| why))
        }
        _ => told.map(|(parting, why)| (Severity::Warning, parting, why))?,
    };
    let diverged = Diverged { sides: sides(&judged.pair), parting, not_refuted };
    Some(Finding::at(severity, Found::CapturesDiverged { diverged }))
}

fn shared_database(judged: &Judged<'_>) -> Option<Finding> {
    let database = identity::judge(&judged.pair, Part::Database);
    let shm = &judged.verdict.shm;
    let found =
        matches!(database, Identity::OneInode(_)) && matches!(shm, Identity::TwoInodes(_) | Identity::TwoLockInodes(_));
    found.then(|| {
        let (database, shm) = (Box::new(database), Box::new(shm.clone()));
        let indexes = TwoIndexes { sides: sides(&judged.pair), database, shm };
        Finding::new(Found::DatabaseSharedWalIndexNot { indexes })
    })
}

fn different_databases(judged: &Judged<'_>) -> Option<Finding> {
    if judged.verdict.sharing == Answer::Proven {
        return None;
    }
    let database = identity::judge(&judged.pair, Part::Database);
    matches!(database, Identity::TwoInodes(_)).then(|| {
        let databases = TwoDatabases { sides: sides(&judged.pair), database: Box::new(database) };
        Finding::new(Found::DifferentDatabases { databases })
    })
}

fn sides(pair: &Pair<'_>) -> Sides {
    let Pair { a, b, .. } = pair;
    Sides { at: [a.index, b.index], labels: [a.side.label.clone(), b.side.label.clone()] }
}
