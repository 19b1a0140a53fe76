//! Saves files beside a process in a container that writes all the time, after they were deleted, renamed or replaced: from the
//! host and inside of the container, on a volume, on a bind mount, on overlay and on the container's own file system. What is saved opens in
//! SQLite, is whole, and has every row that was committed before. `tests/live/rescue.rs` does it without containers.
//!
//! `WALSCOPE_RESCUES=1000 cargo test --test docker what_a_rescue -- --nocapture` is the long run; see docs/reliability.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common;
use crate::common::command::{EXE, Ran, walscope};
use crate::common::docker::{Shell, World, docker};
use crate::common::random::Random;
use crate::rescued::{Accident, Writer, happen, rows, set_of, trials, uses_wal};

/// Trials of a plain test run.
const TRIALS: u64 = 14;
/// Trials in one container.
const IN_ONE: u64 = 50;
const WRITER: &str = "/writer";

/// Where the files are, with its path in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Volume,
    BindMount,
    /// The kernel's overlay, by a bind mount. The engine of a test machine may have another one: fuse-overlayfs.
    Overlay,
    /// The container's own.
    Own,
}

impl Place {
    const ALL: [Self; 4] = [Self::Volume, Self::BindMount, Self::Overlay, Self::Own];

    fn folder(self) -> &'static str {
        match self {
            Self::Volume => "/volume",
            Self::BindMount => "/bind",
            Self::Overlay => "/overlay",
            Self::Own => "/data",
        }
    }
}

/// Who saves, and by which name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    /// From the host, by NAME:/path.
    Name,
    /// From the host, by the path that the folder has there.
    HostPath,
    /// `docker exec NAME walscope`.
    Inside,
}

/// A container that stays, its folders, and where its files are seen from here.
struct Room {
    keeper: Shell,
    /// The container's root.
    root: PathBuf,
    volume: PathBuf,
    host: tempfile::TempDir,
}

impl Room {
    fn new(world: &World, number: u64) -> Self {
        let host = tempfile::tempdir().unwrap();
        for folder in ["bind", "saved", "lower", "upper", "work", "overlay"] {
            fs::create_dir(host.path().join(folder)).unwrap();
        }
        // Where overlay cannot be mounted, this is one more bind mount.
        let mounted = Command::new("mount")
            .args(["-t", "overlay", "-o", "lowerdir=lower,upperdir=upper,workdir=work", "overlay", "overlay"])
            .current_dir(host.path())
            .status()
            .is_ok_and(|status| status.success());
        common::have("overlay", mounted);
        let volume = world.volume(&format!("v{number}"));
        let mounts = [
            format!("{volume}:/volume"),
            format!("{}:/bind", host.path().join("bind").display()),
            format!("{}:/overlay", host.path().join("overlay").display()),
            format!("{}:/saved", host.path().join("saved").display()),
        ];
        let options: Vec<&str> = mounts.iter().flat_map(|mount| ["-v", mount]).collect();
        let keeper = world.shell(&format!("k{number}"), &options, ":memory:");
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &keeper.container]);
        let root = format!("/proc/{}/root", String::from_utf8_lossy(&pid.stdout).trim()).into();
        Self { keeper, root, volume: world.mountpoint(&volume).into(), host }
    }

    /// A path of the container, as the host has it without the container.
    fn on_host(&self, place: Place, path: &Path) -> PathBuf {
        let beneath = path.strip_prefix(place.folder()).unwrap();
        match place {
            Place::Volume => self.volume.join(beneath),
            Place::BindMount => self.host.path().join("bind").join(beneath),
            Place::Overlay => self.host.path().join("overlay").join(beneath),
            Place::Own => panic!("the container's own file system has no path on the host"),
        }
    }

    /// Saves into `saved/SEED`.
    fn rescue(&self, world: &World, (from, place): (From, Place), source: &Path, seed: u64) -> Ran {
        let to = format!("saved/{seed}");
        let on_host = |source: &str| walscope(self.host.path(), &["rescue", source, "-o", &to, "--json"]);
        match from {
            From::Name => on_host(&format!("{}:{}", self.keeper.container, source.display())),
            From::HostPath => on_host(&self.on_host(place, source).display().to_string()),
            From::Inside => {
                let source = source.display().to_string();
                let to = format!("/{to}");
                let out = world.exec(&self.keeper, &[], &["/walscope", "rescue", &source, "-o", &to, "--json"]);
                let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
                Ran { code: out.status.code().unwrap(), stdout: out.stdout, stderr }
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.host.path().join("overlay")).status();
    }
}

