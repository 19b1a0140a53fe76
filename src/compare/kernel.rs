//! Whether both sides are of one kernel: without that no numbers of theirs can be compared.

use super::{Pair, Placed};
use crate::sides::{NoCommonKernel, Recorded, Unseen, What};

/// Boot ids of both sides: seen and equal.
///
/// # Errors
/// Why nothing can be compared. Different boot ids refute nothing: the file can be mounted over.
pub(super) fn one_kernel(pair: &Pair<'_>) -> Result<(), NoCommonKernel> {
    if boot_id(pair.a)? == boot_id(pair.b)? { Ok(()) } else { Err(NoCommonKernel::Different) }
}

fn boot_id(of: Placed<'_>) -> Result<&str, NoCommonKernel> {
    let boot_id = &of.side.evidence.host.boot_id;
    let unseen = || Unseen { side: of.index, what: What::BootId, reason: Recorded::of(boot_id) };
    boot_id.value().map(String::as_str).ok_or_else(|| NoCommonKernel::Unseen(unseen()))
}
