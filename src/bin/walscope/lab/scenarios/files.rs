//! Scenarios in which something happened to the files.

use super::super::protocol::FileJob;
use super::*;
use Act::{CopyFiles, Files, Snapshot};

pub static SCENARIOS: [Scenario; 6] = [
    Scenario {
        name: "copied",
        summary: "each side has its own copy of the database, its -wal and its -shm, equal at the start",
        expected: APART,
        writer: writer("a"),
        reader: reader("b"),
        script: &[&[Act::Volume(&A), Act::Volume(&B)], CREATE, &[CopyFiles, Open(Reader)], USUAL],
    },
    Scenario {
        name: "file-mount",
        summary: "only the database file is shared; each side's -wal and -shm are its own",
        expected: APART,
        writer: writer("a"),
        reader: View { database_of: Some("a"), ..reader("b") },
        script: &[&[Act::Volume(&A), Act::Volume(&B)], CREATE, &[Open(Reader)], USUAL],
    },
    Scenario {
        name: "deleted-shm",
        summary: "one volume; the -shm is deleted under the writer before the reader comes",
        expected: APART,
        writer: writer("a"),
        reader: reader("a"),
        script: &[&[Act::Volume(&A)], CREATE, &[Files(Reader, FileJob::RemoveShm), Open(Reader)], USUAL],
    },
    Scenario {
        name: "deleted-between-captures",
        summary: "one volume; the -shm is deleted after the writer's snapshot and before the reader's",
        expected: APART,
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[Snapshot(Writer), Files(Reader, FileJob::RemoveShm), Open(Reader)],
            USUAL,
        ],
    },
    Scenario {
        name: "restored-aside",
        summary: "one volume; a backup was moved to the database's place, and the writer goes on with the old files",
        expected: Expected { also: Also { sharing: &[Undecided], memory: &[Undecided], locks: &[Undecided] }, ..APART },
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[Files(Reader, FileJob::Backup), Insert(Writer), Files(Reader, FileJob::RestoreAside), Open(Reader)],
            IN_TURN,
        ],
    },
    Scenario {
        name: "restored-in-place",
        summary: "one volume; a backup was copied over the open files, after the writer's snapshot and before the reader's",
        expected: SHARED,
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[Open(Reader), Insert(Writer), Files(Reader, FileJob::Backup), Insert(Writer), Snapshot(Writer)],
            &[Files(Reader, FileJob::RestoreInPlace), Snapshot(Reader)],
            IN_TURN,
        ],
    },
];
