//! Every operation against the plainest program that does the same, on small sets, and with one thread and several.

use limbeck_pool_ops::{Points, facility_location, herding, k_centre, k_nearest, near_duplicates, top_per_class};
use proptest::prelude::*;

const WIDTH: usize = 3;

/// Small whole numbers: their distances are exact in any order of sums, and ties are frequent.
fn points() -> impl Strategy<Value = Vec<f32>> {
    (1..14_usize).prop_flat_map(|rows| prop::collection::vec((-4..5_i8).prop_map(f32::from), rows * WIDTH))
}

fn row(values: &[f32], i: usize) -> &[f32] {
    &values[i * WIDTH..][..WIDTH]
}

fn squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

fn mean(values: &[f32]) -> Vec<f64> {
    let rows = values.len() / WIDTH;
    (0..WIDTH).map(|k| (0..rows).map(|i| f64::from(row(values, i)[k])).sum::<f64>() / rows as f64).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// With one thread and with three.
fn alike<R: PartialEq + std::fmt::Debug + Send>(f: impl Fn() -> R + Sync) -> R {
    let pool = |threads| rayon_pool(threads).install(&f);
    let one = pool(1);
    assert_eq!(one, pool(3));
    one
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn k_centre_takes_the_farthest(values in points(), budget in 0..16_usize) {
        let rows = values.len() / WIDTH;
        let all: Vec<u32> = (0..rows as u32).collect();
        let found = alike(|| k_centre(&Points::new(&values, WIDTH).unwrap(), &all, budget).unwrap());
        prop_assert_eq!(found.len(), budget.min(rows));
        let from_mean = |j: usize| -> f64 {
            row(&values, j).iter().zip(mean(&values)).map(|(&a, m)| (f64::from(a) - m).powi(2)).sum()
        };
        if let Some(&first) = found.first() {
            let nearest = (0..rows).map(from_mean).fold(f64::INFINITY, f64::min);
            prop_assert!(from_mean(first as usize) <= nearest + 1e-4);
        }
        for (i, &chosen) in found.iter().enumerate().skip(1) {
            let to = |j: usize, s: u32| squared(row(&values, j), row(&values, s as usize));
            let nearest = |j: usize| found[..i].iter().map(|&s| to(j, s)).fold(f64::INFINITY, f64::min);
            let free = (0..rows).filter(|&j| !found[..i].contains(&(j as u32)));
            let best = free.map(nearest).fold(0.0, f64::max);
            prop_assert_eq!(nearest(chosen as usize), best);
        }
    }

    #[test]
    fn herding_keeps_the_mean(values in points(), budget in 0..16_usize) {
        let rows = values.len() / WIDTH;
        let all: Vec<u32> = (0..rows as u32).collect();
        let found = alike(|| herding(&Points::new(&values, WIDTH).unwrap(), &all, budget).unwrap());
        prop_assert_eq!(found.len(), budget.min(rows));
        let mean = mean(&values);
        for (t, &chosen) in found.iter().enumerate() {
            let distance = |j: usize| -> f64 {
                (0..WIDTH).map(|k| {
                    let sum: f64 = found[..t].iter().map(|&s| f64::from(row(&values, s as usize)[k])).sum();
                    ((t + 1) as f64 * mean[k] - sum - f64::from(row(&values, j)[k])).powi(2)
                }).sum()
            };
            let free = (0..rows).filter(|&j| !found[..t].contains(&(j as u32)));
            let best = free.map(distance).fold(f64::INFINITY, f64::min);
            prop_assert!(distance(chosen as usize) <= best + 1e-3, "{} {best}", distance(chosen as usize));
        }
    }

    #[test]
    fn facility_location_gains_most(values in points(), budget in 0..16_usize) {
        let rows = values.len() / WIDTH;
        let all: Vec<u32> = (0..rows as u32).collect();
        let found = alike(|| facility_location(&Points::new(&values, WIDTH).unwrap(), &all, budget).unwrap());
        prop_assert_eq!(found.len(), budget.min(rows));
        let similar = |i: usize, j: usize| cosine(row(&values, i), row(&values, j)).max(0.0);
        let value = |set: &[u32]| -> f64 {
            (0..rows).map(|i| set.iter().map(|&j| similar(i, j as usize)).fold(0.0, f64::max)).sum()
        };
        for t in 0..found.len() {
            let with = |j: u32| value(&[&found[..t], &[j]].concat());
            let free = (0..rows as u32).filter(|j| !found[..t].contains(j));
            let best = free.map(with).fold(0.0, f64::max);
            prop_assert!(with(found[t]) >= best - 1e-4, "{} {best}", with(found[t]));
        }
    }

    #[test]
    fn the_nearest_are_nearest(values in points(), k in 1..5_usize) {
        let rows = values.len() / WIDTH;
        prop_assume!(k < rows);
        let all: Vec<u32> = (0..rows as u32).collect();
        let found = alike(|| k_nearest(&Points::new(&values, WIDTH).unwrap(), &all, &all, k).unwrap());
        for (i, found) in found.chunks(k).enumerate() {
            let mut others: Vec<usize> = (0..rows).filter(|&j| j != i).collect();
            others.sort_by(|&a, &b| {
                squared(row(&values, i), row(&values, a)).total_cmp(&squared(row(&values, i), row(&values, b)))
            });
            let expected: Vec<u32> = others[..k].iter().map(|&j| j as u32).collect();
            prop_assert_eq!(found, &expected[..]);
        }
    }

    #[test]
    fn duplicates_point_to_new_rows(values in points()) {
        let rows = values.len() / WIDTH;
        let all: Vec<u32> = (0..rows as u32).collect();
        let found = alike(|| near_duplicates(&Points::new(&values, WIDTH).unwrap(), &all, 0.9).unwrap());
        for i in 0..rows {
            let near = |&j: &usize| found[j] == j as u32 && cosine(row(&values, i), row(&values, j)) >= 0.9;
            let expected = (0..i).find(near).unwrap_or(i);
            prop_assert_eq!(found[i] as usize, expected);
        }
    }

    #[test]
    fn quotas_take_the_best(class in prop::collection::vec(0..3_u64, 0..20), quota in 0..4_usize, seed in 0..100_u32) {
        let scores: Vec<f32> = (0..class.len() as u32).map(|i| (i * 7919 + seed) as f32 % 5.0).collect();
        let found = top_per_class(&class, &scores, quota).unwrap();
        for c in 0..3 {
            let of_class: Vec<u32> = (0..class.len() as u32).filter(|&i| class[i as usize] == c).collect();
            let kept: Vec<u32> = found.iter().copied().filter(|&i| class[i as usize] == c).collect();
            prop_assert_eq!(kept.len(), quota.min(of_class.len()));
            let worst = kept.iter().map(|&i| scores[i as usize]).fold(f32::INFINITY, f32::min);
            prop_assert!(of_class.iter().all(|i| kept.contains(i) || scores[*i as usize] <= worst));
        }
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let points = Points::new(&[0.0, 1.0, 2.0], 1).unwrap();
    assert!(Points::new(&[0.0, 1.0, 2.0], 2).is_err() && Points::new(&[0.0], 0).is_err());
    assert!(Points::new(&[0.0, f32::NAN], 1).unwrap_err().to_string().contains("row 1"));
    assert!(k_centre(&points, &[3], 1).unwrap_err().to_string().contains("only 3"));
    assert!(herding(&points, &[1, 1], 1).unwrap_err().to_string().contains("twice"));
    assert!(k_nearest(&points, &[0], &[0, 1], 2).is_err() && k_nearest(&points, &[0], &[1, 2], 0).is_err());
    assert!(near_duplicates(&points, &[0], f32::NAN).is_err());
    assert!(top_per_class(&[0], &[], 1).is_err());
}
