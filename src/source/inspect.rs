//! Looking at a SOURCE until it stands still.

use std::ffi::OsStr;
use std::io;

use crate::evidence::Evidence;
use crate::look::{self, Depth, Inspection, Options};
use crate::wal::Frame;

use super::{Source, SourceError, open};

/// How often files in use are looked at until they stand still: a WAL restarts now and then, and a last connection closes
/// now and then, not all the time.
const LOOKS: u32 = 5;

/// Opens a SOURCE and looks at it until it stands still. The last look counts; the source that it was a look at comes
/// with it, opened.
///
/// Files are opened anew before each further look: the names may lead to other files by then.
///
/// # Errors
/// When it cannot be opened or read, or nothing is there.
pub fn inspect(
    argument: &OsStr,
    strict_atime: bool,
    options: &Options<'_>,
) -> Result<(Source, Inspection), SourceError> {
    let (source, mut inspection) = steadily(
        open(argument, strict_atime)?,
        argument,
        strict_atime,
        |source| look::inspect(source.seen(), options),
        Inspection::look_again,
    )?;
    something_there(&source, &inspection)?;
    if options.depth < Depth::CrossChecked {
        return Ok((source, inspection));
    }
    // A -shm that goes while the processes are looked at went with the last connection: the next look has none.
    let around = |source: &Source| Ok(source.seen().surroundings());
    let moved = |around: &Option<Evidence>| around.as_ref().is_some_and(|around| !around.paths_unchanged);
    let (source, surroundings) = steadily(source, argument, strict_atime, around, moved)?;
    inspection.surroundings = surroundings;
    Ok((source, inspection))
}

/// Opens a SOURCE and looks at it until it stands still; each look hands the frames of the `-wal` to a new `T`. See
/// [`look::inspect_frames`].
///
/// # Errors
/// When it cannot be opened or read, or nothing is there.
pub fn inspect_frames<T>(
    argument: &OsStr,
    strict_atime: bool,
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
    let (source, (inspection, found)) = steadily(open(argument, strict_atime)?, argument, strict_atime, look, again)?;
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

/// Takes `look` at a source, and opens it anew and looks again as long as `again` says so, some times at most.
fn steadily<T>(
    mut source: Source,
    argument: &OsStr,
    strict_atime: bool,
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
        // What cannot be opened any more stays as it was looked at.
        let Ok(next) = open(argument, strict_atime) else { break };
        seen = once(&next)?;
        source = next;
    }
    Ok((source, seen))
}
