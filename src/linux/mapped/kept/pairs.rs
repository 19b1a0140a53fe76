//! Which sidecar of a process belongs to which of its databases.
//!
//! SQLite opens a database, then its `-wal` or `-journal`, by the name of the database at that moment. So a sidecar belongs to
//! the database with the rest of its name. If several have that name, because it was replaced, it belongs to the one that was
//! opened last before it. A database that was renamed while it was open has no sidecar with its new name, and another one
//! may have its old name by now: then the order and the locks tell, or it stays unsure.
//!
//! folklore: a new descriptor gets the lowest free number, so a sidecar can have a lower number than its database. Alone
//! this contradicts nothing. Held by `a_lower_number_alone_contradicts_no_name`.

use super::held::Open;
use crate::evidence::Part;
use crate::number::FileId;

/// A sidecar, and its database if that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'o> {
    pub database: Option<&'o Open>,
    pub sidecar: &'o Open,
}

/// The pairs of one process.
#[derive(Debug, Default)]
pub(super) struct Pairs<'o> {
    /// Those that are sure, and sidecars without a database.
    pub sure: Vec<Pair<'o>>,
    /// Those that the names give, and that the order contradicts.
    pub doubted: Vec<Pair<'o>>,
    /// Sidecars and databases of which it is not sure who belongs to whom.
    pub unsure: Vec<&'o Open>,
}

/// Pairs the sidecars `sidecars` of one part with the databases of a process.
pub(super) fn pairs<'o>(open: &'o [Open], part: Part, sidecars: impl Fn(&Open) -> bool) -> Pairs<'o> {
    let mut named: Vec<Pair<'o>> = Vec::new();
    for sidecar in open.iter().filter(|open| open.part == part && sidecars(open)) {
        let database =
            sidecar.base().and_then(|base| nearest_before(open, sidecar, |other| other.is(Part::Database, base)));
        let known = |pair: &Pair<'_>| {
            pair.sidecar.file == sidecar.file && pair.database.map(|one| one.file) == database.map(|one| one.file)
        };
        if !named.iter().any(known) {
            named.push(Pair { database, sidecar });
        }
    }
    let of_process = Process { open, part };
    let lone = of_process.lone(&named);
    let nameless = named.iter().filter(|pair| pair.database.is_none()).count();
    let is_free =
        |pair: &Pair<'_>| pair.database.is_none() || nameless < lone.len() && of_process.is_after_one_of(&lone, pair);
    let (free, mut sure): (Vec<_>, Vec<_>) = named.iter().partition(|pair| is_free(pair));
    let mut unsure = Vec::new();
    match of_process.match_up(&lone, &free) {
        Some(matched) => sure.extend(matched),
        None if lone.is_empty() || free.is_empty() => sure.extend(free),
        None => unsure.extend(free.iter().map(|pair| pair.sidecar)),
    }
    let several = of_process.several(&sure, &lone);
    let (several, sure): (Vec<_>, Vec<_>) = sure.into_iter().partition(|pair| several.contains(&pair.sidecar.file));
    unsure.extend(several.into_iter().flat_map(|pair| [pair.database, Some(pair.sidecar)]).flatten());
    if !unsure.is_empty() {
        unsure.extend(lone);
    }
    let swapped = of_process.swapped(&sure);
    let (doubted, sure) = sure.into_iter().partition(|pair| swapped.contains(&pair.sidecar.file));
    Pairs { sure, doubted, unsure }
}

struct Process<'o> {
    open: &'o [Open],
    part: Part,
}

impl<'o> Process<'o> {
    /// Whether SQLite opened a file before a descriptor, by the numbers.
    fn is_before(&self, file: &Open, than: &Open) -> bool {
        self.open.iter().any(|open| open.file == file.file && open.part == file.part && open.number < than.number)
    }

    /// Whether the database of this name was opened after the sidecar.
    fn is_late(&self, pair: &Pair<'_>) -> bool {
        pair.database.is_some_and(|database| !self.is_before(database, pair.sidecar))
    }

