//! What the sides showed in time: one memory cannot be behind what it had already shown.

use super::{About, Because, Kind, Pair, Says, Side, continuity, identity};
use crate::evidence::WalIndexSample;

/// Samples looked at on each side. A capture takes a handful; a manifest can claim any number.
const SAMPLES: usize = 256;

/// One sample on the clock of the kernel.
#[derive(Clone, Copy)]
struct Moment {
    from: u64,
    to: u64,
    sample: WalIndexSample,
}

/// How the samples of one side follow those of the other.
#[derive(Default)]
struct Order {
    behind: Option<(Moment, Moment)>,
    followed: bool,
    advanced: bool,
}

/// The samples as evidence.
pub(super) fn because(pair: &Pair<'_>) -> Because {
    let silent = |reason: String| {
        let detail = "the order of what the sides showed decides nothing here";
        Because::silent(Kind::Temporal, About::Memory, reason, detail)
    };
    if let Err(reason) = identity::same_kernel(pair) {
        return silent(reason);
    }
    let (a, b) = (moments(pair.a), moments(pair.b));
    for (side, moments) in [(pair.a, &a), (pair.b, &b)] {
        if moments.is_empty() {
            return silent(format!("{} has no samples on a comparable clock", side.label));
        }
    }
    // `b_after_a`: samples of b that were taken wholly after one of a.
    let (b_after_a, a_after_b) = (follow(&a, &b), follow(&b, &a));
    if let Some(detail) = behind(pair, &b_after_a, &a_after_b) {
        return match continuity::unbroken(pair) {
            Ok(()) => Because::new(Kind::Temporal, About::Memory, Says::Refutes, detail),
            Err(why) => silent(format!("{detail}; but {why}, and {}", continuity::LOST_TAIL)),
        };
    }
    if b_after_a.followed && a_after_b.followed && (b_after_a.advanced || a_after_b.advanced) {
        let detail = "interleaved samples of both sides advance together";
        return Because::new(Kind::Temporal, About::Memory, Says::Supports, detail);
    }
    if b_after_a.followed || a_after_b.followed {
        return silent("the samples do not interleave while frames are added".to_owned());
    }
    silent("no two samples are of the same generation and one wholly after the other".to_owned())
}

/// Whether one side showed less than the other had shown before, within one life or not.
pub(super) fn fell_behind(pair: &Pair<'_>) -> Option<String> {
    identity::same_kernel(pair).ok()?;
    let (a, b) = (moments(pair.a), moments(pair.b));
    behind(pair, &follow(&a, &b), &follow(&b, &a))
}

fn behind(pair: &Pair<'_>, b_after_a: &Order, a_after_b: &Order) -> Option<String> {
    let sides = [(b_after_a, pair.a, pair.b), (a_after_b, pair.b, pair.a)];
    sides.into_iter().find_map(|(order, ahead, behind)| {
        let (earlier, later) = order.behind?;
        Some(format!(
            "{} showed frame {} of the same generation, and {} us later {} still showed frame {}",
            ahead.label,
            earlier.sample.mx_frame,
            later.from.saturating_sub(earlier.to) / 1_000,
            behind.label,
            later.sample.mx_frame
        ))
    })
}

fn moments(side: &Side) -> Vec<Moment> {
    side.evidence
        .samples
        .iter()
        .take(SAMPLES)
        .filter_map(|sample| {
            let (from, to) = (sample.before.host_boottime()?, sample.after.host_boottime()?);
            (from <= to).then_some(Moment { from, to, sample: *sample })
        })
        .collect()
}

fn follow(earlier: &[Moment], later: &[Moment]) -> Order {
    let mut order = Order::default();
    for x in earlier {
        for y in later.iter().filter(|y| y.from > x.to && y.sample.salts == x.sample.salts) {
            if y.sample.mx_frame < x.sample.mx_frame {
                order.behind.get_or_insert((*x, *y));
            } else {
                order.followed = true;
                order.advanced |= y.sample.mx_frame > x.sample.mx_frame;
            }
        }
    }
    order
}
