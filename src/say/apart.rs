//! Volumes and mounts, before inodes and page frames: what the user has set up.

use super::words::Names;
use crate::compare::{Apart, PairVerdict};

/// That the sides have two volumes, two folders or two mounts, in a sentence.
pub(super) fn apart(pair: &PairVerdict, names: Names<'_>) -> Option<String> {
    let [a, b] = pair.sides.map(|side| names.of(side));
    Some(match pair.apart.as_ref()? {
        Apart::Folders(looks, mounted) => {
            let (x, y) = (&looks.a, &looks.b);
            let at = match mounted {
                [Some(m), Some(n)] if m != n && m != "/" && n != "/" => format!(": {m} on {a}, {n} on {b}"),
                _ => String::new(),
            };
            if x.id.device == y.id.device {
                format!("{a} and {b} have two folders, and a database in each{at}.")
            } else {
                let [x, y] = [x, y].map(|look| format!("{} ({})", look.id.device, look.file_system.name));
                format!("{a} and {b} have two volumes, and a database on each: {x} on {a}, {y} on {b}.")
            }
        }
        Apart::Mounts(looks) => {
            let [x, y] = [&looks.a, &looks.b].map(|look| format!("{} ({})", look.id.device, look.file_system.name));
            format!(
                "{a} and {b} reach the database through two mounts, {x} and {y}: such mounts usually have memory and locks of their own each, even if one folder is behind both."
            )
        }
    })
}
