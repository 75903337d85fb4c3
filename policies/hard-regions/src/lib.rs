//! Draw again near the images on which the student is farthest from the teacher: a share `explore` uniformly with fresh
//! seeds, the rest in the neighbourhood of the hardest images, in shares `∝ KL(p‖q)`.
//!
//! The neighbour of an image has its class, its seed (the same noise) and its steps, and a guidance scale up to `spread` away, in equal
//! distances on both sides: a change of guidance turns an image into one much like it, a change of seed into any other. So
//! regions win where the student is wrong, as in hard-example mining (Shrivastava, Gupta and Girshick, "Training region-based object detectors with
//! online hard example mining", CVPR 2016) over the generator's inputs. Before the first student all is drawn uniformly. Needs the hardest images.

use limbeck_policy::{Draw, Env, Hard, Planner, Policy, Stats, apportion, export_planner, in_turn, within};

pub struct HardRegions {
    config: Config,
    classes: usize,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The share that is drawn uniformly, 0 to 1. Default 0.5.
    explore: f64,
    /// How far the guidance scale of a neighbour may be, 0.01 to 10. Default 0.5.
    spread: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { explore: 0.5, spread: 0.5 }
    }
}

impl Policy for HardRegions {
    const NAME: &str = "hard-regions";
    const SUMMARY: &str = "draws again near the images on which the student is farthest from the teacher";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("explore", config.explore, 0.0..=1.0)?;
        within("spread", config.spread, 0.01..=10.0)?;
        if env.classes == 0 {
            return Err("there is no class to draw: `[data]` needs at least 1".into());
        }
        Ok(Self { config, classes: env.classes as usize })
    }

    fn needs(&self) -> Vec<String> {
        Vec::new()
    }
}

impl HardRegions {
    /// `count` neighbours of an image.
    fn near(&self, hard: &Hard, count: u32) -> impl Iterator<Item = Draw> {
        let (Hard { class, guidance, steps, seed, .. }, spread) = (*hard, self.config.spread);
        (0..count).map(move |place| {
            // −spread to spread in equal steps that leave the image itself out.
            let step = spread / count.div_ceil(2) as f32 * (place / 2 + 1) as f32;
            let guidance = (guidance + if place % 2 == 0 { step } else { -step }).max(0.0);
            Draw { class, guidance, steps, seed }
        })
    }
}

impl Planner for HardRegions {
    fn plan(&mut self, images: u32, stats_json: &str) -> Result<Vec<Draw>, String> {
        let Stats { guidance, steps, first_seed, hardest, .. } = Stats::read(stats_json)?;
        let hardest: Vec<Hard> = hardest.into_iter().filter(|hard| hard.kl.is_finite() && hard.kl > 0.0).collect();
        let explored = match hardest.is_empty() {
            true => images,
            false => (self.config.explore * f64::from(images)).round() as u32,
        };
        let counts = apportion(&vec![1.0; self.classes], explored);
        let draw = |(class, seed)| Draw { class, guidance, steps, seed };
        let mut draws: Vec<Draw> = in_turn(&counts).into_iter().zip(first_seed..).map(draw).collect();
        let weights: Vec<f64> = hardest.iter().map(|hard| hard.kl).collect();
        let counts = apportion(&weights, images - explored);
        draws.extend(hardest.iter().zip(counts).flat_map(|(hard, count)| self.near(hard, count)));
        Ok(draws)
    }
}

export_planner!(HardRegions);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::configure;

    fn plan(config: &str, images: u32, hardest: &str) -> Vec<Draw> {
        let mut policy: HardRegions = configure(config, &Env { classes: 2, ..Env::default() }).unwrap();
        let stats = format!(r#"{{"guidance": 2, "steps": 50, "first-seed": 1000, "hardest": [{hardest}]}}"#);
        let draws = policy.plan(images, &stats).unwrap();
        assert_eq!(draws.len(), images as usize);
        draws
    }

    const HARD: &str = r#"{"class": 1, "guidance": 3, "steps": 20, "seed": 17, "kl": 3},
                          {"class": 0, "guidance": 0.1, "steps": 20, "seed": 18, "kl": 1}"#;

    #[test]
    fn the_harder_region_wins_more_draws() {
        let draws = plan(r#"{"explore": 0}"#, 8, HARD);
        assert_eq!(draws.iter().filter(|draw| draw.seed == 17 && draw.class == 1 && draw.steps == 20).count(), 6);
        assert_eq!(draws.iter().filter(|draw| draw.seed == 18).count(), 2);
    }

    #[test]
    fn neighbours_are_near_and_differ() {
        let mut guidance: Vec<f32> = plan(r#"{"explore": 0}"#, 8, HARD)[..6].iter().map(|draw| draw.guidance).collect();
        assert!(guidance.iter().all(|&guidance| (2.5..=3.5).contains(&guidance) && guidance != 3.0), "{guidance:?}");
        guidance.sort_by(f32::total_cmp);
        guidance.dedup();
        assert_eq!(guidance.len(), 6);
    }

    #[test]
    fn a_share_explores() {
        let draws = plan(r#"{"explore": 0.25}"#, 8, HARD);
        assert_eq!(draws.iter().filter(|draw| draw.seed >= 1000).count(), 2);
    }

    #[test]
    fn no_hard_image_no_guidance_and_no_images_are_no_trouble() {
        assert!(plan("{}", 4, "").iter().all(|draw| draw.seed >= 1000));
        assert!(plan("{}", 4, r#"{"kl": 0}"#).iter().all(|draw| draw.seed >= 1000));
        assert!(
            plan(r#"{"explore": 0}"#, 4, r#"{"guidance": 0, "steps": 1, "kl": 1}"#).iter().all(|d| d.guidance >= 0.0)
        );
        assert!(plan("{}", 0, HARD).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 2, ..Env::default() };
        for config in [r#"{"explore": 2}"#, r#"{"spread": 0}"#, r#"{"radius": 1}"#] {
            assert!(configure::<HardRegions>(config, &env).is_err(), "{config}");
        }
    }
}
