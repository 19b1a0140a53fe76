//! `walscope wal --salvage`: frames that follow one another, found without the header of the WAL.

use anyhow::bail;
use walscope::format::db::DatabaseHead;
use walscope::look::Depth;
use walscope::report::inspect::InspectDocument;
use walscope::report::salvage::SalvageDocument;
use walscope::wal::frames::FrameBytes;
use walscope::wal::salvage::salvage;

use super::{WalArgs, frame_bytes, refuse_shm_alone};
use crate::exit::{Exit, answered};
use crate::look;
use crate::options::Global;
use crate::output;

/// Runs it.
pub fn run(args: &WalArgs, global: &Global) -> anyhow::Result<Exit> {
    let (source, inspection) = look::inspect(args.source.as_os_str(), Depth::Frames, global)?;
    refuse_shm_alone(args, &source)?;
    let whole = InspectDocument::new(&inspection);
    if inspection.wal.is_none() {
        let why = whole.reasons.get("wal").map_or("not looked at", String::as_str);
        bail!("{}: the -wal: {why}", args.source.display());
    }
    let page_size = inspection.database.as_ref().and_then(DatabaseHead::page_size);
    let found = match (&inspection.behind_header, frame_bytes(&source)) {
        (Some(behind), _) => Ok(Some(behind.found.clone())),
        (None, Some(FrameBytes::Whole(bytes))) => Ok(salvage(bytes, page_size, look::threads(global).get())?),
        (None, Some(FrameBytes::Headers(_))) => {
            Err("the bundle holds no page content, so no checksum can be recomputed")
        }
        (None, None) => Err("there is no -wal"),
    };
    let mangled = inspection.damage.wal.as_ref();
    let document = SalvageDocument::new(whole, found.as_ref().map(Option::as_ref).map_err(|why| *why), mangled);
    answered(match (global.json, args.jsonl) {
        (true, _) => output::write_json(std::io::stdout().lock(), &document),
        (false, true) => {
            let mut out = output::lines();
            document.runs.iter().try_for_each(|run| out.line(run)).and_then(|()| out.flush()).map_err(Into::into)
        }
        (false, false) => {
            let mut out = output::page(global);
            let colour = out.colour();
            out.text(&document.draw(output::width(global), colour)).and_then(|()| out.flush()).map_err(Into::into)
        }
    })?;
    Ok(args.fail_on.judge(&document.findings))
}
