//! The settlement circuit agrees with the native rules.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{input, refusals, tiny, trace};
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_protocol::{market::Mechanism, settlement::apply};

#[test]
fn honest_settlements_are_accepted_with_the_native_instance() {
    for seed in 0..6 {
        for mechanism in [Mechanism::Auction, Mechanism::CommunityPrice] {
            let t = apply(input(tiny(), seed, mechanism)).unwrap();
            let trace = trace(&t);
            let native: Vec<_> = t.instance.rows().iter().map(|x| format!("{}", ark_ff::PrimeField::into_bigint(*x))).collect();
            let own: Vec<_> = trace.instance().iter().map(num).collect();
            assert_eq!(own, native);
            assert_eq!(refusals(tiny(), &trace), std::collections::BTreeSet::new(), "seed {seed}");
        }
    }
}

fn num(x: &gridveil_circuits::Fr) -> String {
    let mut bytes = halo2curves::ff::PrimeField::to_repr(x);
    let bytes: &mut [u8] = bytes.as_mut();
    bytes.reverse();
    let native: gridveil_protocol::field::Fr = gridveil_protocol::field::reduce(bytes);
    format!("{}", ark_ff::PrimeField::into_bigint(native))
}

#[test]
fn template_is_a_valid_statement() {
    let circuit = SettlementCircuit::template(tiny());
    assert_eq!(refusals(tiny(), circuit.trace()), std::collections::BTreeSet::new());
}
