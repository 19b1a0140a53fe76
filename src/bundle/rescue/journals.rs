//! Which database a journal with content belongs to that nobody has open. One set with a database, and its journal beside it: the
//! name tells. Where several databases have, or had, the name, or none has it any more, the bytes tell.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::SavedFile;
use super::copies::Copies;
use crate::bundle::SnapshotError;
use crate::bundle::look::is_hot_journal;
use crate::bytes::FileBytes;
use crate::evidence::{Part, Parts};
use crate::linux::mapped::kept::{self, Among, KeptFile, KeptSet, KeptView, LooseJournal};
use crate::linux::{Care, OpenError, Target};
use crate::look::{JournalFit, journal_fit};

/// What is known of the database that a journal belongs to, which is in no set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// None of those that were found needs it.
    OfNone,
    /// It is not known which of them it is.
    Unclear,
}

/// A journal that is in no set.
#[derive(Debug, Clone)]
pub struct Apart {
    /// The journal.
    pub file: KeptFile,
    /// What is known of its database.
    pub whose: Whose,
}

/// Looks at the processes and at the path, and puts each journal to the database that it belongs to. Gives those that are in no set,
/// too.
///
/// # Errors
/// The processes cannot be listed, or the path cannot be looked up.
pub fn look(target: &Target, care: Care, among: Among<'_>) -> Result<(KeptView, Vec<Apart>), OpenError> {
    let mut view = kept::kept_files(target, care, among)?;
    let in_sets = view.sets.iter().filter_map(|set| set.files.get(Part::Journal));
    let mut journals = view.journals.iter().map(|journal| &journal.file).chain(in_sets);
    if care.strict_atime && journals.any(|journal| journal.access_time_may_move) {
        // None may be read.
        let unread = |LooseJournal { file, .. }| Apart { file, whose: Whose::Unclear };
        let apart = std::mem::take(&mut view.journals).into_iter().map(unread).collect();
        return Ok((view, apart));
    }
    let apart = sort_out(&mut view);
    Ok((view, apart))
}

fn sort_out(view: &mut KeptView) -> Vec<Apart> {
    let with_database = view.sets.iter().filter(|set| has_database(set)).count();
    let mut loose = std::mem::take(&mut view.journals);
    for set in &mut view.sets {
        let by_name = |journal: &KeptFile| journal.descriptor.is_none() && is_hot_journal(&journal.file);
        let alone = !has_database(set);
        if (with_database > 1 || alone)
            && let Some(file) = set.files.slot(Part::Journal).take_if(|journal| by_name(journal))
        {
            set.facts.at_path.retain(|part| *part != Part::Journal);
            set.at_path = !set.facts.at_path.is_empty();
            loose.push(LooseJournal { file, own_name: true });
        }
    }
    view.sets.retain(|set| set.files.iter().next().is_some());
    let in_set = |set: &KeptSet| Some(set.files.get(Part::Journal)?.id).filter(|_| has_database(set));
    let mut known: BTreeSet<_> = view.sets.iter().filter_map(in_set).collect();
    let mut apart = Vec::new();
    // One can be found by several names of its database.
    loose.sort_by_key(|journal| !journal.own_name);
    for LooseJournal { file, own_name } in loose {
        if known.insert(file.id) {
            apart.extend(put(&mut view.sets, file, own_name));
        }
    }
    apart
}

fn has_database(set: &KeptSet) -> bool {
    set.files.get(Part::Database).is_some()
}