/// Whether a process is a test program. The container has no other with a file of the database open.
fn is_writer(document: &Value, pid: u64) -> bool {
    let sets = document["sets"].as_array().unwrap().iter();
    let mut processes = sets.flat_map(|set| set["processes"].as_array().unwrap());
    processes.any(|process| process["pid"] == pid && process["command"] == "writer")
}

#[derive(Default)]
struct Tally {
    saved: u64,
    /// Not shown to be of one moment, where that can be shown.
    unstable: u64,
    /// In rollback mode on the container's own file system: if that is FUSE, writes by another mount cannot be watched.
    unwatched: u64,
    /// What is not shown to be of one moment, by place and reason.
    reasons: BTreeMap<String, u64>,
    /// By the code.
    codes: BTreeMap<i32, u64>,
    /// Of what was saved.
    kinds: BTreeMap<(Place, From), u64>,
}

fn trial(world: &World, room: &Room, seed: u64, tally: &mut Tally) {
    let mut random = Random(seed ^ 0xc0_7a1e);
    let place = random.pick(&Place::ALL);
    let from = random.pick(match place {
        Place::Own => &[From::Name, From::Inside, From::Inside],
        _ => &[From::Name, From::HostPath, From::Inside],
    });
    let accident = Accident::ALL[usize::try_from(seed).unwrap() % Accident::ALL.len()];
    let path = PathBuf::from(format!("{}/{seed}/t.db", place.folder()));
    let mut writer = Writer::start_in(&room.keeper.container, WRITER, &path, seed);
    writer.wait_for(1 + i64::try_from(random.below(300)).unwrap());
    let beneath = path.strip_prefix("/").unwrap();
    let source = happen(accident, &room.root.join(beneath), uses_wal(seed), &mut random);
    let source = Path::new("/").join(source.strip_prefix(&room.root).unwrap());
    let committed = writer.rows();
    let ran = room.rescue(world, (from, place), &source, seed);
    let context = || format!("seed {seed}, {place:?}, {from:?}, {accident:?}: {} {}", ran.text(), ran.stderr);
    assert!(ran.code == 0 || ran.code == 1, "{}", context());
    let document = ran.json();
    let set = set_of(&document, |pid| is_writer(&document, pid)).unwrap_or_else(|| panic!("{}", context()));
    let stable = set["stable"] == true;
    assert!(ran.code == 1 || stable, "{}", context());
    *tally.codes.entry(ran.code).or_default() += 1;
    if stable {
        let copy = Path::new(set["database"].as_str().unwrap());
        let copy = if from == From::Inside { copy.strip_prefix("/").unwrap() } else { copy };
        let saved = rows(&room.host.path().join(copy), context);
        assert!(saved >= committed, "{saved} of {committed} rows: {}", context());
        tally.saved += 1;
        *tally.kinds.entry((place, from)).or_default() += 1;
    } else {
        let count = if place == Place::Own && !uses_wal(seed) { &mut tally.unwatched } else { &mut tally.unstable };
        *count += 1;
        *tally.reasons.entry(format!("{place:?}: {}", set["reason"].as_str().unwrap())).or_default() += 1;
    }
    drop(writer);
    let _ = fs::remove_dir_all(room.root.join(beneath.parent().unwrap()));
    fs::remove_dir_all(room.host.path().join(format!("saved/{seed}"))).unwrap();
}

#[test]
fn what_a_rescue_saves_of_a_container_has_every_row_that_was_committed_before_it() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let this = std::env::current_exe().unwrap();
    let Some(world) = World::with_sqlite3(&[(Path::new(EXE), "walscope"), (&this, "writer")]) else { return };
    let trials = trials(TRIALS);
    let mut tally = Tally::default();
    let mut room = None;
    for seed in 1..=trials {
        if seed % IN_ONE == 1 {
            room = None;
        }
        let room = room.get_or_insert_with(|| Room::new(&world, seed));
        trial(&world, room, seed, &mut tally);
    }
    let Tally { saved, unstable, unwatched, reasons, codes, kinds } = tally;
    eprintln!(
        "{trials} rescues beside a busy writer in a container: {saved} have every row, {unstable} are not shown to be of one \
         moment, and {unwatched} where writes cannot be watched\nexit codes {codes:?}, saved {kinds:?}, not shown: {reasons:#?}"
    );
    // A few trials may have more of those by chance.
    assert!(saved * 2 > trials && unstable * 10 <= trials + 10, "{saved} of {trials}, {unstable}");
}
