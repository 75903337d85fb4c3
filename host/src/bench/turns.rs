//! Measurements that take turns, so that what slows a machine down for a while slows all of them down alike.

use std::time::Instant;

use crate::Result;

/// Something to time.
pub type Timed<'a> = &'a mut dyn FnMut() -> Result<()>;

/// Seconds of each of `N` candidates in each turn.
pub struct Turns<const N: usize> {
    times: Vec<[f64; N]>,
}

/// How many times as long one candidate takes as another, within the same turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    pub median: f64,
    /// Ends of the 95 % confidence interval of the median, by the ranks of the binomial distribution.
    pub low: f64,
    pub high: f64,
}

/// Lets every candidate run once a turn, the order another one each time, after two turns that don't count.
pub fn take_turns<const N: usize>(rounds: usize, candidates: [Timed<'_>; N]) -> Result<Turns<N>> {
    const UNMEASURED: usize = 2;
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds + UNMEASURED {
        let mut seconds = [0.0; N];
        for place in 0..N {
            // Forwards and backwards, each beginning with every candidate: none always follows the same other.
            let step = if round % 2 == 0 { place } else { N - 1 - place };
            let which = (step + round / 2) % N;
            let started = Instant::now();
            candidates[which]()?;
            seconds[which] = started.elapsed().as_secs_f64();
        }
        if round >= UNMEASURED {
            times.push(seconds);
        }
    }
    Ok(Turns { times })
}

impl<const N: usize> Turns<N> {
    /// The median time of each candidate in seconds.
    pub fn medians(&self) -> [f64; N] {
        std::array::from_fn(|which| median(&sorted(self.times.iter().map(|seconds| seconds[which]))))
    }

    /// Candidate `of` over candidate `to`, turn by turn.
    pub fn ratio(&self, of: usize, to: usize) -> Ratio {
        let ratios = sorted(self.times.iter().map(|seconds| seconds[of] / seconds[to]));
        let count = ratios.len() as f64;
        let reach = 0.98 * count.sqrt();
        let at = |rank: f64| ratios[(rank.round().max(0.0) as usize).min(ratios.len() - 1)];
        let middle = (count - 1.0) / 2.0;
        Ratio { median: median(&ratios), low: at((middle - reach).floor()), high: at((middle + reach).ceil()) }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let upper = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[upper] } else { (sorted[upper - 1] + sorted[upper]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_runs_once_a_turn_and_begins_as_often_as_others() {
        let order = std::cell::RefCell::new(Vec::new());
        let run = |name| {
            order.borrow_mut().push(name);
            Ok(())
        };
        let turns = take_turns(10, [&mut || run('a'), &mut || run('b')]);
        assert_eq!(turns.unwrap().times.len(), 10);
        let order = order.into_inner();
        assert!(order.chunks(2).all(|turn| turn[0] != turn[1]));
        assert_eq!(order.iter().step_by(2).filter(|&&first| first == 'a').count(), 6);
    }

    #[test]
    fn ratios_are_taken_within_turns() {
        // The machine is ten times slower in some turns; the second candidate always takes a tenth more.
        let times = (0..25).map(|turn| if turn % 3 == 0 { [10.0, 11.0] } else { [1.0, 1.1] }).collect();
        let ratio = Turns { times }.ratio(1, 0);
        assert!([ratio.median, ratio.low, ratio.high].iter().all(|ratio| (ratio - 1.1).abs() < 1e-12), "{ratio:?}");
        let spread = Turns { times: (0..101).map(|turn| [1.0, f64::from(turn)]).collect() }.ratio(1, 0);
        assert_eq!((spread.median, spread.low, spread.high), (50.0, 40.0, 60.0));
    }
}
