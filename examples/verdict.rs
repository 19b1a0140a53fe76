//! Says whether two containers share one wal-index, from a bundle of each: `cargo run --example verdict -- A B`.

use std::env;
use std::error::Error;
use std::path::Path;

use walscope::bundle::Capture;
use walscope::compare::{Side, compare};
use walscope::say::verdict::explain;

/// The verdict in one word, and in sentences.
pub fn verdict(a: &Path, b: &Path) -> Result<String, Box<dyn Error>> {
    let sides = [Side::from_capture(&Capture::open(a)?)?, Side::from_capture(&Capture::open(b)?)?];
    // The two were not captured at the same time.
    let comparison = compare(&sides, false);
    Ok(format!("{:?}\n{}\n", comparison.verdict.sharing, explain(&comparison)))
}

#[allow(dead_code, reason = "the test calls what is above")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = env::args_os().skip(1);
    let (Some(a), Some(b)) = (paths.next(), paths.next()) else { return Err("name two bundles".into()) };
    print!("{}", verdict(a.as_ref(), b.as_ref())?);
    Ok(())
}
