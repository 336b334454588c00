//! STATE.INIT: a new community is provably empty.

use crate::{
    community::Community,
    field::Fr,
    header::{Header, Totals},
    poseidon::hash4,
    record::{Record, RecordKind},
};
use ark_ff::AdditiveGroup;

/// `P(mdm_x, mdm_y, mechanism, first_interval)`: what the meter data manager registered on L1 for a community that is
/// to begin.
#[must_use]
pub fn genesis_terms(header: &Header) -> Fr {
    let (x, y) = header.mdm.xy();
    hash4([x, y, Fr::from(header.mechanism as u64), Fr::from(u64::from(header.next_interval))])
}

/// The record of a beginning.
#[must_use]
pub fn record(header: &Header) -> Record {
    Record::new(RecordKind::Init, 0, 0, genesis_terms(header))
}

/// Checks that everything is zero that must be zero at a beginning, and says what is not.
///
/// # Errors
/// The field that is not empty.
pub fn check(community: &Community) -> Result<(), &'static str> {
    let header = &community.header;
    let fields = [
        ("supplier_account", header.supplier_account == 0),
        ("fee_account", header.fee_account == 0),
        ("reserve", header.reserve == 0),
        ("nonce", header.nonce == 0),
        ("totals", header.totals == Totals::default()),
        ("certificate counter", header.certificate_count == 0),
        ("certificates", community.certificates == crate::tree::SparseTree::new(crate::params::CERTIFICATES_DEPTH)),
        (
            "accounts",
            community
                .accounts
                .iter()
                .all(|a| a.meter.is_none() && a.owner == Fr::ZERO && a.balance == 0 && a.debt == 0 && a.nonce == 0),
        ),
    ];
    fields.into_iter().find(|(_, empty)| !empty).map_or(Ok(()), |(field, _)| Err(field))
}
