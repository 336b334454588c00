//! What holders show: sealed retirements, and notes that they still hold.

use std::collections::BTreeSet;

use gridveil_protocol::{
    certificate::{Kind, Purpose, ShownHolding, ShownRetirement, holding_domain},
    field::to_bytes,
    units::{Interval, Wh},
};
use gridveil_verifier_contract::{CommunityParams, Word};

use super::{HeldError, HoldingVerifier, Published, SealedError, TotalsError};
use crate::{
    certificates::info,
    date::PeriodAt,
    retirement::{Disclosed, RetirementError, opened},
};

impl Published {
    pub(super) fn sealed(
        &self,
        params: &CommunityParams,
        first_interval: Interval,
        statements: &[ShownRetirement],
    ) -> Result<u128, TotalsError> {
        let mut seen = BTreeSet::new();
        let mut sum = 0;
        for (shown, number) in statements.iter().zip(1..) {
            let failed = |why| TotalsError::Sealed { number, why };
            let (commitment, amount) = self.statement(params, first_interval, shown).map_err(failed)?;
            if !seen.insert(commitment) {
                return Err(failed(SealedError::Twice));
            }
            sum += u128::from(amount);
        }
        Ok(sum)
    }

    fn period_at(&self, community: u32, first_interval: Interval) -> PeriodAt {
        PeriodAt { first_interval, length_s: self.communities.get(&community).map(|params| params.interval_length_s) }
    }

    /// The commitment and amount of a sealed retirement of this period that L1 has.
    fn statement(
        &self,
        params: &CommunityParams,
        first_interval: Interval,
        shown: &ShownRetirement,
    ) -> Result<(Word, Wh), SealedError> {
        if (shown.chain_id, shown.contract) != (self.chain_id, self.contract) {
            return Err(RetirementError::OtherDeployment.into());
        }
        let commitment = opened(shown)?;
        self.retired(commitment, shown)?;
        if !shown.sealed {
            return Err(SealedError::Public);
        }
        let origin = &shown.statement.origin;
        if (origin.community, origin.first_interval, origin.intervals) != (params.community, first_interval, params.m) {
            return Err(SealedError::Origin {
                community: origin.community,
                period: self.period_at(origin.community, origin.first_interval),
            });
        }
        Ok((commitment, shown.statement.amount))
    }

    /// L1 has the retirement as it is shown, whoever else has one under the same commitment.
    fn retired(&self, commitment: Word, shown: &ShownRetirement) -> Result<(), RetirementError> {
        let mut found = Err(RetirementError::Unknown);
        for spent in self.spent.values().filter(|spent| spent.retirement == commitment) {
            match Disclosed::of(spent).check(shown) {
                Ok(()) => return Ok(()),
                error => found = error,
            }
        }
        found
    }

    pub(super) fn held(
        &self,
        params: &CommunityParams,
        first_interval: Interval,
        holdings: &[ShownHolding],
        verifier: Option<&dyn HoldingVerifier>,
    ) -> Result<u128, TotalsError> {
        let mut seen = BTreeSet::new();
        let mut sum = 0;
        for (shown, number) in holdings.iter().zip(1..) {
            let failed = |why| TotalsError::Held { number, why };
            let amount = self.shown(params, first_interval, shown).map_err(failed)?;
            if !seen.insert(to_bytes(&shown.instance.nullifier)) {
                return Err(failed(HeldError::Twice));
            }
            // Last: it costs most.
            if !verifier.ok_or(TotalsError::NoVerifier)?.verify(&shown.instance.rows(), &shown.proof)? {
                return Err(failed(HeldError::Proof));
            }
            sum += u128::from(amount);
        }
        Ok(sum)
    }

    /// The amount of a holding whose public inputs are right; its proof is not looked at.
    fn shown(&self, params: &CommunityParams, first_interval: Interval, shown: &ShownHolding) -> Result<Wh, HeldError> {
        let instance = &shown.instance;
        if (shown.chain_id, shown.contract) != (self.chain_id, self.contract) {
            return Err(HeldError::OtherDeployment);
        }
        // The domain says that this was signed to be shown. A domain of the contract's would be a spending, and whoever
        // sees it could carry it out.
        let form = instance.domain == holding_domain(self.chain_id, &self.contract)
            && instance.kind == Kind::new(false, Purpose::Consumption).code();
        let disclosed = info(&to_bytes(&instance.disclosed)).ok().filter(|_| form).ok_or(HeldError::Form)?;
        if (disclosed.community, disclosed.first_interval, disclosed.m) != (params.community, first_interval, params.m)
        {
            return Err(HeldError::Origin {
                community: disclosed.community,
                period: self.period_at(disclosed.community, disclosed.first_interval),
            });
        }
        if !self.roots.contains(&to_bytes(&instance.anchor)) {
            return Err(HeldError::NotFinal);
        }
        if self.spent.contains_key(&to_bytes(&instance.nullifier)) {
            Err(HeldError::Spent)
        } else {
            Ok(disclosed.amount)
        }
    }
}
