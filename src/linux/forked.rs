//! Whether a process was forked from its parent and has started no program since.

use crate::linux::procfs::{Proc, Process};
use crate::linux::text::process::{layout, parent, start_time};

/// As setarch(8) and debuggers set it: addresses are not chosen at random.
const ADDR_NO_RANDOMIZE: u32 = 0x0004_0000;

/// Whether the memory of a process begins where that of its living parent does: fork(2) keeps the addresses, and execve(2) chooses new
/// ones. `false` where that was not seen, or where addresses are not chosen at random.
///
/// folklore: whose descriptors and mappings a process has, nothing shows when its parent has closed its own. That it was forked is
/// seen as long as the parent lives. `mm_struct` in fs/binfmt_elf.c; held by
/// `children_of_a_program_that_closed_its_connection_are_no_split`.
pub(in crate::linux) fn is_forked(proc: &Proc, process: &Process) -> bool {
    let forked = || -> Option<bool> {
        let stat = process.read("stat").ok()?;
        let of_parent = proc.process(parent(&stat)?).ok()?.read("stat").ok()?;
        let older = start_time(&of_parent)? <= start_time(&stat)?;
        Some(older && layout(&stat)? == layout(&of_parent)? && is_random(proc, process))
    };
    forked().unwrap_or(false)
}

fn is_random(proc: &Proc, process: &Process) -> bool {
    let text = |read: std::io::Result<Vec<u8>>| String::from_utf8(read.ok()?).ok();
    let personality = text(process.read("personality")).and_then(|text| u32::from_str_radix(text.trim(), 16).ok());
    let everywhere = text(proc.read("sys/kernel/randomize_va_space"));
    personality.is_some_and(|flags| flags & ADDR_NO_RANDOMIZE == 0)
        && everywhere.is_some_and(|value| value.trim() != "0")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::linux::mapped::fake_proc::process;

    #[test]
    fn only_equal_addresses_that_were_chosen_at_random_show_a_fork() {
        let root = tempfile::tempdir().unwrap();
        let stat = |pid: &str, parent: u32, start: u32, stack: u64| {
            let rest: Vec<String> = (5..=52)
                .map(|at| match at {
                    22 => start.to_string(),
                    26 => "4096".to_owned(),
                    28 => stack.to_string(),
                    47 => "8192".to_owned(),
                    _ => "0".to_owned(),
                })
                .collect();
            fs::write(root.path().join(pid).join("stat"), format!("{pid} (app) S {parent} {}", rest.join(" ")))
                .unwrap();
        };
        let random = |personality: &str, everywhere: &str| {
            fs::create_dir_all(root.path().join("sys/kernel")).unwrap();
            fs::write(root.path().join("sys/kernel/randomize_va_space"), everywhere).unwrap();
            fs::write(root.path().join("11/personality"), personality).unwrap();
        };
        for pid in ["10", "11"] {
            process(root.path(), pid, "mnt:[1]", "");
        }
        stat("10", 1, 5, 7000);
        let proc = Proc::new(root.path());
        let forked = || is_forked(&proc, &proc.process(11).unwrap());
        for (parent, start, stack, expected) in
            [(10, 6, 7000, true), (10, 6, 7001, false), (10, 4, 7000, false), (9, 6, 7000, false)]
        {
            stat("11", parent, start, stack);
            random("00000000\n", "2\n");
            assert_eq!(forked(), expected, "{parent} {start} {stack}");
        }
        stat("11", 10, 6, 7000);
        random("00040000\n", "2\n");
        assert!(!forked());
        random("00000000\n", "0\n");
        assert!(!forked());
    }
}
