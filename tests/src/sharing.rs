//! Keys whose records share chains.
//!
//! The smallest index has 131,072 prefixes, so a test would need as many keys before most of them
//! share one. These keys are chosen by their hash, which `docs/FORMAT.md` specifies.

use std::sync::OnceLock;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// The seed with which the stores of these keys are created.
pub const HASH_SEED: u64 = 0x7368_6172_696e_6721;
/// The number of chains.
pub const CHAINS: usize = 48;
/// The number of keys of each chain.
pub const KEYS_OF_CHAIN: usize = 16;

/// The bits of a prefix in the smallest index.
const PREFIX: u64 = (1 << 17) - 1;

/// Returns the keys of each chain, in the first table of a store with the smallest index.
pub fn chains() -> &'static [Vec<u64>] {
    static FOUND: OnceLock<Vec<Vec<u64>>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let secrets = RapidSecrets::seed(HASH_SEED);
        let mut chains = vec![Vec::new(); CHAINS];
        let mut missing = CHAINS * KEYS_OF_CHAIN;
        for key in 0_u64.. {
            let prefix = rapidhash_v3_seeded(&key.to_le_bytes(), &secrets) & PREFIX;
            let chain = usize::try_from(prefix).ok().and_then(|prefix| chains.get_mut(prefix));
            if let Some(chain) = chain.filter(|chain| chain.len() < KEYS_OF_CHAIN) {
                chain.push(key);
                missing -= 1;
                if missing == 0 {
                    break;
                }
            }
        }
        chains
    })
}
