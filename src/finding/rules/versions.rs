//! Which SQLite wrote last, which shows little.

use crate::finding::{Finding, Found};
use crate::format::db::{DatabaseHeader, JournalMode};

/// Releases with the wal-reset bug, first and last, as SQLITE_VERSION_NUMBER. Two branches got the fix before 3.51.3:
/// 3.44.6 and 3.50.7. Source: "The WAL-Reset Bug" in SQLite's wal.html.
const WAL_RESET: [(u32, u32); 3] = [(3_007_000, 3_044_005), (3_045_000, 3_050_006), (3_051_000, 3_051_002)];

pub(super) fn written_in_wal_reset_range(header: &DatabaseHeader) -> Option<Finding> {
    let version = header.sqlite_version;
    let affected = WAL_RESET.iter().any(|(first, last)| (*first..=*last).contains(&version));
    if header.journal_mode() != JournalMode::Wal || !affected {
        return None;
    }
    Some(Finding::new(Found::WrittenInWalResetRange { sqlite_version: version }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;
    use crate::format::db::{DatabaseHead, parse_head};

    fn finding(version: u32, mode: u8) -> Option<Finding> {
        let mut bytes = [0; 100];
        bytes[..16].copy_from_slice(b"SQLite format 3\0");
        bytes[18..20].copy_from_slice(&[mode, mode]);
        bytes[96..].copy_from_slice(&version.to_be_bytes());
        let DatabaseHead::Plain(header) = parse_head(&bytes).unwrap() else { panic!("not plain") };
        written_in_wal_reset_range(&header)
    }

    #[test]
    fn only_releases_with_the_bug_are_named_and_only_as_information() {
        for (version, affected) in [
            (0, false),
            (3_006_023, false),
            (3_007_000, true),
            (3_040_001, true),
            (3_044_005, true),
            (3_044_006, false),
            (3_045_000, true),
            (3_050_007, false),
            (3_051_002, true),
            (3_051_003, false),
            (3_053_000, false),
        ] {
            assert_eq!(finding(version, 2).is_some(), affected, "{version}");
            assert!(finding(version, 1).is_none(), "a database in rollback mode: {version}");
        }
        let finding = finding(3_040_001, 2).unwrap();
        assert_eq!(finding.severity, Severity::Info);
    }
}
