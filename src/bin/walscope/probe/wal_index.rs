//! Beacons on the `-shm` of a database: nothing is written, and no byte that SQLite uses is locked.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use walscope::analysis::wal::WalFacts;
use walscope::compare::{Met, Side, probe};
use walscope::evidence::live::{BeaconLook, BeaconView, Live, Sight};
use walscope::evidence::{Evidence, Observation};
use walscope::linux::{self, OpenedFiles, beacon, meet as meeting};
use walscope::report::probe::{Action, On, ProbeDocument, SCHEMA, nonce};
use walscope::source::{self, Source};

use super::Stop;
use crate::args::Global;
use crate::compare::exit_of;
use crate::exit::Exit;
use crate::output;

/// A database that is challenged.
struct Live_ {
    files: OpenedFiles,
    shm: Arc<File>,
}