    /// Whether the database of its name was opened after the sidecar, and one of these databases last before it.
    fn is_after_one_of(&self, lone: &[&'o Open], pair: &Pair<'_>) -> bool {
        let last = before(self.open, pair.sidecar, |other| self.needs(other));
        self.is_late(pair) && last.is_some_and(|last| lone.iter().any(|one| one.file == last.file))
    }

    /// Databases that may have such a sidecar and have none by their name: those in use, or else all.
    fn lone(&self, named: &[Pair<'_>]) -> Vec<&'o Open> {
        let mut lone: Vec<&'o Open> = Vec::new();
        for open in self.open.iter().filter(|open| self.needs(open)) {
            let paired = |pair: &Pair<'_>| pair.database.is_some_and(|known| known.file == open.file);
            if !named.iter().any(paired) && !lone.iter().any(|known| known.file == open.file) {
                lone.push(open);
            }
        }
        if lone.iter().any(|open| open.locked) {
            lone.retain(|open| open.locked);
        }
        lone
    }

    /// Whether a database may have a sidecar of this part. Whoever has a `-wal` open holds a lock on the database. The
    /// `-journal` stays open between two transactions with `journal_mode=PERSIST`.
    fn needs(&self, open: &Open) -> bool {
        open.part == Part::Database
            && match self.part {
                Part::Journal => open.wal_mode == Some(false) || open.locked && open.wal_mode.is_none(),
                _ => open.locked && open.wal_mode != Some(false),
            }
    }

    /// Gives the sidecars that are left over to the databases that are left over: one to one, or each to the one opened last
    /// before it.
    fn match_up(&self, lone: &[&'o Open], free: &[Pair<'o>]) -> Option<Vec<Pair<'o>>> {
        if let ([database], [pair]) = (lone, free)
            && (database.locked || database.folder() == pair.sidecar.folder())
        {
            return Some(vec![Pair { database: Some(database), ..*pair }]);
        }
        let is_lone = |open: &Open| lone.iter().any(|one| one.file == open.file);
        let mut matched: Vec<Pair<'o>> = Vec::new();
        for pair in free {
            let database = before(self.open, pair.sidecar, is_lone)?;
            if matched.iter().any(|other| other.database.is_some_and(|one| one.file == database.file)) {
                return None;
            }
            matched.push(Pair { database: Some(database), ..*pair });
        }
        (matched.len() == lone.len()).then_some(matched)
    }

    /// The sidecars of databases with several: one of them may belong to a database that has none.
    fn several(&self, sure: &[Pair<'o>], lone: &[&'o Open]) -> Vec<FileId> {
        let is = |pair: &Pair<'_>, file| pair.database.is_some_and(|one| one.file == file);
        let without = lone.iter().any(|one| !sure.iter().any(|pair| is(pair, one.file)));
        let several = |pair: &&Pair<'_>| {
            let count = |file| sure.iter().filter(|other| is(other, file)).count();
            without && pair.database.is_some_and(|one| count(one.file) > 1)
        };
        sure.iter().filter(several).map(|pair| pair.sidecar.file).collect()
    }

    /// The sidecars of databases in one folder whose names may have been exchanged: the order contradicts the names, and it gives
    /// each of them another database in turn. Threads that open databases at the same time can leave the same order.
    fn swapped(&self, sure: &[Pair<'o>]) -> Vec<FileId> {
        let mut doubted = Vec::new();
        for late in sure.iter().filter(|pair| self.is_late(pair)) {
            let mut turn = vec![late];
            while let Some(next) = turn.last().and_then(|pair| self.of_last_before(sure, pair)) {
                let known = turn.iter().position(|pair| pair.sidecar.file == next.sidecar.file);
                if known == Some(0) && turn.len() > 1 {
                    doubted.extend(turn.iter().map(|pair| pair.sidecar.file));
                }
                if known.is_some() {
                    break;
                }
                turn.push(next);
            }
        }
        doubted
    }

    /// The pair of the database that was opened last before a sidecar.
    fn of_last_before<'s>(&self, sure: &'s [Pair<'o>], pair: &Pair<'_>) -> Option<&'s Pair<'o>> {
        let last = before(self.open, pair.sidecar, |other| self.needs(other))?;
        let of_last = |other: &&Pair<'_>| other.database.is_some_and(|one| one.file == last.file);
        sure.iter().find(of_last).filter(|_| last.folder() == pair.sidecar.folder())
    }
}

/// What was opened last before a descriptor, or else first after it.
pub(super) fn nearest_before<'o>(open: &'o [Open], to: &Open, is: impl Fn(&Open) -> bool) -> Option<&'o Open> {
    before(open, to, &is).or_else(|| after(open, to, &is))
}

/// What was opened first after a descriptor, or else last before it: the connections of a process share one `-shm`.
pub(super) fn nearest_after<'o>(open: &'o [Open], to: &Open, is: impl Fn(&Open) -> bool) -> Option<&'o Open> {
    after(open, to, &is).or_else(|| before(open, to, &is))
}

fn before<'o>(open: &'o [Open], to: &Open, is: impl Fn(&Open) -> bool) -> Option<&'o Open> {
    open.iter().rev().find(|other| other.number < to.number && is(other))
}

fn after<'o>(open: &'o [Open], to: &Open, is: impl Fn(&Open) -> bool) -> Option<&'o Open> {
    open.iter().find(|other| other.number > to.number && is(other))
}
