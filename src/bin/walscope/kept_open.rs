//! Databases that were deleted, and that processes still have open.

use std::ffi::OsStr;

use walscope::linux::mapped::kept::Beneath;
use walscope::shell_word::walscope;

/// Who has it, and the command that saves it.
pub fn rescue_it(open: &Beneath) -> String {
    still_open("it was deleted, and ", open.by.pid, &open.source)
}

/// The same of what was asked for.
pub fn still_open(what: &str, pid: u32, source: &OsStr) -> String {
    format!("{what}pid {pid} still has it open: {} saves it", walscope("rescue", source, "-o DIR"))
}
