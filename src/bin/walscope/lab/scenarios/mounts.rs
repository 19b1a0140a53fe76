//! Scenarios in which the two sides get the files in another way: by mounts, file systems or roots.

use super::super::disk::{BTRFS as BTRFS_DISK, EXT4};
use super::super::scenario::Meeting;
use super::*;
use Act::{BeginWrite, Commit, Kill, OpenAlso, OpenAs, Seed, Snapshot};

const OVERLAY_1: Volume = Volume { name: "o1", kind: Kind::Overlay { lower: "a" } };
const OVERLAY_2: Volume = Volume { name: "o2", kind: Kind::Overlay { lower: "a" } };
const FUSE_1: Volume = Volume { name: "m1", kind: Kind::Fuse { of: "a", forwards_locks: false } };
const FUSE_2: Volume = Volume { name: "m2", kind: Kind::Fuse { of: "a", forwards_locks: false } };
const LOCKING_FUSE_1: Volume = Volume { name: "m1", kind: Kind::Fuse { of: "a", forwards_locks: true } };
const LOCKING_FUSE_2: Volume = Volume { name: "m2", kind: Kind::Fuse { of: "a", forwards_locks: true } };
static BTRFS: Volume = Volume { name: "d", kind: Kind::Disk(&BTRFS_DISK) };
static DISK: Volume = Volume { name: "p", kind: Kind::Disk(&EXT4) };
const PLACE: Volume = Volume { name: "q", kind: Kind::Place };

pub static SCENARIOS: [Scenario; 9] = [
    Scenario {
        name: "overlay",
        summary: "two overlay mounts over one lower folder that holds the database",
        expected: APART,
        writer: writer("o1"),
        reader: reader("o2"),
        script: &[
            &[Act::Volume(&A), Seed("a"), Act::Volume(&OVERLAY_1), Act::Volume(&OVERLAY_2), Open(Writer), Open(Reader)],
            USUAL,
        ],
    },
    Scenario {
        name: "copy-up",
        summary: "one overlay; the reader opened the files read-only before the writer's open copied them up",
        expected: Expected { locks: Proven, rows: Fate::Unseen, ..APART },
        writer: writer("o1"),
        reader: reader("o1"),
        script: &[
            &[Act::Volume(&A), Seed("a"), Act::Volume(&OVERLAY_1)],
            &[OpenAs(Reader, Opening::ReadOnly), Open(Writer), Insert(Writer)],
            &[BeginRead, Insert(Writer), Checkpoint, Look, EndRead],
        ],
    },
    Scenario {
        name: "fuse",
        summary: "one folder behind two FUSE mounts (bindfs)",
        expected: Expected { hex_dump_equal: Some(true), ..APART },
        writer: writer("m1"),
        reader: reader("m2"),
        script: &[&[Act::Volume(&A), Act::Volume(&FUSE_1), Act::Volume(&FUSE_2)], CREATE, &[Open(Reader)], IN_TURN],
    },
    Scenario {
        name: "fuse-locks",
        summary: "one folder behind two FUSE mounts that hand locks on to it (bindfs --enable-lock-forwarding)",
        expected: Expected { locks: Undecided, hex_dump_equal: Some(true), ..APART },
        writer: writer("m1"),
        reader: reader("m2"),
        script: &[
            &[Act::Volume(&A), Act::Volume(&LOCKING_FUSE_1), Act::Volume(&LOCKING_FUSE_2)],
            CREATE,
            &[Open(Reader)],
            IN_TURN,
        ],
    },
    Scenario {
        name: "fuse-one-mount-locks",
        summary: "one FUSE mount for both sides that hands locks on, which then stop nobody",
        expected: Expected {
            also: Also { sharing: &[Refuted], memory: &[Proven], locks: &[Refuted] },
            never: &[Never::Proven, Never::LocksProven],
            rows: Fate::Lost,
            ..NO_WAL_INDEX
        },
        writer: writer("m1"),
        reader: reader("m1"),
        script: &[
            &[Act::Volume(&A), Act::Volume(&LOCKING_FUSE_1)],
            CREATE,
            &[Open(Reader), Act::Meet(Meeting::Database), Act::Meet(Meeting::Folder)],
            &[Insert(Writer), BeginWrite(Writer), BeginWrite(Reader), Insert(Writer), Commit(Writer), Look],
            &[Insert(Reader), Commit(Reader)],
        ],
    },
    Scenario {
        name: "read-only-reader",
        summary: "one volume, read-only for the reader, which found the files without a writer",
        expected: Expected {
            also: Also { sharing: &[Proven], memory: &[Proven], locks: &[Proven] },
            never: &[Never::Refuted, Never::ProvenOfMappings, Never::ProvenWithoutWarning],
            rows: Fate::Kept,
            ..UNPROTECTED
        },
        writer: writer("a"),
        reader: View { read_only: true, ..reader("a") },
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[Insert(Writer), Kill(Writer), Open(Reader), BeginRead, Open(Writer), Insert(Writer), Look, EndRead],
        ],
    },
    Scenario {
        name: "btrfs-both-open",
        summary: "one btrfs subvolume; the writer also has the database in a snapshot of it open",
        expected: SHARED,
        writer: View { also: Some("d"), ..writer("d/v") },
        reader: reader("d/v"),
        script: &[
            &[Act::Volume(&BTRFS)],
            CREATE,
            &[Open(Reader), Act::SnapshotSubvolume("d"), OpenAlso(Writer, "s/t.db")],
            IN_TURN,
        ],
    },
    Scenario {
        name: "rolled-back-disk",
        summary: "an older content was put back on the writer's disk, and that is the reader's; the writer's goes on elsewhere",
        expected: APART,
        writer: writer("p"),
        reader: reader("q"),
        script: &[
            &[Act::Volume(&DISK), Act::Volume(&PLACE), Seed("p"), Act::KeepContent("p")],
            &[Open(Writer), Insert(Writer), Snapshot(Writer), Kill(Writer), Act::PutBack("p", "q")],
            &[Open(Writer), Open(Reader)],
            IN_TURN,
        ],
    },
    Scenario {
        name: "jail",
        summary: "one volume in two chroot jails; outside, another database is open that has the same path",
        expected: SHARED,
        writer: View { jailed_at: Some("b"), ..writer("a") },
        reader: View { jailed_at: Some("b"), ..reader("a") },
        script: &[&[Act::Volume(&A), Act::Volume(&B), Act::Outsider("b")], CREATE, &[Open(Reader)], USUAL],
    },
];
