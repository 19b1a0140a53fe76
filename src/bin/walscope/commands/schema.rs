//! `walscope schema`: the JSON Schema of each command's document, made from its type.

use schemars::{JsonSchema, Schema, schema_for};
use walscope::bundle::Manifest;
use walscope::report::compare::CompareDocument;
use walscope::report::explain::ExplainDocument;
use walscope::report::inspect::InspectDocument;
use walscope::report::probe::ProbeDocument;
use walscope::report::ps::PsDocument;
use walscope::report::rescue::RescueDocument;
use walscope::report::salvage::{RunRow, SalvageDocument};
use walscope::report::shm_blocks::{BlockRow, ShmDocument};
use walscope::report::snapshot::SnapshotDocument;
use walscope::report::verify::VerifyDocument;
use walscope::report::verify_many::VerifyManyDocument;
use walscope::report::wal_frames::{FrameRow, TransactionRow, WalDocument};

use crate::exit::Exit;
use crate::options::Global;
use crate::output;

/// The name of a document, and the function that makes its schema.
type Document = (&'static str, fn() -> Schema);

/// Documents, named after the command that prints them. `lab-all` belongs to `lab --all`, `verify-many` to `verify` of several
/// sources or of a folder, `manifest` is the `manifest.json` of a bundle, `wal-frame` and `wal-transaction` are the lines of `wal --jsonl`,
/// and `wal-salvage-run` those of `wal --salvage --jsonl`.
const DOCUMENTS: &[Document] = &[
    ("inspect", of::<InspectDocument>),
    ("wal", of::<WalDocument<'static, Option<Vec<FrameRow>>, Option<Vec<TransactionRow>>>>),
    ("wal-frame", of::<FrameRow>),
    ("wal-transaction", of::<TransactionRow>),
    ("wal-salvage", of::<SalvageDocument>),
    ("wal-salvage-run", of::<RunRow>),
    ("shm", of::<ShmDocument<'static, Vec<BlockRow>>>),
    ("snapshot", of::<SnapshotDocument>),
    ("manifest", of::<Manifest>),
    ("verify", of::<VerifyDocument>),
    ("verify-many", of::<VerifyManyDocument>),
    ("explain", of::<ExplainDocument>),
    ("compare", of::<CompareDocument>),
    ("probe", of::<ProbeDocument>),
    ("ps", of::<PsDocument>),
    ("rescue", of::<RescueDocument>),
    #[cfg(feature = "lab")]
    ("lab", of::<crate::lab::LabDocument>),
    #[cfg(feature = "lab")]
    ("lab-all", of::<crate::lab::LabAllDocument>),
];

fn of<T: JsonSchema>() -> Schema {
    schema_for!(T)
}

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// The name of the document; without it, the names are listed
    document: Option<String>,
}

/// Runs it.
pub fn run(args: &SchemaArgs, global: &Global) -> anyhow::Result<Exit> {
    let names = || DOCUMENTS.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let Some(wanted) = &args.document else {
        output::text(global, &format!("{}\n", names().join("\n")))?;
        return Ok(Exit::Good);
    };
    let Some((_, schema)) = DOCUMENTS.iter().find(|(name, _)| name == wanted) else {
        anyhow::bail!("there is no document {wanted:?}; there are {}", names().join(", "));
    };
    output::write_json(std::io::stdout(), &schema())?;
    Ok(Exit::Good)
}
