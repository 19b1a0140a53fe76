//! Processes that have files open for others: servers of FUSE mounts, and what is open on these mounts.

use std::collections::BTreeMap;

use super::asked::Asked;
use super::held::Open;
use crate::evidence::{BehindFuse, KeptBy};
use crate::linux::mapped::fuse;
use crate::linux::procfs::Process;
use crate::number::Device;

/// What a look at each process showed.
#[derive(Default)]
pub(super) struct ThroughFuse {
    /// Who serves FUSE file systems and has files that are wanted, with the numbers of these.
    servers: BTreeMap<u32, Vec<u32>>,
    /// Databases of the name that was asked for, open on file systems without a disk: the process, the device, and the path.
    of_this_name: Vec<(u32, Device, String)>,
}

impl ThroughFuse {
    /// Notes what a process has open that may be on a file system which another one serves.
    pub(super) fn note_open(&mut self, process: &Process, open: &[Open], asked: &Asked) {
        let may_be = |open: &&Open| !open.deleted && open.file.device.major == 0 && asked.has_name(open);
        let found = open.iter().filter(may_be);
        let path = |open: &Open| String::from_utf8_lossy(&open.path).into_owned();
        self.of_this_name.extend(found.map(|open| (process.pid, open.file.device, path(open))));
    }

    /// Notes a process that has files that are wanted, if it serves FUSE file systems.
    pub(super) fn note_server(&mut self, process: &Process) {
        let names = process.names("fd").unwrap_or_default();
        if let Some(connections) = fuse::connections(process, names.iter().map(String::as_str)) {
            self.servers.insert(process.pid, connections);
        }
    }

    /// Those of these processes that have files open for others.
    pub(super) fn behind(&self, by: &[KeptBy]) -> Vec<BehindFuse> {
        let serves = by.iter().filter_map(|by| self.servers.get_key_value(&by.pid));
        let each = serves.map(|(pid, connections)| {
            let served = |device: &Device| device.major == 0 && connections.contains(&device.minor);
            let open = self.of_this_name.iter().find(|(_, device, _)| served(device));
            BehindFuse { pid: *pid, open: open.map(|(pid, _, path)| (*pid, path.clone())) }
        });
        each.collect()
    }
}
