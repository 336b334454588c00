//! The settlement circuit agrees with the native rules.

use crate::common::{input, refusals, tiny, trace};
use gridveil_circuits::{settlement::SettlementCircuit, version::SettlementSize};
use gridveil_protocol::{
    fixture::{Extras, Recipe, beginning, following, with_operations},
    header_operation::{Pool, Transfer},
    market::Mechanism,
    operation::EFFECTS,
    settlement::{SettlementInput, apply},
};

#[test]
fn honest_settlements_are_accepted_with_the_native_instance() {
    for seed in 0..6 {
        for mechanism in [Mechanism::Auction, Mechanism::CommunityPrice] {
            let t = apply(input(tiny(), seed, mechanism)).unwrap();
            let trace = trace(&t);
            let native: Vec<_> =
                t.instance.rows().iter().map(|x| format!("{}", ark_ff::PrimeField::into_bigint(*x))).collect();
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
    let circuit = SettlementCircuit::template(SettlementSize::current(tiny()));
    assert_eq!(refusals(tiny(), circuit.trace()), std::collections::BTreeSet::new());
}

fn accepted(name: &str, input: SettlementInput) {
    let t = apply(input).unwrap_or_else(|error| panic!("{name}: {error}"));
    let trace = trace(&t);
    let native: Vec<_> = t.instance.rows().iter().map(|x| format!("{}", ark_ff::PrimeField::into_bigint(*x))).collect();
    assert_eq!(trace.instance().iter().map(num).collect::<Vec<_>>(), native, "{name}");
    assert_eq!(refusals(tiny(), &trace), std::collections::BTreeSet::new(), "{name}");
}

#[test]
fn every_operation_is_accepted_with_the_native_instance() {
    let recipe = |seed, used| Recipe { shape: tiny(), seed, mechanism: Mechanism::Auction, used };
    for effect in &EFFECTS {
        let input = with_operations(&recipe(7, 3), &[effect.kind], Extras::default()).unwrap();
        accepted(&format!("{:?}", effect.kind), input);
    }
    for (seed, kinds) in EFFECTS.chunks(3).enumerate() {
        let kinds: Vec<_> = kinds.iter().map(|effect| effect.kind).collect();
        let extras = Extras {
            correction: seed % 2 == 0,
            header: [None, Some(Pool::SupplierIn), Some(Pool::SupplierOut), Some(Pool::FeeOut)][seed % 4],
            management: seed % 3 == 1,
            notes: seed * 5,
        };
        accepted(&format!("{kinds:?} {extras:?}"), with_operations(&recipe(seed as u64, 3), &kinds, extras).unwrap());
    }
    let mut begun = beginning(tiny(), 3).unwrap();
    begun.operations.header.transfer = Some(Transfer { pool: Pool::SupplierIn, units: 1_000_000 });
    accepted("beginning", begun.clone());
    accepted("the period after", following(&apply(begun).unwrap(), 4, |slot| slot == 1).unwrap());
}
