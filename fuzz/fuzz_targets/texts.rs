//! Any bytes as the texts that a hostile kernel, container or bundle could show: mountinfo, locks, maps, cgroup, fdinfo.
#![no_main]

use libfuzzer_sys::fuzz_target;
use walscope::linux::text::locks::LockedFile;
use walscope::linux::text::{cgroup, fdinfo, locks, maps, mountinfo};
use walscope::report::line;
use walscope_fuzz::text::assert_harmless;

fn is_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn lines(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    match which % 5 {
        0 => match mountinfo::parse(text) {
            Ok(mounts) => {
                assert_eq!(mounts.len(), lines(text));
                if let Some(container) = cgroup::container_of_mounts(&mounts) {
                    assert!(is_id(&container.id));
                }
            }
            Err(error) => assert_harmless(&line(&error.to_string())),
        },
        1 => match locks::parse(text) {
            Ok(found) => {
                assert_eq!(found.len(), lines(text));
                for lock in &found {
                    let file = lock
                        .file
                        .unwrap_or(LockedFile { device: walscope::evidence::Device { major: 0, minor: 0 }, inode: 0 });
                    for start in [0, 120, 1 << 40, u64::MAX] {
                        // A waiting line holds nothing, and a lock holds its own first byte.
                        let holds = lock.holds(file, start, 8);
                        assert!(!(holds && lock.waiting));
                    }
                    let _ = lock.visible_pid();
                }
            }
            Err(error) => assert_harmless(&line(&error.to_string())),
        },
        2 => match maps::parse(text) {
            Ok(found) => {
                assert_eq!(found.len(), lines(text));
                for mapped in &found {
                    let _ = mapped.length();
                    assert!(!maps::escaped(mapped.path).contains(&b'\n'));
                }
            }
            Err(error) => assert_harmless(&line(&error.to_string())),
        },
        3 => {
            if let Some(container) = cgroup::container(text) {
                assert!(is_id(&container.id));
            }
        }
        _ => {
            let _ = fdinfo::mount_id(text);
            assert!(fdinfo::locks(text).len() <= lines(text));
        }
    }
});