/// Puts a journal to its database. Gives it back where that is not known, or where none needs it.
fn put(sets: &mut [KeptSet], journal: KeptFile, own_name: bool) -> Option<Apart> {
    let fits: Vec<(usize, Fit)> =
        sets.iter().enumerate().filter_map(|(at, set)| Some((at, fit(set, &journal, own_name)?))).collect();
    let are = |wanted: Fit| fits.iter().filter(move |(_, fit)| *fit == wanted).map(|(at, _)| *at).collect::<Vec<_>>();
    let whose = match (
        are(Fit::Own).as_slice(),
        are(Fit::MayBe).as_slice(),
        are(Fit::Doubted).as_slice(),
        are(Fit::Unwritten).as_slice(),
    ) {
        ([one], [], _, _) | ([], [], [], [one]) => match sets.get_mut(*one) {
            Some(set) if set.files.get(Part::Journal).is_none() => {
                if own_name {
                    set.facts.at_path.push(Part::Journal);
                    set.at_path = true;
                }
                *set.files.slot(Part::Journal) = Some(journal);
                if own_name {
                    beside(sets);
                }
                return None;
            }
            _ => Whose::Unclear,
        },
        ([], [], [], _) => Whose::OfNone,
        // A database that is gone had its name.
        ([], [], _, _) if !own_name => Whose::OfNone,
        _ => Whose::Unclear,
    };
    if own_name {
        beside(sets);
    }
    (own_name || whose == Whose::Unclear).then_some(Apart { file: journal, whose })
}

/// Notes that the journal at the path is not with the database that lies there.
fn beside(sets: &mut [KeptSet]) {
    let at_path =
        |set: &&mut KeptSet| set.facts.at_path.contains(&Part::Database) && set.files.get(Part::Journal).is_none();
    sets.iter_mut().filter(at_path).for_each(|set| set.facts.of_another.push(Part::Journal));
}

/// What a journal is to the database of a set, by bytes, times and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Other,
    /// To roll it back changes nothing.
    Unwritten,
    /// The bytes are alike, and nobody wrote to the database since the journal was made.
    Doubted,
    MayBe,
    Own,
}

/// folklore: who reads a database in rollback mode rolls back the journal that lies at its name, whose ever it is, and deletes it. So
/// where such a journal still lies, and the database of its name was written to since it was made, both are of one transaction.
fn fit(set: &KeptSet, journal: &KeptFile, own_name: bool) -> Option<Fit> {
    let database = set.files.get(Part::Database)?;
    let named = || {
        let name = |path: &Path| path.file_name().map(ToOwned::to_owned);
        let own = name(&database.path).map(|mut own| {
            own.push(Part::Journal.suffix());
            own
        });
        own_name && own == name(&journal.path)
    };
    let bytes = |file: &Arc<File>| FileBytes::whole(Arc::clone(file));
    let by_bytes = bytes(&journal.file).and_then(|journal| journal_fit(&journal, &bytes(&database.file)?));
    Some(match (by_bytes.unwrap_or(JournalFit::Unknown), is_written_since(&database.file, &journal.file)) {
        (JournalFit::Other, _) | (JournalFit::Unknown, Some(false)) => Fit::Other,
        (JournalFit::Unwritten, _) => Fit::Unwritten,
        (JournalFit::Own, Some(false)) => Fit::Doubted,
        (JournalFit::Own, _) => Fit::Own,
        (JournalFit::Unknown, Some(true)) if named() => Fit::Own,
        (JournalFit::Unknown, _) => Fit::MayBe,
    })
}

/// Whether somebody has written to a database since its journal was made. `None`: not known, as of a journal that was copied with its
/// times.
fn is_written_since(database: &File, journal: &File) -> Option<bool> {
    let (database, journal) = (database.metadata().ok()?, journal.metadata().ok()?);
    let made = journal.created().ok()?;
    (journal.modified().ok()? >= made).then_some(())?;
    Some(database.modified().ok()? >= made)
}

/// Copies a journal that is in no set.
///
/// # Errors
/// The file cannot be read, or a copy cannot be made or written.
pub fn save_apart(journal: &KeptFile, folder: &Path) -> Result<Option<SavedFile>, SnapshotError> {
    let set =
        KeptSet { files: Parts::new(|part| (part == Part::Journal).then(|| journal.clone())), ..KeptSet::default() };
    let name = super::named_after(&set).and_then(|path| path.file_name().map(ToOwned::to_owned)).unwrap_or_default();
    let mut copies = Copies::new(folder, &name);
    copies.copy(Part::Journal, journal)?;
    Ok(copies.finish(&set)?.pop())
}
