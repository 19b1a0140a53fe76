//! Pieces of evidence that can go missing, by name. `verdicts` has this file too.
#![allow(dead_code, reason = "each test binary uses its own part")]

use walscope::compare::Side;
use walscope::evidence::live::{Live, PageEntry, PageTable, PagesView};
use walscope::evidence::{FileOpen, FileView, Mapping, Observation, Root};

/// A piece of what one side shows.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// The field, or what is read besides the evidence.
    pub name: &'static str,
    /// Takes it away.
    pub take: fn(&mut Side),
}

/// A piece of what two live sides show together.
#[derive(Debug, Clone, Copy)]
pub struct LivePiece {
    /// The field, and which part of it.
    pub name: &'static str,
    /// Takes it away.
    pub take: fn(&mut Live),
}

fn gone<T>() -> Observation<T> {
    Observation::denied("taken away")
}

/// Changes a file, if it was seen.
pub fn of(file: &mut Observation<FileView>, change: impl FnOnce(&mut FileView)) {
    if let Observation::Seen { value } = file {
        change(value);
    }
}

fn of_mappings(side: &mut Side, change: fn(&mut Mapping)) {
    if let Observation::Seen { value } = &mut side.evidence.mappings {
        value.mappings.iter_mut().for_each(change);
    }
}

/// Every piece of one side.
pub const PIECES: &[Piece] = &[
    Piece { name: "begun.boottime_offset", take: |side| side.evidence.begun.boottime_offset = None },
    Piece { name: "ended.boottime_offset", take: |side| side.evidence.ended.boottime_offset = None },
    Piece { name: "host.boot_id", take: |side| side.evidence.host.boot_id = gone() },
    Piece { name: "host.namespaces.mount", take: |side| side.evidence.host.namespaces.mount = gone() },
    Piece { name: "host.mounts", take: |side| side.evidence.host.mounts = gone() },
    Piece { name: "files.directory", take: |side| side.evidence.files.directory = gone() },
    Piece { name: "files.database", take: |side| side.evidence.files.database = gone() },
    Piece { name: "files.wal", take: |side| side.evidence.files.wal = gone() },
    Piece { name: "files.shm", take: |side| side.evidence.files.shm = gone() },
    Piece {
        name: "files.directory.birth_time",
        take: |side| of(&mut side.evidence.files.directory, |file| file.birth_time = gone()),
    },
    Piece {
        name: "files.directory.generation",
        take: |side| of(&mut side.evidence.files.directory, |file| file.generation = gone()),
    },
    Piece {
        name: "files.directory.mount_id",
        take: |side| of(&mut side.evidence.files.directory, |file| file.mount_id = gone()),
    },
    Piece {
        name: "files.directory.mount_access",
        take: |side| of(&mut side.evidence.files.directory, |file| file.mount_access = gone()),
    },
    Piece {
        name: "files.shm.mount_access",
        take: |side| of(&mut side.evidence.files.shm, |file| file.mount_access = gone()),
    },
    Piece {
        name: "files.directory.disk_sequence",
        take: |side| of(&mut side.evidence.files.directory, |file| file.disk_sequence = gone()),
    },
    Piece {
        name: "files.database.birth_time",
        take: |side| of(&mut side.evidence.files.database, |file| file.birth_time = gone()),
    },
    Piece {
        name: "files.database.generation",
        take: |side| of(&mut side.evidence.files.database, |file| file.generation = gone()),
    },
    Piece {
        name: "files.database.mount_id",
        take: |side| of(&mut side.evidence.files.database, |file| file.mount_id = gone()),
    },
    Piece {
        name: "files.wal.birth_time",
        take: |side| of(&mut side.evidence.files.wal, |file| file.birth_time = gone()),
    },
    Piece {
        name: "files.wal.generation",
        take: |side| of(&mut side.evidence.files.wal, |file| file.generation = gone()),
    },
    Piece {
        name: "files.shm.birth_time",
        take: |side| of(&mut side.evidence.files.shm, |file| file.birth_time = gone()),
    },
    Piece {
        name: "files.shm.generation",
        take: |side| of(&mut side.evidence.files.shm, |file| file.generation = gone()),
    },
    Piece { name: "files.shm.mount_id", take: |side| of(&mut side.evidence.files.shm, |file| file.mount_id = gone()) },
    Piece {
        name: "files.shm.unique_mount_id",
        take: |side| of(&mut side.evidence.files.shm, |file| file.unique_mount_id = gone()),
    },
    Piece {
        name: "files.shm.disk_sequence",
        take: |side| of(&mut side.evidence.files.shm, |file| file.disk_sequence = gone()),
    },
    Piece {
        name: "files.shm.file_system",
        take: |side| of(&mut side.evidence.files.shm, |file| file.file_system = gone()),
    },
    Piece {
        name: "files.shm.maps_identity",
        take: |side| of(&mut side.evidence.files.shm, |file| file.maps_identity = gone()),
    },
    Piece { name: "mappings", take: |side| side.evidence.mappings = gone() },
    Piece { name: "mappings.start_time", take: |side| of_mappings(side, |mapping| mapping.start_time = None) },
    Piece { name: "mappings.root", take: |side| of_mappings(side, |mapping| mapping.root = Root::NotKnown) },
    Piece {
        name: "mappings.database_open",
        take: |side| of_mappings(side, |mapping| mapping.database_open = FileOpen::NotKnown),
    },
    Piece { name: "users", take: |side| side.evidence.users = gone() },
    Piece { name: "locks", take: |side| side.evidence.locks = gone() },
    Piece { name: "contact", take: |side| side.evidence.contact = gone() },
    Piece { name: "samples", take: |side| side.evidence.samples.clear() },
    Piece { name: "page_tables", take: |side| side.evidence.page_tables = gone() },
    Piece { name: "bytes of the database", take: |side| side.database = None },
    Piece { name: "bytes of the -shm", take: |side| side.shm = None },
    Piece { name: "bytes of the -wal", take: |side| side.wal = walscope::wal::WalFacts::absent() },
];

