//! A database that was renamed while a process had it open.

use super::value::{Evidence as Facts, Fact, Value};
use crate::evidence::Renamed;

/// Who goes on with a renamed database, as one side shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenamedFound {
    /// The side's label.
    pub side: String,
    /// The processes.
    pub renamed: Vec<Renamed>,
    /// Whether there is a `-wal`, or another database, beside the other name too, so that somebody else may have begun to use it.
    pub both_names: bool,
}

impl Fact for RenamedFound {
    fn show(&self, _: &'static str, evidence: &mut Facts) {
        self.side.show("side", evidence);
        let each = self.renamed.iter().map(|one| {
            Value::Fields(vec![
                ("pid", u64::from(one.pid).into()),
                ("command", one.command.clone().map_or(Value::Null, Value::from)),
                ("container", one.container.clone().map_or(Value::Null, Value::from)),
                ("database", one.database.clone().into()),
                ("opened_as", one.opened_as.clone().into()),
                ("wal", one.wal.clone().map_or(Value::Null, Value::from)),
                ("journal", one.journal.clone().map_or(Value::Null, Value::from)),
                ("commits", one.commits.map_or(Value::Null, Value::from)),
            ])
        });
        evidence.push(("renamed", Value::List(each.collect())));
    }
}
