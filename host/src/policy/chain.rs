//! Several weighers in a training, one after the other: the weight of an image is the product of theirs.

use super::weigher::{SandboxedWeigher, normalise};
use super::{PolicyUse, StepColumns, Weigher};
use crate::{Error, Result};

/// The weighers of `[[distill.weighers]]`, in the order of the recipe.
pub struct ChainedWeigher {
    links: Vec<SandboxedWeigher>,
    needs: Vec<String>,
}

impl ChainedWeigher {
    pub fn new(links: Vec<SandboxedWeigher>) -> Self {
        let mut needs: Vec<String> = links.iter().flat_map(|link| link.needs().to_vec()).collect();
        needs.sort();
        needs.dedup();
        Self { links, needs }
    }

    /// Does something with every link; the error says which.
    fn each(&mut self, mut work: impl FnMut(usize, &mut SandboxedWeigher) -> Result<()>) -> Result<()> {
        for (place, link) in self.links.iter_mut().enumerate() {
            work(place, link).map_err(|error| error.context(link_name(place)))?;
        }
        Ok(())
    }
}

/// What errors call a link of the chain.
pub(super) fn link_name(place: usize) -> String {
    format!("link {} of `distill.weighers`", place + 1)
}

impl Weigher for ChainedWeigher {
    fn weigh(&mut self, step: StepColumns<'_>) -> Result<Vec<f32>> {
        let mut product = vec![1.0; step.ids.len()];
        self.each(|_, link| {
            let weights = link.weigh(step)?;
            product.iter_mut().zip(weights).for_each(|(all, one)| *all *= one);
            Ok(())
        })?;
        if !product.is_empty() && product.iter().all(|&weight| weight == 0.0) {
            return Err(Error::failed(format!(
                "the links of `distill.weighers` together leave no image of step {} any weight: each drops what the others keep",
                step.step
            )));
        }
        normalise(&mut product);
        Ok(product)
    }

    /// The state of each link behind its length, 8 bytes little-endian.
    fn save(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        self.each(|_, link| {
            let state = link.save()?;
            all.extend((state.len() as u64).to_le_bytes());
            all.extend(state);
            Ok(())
        })?;
        Ok(all)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut rest = state;
        self.each(|_, link| {
            let cut = || Error::failed("its saved state is cut off");
            let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
            let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
            let (own, after) = after.split_at_checked(length).ok_or_else(cut)?;
            rest = after;
            link.restore(own)
        })?;
        if rest.is_empty() { Ok(()) } else { Err(Error::failed("the saved state is of more weighers than there are")) }
    }

    fn epoch_end(&mut self, epoch: u32, stats_json: &str) -> Result<()> {
        self.each(|_, link| link.epoch_end(epoch, stats_json))
    }

    fn usage(&self) -> PolicyUse {
        PolicyUse::together(&self.links())
    }

    fn links(&self) -> Vec<PolicyUse> {
        self.links.iter().map(Weigher::usage).collect()
    }

    fn needs(&self) -> &[String] {
        &self.needs
    }
}
