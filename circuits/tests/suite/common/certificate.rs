//! Spendings, and the clauses that refuse them.

use std::{collections::BTreeSet, sync::LazyLock};

use gridveil_circuits::{
    Fr,
    certificate::{CertificateCircuit, TABLE_BITS},
    trace::Trace,
};
use gridveil_protocol::{certificate::Spend, field, fixture::certificate::spend};

use halo2_proofs::plonk::Circuit;

use super::{clauses_of, direct::Gates};

pub fn honest(seed: u64) -> Spend {
    spend(seed).unwrap()
}

pub fn imported(x: &field::Fr) -> Fr {
    let mut bytes = field::to_bytes(x);
    bytes.reverse();
    Fr::from_bytes(&bytes).unwrap()
}

/// The gates of the certificate circuit.
pub static GATES: LazyLock<Gates> = LazyLock::new(|| Gates::new(CertificateCircuit::configure, TABLE_BITS));

/// Clauses that refuse a table, by its own public inputs.
pub fn refusals(trace: &Trace) -> BTreeSet<String> {
    refusals_for(trace, trace.instance().to_vec())
}

/// Clauses that refuse a table for given public inputs.
pub fn refusals_for(trace: &Trace, instance: Vec<Fr>) -> BTreeSet<String> {
    clauses_of(&GATES, trace, &instance)
}

/// The same element in the rules' field.
pub fn exported(x: &Fr) -> field::Fr {
    let mut bytes = x.to_bytes();
    bytes.reverse();
    field::from_bytes(&bytes).unwrap()
}