fn of_pages(live: &mut Live, change: impl FnOnce(&mut PagesView)) {
    if let Observation::Seen { value } = &mut live.pages {
        change(value);
    }
}

/// Of a side without that many tables nothing can go missing.
fn hide(tables: &mut [PageTable], at: usize, reads: Observation<Vec<Vec<PageEntry>>>) {
    if let Some(table) = tables.get_mut(at) {
        table.reads = reads;
    }
}

/// Every piece of what two live sides show together.
pub const LIVE_PIECES: &[LivePiece] = &[
    LivePiece { name: "pages", take: |live| live.pages = gone() },
    LivePiece { name: "pages.a of walscope", take: |live| of_pages(live, |pages| hide(&mut pages.a, 0, gone())) },
    LivePiece { name: "pages.a of a process", take: |live| of_pages(live, |pages| hide(&mut pages.a, 1, gone())) },
    LivePiece { name: "pages.b of walscope", take: |live| of_pages(live, |pages| hide(&mut pages.b, 0, gone())) },
    LivePiece { name: "pages.b of a process", take: |live| of_pages(live, |pages| hide(&mut pages.b, 1, gone())) },
    // As without CAP_SYS_ADMIN.
    LivePiece {
        name: "pages.b of a process, frame numbers",
        take: |live| {
            let reads = vec![vec![PageEntry(1 << 63 | 1 << 61); 2]; 6];
            of_pages(live, |pages| hide(&mut pages.b, 1, Observation::seen(reads)));
        },
    },
    LivePiece { name: "beacon.forth", take: |live| live.beacon.forth = gone() },
    LivePiece { name: "beacon.back", take: |live| live.beacon.back = gone() },
];

/// The piece of one side with this name.
pub fn piece(name: &str) -> Piece {
    *PIECES.iter().find(|piece| piece.name == name).unwrap_or_else(|| panic!("no piece is called {name}"))
}

/// The piece of what two sides show together with this name.
pub fn live_piece(name: &str) -> LivePiece {
    *LIVE_PIECES.iter().find(|piece| piece.name == name).unwrap_or_else(|| panic!("no piece is called {name}"))
}
