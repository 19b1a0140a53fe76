//! The one list of findings: what the bytes that were read say. A finding is never an error and contains no sentence.
//! It is a code, a severity and the facts that it rests on. `say` makes the sentences.

mod check_name;
pub mod checks;
pub mod code;
pub mod cut;
pub mod cut_shm;
pub mod frames_gone;
pub mod journal_sign;
mod kept_log;
pub mod lacks;
pub mod mappers;
pub mod newer;
pub mod not_copied;
pub mod obstacle;
mod old_names;
pub mod openable;
mod other_names;
pub mod overwritten_sign;
pub mod processes;
pub mod renamed;
pub mod room;
pub mod rules;
pub mod split_index;
pub mod surroundings;
pub mod users;
pub mod value;

pub use code::{Code, Found};

use crate::look::Inspection;
use crate::sides::SideIndex;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing has to be done.
    Info,
    /// Unusual, harmless in most cases.
    Notice,
    /// Something will fail, or prevents something.
    Warning,
    /// Something is wrong.
    Error,
}

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How much it matters in this case.
    pub severity: Severity,
    /// What was found, and the facts that it rests on.
    pub found: Found,
    /// The source that it is about, if several are looked at.
    pub source: Option<String>,
}

impl Finding {
    /// A finding with the gravest severity of its code.
    #[must_use]
    pub fn new(found: Found) -> Self {
        Self::at(found.code().gravest(), found)
    }

    /// A finding of this severity.
    #[must_use]
    pub fn at(severity: Severity, found: Found) -> Self {
        Self { severity, found, source: None }
    }

    /// The code: what it is about.
    #[must_use]
    pub fn code(&self) -> Code {
        self.found.code()
    }
}

/// Every finding about one look: what the files show, how they are mounted, linked and owned, and whether running
/// processes have other files mapped. The gravest come first.
///
/// ```
/// use walscope::finding::{Code, findings};
/// use walscope::look::{Bytes, Options, inspect};
///
/// let encrypted = Bytes { database: Some(vec![7; 4096]), ..Bytes::default() };
/// let found = findings(&inspect(&encrypted, &Options::default())?);
/// assert_eq!(found.first().map(|finding| finding.code()), Some(Code::DatabaseOpaque));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn findings(inspection: &Inspection) -> Vec<Finding> {
    let mut found = rules::of_files(inspection);
    found.extend(cut_shm::of_look(inspection));
    found.extend(other_names::of_look(inspection));
    if let Some(evidence) = &inspection.surroundings {
        let origin = &inspection.origin;
        found.extend(processes::findings(SideIndex(0), &origin.label, evidence));
        found.extend(users::findings(&origin.label, evidence, inspection.database.as_ref(), &users::all(evidence)));
        found.extend(surroundings::findings(evidence));
    }
    if let Some(full) = room::of_look(inspection) {
        room::explain(&full, &mut found);
        found.push(full);
    }
    let opening = openable::findings(inspection, &found);
    if opening.iter().any(|one| one.code() == Code::SharedMappingsRefused) {
        room::take_signs_away(&mut found);
    }
    found.extend(opening);
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_each_row_lists_its_severities_from_mild_to_grave() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.name() < b.name()));
        for code in Code::ALL {
            assert!(code.severities().is_sorted_by(|a, b| a < b), "{code}");
            assert!(!code.title().ends_with('.'), "{code}");
        }
    }
}
