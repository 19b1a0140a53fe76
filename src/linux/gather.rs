//! All evidence about the opened files of one side, and the raw texts that it was read from.

use crate::evidence::{ClockSample, Evidence, LocksView, MappingsView, Observation, UsersView};
use crate::linux::identities::identities;
use crate::linux::lock_view::{lock_states, locks_view};
use crate::linux::mapped::kept::{self, GoesOn};
use crate::linux::mapped::of_side::{Wanted, mappings_view, raw_lines};
use crate::linux::mapped::users::{self, users_view};
use crate::linux::open::{OpenedFiles, folder_unchanged, paths_unchanged};
use crate::linux::procfs::Proc;
use crate::linux::unseen::unseen;
use crate::linux::{clocks, host, stat};

/// The clocks, now.
#[must_use]
pub fn clock_sample() -> ClockSample {
    clocks::sample(&Proc::system())
}

/// All evidence about the opened files at this moment: what a capture records, except its samples.
#[must_use]
pub fn evidence(files: &OpenedFiles) -> Evidence {
    gather(files, locks_view)
}

/// All evidence about the opened files at this moment, with at most one holder for each lock. `/proc/locks`, which can take
/// the kernel tens of milliseconds, is read only when there are processes whose descriptors cannot be read.
#[must_use]
pub fn evidence_without_holders(files: &OpenedFiles) -> Evidence {
    gather(files, |files| Observation::seen(lock_states(files)))
}

fn gather(files: &OpenedFiles, locks: impl Fn(&OpenedFiles) -> Observation<LocksView>) -> Evidence {
    let begun = clock_sample();
    let mappings = mappings_view(files);
    let users = users_view(files, &mappings);
    let GoesOn { renamed, deleted_wals, journals } = kept::goes_on(files, &mappings, &users);
    let locks = locks(files);
    let identities = identities(files);
    Evidence {
        begun,
        host: host::host_view(files),
        files: identities,
        paths_unchanged: paths_unchanged(files),
        folder_unchanged: folder_unchanged(files),
        mappings,
        users,
        renamed,
        deleted_wals,
        journals,
        locks,
        contact: Observation::missing("not looked at"),
        samples: Vec::new(),
        page_tables: Observation::missing("not looked at"),
        space: stat::space(files),
        ended: clock_sample(),
    }
}

/// The raw texts that the evidence was read from, as `(name, bytes)`: names are relative paths below `/proc`
/// (`self/mountinfo`, `locks`, `412/maps`) or `uname`. `412/fdinfo` has the descriptors of the database's files and those
/// with locks, each after a line with its number and path. From the `maps` of other processes only the lines are kept that
/// [`mappings_view`] looks at. They are read again, so a process of the view may have ended. When the files belong to
/// another process, the names begin with its pid instead of `self`. Each is bounded by
/// [`crate::linux::procfs::TEXT_LIMIT`].
#[must_use]
pub fn raw_texts(
    files: &OpenedFiles,
    mappings: &Observation<MappingsView>,
    users: &Observation<UsersView>,
) -> Vec<(String, Observation<Vec<u8>>)> {
    let proc = Proc::system();
    let texts = ["locks", host::BOOT_ID, "self/timens_offsets"];
    let mut texts: Vec<_> = texts.iter().map(|name| ((*name).to_owned(), proc.observe(name))).collect();
    let whose = files.target.pid().map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    texts.extend(["mountinfo", "cgroup"].map(|name| {
        let text = match files.target.process(&proc) {
            Ok(process) => process.observe(name),
            Err(error) => unseen(name, &error),
        };
        (format!("{whose}/{name}"), text)
    }));
    texts.push(("uname".to_owned(), Observation::seen(host::uname_text())));
    let wanted = Wanted::of(&proc, files);
    let mut pids: Vec<u32> = mappings.value().iter().flat_map(|view| &view.mappings).map(|found| found.pid).collect();
    pids.dedup();
    texts.extend(pids.into_iter().map(|pid| (format!("{pid}/maps"), raw_lines(&proc, pid, &wanted))));
    let users = users.value().iter().flat_map(|view| &view.users).map(|user| user.pid).collect::<Vec<_>>();
    texts.extend(users.into_iter().flat_map(|pid| users::raw_texts(&proc, files, pid)));
    texts
}
