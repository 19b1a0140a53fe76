//! A `-wal` that lacks frames which the wal-index in use counts.

use std::borrow::Cow;

use super::rescue;
use super::words::{count, many, one_or};
use crate::evidence::KeptLog;
use crate::finding::{Finding, Found};

/// What is missing, who still has it, and what to do.
pub(super) fn told(finding: &Finding) -> (Cow<'static, str>, &'static str) {
    let Found::WalTruncated { mx_frame, backfilled, needed, found, committed, deleted_wals, has_header } =
        &finding.found
    else {
        return <_>::default();
    };
    let counted = u64::from(*mx_frame);
    let first_lost = (*committed).max(backfilled.count()) + 1;
    let missing = if first_lost == counted {
        format!("Frame {} is", count(counted))
    } else {
        format!("Frames {} to {} are", count(first_lost), count(counted))
    };
    let lost = match deleted_wals.as_slice() {
        _ if first_lost > counted => {
            "All of them are in the database: nothing that was committed is lost so far.".to_owned()
        }
        [] => format!(
            "{missing} neither in the WAL nor in the database: such commits are lost, and who reads the pages gets an error or another state."
        ),
        kept => format!("{missing} neither in this -wal nor in the database. {}", still_open(kept)),
    };
    let header = if *has_header { "" } else { " and no header" };
    let advice = if deleted_wals.is_empty() { rescue::TRUNCATED } else { rescue::START_AGAIN };
    (
        format!(
            "The wal-index counts {}, which {} {}, {} of them in the database; the WAL has {}{header}. {lost}",
            many(counted, "frame"),
            one_or(counted, "takes", "take"),
            many(*needed, "byte"),
            count(backfilled.count()),
            many(*found, "byte")
        )
        .into(),
        advice,
    )
}

/// Who has the `-wal` that was deleted, and what is in it.
fn still_open(kept: &[KeptLog]) -> String {
    let one = |wal: &KeptLog| {
        let place = format!("pid {} by /proc/{}/fd/{}", wal.pid, wal.pid, wal.descriptors.0);
        match wal.commits {
            Some(commits) => format!("{place}, with {} not in the database", many(commits, "commit")),
            None => format!("{place}, which may have them"),
        }
    };
    let told: Vec<String> = kept.iter().take(5).map(one).collect();
    let more = kept.len().saturating_sub(5);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!(
        "A -wal that was deleted is still open: {}{more}. What is there is lost when the process ends.",
        told.join("; ")
    )
}
