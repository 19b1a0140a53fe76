//! The trees of a database as of one moment: a walk over all of them that finds what does not fit, without SQLite.
//!
//! The pages come from [`Pages`], which says how the database of one moment is put together from its files. The walk
//! looks at each page once at most, so its time is bounded by the pages that are there, whatever the numbers in them are.

mod cover;
mod facts;
mod used;
mod walk;

use std::io;

use crate::number::PageNumber;

pub use facts::{Fault, LISTED, TreeFault, Trees};
pub use walk::walk;

/// The pages of a database as of one moment.
pub trait Pages {
    /// How many pages the database has.
    fn count(&self) -> u32;

    /// Reads the first bytes of a page, as many as `into` has. `false`: the page is not there, or not all of it.
    ///
    /// # Errors
    /// Reading failed.
    fn read(&mut self, page: PageNumber, into: &mut [u8]) -> io::Result<bool>;
}
