use rustix::process::{Pid, Signal, kill_process};

use super::*;

#[test]
fn a_shared_lock_is_seen_through_another_description_with_its_range() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let holder = File::open(file.path()).unwrap();
    let other = File::open(file.path()).unwrap();
    let far = 1 << 40;
    lock_shared(&holder, far, 2).unwrap();
    let seen = first_conflict(&other, far - 10, 100).unwrap().unwrap();
    assert_eq!((seen.exclusive, seen.start, seen.length), (false, far, 2));
    assert_eq!(first_conflict(&holder, far, 2).unwrap(), None, "one's own locks are no conflict");
    unlock(&holder, far, 1).unwrap();
    assert_eq!(first_conflict(&other, far, 2).unwrap().unwrap().start, far + 1);
    drop(holder);
    assert_eq!(first_conflict(&other, far, 2).unwrap(), None);
}

#[test]
fn a_free_range_has_no_conflict_and_a_start_beyond_the_offset_type_is_refused() {
    let file = tempfile::tempfile().unwrap();
    assert_eq!(first_conflict(&file, 120, 1).unwrap(), None);
    assert!(first_conflict(&file, u64::MAX, 1).is_err());
}

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
    let pid = Pid::from_raw(helper.pid).unwrap();
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
fn generation_is_the_same_through_two_descriptors() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let again = File::open(file.path()).unwrap();
    // tmpfs and overlay have no generation: then both descriptors must say so.
    match (generation(file.as_file()), generation(&again)) {
        (Ok(a), Ok(b)) => assert_eq!(a, b),
        (a, b) => assert_eq!(a.unwrap_err().raw_os_error(), b.unwrap_err().raw_os_error()),
    }
}
