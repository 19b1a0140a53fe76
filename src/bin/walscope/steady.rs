//! Looking at a SOURCE in use until it stands still.

use std::ffi::OsStr;

use walscope::source::{self, Source};

use crate::options::Global;

/// How often files in use are looked at until they stand still: a WAL restarts now and then, and a last connection closes
/// now and then, not all the time.
const LOOKS: u32 = 5;

/// Looks at what was opened, and as long as `again` says that a look is worth another one, opens anew and looks again: the
/// names may lead to other files by then. The last look counts, with what it was a look at.
pub fn steady<T>(
    mut source: Source,
    argument: &OsStr,
    global: &Global,
    mut look: impl FnMut(&Source) -> anyhow::Result<T>,
    again: impl Fn(&T) -> bool,
) -> anyhow::Result<(Source, T)> {
    let mut seen = look(&source)?;
    for _ in 1..LOOKS {
        if !again(&seen) {
            break;
        }
        // What cannot be opened any more stays as it was looked at.
        let Ok(next) = source::open(argument, global.strict_atime) else { break };
        seen = look(&next)?;
        source = next;
    }
    Ok((source, seen))
}
