//! The rule about databases that were renamed while processes have them open.

use std::collections::BTreeSet;

use super::renamed::RenamedFound;
use super::{Finding, Found};
use crate::evidence::{Evidence, Observation, Renamed, RenamedPart};

/// The finding about one side. `label`: its name.
pub(super) fn finding(label: &str, evidence: &Evidence) -> Option<Finding> {
    let (renamed, files) = (&evidence.renamed, &evidence.files);
    let both_names = match renamed.first()?.here {
        RenamedPart::Database => files.wal.value().is_some(),
        RenamedPart::Wal | RenamedPart::Shm => files.database.value().is_some(),
    };
    let renamed = RenamedFound { side: label.to_owned(), renamed: renamed.clone(), both_names };
    Some(Finding::new(Found::DatabaseRenamed { renamed }))
}

/// Processes of which this finding says all that is to be said: no other database lies at the path.
pub(super) fn named(evidence: &Evidence) -> BTreeSet<u32> {
    let of_database = |one: &&Renamed| one.here == RenamedPart::Database;
    let alone = matches!(evidence.files.database, Observation::Missing { .. });
    evidence.renamed.iter().filter(|one| alone || of_database(one)).map(|one| one.pid).collect()
}
