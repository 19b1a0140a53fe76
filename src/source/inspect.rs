//! Looking at a SOURCE until it stands still.

use std::ffi::OsStr;
use std::io;

use crate::evidence::{Evidence, RightsView};
use crate::linux::Care;
use crate::look::{self, Depth, Inspection, Options};
use crate::wal::Frame;

use super::{Found, Source, SourceError, open, open_target};
use crate::bundle::SnapshotError;

/// At most so many looks at files in use until they stand still. A WAL restarts, or the last connection closes, now and
/// then, but not all the time.
const LOOKS: u32 = 5;

/// Opens what is looked at, each time anew.
type Open<'a> = &'a dyn Fn() -> Result<Source, SnapshotError>;

/// Opens a SOURCE and looks at it until it stands still. Returns the last look, and the opened source that it was made
/// of.
///
/// Files are opened again before each further look, because the names may lead to other files by then.
///
/// # Errors
/// When it cannot be opened or read, or nothing is there.
pub fn inspect(argument: &OsStr, care: Care, options: &Options<'_>) -> Result<(Source, Inspection), SourceError> {
    inspect_by(&|| open(argument, care), options)
}

/// Opens a database that was found below a folder, and looks at it until it stands still.
///
/// # Errors
/// When it cannot be opened or read, or nothing is there.
pub fn inspect_found(found: &Found, care: Care, options: &Options<'_>) -> Result<(Source, Inspection), SourceError> {
    inspect_by(&|| open_target(&found.label, found.target.clone(), care), options)
}

fn inspect_by(open: Open<'_>, options: &Options<'_>) -> Result<(Source, Inspection), SourceError> {
    let look = |source: &Source| look::inspect(source.seen(), options);
    let (source, mut inspection) = steadily(open()?, open, look, Inspection::look_again)?;
    something_there(&source, &inspection)?;
    if options.depth < Depth::CrossChecked {
        return Ok((source, inspection));
    }
    // A -shm that disappears while the processes are looked at was removed by the last connection: the next look has
    // none.
    let around = |source: &Source| Ok((source.seen().rights(), source.seen().surroundings()));
    let moved = |(_, around): &(Option<RightsView>, Option<Evidence>)| {
        around.as_ref().is_some_and(|around| !around.paths_unchanged)
    };
    let (source, (rights, surroundings)) = steadily(source, open, around, moved)?;
    // Of files that came or went meanwhile, the rights are those of another moment.
    let in_place = surroundings.as_ref().is_some_and(|around| around.paths_unchanged);
    inspection.rights = rights.filter(|_| in_place);
    inspection.surroundings = surroundings;
    if in_place {
        inspection.other_names = source.seen().other_names();
    }
    Ok((source, inspection))
}

/// Opens a SOURCE and looks at it until it stands still. Each look hands the frames of the `-wal` to a new `T`, as
/// [`look::inspect_frames`] does; `each` cannot end a look.
///
/// # Errors
/// When it cannot be opened or read, or nothing is there.
pub fn inspect_frames<T>(
    argument: &OsStr,
    care: Care,
    options: &Options<'_>,
    mut begin: impl FnMut(&Source) -> T,
    mut each: impl FnMut(&mut T, &Frame, &[u8]),
) -> Result<(Source, Inspection, T), SourceError> {
    let look = |source: &Source| {
        let mut found = begin(source);
        let inspection =
            look::inspect_frames(source.seen(), options, &mut |frame, page| each(&mut found, frame, page))?;
        Ok((inspection, found))
    };
    let again = |(inspection, _): &(Inspection, T)| inspection.look_again();
    let open = || open(argument, care);
    let (source, (inspection, found)) = steadily(open()?, &open, look, again)?;
    something_there(&source, &inspection)?;
    Ok((source, inspection, found))
}

fn something_there(source: &Source, inspection: &Inspection) -> Result<(), SourceError> {
    match inspection.nothing_there() {
        Some(why) if source.is_live() => {
            Err(SourceError::NothingThere { label: source.label().to_owned(), why: why.clone() })
        }
        _ => Ok(()),
    }
}

/// Looks at a source; as long as `again` says so, opens it again and looks again, at most [`LOOKS`] times.
fn steadily<T>(
    mut source: Source,
    open: Open<'_>,
    mut look: impl FnMut(&Source) -> io::Result<T>,
    again: impl Fn(&T) -> bool,
) -> Result<(Source, T), SourceError> {
    let mut once = |source: &Source| {
        if let Source::Files(files) = source {
            files.check_readable()?;
        }
        look(source).map_err(|error| SourceError::Read { label: source.label().to_owned(), source: error })
    };
    let mut seen = once(&source)?;
    for _ in 1..LOOKS {
        if !source.is_live() || !again(&seen) {
            break;
        }
        // When the source cannot be opened any more, the last look stands.
        let Ok(next) = open() else { break };
        seen = once(&next)?;
        source = next;
    }
    Ok((source, seen))
}
