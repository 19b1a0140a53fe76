//! Texts about one process: `stat`, `status` and `comm` (man 5 proc_pid_stat, proc_pid_status, proc_pid_comm).

/// Field 22 of `stat`: start of the process in clock ticks since boot.
///
/// folklore: the command in field 2 may contain spaces and parentheses; the next field comes after the *last* `)`. man
/// 5 proc_pid_stat; held by `start_time_survives_a_hostile_command`.
#[must_use]
pub fn start_time(stat: &[u8]) -> Option<u64> {
    field(stat, 22)?.parse().ok()
}

/// Field 3 of `stat`: the state, as one letter.
#[must_use]
pub fn state(stat: &[u8]) -> Option<char> {
    field(stat, 3)?.chars().next()
}

/// Field 4 of `stat`: the parent.
#[must_use]
pub fn parent(stat: &[u8]) -> Option<u32> {
    field(stat, 4)?.parse().ok()
}

/// Fields 26, 28 and 47 of `stat`: where the code, the stack and the heap of a process begin. The kernel chooses these addresses at random
/// when a program is started, and fork(2) keeps them. `None`: the process may not be traced, or has ended.
#[must_use]
pub fn layout(stat: &[u8]) -> Option<[u64; 3]> {
    let number = |at| field(stat, at)?.parse().ok().filter(|number: &u64| *number > 1);
    Some([number(26)?, number(28)?, number(47)?])
}

/// A field of `stat` after the command, by its number in the manual page.
fn field(stat: &[u8], number: usize) -> Option<String> {
    let text = String::from_utf8_lossy(stat);
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(number.checked_sub(3)?).map(str::to_owned)
}

/// `TracerPid` of `status`: who traces the process. `None`: nobody who is visible from here.
#[must_use]
pub fn tracer(status: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(status);
    let pid = text.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

/// The command's name, from `comm`: at most 15 bytes.
#[must_use]
pub fn command(comm: &[u8]) -> String {
    String::from_utf8_lossy(comm.trim_ascii_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_traces_a_process_stands_in_its_status() {
        assert_eq!(tracer(b"Name:\ta\nPid:\t7\nTracerPid:\t9\nUid:\t0\n"), Some(9));
        assert_eq!([tracer(b"Name:\ta\nTracerPid:\t0\n"), tracer(b"")], [None, None]);
    }

    #[test]
    fn start_time_survives_a_hostile_command() {
        let stat = b"7 (a) S 1 (b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!((start_time(stat), parent(stat), state(stat)), (Some(4711), Some(1), Some('R')));
        assert_eq!(start_time(b"7 no parenthesis"), None);
        assert_eq!(start_time(b"7 (short) S 1"), None);
    }

    #[test]
    fn the_layout_of_a_process_is_hidden_from_those_who_may_not_trace_it() {
        let fields = |shown: bool| {
            let number = |at: u32| if shown || ![26, 28, 47].contains(&at) { at + 1000 } else { 0 };
            let fields: Vec<String> = (4..=52).map(|at| number(at).to_string()).collect();
            format!("7 (a) S {}", fields.join(" "))
        };
        assert_eq!(layout(fields(true).as_bytes()), Some([1026, 1028, 1047]));
        assert_eq!(layout(fields(false).as_bytes()), None);
        let own = std::fs::read("/proc/self/stat").unwrap();
        assert!(layout(&own).is_some());
    }
}
