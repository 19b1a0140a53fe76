//! A deleted `-wal` that a process still has open.

use super::value::{Evidence as Facts, Fact, Value};
use crate::evidence::DeletedWal;

impl Fact for Vec<DeletedWal> {
    fn show(&self, name: &'static str, evidence: &mut Facts) {
        if self.is_empty() {
            return;
        }
        let each = self.iter().map(|one| {
            Value::Fields(vec![
                ("pid", u64::from(one.pid).into()),
                ("descriptor", u64::from(one.descriptors.0).into()),
                ("commits", one.commits.map_or(Value::Null, Value::from)),
            ])
        });
        evidence.push((name, Value::List(each.collect())));
    }
}
