//! Files with the names of sidecars in the folder of a database, whose own database is missing.

/// What lies beside a database and may be its own under another name, because the database was renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherNames {
    /// Whether the database is in WAL mode and locked as one in use, and has neither `-wal` nor `-shm`, as several looks within a
    /// quarter of a second showed.
    pub locked_without_sidecars: bool,
    /// The sidecars without a database in its folder.
    pub sidecars: Vec<OtherName>,
}

/// A `-wal`, `-shm` or `-journal` whose database is missing, or that was moved aside as the database was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherName {
    /// The path of the sidecar.
    pub path: String,
    /// Whether it is a `-shm` that somebody uses: its dead-man switch is held.
    pub in_use: bool,
    /// Whether its name and that of the database are those of one database with the same behind both, as `t.db-wal.old` and `t.db.old`.
    pub moved_aside: bool,
    /// A `-journal` that waits, compared with the database. `None`: it is none, or it cannot be compared.
    pub journal: Option<KeptPages>,
    /// A `-wal` with commits, compared with the database. `None`: it is none, or it cannot be compared.
    pub wal: Option<WalElsewhere>,
}

/// The commits of a `-wal` that lies beside a database under another name, compared with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalElsewhere {
    /// Its commits.
    pub commits: u64,
    /// Pages of the WAL that the database has, too.
    pub compared: u64,
    /// Those whose first image in the WAL is much like the page of the database.
    pub akin: u64,
    /// Those whose last image differs from the page of the database.
    pub differ: u64,
}

/// The pages that a journal keeps, compared with those of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptPages {
    /// Pages that were compared.
    pub compared: u64,
    /// Those that are the same in the database, without empty ones.
    pub same: u64,
    /// Those that differ.
    pub differ: u64,
    /// Whether page 1 has the change counter that it must have in that case. `None`: it is not kept.
    pub page_one: Option<bool>,
}
