//! Spendings, and the clauses that refuse them.

use std::collections::BTreeSet;

use gridveil_circuits::{
    Fr,
    certificate::{CertificateCircuit, K},
    trace::Trace,
};
use gridveil_protocol::{certificate::Spend, field, fixture::certificate::spend};

use super::refused_by;

pub fn honest(seed: u64) -> Spend {
    spend(seed).unwrap()
}

pub fn imported(x: &field::Fr) -> Fr {
    let mut bytes = field::to_bytes(x);
    bytes.reverse();
    Fr::from_bytes(&bytes).unwrap()
}

/// Clauses that refuse a table, by its own public inputs.
pub fn refusals(trace: &Trace) -> BTreeSet<String> {
    refusals_for(trace, trace.instance().to_vec())
}

/// Clauses that refuse a table for given public inputs.
pub fn refusals_for(trace: &Trace, instance: Vec<Fr>) -> BTreeSet<String> {
    refused_by(K, &CertificateCircuit::from_trace(trace.clone()), trace, instance)
}

/// The same element in the rules' field.
pub fn exported(x: &Fr) -> field::Fr {
    let mut bytes = x.to_bytes();
    bytes.reverse();
    field::from_bytes(&bytes).unwrap()
}
