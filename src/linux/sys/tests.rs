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
fn generation_is_the_same_through_two_descriptors() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let again = File::open(file.path()).unwrap();
    // tmpfs and overlay have no generation: then both descriptors must say so.
    match (generation(file.as_file()), generation(&again)) {
        (Ok(a), Ok(b)) => assert_eq!(a, b),
        (a, b) => assert_eq!(a.unwrap_err().raw_os_error(), b.unwrap_err().raw_os_error()),
    }
}
