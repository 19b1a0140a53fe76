//! How a process that is stopped or frozen goes on again.

use super::words::count;
use crate::evidence::{Holder, LockSlot, LockState, ProcessState, Tracer};
use crate::look::held_up::NotRunning;

/// The command that lets a process go on. `None`: it runs, or nothing is known of it, or only who traces it can do that.
#[must_use]
pub fn resume(holder: &Holder) -> Option<String> {
    match (holder.process_state?, holder.pid, &holder.container) {
        (ProcessState::Stopped, Some(pid), _) if holder.tracer.is_none() => Some(format!("kill -CONT {pid}")),
        (ProcessState::Frozen, _, Some(container)) => Some(format!("docker unpause {}", short(container))),
        _ => None,
    }
}

/// A container's id as docker shows it; names stay whole.
fn short(container: &str) -> &str {
    let is_id = container.len() == 64 && container.bytes().all(|byte| byte.is_ascii_hexdigit());
    container.get(..12).filter(|_| is_id).unwrap_or(container)
}

/// What a process that does not run keeps others from, and how it goes on, after its name.
#[must_use]
pub fn keeps_others(one: &NotRunning) -> String {
    let any = |of: &[LockSlot]| one.locks.iter().any(|(lock, _)| of.contains(lock));
    let reads = |lock: &(LockSlot, LockState)| *lock == (LockSlot::Database, LockState::Shared);
    let whole = any(&[LockSlot::Pending, LockSlot::DeadManSwitch, LockSlot::Recover])
        || one.locks.contains(&(LockSlot::Database, LockState::Exclusive));
    let name = |lock: &(LockSlot, LockState)| {
        let shared = if reads(lock) { " (shared)" } else { "" };
        format!("{}{shared}", lock.0.name().replace('_', " "))
    };
    let held = one.locks.iter().map(name).collect::<Vec<_>>().join(", ");
    let meanwhile = if whole {
        "nobody can begin to use the database"
    } else if any(&[LockSlot::Write, LockSlot::Reserved]) || one.locks.iter().any(reads) {
        "nobody can write"
    } else if any(&[LockSlot::Checkpoint]) {
        "nobody can checkpoint"
    } else {
        "the checkpoint does not get on"
    };
    if let Some(tracer) = &one.holder.tracer {
        let by = traced_by(tracer);
        let how = "Let it go on there, or detach from it; kill -CONT does not help";
        return format!(
            "is stopped by {by}, which traces it, and holds {held}: until it goes on or ends, {meanwhile}. {how}"
        );
    }
    let (how, on) = match (one.holder.process_state, &one.holder.container) {
        (Some(ProcessState::Frozen), None) => ("paused", "Thaw its control group first"),
        (Some(ProcessState::Frozen), Some(_)) => ("paused", "Let it go on first"),
        _ => ("stopped", "Let it go on first"),
    };
    let command = resume(&one.holder).map(|command| format!(": {command}")).unwrap_or_default();
    format!("is {how} and holds {held}: until it goes on or ends, {meanwhile}. {on}{command}")
}

/// Who has to let a traced process go on. `None`: it is not stopped by who traces it.
#[cfg(feature = "cli")]
#[must_use]
pub fn tracer_lets_go_on(holder: &Holder) -> Option<String> {
    let (tracer, pid) = (holder.tracer.as_ref()?, holder.pid?);
    Some(format!("{} traces process {pid} and has to let it go on", traced_by(tracer)))
}

/// Who traces a process.
fn traced_by(tracer: &Tracer) -> String {
    match (tracer.pid, &tracer.command) {
        (Some(pid), Some(command)) => format!("process {pid} ({command})"),
        (Some(pid), None) => format!("process {pid}"),
        (None, _) => "a process that is not visible from here".to_owned(),
    }
}

/// How long a process has been running, in the two largest units.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let first = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(units.len() - 1);
    let mut left = seconds;
    let parts = units.iter().skip(first).take(2).filter_map(|(unit, size)| {
        let number = left / size;
        left %= size;
        (number > 0 || seconds == 0).then(|| format!("{} {unit}", count(number)))
    });
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_two_units() {
        for (seconds, told) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_605, "1 h"),
            (7_500, "2 h 5 min"),
            (200_000, "2 d 7 h"),
        ] {
            assert_eq!(duration(seconds), told);
        }
    }

    #[test]
    fn a_process_that_does_not_run_goes_on_by_a_command() {
        let holder = |state, container: Option<&str>| Holder {
            pid: Some(7),
            process_state: Some(state),
            container: container.map(str::to_owned),
            ..Holder::default()
        };
        let of = |state, container| resume(&holder(state, container));
        assert_eq!(of(ProcessState::Stopped, Some("web")).as_deref(), Some("kill -CONT 7"));
        assert_eq!(of(ProcessState::Frozen, Some("web")).as_deref(), Some("docker unpause web"));
        assert_eq!([of(ProcessState::Frozen, None), of(ProcessState::Running, Some("web"))], [None, None]);
        let told = keeps_others(&NotRunning::of(
            holder(ProcessState::Stopped, None),
            vec![(LockSlot::Write, LockState::Exclusive)],
        ));
        assert_eq!(
            told,
            "is stopped and holds write: until it goes on or ends, nobody can write. Let it go on first: kill -CONT 7"
        );
        let traced = |pid, command: Option<&str>| {
            let tracer = Some(Tracer { pid, command: command.map(str::to_owned) });
            let holder = Holder { tracer, ..holder(ProcessState::Stopped, None) };
            assert_eq!(resume(&holder), None);
            keeps_others(&NotRunning::of(holder, vec![(LockSlot::Write, LockState::Exclusive)]))
        };
        let told = traced(Some(9), Some("gdb"));
        assert!(told.starts_with("is stopped by process 9 (gdb), which traces it, and holds write: until"), "{told}");
        let told = traced(None, None);
        assert!(told.starts_with("is stopped by a process that is not visible from here, which traces it"), "{told}");
        let reader = vec![(LockSlot::Database, LockState::Shared)];
        let told = keeps_others(&NotRunning::of(holder(ProcessState::Stopped, None), reader));
        assert!(told.contains("holds database (shared): until it goes on or ends, nobody can write."), "{told}");
    }
}
