//! What a process may do: `status` (man 5 proc_pid_status), `uid_map` and `gid_map` (man 7 user_namespaces).

/// Ids, groups and capabilities of a process, as numbers of the observer's user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Real user.
    pub real_uid: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// The user that the kernel compares with the owners of files.
    pub fs_uid: u32,
    /// The group that the kernel compares with the groups of files.
    pub fs_gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Effective capabilities, one bit each.
    pub effective: u64,
}

/// A capability that counts for files (linux/capability.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// CAP_DAC_OVERRIDE: permissions do not matter.
    DacOverride,
    /// CAP_DAC_READ_SEARCH: permissions to read and to search do not matter.
    DacReadSearch,
    /// CAP_FOWNER: may do what the owner may.
    Fowner,
}

impl Credentials {
    /// Whether a capability is in effect.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        let bit = match capability {
            Capability::DacOverride => 1,
            Capability::DacReadSearch => 2,
            Capability::Fowner => 3,
        };
        self.effective & (1 << bit) != 0
    }
}

/// Real, effective, saved and file system users and groups, from `status`.
#[must_use]
pub fn ids(status: &[u8]) -> Option<[[u32; 4]; 2]> {
    let text = String::from_utf8_lossy(status);
    let of = |name: &str| -> Option<[u32; 4]> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let numbers: Vec<u32> =
            line.split_ascii_whitespace().map(|number| number.parse().ok()).collect::<Option<_>>()?;
        numbers.try_into().ok()
    };
    Some([of("Uid:")?, of("Gid:")?])
}

/// Reads `status`. `None`: a line is missing or has another form.
#[must_use]
pub fn parse(status: &[u8]) -> Option<Credentials> {
    let text = String::from_utf8_lossy(status);
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let numbers = |name: &str| -> Option<Vec<u32>> {
        line(name)?.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
    };
    let [[real_uid, uid, _, fs_uid], [_, gid, _, fs_gid]] = ids(status)?;
    Some(Credentials {
        real_uid,
        uid,
        gid,
        fs_uid,
        fs_gid,
        groups: numbers("Groups:")?,
        effective: u64::from_str_radix(line("CapEff:")?.trim(), 16).ok()?,
    })
}

/// The ids of the observer that have a number in the user namespace of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// First id of the observer, and how many.
    ranges: Vec<(u32, u32)>,
    whole: bool,
}

impl IdMap {
    /// Reads `uid_map` or `gid_map`. `None`: it has another form, or nothing is mapped yet.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let row = |line: &str| -> Option<(u32, u32, u32)> {
            let mut numbers = line.split_ascii_whitespace().map(|number| number.parse().ok());
            Some((numbers.next()??, numbers.next()??, numbers.next()??))
        };
        let rows: Vec<(u32, u32, u32)> = text.lines().map(row).collect::<Option<_>>()?;
        let whole = rows.as_slice() == [(0, 0, u32::MAX)];
        let ranges: Vec<(u32, u32)> = rows.into_iter().map(|(_, outside, count)| (outside, count)).collect();
        (!ranges.is_empty()).then_some(Self { ranges, whole })
    }

    /// Whether this id has a number there.
    #[must_use]
    pub fn has(&self, id: u32) -> bool {
        self.ranges.iter().any(|(first, count)| id >= *first && u64::from(id) < u64::from(*first) + u64::from(*count))
    }

    /// Whether every id has its own number there, as in the first user namespace of a machine.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_groups_and_capabilities_are_read() {
        let status =
            b"Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapPrm:\t0\nCapEff:\t0000000000000006\n";
        let found = parse(status).unwrap();
        assert_eq!(found.real_uid, 1);
        assert_eq!((found.uid, found.gid, found.fs_uid, found.fs_gid), (2, 6, 4, 8));
        assert_eq!(found.groups, [9, 10]);
        let has = [Capability::DacOverride, Capability::DacReadSearch, Capability::Fowner].map(|one| found.has(one));
        assert_eq!(has, [true, true, false]);
        assert_eq!(ids(status), Some([[1, 2, 3, 4], [5, 6, 7, 8]]));
        assert_eq!([ids(b"Uid:\t1\n"), ids(b"Uid:\t1\t2\t3\t4\n")], [None, None]);
        assert_eq!(parse(b"Uid:\t1\t2\t3\t4\n"), None);
        assert_eq!(parse(&status.as_slice()[..30]), None);
        assert!(parse(&std::fs::read("/proc/self/status").unwrap()).is_some());
    }

    #[test]
    fn a_map_tells_which_ids_have_a_number_inside() {
        let map = IdMap::parse(b"         0       1000          1\n         1     100000      65536\n").unwrap();
        assert_eq!(
            [999, 1000, 1001, 100_000, 165_535, 165_536].map(|id| map.has(id)),
            [false, true, false, true, true, false]
        );
        assert!(!map.is_whole());
        assert!(IdMap::parse(b"         0          0 4294967295\n").unwrap().is_whole());
        assert_eq!([IdMap::parse(b""), IdMap::parse(b"0 x 1\n"), IdMap::parse(b"0 1\n")], [None, None, None]);
    }
}
