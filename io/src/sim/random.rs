//! A small seeded generator, the same on every machine and in every release.

/// SplitMix64. Not for secrets.
///
/// ```
/// use kvick_io::sim::Random;
///
/// let (mut one, mut same) = (Random::new(7), Random::new(7));
/// assert_eq!(one.next_u64(), same.next_u64());
/// assert!(one.below(10) < 10);
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Creates the sequence of `seed`. Neighbouring seeds have unrelated sequences.
    pub fn new(seed: u64) -> Self {
        Self { state: mix(seed.wrapping_add(GAMMA)) }
    }

    /// Returns 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// Returns a number in `0..bound`.
    ///
    /// # Panics
    ///
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        // The high half of the product: biased by less than bound / 2^64.
        let product = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).expect("the high half of a product fits")
    }

    /// Returns an index into a sequence of `length` items.
    ///
    /// # Panics
    ///
    /// When `length` is 0.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("smaller than a usize")
    }

    /// Returns `true` with the given probability: never at 0, always at 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        let unit = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// Returns an independent generator, seeded from this one.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let mut random = Random::new(1);
        let first: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        let mut again = Random::new(1);
        assert_eq!(first, (0..3).map(|_| again.next_u64()).collect::<Vec<_>>());
        assert_ne!(first[0], Random::new(2).next_u64());
    }

    #[test]
    fn bounds_hold_and_every_value_appears() {
        let mut random = Random::new(3);
        let mut seen = [0_u32; 7];
        for _ in 0..700 {
            seen[random.index(seen.len())] += 1;
        }
        assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
        assert!(!random.chance(0.0) && random.chance(1.0));
    }
}
