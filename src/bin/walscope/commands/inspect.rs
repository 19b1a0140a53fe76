//! `walscope inspect`: one database on one page.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use walscope::look::Depth;
use walscope::look::over_time::{Kept, Outcome, OverTime};
use walscope::report::inspect::InspectDocument;

use crate::exit::Exit;
use crate::options::{FailOn, Global};
use crate::{look, output};

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// A database, a -wal or -shm alone, or a bundle: PATH, NAME:/path in a container, or pid:N:/path
    #[arg(value_name = "SOURCE", long_help = crate::help::SOURCE)]
    pub source: PathBuf,
    /// Exit with 1 if a finding is at least this grave
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    fail_on: FailOn,
    /// Look again and again over this time (5s, 500ms, 2m): a reader that stays is told from readers that take turns
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    over: Option<Duration>,
    /// The same, and exit with 1 only if one reader was in the way of the checkpoint throughout, or a process was stopped
    /// throughout with a lock that others need (or for --fail-on)
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "over")]
    fail_if_blocked: Option<Duration>,
}

/// Looks follow each other at this distance.
const DISTANCE: Duration = Duration::from_millis(100);
/// The longest time of looks.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn time(text: &str) -> Result<Duration, String> {
    let wanted = || "needed a time such as 5s, 500ms or 2m, at most 24h".to_owned();
    let time: jiff::SignedDuration = text.parse().map_err(|_| wanted())?;
    Duration::try_from(time).ok().filter(|time| !time.is_zero() && *time <= LONGEST).ok_or_else(wanted)
}

/// Runs it.
pub fn run(args: &InspectArgs, global: &Global) -> anyhow::Result<Exit> {
    let over = args.over.or(args.fail_if_blocked).map(|time| over_time(args, time, global)).transpose()?;
    let (_, inspection) = look::inspect(args.source.as_os_str(), Depth::CrossChecked, global)?;
    let document = InspectDocument::new(&inspection).with_over_time(over.as_ref());
    output::document(global, &document, |width| document.draw(width))?;
    let in_the_way = over.as_ref().is_some_and(|over| over.kept().iter().any(Kept::is_in_the_way));
    Ok(match over.map(|over| over.outcome()).filter(|_| args.fail_if_blocked.is_some()) {
        Some(Outcome::Kept) if in_the_way => Exit::Bad,
        Some(Outcome::NotKnown) => Exit::NoAnswer,
        _ => args.fail_on.judge(&document.findings),
    })
}

/// Looks at the heads of the files and the locks until the time is over, at least twice. The files are opened anew for each
/// look, because their names may lead to others by then.
fn over_time(args: &InspectArgs, time: Duration, global: &Global) -> anyhow::Result<OverTime> {
    let begun = Instant::now();
    let mut over = OverTime::default();
    loop {
        let (source, look) = look::inspect(args.source.as_os_str(), Depth::Heads, global)?;
        if !source.is_live() {
            bail!("{}: a bundle is of one moment; looks over some time need the files", source.label());
        }
        over.add(&look);
        over.duration = begun.elapsed();
        if over.duration >= time && over.looks > 1 {
            return Ok(over);
        }
        sleep(time.saturating_sub(over.duration).min(DISTANCE));
    }
}
