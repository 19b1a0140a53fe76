//! `walscope/compare/1`: the verdict, its evidence, and the sides it is about.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::{FindingDocument, documents};
use super::verdict::{Lineage, Verdict};
use crate::compare::{Comparison, Side};
use crate::evidence::{FileView, Observation, Timestamp, id_in_documents};
use crate::number::Salts;
use crate::say::{self, Names};

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/compare/1";

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct CompareDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict in a sentence.
    pub explanation: String,
    /// What happened between two sides; null if there are more than two.
    pub lineage: Option<Lineage>,
    /// What happened between each side and the next one.
    pub lineages: Vec<Lineage>,
    /// Whether all files were open at the same time.
    pub simultaneous: bool,
    /// The sides.
    pub sides: Vec<SideModel>,
    /// Findings, the gravest first.
    pub findings: Vec<FindingDocument>,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct SideModel {
    /// The name of the side in the verdict: the file name of a bundle if that is enough, otherwise as it was given.
    pub label: String,
    /// The database's path with symbolic links resolved, as seen from this side.
    pub path: String,
    /// Whether the capture is of one moment.
    pub stable: bool,
    /// Identities of the side's files.
    pub identities: Identities,
    /// The id of the container in which it was captured, if a cgroup path names it.
    pub container: Option<String>,
    /// The container's name; null if its runtime could not be asked.
    pub container_name: Option<String>,
    /// Where it was captured.
    pub host: Host,
    /// The wal-index; null if there is none that can be trusted.
    pub position: Option<Position>,
    /// Why a value is null, under the name of that value.
    pub reasons: BTreeMap<String, String>,
}

/// Identities of one side's files.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Identities {
    /// The folder of the database.
    pub directory: Option<Identity>,
    /// The database.
    pub database: Option<Identity>,
    /// The `-wal`.
    pub wal: Option<Identity>,
    /// The `-shm`.
    pub shm: Option<Identity>,
}

/// What identifies one file.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Identity {
    /// `st_dev`, `major:minor`.
    pub device: String,
    /// `st_ino`, decimal.
    pub inode: String,
    /// Device as `/proc/PID/maps` prints it for a mapping. Only looked at for the `-shm`.
    pub maps_device: Option<String>,
    /// Inode as `/proc/PID/maps` prints it for a mapping.
    pub maps_inode: Option<String>,
    /// Inode generation.
    pub generation: Option<u32>,
    /// Birth time.
    pub birth_time: Option<Timestamp>,
    /// Type of the file system.
    pub file_system: Option<String>,
    /// Number of paths that lead to the file; 0: it was deleted.
    pub links: u64,
    /// Size in bytes.
    pub size: u64,
}

/// Where a side was captured.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Host {
    /// Boot id of the kernel.
    pub boot_id: Option<String>,
    /// Kernel release.
    pub kernel_release: Option<String>,
    /// Host name; in a container usually its short id.
    pub host_name: Option<String>,
    /// Mount namespace.
    pub mount_namespace: Option<String>,
    /// PID namespace.
    pub pid_namespace: Option<String>,
    /// The user who captured.
    pub uid: u32,
}

/// The state of a wal-index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Position {
    /// Salt-1 of the generation.
    pub salt1: u32,
    /// Salt-2 of the generation.
    pub salt2: u32,
    /// `mxFrame`.
    pub mx_frame: u32,
    /// `nBackfill`.
    pub backfilled: u32,
}

impl CompareDocument {
    /// Makes the document from the sides and the result of the comparison.
    #[must_use]
    pub fn new(sides: &[Side], comparison: &Comparison, simultaneous: bool) -> Self {
        let mut findings = comparison.findings.clone();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let labels = Names::labels(comparison);
        let names = Names::new(&labels);
        let lineages: Vec<Lineage> = comparison.lineage.iter().map(|found| Lineage::new(found, names)).collect();
        Self {
            schema: SCHEMA,
            verdict: Verdict::new(&comparison.verdict, names),
            explanation: say::verdict::explain(comparison),
            lineage: lineages.first().filter(|_| sides.len() == 2).cloned(),
            lineages,
            simultaneous,
            sides: sides.iter().map(SideModel::from).collect(),
            findings: documents(&findings),
        }
    }
}

impl From<&Side> for SideModel {
    fn from(side: &Side) -> Self {
        let evidence = &side.evidence;
        let (files, host) = (&evidence.files, &evidence.host);
        let mut reasons = Reasons::default();
        Self {
            label: side.label.clone(),
            path: files.database_path.clone(),
            stable: side.stable,
            identities: Identities {
                directory: reasons.take("identities.directory", &files.directory).map(Identity::from),
                database: reasons.take("identities.database", &files.database).map(Identity::from),
                wal: reasons.take("identities.wal", &files.wal).map(Identity::from),
                shm: reasons.take("identities.shm", &files.shm).map(Identity::from),
            },
            container: reasons.take("container", &host.container).map(|container| container.id.clone()),
            container_name: host.container.value().and_then(|container| container.name.clone()),
            host: Host {
                boot_id: reasons.take("host.boot_id", &host.boot_id).cloned(),
                kernel_release: reasons.take("host.kernel_release", &host.kernel_release).cloned(),
                host_name: reasons.take("host.host_name", &host.host_name).cloned(),
                mount_namespace: reasons.take("host.mount_namespace", &host.namespaces.mount).cloned(),
                pid_namespace: reasons.take("host.pid_namespace", &host.namespaces.pid).cloned(),
                uid: id_in_documents(host.uid),
            },
            position: position(side),
            reasons: reasons.0,
        }
    }
}

/// Reasons, each under the name of the missing value.
#[derive(Default)]
struct Reasons(BTreeMap<String, String>);

impl Reasons {
    fn take<'a, T>(&mut self, name: &str, observation: &'a Observation<T>) -> Option<&'a T> {
        if let Some(reason) = observation.reason() {
            self.0.insert(name.to_owned(), reason.to_owned());
        }
        observation.value()
    }
}

fn position(side: &Side) -> Option<Position> {
    let shm = side.shm.as_ref()?;
    let header = shm.trusted()?;
    let Salts([salt1, salt2]) = header.salts;
    let (mx_frame, backfilled) = (header.mx_frame.saturating_u32(), shm.checkpoint.backfilled.saturating_u32());
    Some(Position { salt1, salt2, mx_frame, backfilled })
}

impl From<&FileView> for Identity {
    fn from(view: &FileView) -> Self {
        let mapped = view.maps_identity.value();
        Self {
            device: view.device.to_string(),
            inode: view.inode.to_string(),
            maps_device: mapped.map(|id| id.device.to_string()),
            maps_inode: mapped.map(|id| id.inode.to_string()),
            generation: view.generation.value().copied(),
            birth_time: view.birth_time.value().copied(),
            file_system: view.file_system.value().map(|system| system.name.clone()),
            links: view.links,
            size: view.size,
        }
    }
}
