//! What a transaction offers to pay (EIP-1559).

use ethers::types::{FeeHistory, U256};

use crate::client::L1Error;

/// Blocks whose tips are looked at.
pub(super) const HISTORY_BLOCKS: u64 = 10;
/// Of each block, the tip that half of its gas paid less than.
pub(super) const TIP_PERCENTILE: f64 = 50.0;
/// Least tip: what a node with geth's settings takes into its pool and its blocks.
const LEAST_TIP_WEI: u128 = 1_000_000;

/// The most that transactions may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePolicy {
    /// wei for a unit of gas, base fee and tip together.
    pub cap_wei: u128,
}

impl FeePolicy {
    /// At most so many gwei.
    #[must_use]
    pub fn gwei(cap: u32) -> Self {
        Self { cap_wei: u128::from(cap) * 1_000_000_000 }
    }
}

impl Default for FeePolicy {
    /// 200 gwei.
    fn default() -> Self {
        Self::gwei(200)
    }
}

/// What one transaction offers, wei for a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fees {
    /// With the base fee.
    pub(super) most: u128,
    pub(super) tip: u128,
}

impl Fees {
    /// The median of the tips that the last blocks took, beside a base fee that may double: enough for six full blocks
    /// in a row. A block without transactions says nothing of tips.
    ///
    /// # Errors
    /// [`L1Error::Pending`] if the base fee and the tip are above the cap now; [`L1Error::Malformed`].
    pub(super) fn now(history: &FeeHistory, policy: FeePolicy) -> Result<Self, L1Error> {
        let wei = |value: &U256| u128::try_from(*value).map_err(super::malformed);
        let base = history.base_fee_per_gas.last().ok_or_else(|| super::malformed("no base fee"))?;
        let base = wei(base)?;
        let full = history.gas_used_ratio.iter().zip(&history.reward).filter(|(ratio, _)| **ratio > 0.0);
        let mut tips = full.filter_map(|(_, tips)| tips.first()).map(wei).collect::<Result<Vec<u128>, _>>()?;
        tips.sort_unstable();
        let tip = tips.get(tips.len() / 2).copied().unwrap_or_default().max(LEAST_TIP_WEI);
        Self { most: base.saturating_mul(2).saturating_add(tip), tip }.capped(base.saturating_add(tip), policy)
    }

    /// What takes the place of a transaction that offered this: a node asks for a tenth more of both (geth's rule), and
    /// gets an eighth more.
    pub(super) fn above(self, now: Self, policy: FeePolicy) -> Result<Self, L1Error> {
        let more = |value: u128| value.saturating_add(value / 8).saturating_add(1);
        let (most, tip) = (now.most.max(more(self.most)), now.tip.max(more(self.tip)));
        Self { most, tip }.capped(most, policy)
    }

    fn capped(self, least: u128, policy: FeePolicy) -> Result<Self, L1Error> {
        if least > policy.cap_wei {
            let gwei = |wei: u128| wei.div_ceil(1_000_000_000);
            return Err(L1Error::Pending(format!(
                "a unit of gas costs {} gwei now, and may cost {}",
                gwei(least),
                gwei(policy.cap_wei)
            )));
        }
        let most = self.most.min(policy.cap_wei);
        Ok(Self { most, tip: self.tip.min(most) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;

    fn history(base: u128, blocks: &[(f64, u128)]) -> FeeHistory {
        FeeHistory {
            base_fee_per_gas: vec![U256::from(7), U256::from(base)],
            gas_used_ratio: blocks.iter().map(|(ratio, _)| *ratio).collect(),
            oldest_block: U256::zero(),
            reward: blocks.iter().map(|(_, tip)| vec![U256::from(*tip)]).collect(),
        }
    }

    #[test]
    fn the_tip_is_what_others_pay() {
        let cap = FeePolicy { cap_wei: 100 * GWEI };
        let blocks = [(0.5, 3 * GWEI), (0.9, GWEI / 10), (0.0, 0), (0.2, GWEI / 20), (0.0, 0)];
        let fees = Fees::now(&history(GWEI, &blocks), cap).unwrap();
        assert_eq!(fees, Fees { most: 2 * GWEI + GWEI / 10, tip: GWEI / 10 }, "empty blocks do not count");
        let quiet = Fees::now(&history(GWEI, &[(0.0, 0); 4]), cap).unwrap();
        assert_eq!(quiet, Fees { most: 2 * GWEI + LEAST_TIP_WEI, tip: LEAST_TIP_WEI }, "not three gwei");
    }

    #[test]
    fn nothing_is_offered_above_the_cap() {
        let cap = FeePolicy { cap_wei: 10 * GWEI };
        let near = Fees::now(&history(9 * GWEI, &[(0.5, GWEI / 2)]), cap).unwrap();
        assert_eq!((near.most, near.tip), (10 * GWEI, GWEI / 2));
        let error = Fees::now(&history(10 * GWEI, &[(0.5, 1)]), cap).unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("11 gwei now, and may cost 10"), "{error}");
        let empty = FeeHistory { base_fee_per_gas: Vec::new(), ..history(1, &[]) };
        assert!(matches!(Fees::now(&empty, cap), Err(L1Error::Malformed(_))));
    }

    /// geth refuses a replacement that offers less than a tenth more of either.
    #[test]
    fn a_replacement_offers_enough_more_of_both() {
        let cap = FeePolicy { cap_wei: 1000 * GWEI };
        for (most, tip) in [(1, 1), (7, 3), (2 * GWEI, LEAST_TIP_WEI), (100 * GWEI, 3 * GWEI)] {
            let before = Fees { most, tip };
            let after = before.above(Fees { most: 0, tip: 0 }, cap).unwrap();
            assert!(after.most * 10 >= most * 11 && after.tip * 10 >= tip * 11, "{before:?} {after:?}");
            let dear = Fees { most: most * 3, tip: tip * 3 };
            assert!(before.above(dear, cap).unwrap().most >= dear.most, "the present price, if that is more");
        }
        assert!(Fees { most: 900 * GWEI, tip: 1 }.above(Fees { most: 0, tip: 0 }, cap).unwrap_err().is_retryable());
    }
}
