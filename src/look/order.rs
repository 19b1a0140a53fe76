//! The one order in which the files of a database are read, and why it is this one.
//!
//! SQLite changes the files while they are read, and nothing here takes a lock. Three facts make one order right:
//!
//! * Committed frames are never overwritten within one generation of the WAL (the frames between two restarts).
//! * A frame up to `nBackfill` is in the database from the moment on at which that number could be read. Later the
//!   database only gains images of later frames. So `nBackfill` is read *before* the database.
//! * A frame that was written later explains a page of the database that an earlier one does not. So the WAL is read
//!   *after* the database, and whatever is said to be the latest frame of a page is settled after that.
//!
//! Everything that was read first is read once more at the end: if the salts, the header copies or the names of the
//! files differ, the files are not of one generation and are not held against each other. Any other order calls a
//! healthy database damaged while somebody writes to it.
//!
//! A look ([`super::inspect`]) and a capture into a bundle read by this order. They differ only in what they keep: facts
//! or bytes. Held by `a_commit_and_a_checkpoint_between_wal_and_database_are_no_damage`,
//! `a_restart_meanwhile_leaves_no_claim` and `files_that_were_replaced_meanwhile_are_not_held_against_each_other`.

/// The steps of one reading, in the order in which [`read`] takes them.
pub trait Steps {
    /// Why a step failed.
    type Error;

    /// The head of the `-shm` with `nBackfill`, and the head of the `-wal`: what must be known before the database.
    ///
    /// # Errors
    /// When reading failed.
    fn before(&mut self) -> Result<(), Self::Error>;

    /// The database: all of it, or its head.
    ///
    /// # Errors
    /// When reading failed.
    fn database(&mut self) -> Result<(), Self::Error>;

    /// The `-shm` again, and the locks of the same moment.
    ///
    /// # Errors
    /// When reading failed.
    fn index_with_locks(&mut self) -> Result<(), Self::Error>;

    /// The `-wal`, at least up to the `mxFrame` that the `-shm` had in the step before.
    ///
    /// # Errors
    /// When reading failed.
    fn wal(&mut self) -> Result<(), Self::Error>;

    /// Pages of the database against the frames that `nBackfill` of the first step says were copied.
    ///
    /// # Errors
    /// When reading failed.
    fn claims(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The heads of the first step once more, and what the `-wal` gained meanwhile.
    ///
    /// # Errors
    /// When reading failed.
    fn after(&mut self) -> Result<(), Self::Error>;

    /// Whether the names still lead to the files that were read. The last step: what is in place now was so throughout.
    ///
    /// # Errors
    /// When looking up a name failed.
    fn names(&mut self) -> Result<(), Self::Error>;
}

/// Takes every step, in the one order.
///
/// # Errors
/// The error of the step that failed; no later step is taken.
pub fn read<S: Steps>(steps: &mut S) -> Result<(), S::Error> {
    steps.before()?;
    steps.database()?;
    steps.index_with_locks()?;
    steps.wal()?;
    steps.claims()?;
    steps.after()?;
    steps.names()
}
