//! Scenarios with one folder for both sides: what differs is what a process does with it.

use super::super::scenario::Meeting;
use super::*;
use Act::{BeginWrite, Commit, Fork, ForkShared, KillChild, KillWriter, OpenAs, ReadFiles, Relay, WalIndexElsewhere};

pub static SCENARIOS: [Scenario; 11] = [
    Scenario {
        name: "shared",
        summary: "one volume, mounted as a folder on both sides",
        expected: SHARED,
        writer: writer("a"),
        reader: reader("a"),
        script: &[&[Act::Volume(&A)], CREATE, &[Open(Reader)], USUAL],
    },
    Scenario {
        name: "pinned-reader",
        summary: "one volume; a reader keeps a read transaction open while the writer goes on and checkpoints",
        expected: Expected { names_the_reader: true, ..SHARED },
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[
                Open(Reader),
                Insert(Writer),
                BeginRead,
                Insert(Writer),
                Checkpoint,
                Insert(Writer),
                Checkpoint,
                Look,
                EndRead,
            ],
        ],
    },
    Scenario {
        name: "killed-writer",
        summary: "one volume; the writer is killed in the middle of a transaction and another takes over",
        expected: SHARED,
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[Open(Reader), Insert(Writer), KillWriter, Insert(Reader), Open(Writer)],
            USUAL,
        ],
    },
    Scenario {
        name: "lost-locks",
        summary: "one volume; the writer's program reads its own files, which drops the locks of its SQLite",
        expected: UNPROTECTED,
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[Open(Reader), Insert(Writer), BeginWrite(Writer), Insert(Writer), ReadFiles(Writer), Look],
            &[Insert(Reader), Commit(Writer)],
        ],
    },
    Scenario {
        name: "forked-writer",
        summary: "one volume; a child of the writer goes on with the transaction that it inherited, without its locks",
        expected: UNPROTECTED,
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[Open(Reader), Insert(Reader), BeginWrite(Writer), Fork(Writer), Insert(Writer), Look],
            &[Insert(Reader), Commit(Writer)],
        ],
    },
    Scenario {
        name: "shared-holder",
        summary: "one volume; a reader is killed, and its locks live on in descriptors that its parent shares",
        expected: Expected {
            also: Also { sharing: &[Undecided], memory: &[Undecided], locks: &[Undecided] },
            names_the_reader: true,
            ..SHARED
        },
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[Insert(Writer), ForkShared(Reader), Open(Reader), BeginRead, KillChild(Reader)],
            &[Insert(Writer), Checkpoint, Look, Open(Reader)],
        ],
    },
    Scenario {
        name: "lockless",
        summary: "one volume; the reader's SQLite takes no locks and has its wal-index on the heap (vfs=unix-none)",
        expected: UNPROTECTED,
        writer: writer("a"),
        reader: reader("a"),
        script: &[&[Act::Volume(&A)], CREATE, &[OpenAs(Reader, Opening::Lockless), Insert(Reader)], IN_TURN],
    },
    Scenario {
        name: "heap-index",
        summary: "one volume; the writer is in exclusive locking mode: its wal-index is on the heap, and it is alone",
        expected: Expected { rows: Fate::Refused, ..NO_WAL_INDEX },
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A), OpenAs(Writer, Opening::Exclusive), Create(Writer)],
            &[OpenAs(Reader, Opening::Impatient), Insert(Writer), Look],
        ],
    },
    Scenario {
        name: "rollback-mode",
        summary: "one volume; the database is in rollback journal mode, which has no wal-index",
        expected: NO_WAL_INDEX,
        writer: writer("a"),
        reader: reader("a"),
        script: &[&[Act::Volume(&A), Open(Writer), Act::CreateRollback(Writer), Open(Reader)], IN_TURN],
    },
    Scenario {
        name: "shm-directory",
        summary: "one volume; the reader's SQLite keeps its -shm in another folder (SQLITE_SHM_DIRECTORY)",
        expected: Expected {
            also: Also { sharing: &[Refuted], ..UNPROTECTED.also },
            never: &[Never::Proven],
            ..UNPROTECTED
        },
        writer: writer("a"),
        reader: View { also: Some("b"), ..reader("a") },
        script: &[
            &[Act::Volume(&A), Act::Volume(&B)],
            CREATE,
            &[WalIndexElsewhere(Reader), Open(Reader), Insert(Reader)],
            IN_TURN,
        ],
    },
    Scenario {
        name: "lock-relay",
        summary: "each side has its own copy, and something copies locks from the one to the other",
        expected: Expected { never: &[Never::Proven, Never::LocksProven], ..APART },
        writer: writer("a"),
        reader: reader("b"),
        script: &[
            &[Act::Volume(&A), Act::Volume(&B)],
            CREATE,
            &[Act::CopyFiles, Open(Reader), Insert(Writer), Insert(Reader), Relay, Act::Meet(Meeting::Database)],
            &[Look],
        ],
    },
];
