//! Whether a process is kept from going on: by a signal, or by its cgroup.

use std::fs;
use std::path::Path;

use crate::evidence::{ProcessState, Tracer};
use crate::linux::procfs::{Proc, Process};
use crate::linux::text::cgroup;
use crate::linux::text::process;

/// Where Linux mounts the control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Whether a process is stopped or traced, by its `stat`.
pub(in crate::linux) fn by_signal(stat: &[u8]) -> bool {
    matches!(process::state(stat), Some('T' | 't'))
}

/// Whether the cgroup of a process is frozen, as that of a paused container.
pub(in crate::linux) fn by_cgroup(process: &Process) -> bool {
    is_frozen(process, Path::new(CGROUPS))
}

/// How a process is; `None`: that was not seen.
pub(in crate::linux) fn state(process: &Process) -> Option<ProcessState> {
    let stat = process.read("stat").ok()?;
    Some(match by_signal(&stat) {
        true => ProcessState::Stopped,
        false if by_cgroup(process) => ProcessState::Frozen,
        false => ProcessState::Running,
    })
}

/// Who traces a process that is stopped because it is traced. SIGCONT does not let it go on.
///
/// folklore: state t is a stop for the tracer (ptrace). `TracerPid` in `status` is 0 if the tracer is in a PID namespace that is not
/// seen from here. Held by `a_process_that_a_debugger_stops_is_let_go_on_by_the_debugger`.
pub(in crate::linux) fn tracer(proc: &Proc, process: &Process) -> Option<Tracer> {
    let stat = process.read("stat").ok()?;
    if process::state(&stat) != Some('t') {
        return None;
    }
    let status = process.read("status").unwrap_or_default();
    let pid = process::tracer(&status);
    let command = pid.and_then(|pid| proc.process(pid).ok()?.command());
    Some(Tracer { pid, command })
}

/// folklore: a frozen process is no stopped one: `stat` shows D or S. A cgroup of version 2 says `frozen 1` in
/// `cgroup.events`, one of version 1 FROZEN in `freezer.state`, which any user may read (man 7 cgroups). From inside of a
/// container the group may not be found; there `wchan` names the place in the kernel to those who may trace the process. Seen
/// with `docker pause`; held by `a_process_of_a_frozen_cgroup_is_stopped`.
fn is_frozen(process: &Process, cgroups: &Path) -> bool {
    let waits = process.read("wchan").unwrap_or_default();
    if [&b"do_freezer_trap"[..], b"__refrigerator", b"refrigerator"].contains(&waits.as_slice()) {
        return true;
    }
    let text = process.read("cgroup").unwrap_or_default();
    let has = |file: &Path, words: &str| {
        fs::read_to_string(file).is_ok_and(|text| text.lines().any(|line| line.trim() == words))
    };
    cgroup::groups(&text).iter().any(|(controllers, path)| {
        let folder = |base: &str| cgroups.join(base).join(path.trim_start_matches('/'));
        match controllers.as_str() {
            "" => ["", "unified"].iter().any(|base| has(&folder(base).join("cgroup.events"), "frozen 1")),
            all if all.split(',').any(|one| one == "freezer") => {
                has(&folder("freezer").join("freezer.state"), "FROZEN")
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::Proc;
    use crate::linux::mapped::fake_proc::process;

    #[test]
    fn a_stopped_process_is_known_by_its_state() {
        assert!(by_signal(b"7 (a) T 1 2") && by_signal(b"7 (a) t 1 2"));
        assert!(!by_signal(b"7 (T) S 1 2") && !by_signal(b""));
    }

    #[test]
    fn a_process_of_a_frozen_cgroup_is_stopped() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "7", "mnt:[1]", "");
        let proc = Proc::new(root.path());
        let group = |text: &str| fs::write(root.path().join("7/cgroup"), text).unwrap();
        let says = |file: &str, text: &str| {
            let file = root.path().join("groups").join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let frozen = || is_frozen(&proc.process(7).unwrap(), &root.path().join("groups"));
        group("0::/a\n");
        for (frozen_now, text) in [(false, "populated 1\nfrozen 0\n"), (true, "populated 1\nfrozen 1\n")] {
            says("a/cgroup.events", text);
            assert_eq!(frozen(), frozen_now);
        }
        group("5:cpu,freezer:/b\n0::/\n");
        for (frozen_now, text) in [(false, "THAWED\n"), (true, "FROZEN\n")] {
            says("freezer/b/freezer.state", text);
            assert_eq!(frozen(), frozen_now);
        }
        // Nothing outside of the folder of the control groups is read.
        group("0::/../groups/a\n");
        assert!(!frozen());
        fs::write(root.path().join("7/wchan"), "do_freezer_trap").unwrap();
        assert!(frozen());
    }
}
