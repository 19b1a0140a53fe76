//! False verdicts that are known, and not mended yet. They are counted and said, and do not make the test fail.

use std::io::Write;

use crate::tally::Tally;

/// A fault that is known.
pub struct Known {
    /// Words of its text; all must be there.
    words: &'static [&'static str],
    pub why: &'static str,
}

const KNOWN: &[Known] = &[
    Known {
        words: &["mapping_without_locks", "(Bystander)"],
        why: "a program that maps the -shm for reading and has the files open is taken for a connection without locks",
    },
    Known {
        words: &["split_brain", "(Bystander)"],
        why: "a program that maps an old -shm for reading is taken for a connection that is cut off",
    },
    Known {
        words: &["false refuted of mappings", "Bystander"],
        why: "a program that maps an old -shm for reading refutes",
    },
    Known {
        words: &["needlessly not proven", "Bystander"],
        why: "a program that maps an old -shm for reading refutes",
    },
    Known {
        words: &["false proven of mappings", "(NoLocks)"],
        why: "a connection with a wal-index of its own, whose -wal was removed, is taken for an idle one",
    },
    Known {
        words: &["false proven of paths", "disk I/O error"],
        why: "the -wal was removed under a -shm that is in use: the next connection cannot read",
    },
    Known {
        words: &["false proven of paths", "Busy", "meet at the database"],
        why: "probe meet does not see that a process holds the database exclusively",
    },
    Known {
        words: &["subset: ", "held back by"],
        why: "without a look at the processes nothing holds back the proof of the paths",
    },
    Known {
        words: &["subset: Undecided became Refuted of Mappings"],
        why: "without the mount namespace or the mappings of one side, processes of the other refute",
    },
];

/// Faults that are known, and the others.
pub fn split(wrong: Vec<String>) -> (Vec<&'static Known>, Vec<String>) {
    let (mut known, mut new) = (Vec::new(), Vec::new());
    for fault in wrong {
        match KNOWN.iter().find(|known| known.words.iter().all(|word| fault.contains(word))) {
            Some(found) => known.push(found),
            None => new.push(fault),
        }
    }
    (known, new)
}

/// Says which known faults were left out, around the test harness, which would hide it.
pub fn say(tally: &Tally) {
    let mut out = std::io::stderr();
    for known in KNOWN {
        let times = tally.of(&format!("KNOWN FAULT: {}", known.why));
        let _ = match times {
            0 => writeln!(out, "KNOWN FAULT, not seen this time: {}", known.why),
            n => writeln!(out, "KNOWN FAULT, left out {n} times: {}", known.why),
        };
    }
}
