//! What the sides showed in time. One memory cannot go back to less than it showed before.

use super::{About, Because, Fact, Pair, Says, Side, continuity, kernel};
use crate::evidence::WalIndexSample;
use crate::sides::{FellBehind, Identity, TemporalFact};

/// The number of samples of each side that are used. A capture takes a few; a manifest can claim any number.
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

/// The samples as evidence. `shm` and `one`: see [`continuity::refutable`].
pub(super) fn because(pair: &Pair<'_>, shm: &Identity, one: bool) -> Because {
    let (says, fact) = weigh(pair, shm, one);
    Because::new(About::Memory, says, Fact::Temporal(fact))
}

fn weigh(pair: &Pair<'_>, shm: &Identity, one: bool) -> (Says, TemporalFact) {
    if let Err(reason) = kernel::one_kernel(pair) {
        return (Says::Silent, TemporalFact::Kernel(reason));
    }
    let (a, b) = (moments(pair.a.side), moments(pair.b.side));
    for (of, moments) in [(pair.a, &a), (pair.b, &b)] {
        if moments.is_empty() {
            return (Says::Silent, TemporalFact::NoSamples(of.index));
        }
    }
    // `b_after_a`: samples of b that were taken completely after a sample of a.
    let (b_after_a, a_after_b) = (follow(&a, &b), follow(&b, &a));
    if let Some(fell_behind) = behind(pair, &b_after_a, &a_after_b) {
        return match continuity::refutable(pair, shm, one) {
            Ok(()) => (Says::Refutes, TemporalFact::FellBehind(fell_behind, None)),
            Err(why) => (Says::Silent, TemporalFact::FellBehind(fell_behind, Some(why))),
        };
    }
    if b_after_a.followed && a_after_b.followed && (b_after_a.advanced || a_after_b.advanced) {
        return (Says::Supports, TemporalFact::AdvanceTogether);
    }
    if b_after_a.followed || a_after_b.followed {
        return (Says::Silent, TemporalFact::NotInterleaved);
    }
    (Says::Silent, TemporalFact::NoOrder)
}

fn behind(pair: &Pair<'_>, b_after_a: &Order, a_after_b: &Order) -> Option<FellBehind> {
    let sides = [(b_after_a, pair.a, pair.b), (a_after_b, pair.b, pair.a)];
    sides.into_iter().find_map(|(order, ahead, behind)| {
        let (earlier, later) = order.behind?;
        Some(FellBehind {
            ahead: (ahead.index, earlier.sample.mx_frame),
            behind: (behind.index, later.sample.mx_frame),
            after: later.from.saturating_sub(earlier.to),
        })
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
