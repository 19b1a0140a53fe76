//! Databases that were deleted, and that processes still have open.

use walscope::linux::mapped::kept::Beneath;
use walscope::source::shell_word;

/// Who has it, and the command that saves it.
pub fn rescue_it(open: &Beneath) -> String {
    format!(
        "it was deleted, and pid {} still has it open: walscope rescue {} -o DIR saves it",
        open.by.pid,
        shell_word(&open.source)
    )
}
