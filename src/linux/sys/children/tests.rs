use rustix::process::{Signal, kill_process};

use super::*;
use crate::linux::sys::{lock_shared, map_shared, try_exclusive};

#[test]
fn write_locks_of_descriptions_and_of_helpers_exclude_each_other() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let open = || File::options().read(true).write(true).open(file.path()).unwrap();
    let (a, b) = (open(), open());
    let (helper_a, helper_b) = (LockHelper::start(&a).unwrap(), LockHelper::start(&b).unwrap());
    lock_shared(&a, 1 << 40, 1).unwrap();
    assert!(!try_exclusive(&b, 1 << 40, 1).unwrap());
    assert!(!helper_a.try_exclusive(1 << 40, 1).unwrap() && !helper_b.try_exclusive(1 << 40, 1).unwrap());
    assert!(helper_a.try_exclusive(120, 1).unwrap());
    assert!(!helper_b.try_exclusive(120, 1).unwrap() && !try_exclusive(&a, 120, 1).unwrap());
    helper_a.unlock(120, 1).unwrap();
    helper_a.lock_shared(120, 1).unwrap();
    helper_b.lock_shared(120, 1).unwrap();
    assert!(!helper_b.try_exclusive(120, 1).unwrap());
    // Its locks are gone when it is.
    drop(helper_a);
    assert!(helper_b.try_exclusive(120, 1).unwrap());
}

#[test]
fn a_helper_that_does_not_answer_refuses_nothing_and_its_late_answer_is_not_taken() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let open = || File::options().read(true).write(true).open(file.path()).unwrap();
    let helper = LockHelper::start(&open()).unwrap();
    helper.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let pid = helper.child.number();
    kill_process(pid, Signal::STOP).unwrap();
    let error = helper.try_exclusive(120, 1).unwrap_err();
    assert!(error.to_string().contains("did not answer"), "{error}");
    kill_process(pid, Signal::CONT).unwrap();
    helper.socket.set_read_timeout(Some(ANSWER_AT_MOST)).unwrap();
    assert!(helper.lock_shared(124, 1).is_err());
}

#[test]
fn a_page_that_was_touched_through_mem_is_in_the_page_table() {
    use std::os::unix::fs::FileExt;
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 20).unwrap();
    let mapping = map_shared(&file, 1 << 20).unwrap();
    // Far from the first page, so that no other fault brings it along.
    let (far, near) = (mapping.as_ptr().addr() as u64 + (1 << 19), mapping.as_ptr().addr() as u64);
    let resident = |address: u64| {
        let mut entry = [0; 8];
        let table = File::open("/proc/self/pagemap").unwrap();
        table.read_exact_at(&mut entry, address / rustix::param::page_size() as u64 * 8).unwrap();
        u64::from_ne_bytes(entry) >> 63 == 1
    };
    let memory = File::open("/proc/self/mem").unwrap();
    let place = |address| Place { memory: &memory, address };
    assert!(!resident(far));
    touch(&file, &[place(far), place(near)], ANSWER_AT_MOST).unwrap();
    assert!(resident(far) && resident(near));
    // Nothing is mapped there.
    assert!(touch(&file, &[place(0)], ANSWER_AT_MOST).is_err());
}

#[test]
fn a_child_has_no_descriptor_but_its_own() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Somebody waits for the end of this pipe.
    let (mut waiting, held) = io::pipe().unwrap();
    let helper = LockHelper::start(file.as_file()).unwrap();
    // It answers after it has closed what is not its own.
    helper.lock_shared(120, 1).unwrap();
    let of_child = format!("/proc/{}/fd", helper.child.number().as_raw_nonzero());
    let mut open: Vec<_> =
        std::fs::read_dir(of_child).unwrap().map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap()).collect();
    open.sort();
    assert_eq!(open.len(), 2, "{open:?}");
    assert_eq!(open[0], file.path());
    assert!(open[1].to_str().unwrap().starts_with("socket:"), "{open:?}");
    drop(held);
    assert_eq!(waiting.read(&mut [0]).unwrap(), 0);
}

#[test]
fn every_descriptor_is_closed_but_those_that_are_kept() {
    const ALL: libc::c_uint = libc::c_uint::MAX;
    assert_eq!(all_but(&[]), [[0, ALL]]);
    assert_eq!(all_but(&[7, 3, 4, 3]), [[0, 2], [5, 6], [8, ALL]]);
    assert_eq!(all_but(&[0, 1]), [[2, ALL]]);
}
