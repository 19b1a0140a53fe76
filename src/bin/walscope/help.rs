//! The parts of `--help` after the options: what a SOURCE is, exit codes, examples. Lines fit a terminal of 80 columns.

/// The help for a SOURCE argument. It is shown with an indent of ten columns.
pub const SOURCE: &str = "\
What to look at:
  PATH         a database, with -wal and -shm beside it; a -wal or -shm
               alone, recognised by its content; or a bundle
  NAME:/path   below the root of a running container, from the host
  pid:N:/path  as that process sees it";

/// The help for the SOURCE arguments of `verify`, shown with an indent of ten columns.
pub const SOURCES: &str = "\
What to look at:
  PATH         a database, with -wal and -shm beside it; a -wal or -shm
               alone, recognised by its content; a bundle; or a folder:
               every database below it
  NAME:/path   below the root of a running container, from the host
  pid:N:/path  as that process sees it";

/// The command itself.
pub const WALSCOPE: &str = "\
Exit codes:
  0  answered; compare, probe, lab: sharing proven
  1  a finding at or above --fail-on; compare, probe, lab: refuted;
     snapshot: not of one moment
  2  could not answer
  3  compare, probe, lab: undecided; compare --strict: proven on an assumption

Examples:
  The two-container experiment on this machine, judged:
    walscope lab
  Why does the WAL grow, and which reader blocks the checkpoint?
    walscope inspect /srv/app/app.db
  One wal-index or two?
    walscope compare writer:/data/app.db reader:/data/app.db
  Every frame, including those that sqlite3 does not show:
    walscope wal seized/app.db-wal";

/// `inspect`.
pub const INSPECT: &str = "\
Exit codes: 0 answered; 1 a finding at or above --fail-on, or blocked
throughout (--fail-if-blocked); 2 could not answer.
One look is one moment: readers that overlap look like one that stays. In a
script, red only if one reader was in the way of the checkpoint all the time,
or a process was stopped all the time with a lock that others need:
  walscope inspect app.db --fail-if-blocked 10s
A process in exclusive locking mode is named and does not count: it runs its
checkpoints itself.
The time beside a process is how long the process runs, not how long it has
held its lock: --for says how long it was blocked at least.";

/// `verify`.
pub const VERIFY: &str = "\
Exit codes: 0 answered; 1 a finding at or above --fail-on; 2 could not answer.
--fail-on is error unless you say otherwise, so a warning exits with 0.
In a script that must not take doubtful files for good:
  walscope verify app.db --fail-on warning
For evidence at rest:
  walscope verify seized/app.db --fail-on notice
Every database below a folder, the worst first; 2 if one could not be read:
  walscope verify /srv";

/// `wal`.
pub const WAL: &str = "\
Classes of frames:
  committed    part of the database, up to the last commit
  uncommitted  its checksum follows, but no commit comes after it
  residue      of this generation, after a break of the chain
  salvage      behind a broken header; it follows the frame before it
               (--salvage)
  stale        of an older generation, in the database since the restart
  superseded   committed, and written again by a later frame (--superseded)
  torn         a part of a frame at the end of the file
  unrelated    bytes that are no frame of any generation
  unwritten    zero bytes: the file grew before frames were written

Exit codes: 0 answered; 1 a finding at or above --fail-on; 2 could not answer.
Example:
  walscope wal app.db --page 7 --jsonl";

/// `shm`.
pub const SHM: &str = "\
Exit codes: 0 answered; 1 a finding at or above --fail-on; 2 could not answer.
Example:
  walscope shm app.db --hash --block 0";

/// `snapshot`.
pub const SNAPSHOT: &str = "\
Exit codes: 0 written; 1 written, but not of one moment; 2 could not write.
Examples:
  umask 077
  docker exec writer walscope snapshot /data/app.db -o - > writer.walsnap
  The second capture meets the first, so that both are of one machine:
    docker exec -d writer walscope snapshot /data/app.db -o /tmp/a.walsnap \
      --hold=60";

/// `compare`.
pub const COMPARE: &str = "\
Exit codes: 0 sharing proven, also where a warning says that commits are lost;
1 refuted; 2 could not answer; 3 undecided, or with --strict proven on an
assumption.
Examples:
  Live, as root on the host, which gives the strongest evidence:
    walscope compare writer:/data/app.db reader:/data/app.db
  Two bundles, captured inside the containers:
    walscope compare writer.walsnap reader.walsnap";

/// `probe`.
pub const PROBE: &str = "\
Exit codes: 0 sharing proven; 1 refuted; 2 could not answer; 3 undecided.
Example, in two terminals:
  docker exec writer walscope probe meet /data/app.db
  docker exec reader walscope probe meet /data/app.db";

/// `probe try`.
pub const PROBE_TRY: &str = "\
Exit codes: 0 locks and shared memory work; 1 they do not; 2 could not answer
(the folder cannot be written to, or nothing can be mapped in it); 3 undecided.
Examples:
  walscope probe try /srv/app
  docker exec writer walscope probe try /data";

/// `ps`.
pub const PS: &str = "\
Exit codes: 0 answered; 1 a finding at or above --fail-on, and with --fail-on
notice also if processes could not be looked at; 2 could not answer.";

/// `rescue`.
pub const RESCUE: &str = "\
A file that was deleted, renamed or replaced lives as long as a process has it
open. Never stop the process before the files are saved. Nothing is written to
the originals, and no lock is taken.

Exit codes: 0 all that is open was copied, as of one moment; 1 some of it was
missing or changed meanwhile; 2 nothing could be saved.
Example, after rm app.db-wal while the application runs:
  walscope rescue /srv/app/app.db -o saved
  walscope verify saved/app.db";

/// `lab`.
#[cfg(feature = "lab")]
pub const LAB: &str = "\
Exit codes: 0 sharing proven; 1 refuted; 2 could not answer; 3 undecided.
With --all: 0 every result was as expected; 1 a result was different;
2 with --require-all, a scenario was skipped.
Example:
  walscope lab --scenario file-mount";
