//! What the sequencer asks of L1.

use gridveil_protocol::{field::to_bytes, settlement::Transition, units::Interval};
use gridveil_verifier_contract::{L1Error, SettleCall, TariffEntry, types::tariff_in_force};

use crate::{
    problem::{self, Problem},
    service::Service,
};

/// An L1 error as a refusal of an admin request.
#[must_use]
pub fn unreachable(error: &L1Error) -> Problem {
    Problem::new(problem::L1_UNREACHABLE, error.to_string())
}

/// Tariffs of the set of a community, in order.
///
/// # Errors
/// [`L1Error`]; `Config` for a community that is not registered.
pub async fn tariffs_of(service: &Service, community: u32) -> Result<Vec<TariffEntry>, L1Error> {
    let params = service.l1.community(community).await?.ok_or(L1Error::Config("the community is not registered on L1"))?;
    let mut all = service.l1.tariffs(0).await?;
    all.retain(|t| t.tariff_set == params.tariff_set);
    all.sort_by_key(|t| t.index);
    Ok(all)
}

/// The tariff L1 has in force for a period.
///
/// # Errors
/// [`L1Error`].
pub async fn in_force(service: &Service, community: u32, first_interval: Interval) -> Result<Option<TariffEntry>, L1Error> {
    let all = tariffs_of(service, community).await?;
    let index = tariff_in_force(&all, first_interval);
    Ok(all.into_iter().find(|t| Some(t.index) == index))
}

/// The calldata of a batch.
#[must_use]
pub fn settle_call(service: &Service, transition: &Transition, tariff_index: u32, proof: Vec<u8>) -> SettleCall {
    SettleCall {
        circuit_version: u32::try_from(service.genesis.circuit_version).unwrap_or(u32::MAX),
        community: transition.after.index,
        first_interval: transition.input.community.header.next_interval,
        tariff_index,
        new_root: to_bytes(&transition.instance.new_root),
        community_new: to_bytes(&transition.instance.community_new),
        data: transition.data.iter().map(to_bytes).collect(),
        proof,
    }
}
