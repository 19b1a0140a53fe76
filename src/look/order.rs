//! The one order in which the files of a database are read, and why it is this one.
//!
//! SQLite changes the files while they are read, and no lock is taken here. Three facts lead to one right order:
//!
//! * Committed frames are never overwritten within one generation of the WAL (the frames between two restarts).
//! * A frame up to `nBackfill` is in the database from the moment at which that number could be read. Later the
//!   database only gets images of later frames. So `nBackfill` is read *before* the database.
//! * A page of the database that does not fit an earlier frame may fit a frame that was written later. So the WAL is
//!   read *after* the database, and the latest frame of each page is determined after that.
//!
//! Everything that was read first is read once more at the end. If the salts, the header copies or the names of the
//! files changed, the files are not of one generation and are not compared with each other. With any other order, a
//! healthy database to which somebody writes would be called damaged.
//!
//! A look ([`super::inspect`]) and a capture into a bundle use this order. They differ only in what they keep: facts or
//! bytes. Held by `a_commit_and_a_checkpoint_between_wal_and_database_are_no_damage`,
//! `a_restart_meanwhile_leaves_no_claim` and `files_replaced_during_a_look_are_not_compared`.

/// The steps of one reading, in the order in which [`read`] takes them.
pub trait Steps {
    /// The error of a step that failed.
    type Error;

    /// Reads the head of the `-shm` with `nBackfill`, and the head of the `-wal`. These must be known before the
    /// database is read.
    ///
    /// # Errors
    /// Reading failed.
    fn before(&mut self) -> Result<(), Self::Error>;

    /// Reads the database: all of it, or its head.
    ///
    /// # Errors
    /// Reading failed.
    fn database(&mut self) -> Result<(), Self::Error>;

    /// Reads the `-shm` again, and the locks at the same moment.
    ///
    /// # Errors
    /// Reading failed.
    fn index_with_locks(&mut self) -> Result<(), Self::Error>;

    /// Reads the `-wal`, at least up to the `mxFrame` that the `-shm` had in the step before.
    ///
    /// # Errors
    /// Reading failed.
    fn wal(&mut self) -> Result<(), Self::Error>;

    /// Compares pages of the database with the frames up to the `nBackfill` of the first step.
    ///
    /// # Errors
    /// Reading failed.
    fn claims(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Reads the heads of the first step once more, and what was added to the `-wal` since.
    ///
    /// # Errors
    /// Reading failed.
    fn after(&mut self) -> Result<(), Self::Error>;

    /// Checks whether the names still lead to the files that were read. It is the last step: if they do, they did all
    /// the time.
    ///
    /// # Errors
    /// Looking up a name failed.
    fn names(&mut self) -> Result<(), Self::Error>;
}

/// Takes every step in this order.
///
/// # Errors
/// The error of the step that failed. No later step is taken.
pub fn read<S: Steps>(steps: &mut S) -> Result<(), S::Error> {
    steps.before()?;
    steps.database()?;
    steps.index_with_locks()?;
    steps.wal()?;
    steps.claims()?;
    steps.after()?;
    steps.names()
}
