//! The suite reads refusals off the table. halo2's own prover for tests, which lays the circuit out, says the same.

use gridveil_circuits::{
    Fr,
    certificate::{CertificateCircuit, K},
    settlement::{SettlementCircuit, build, table},
    trace::Trace,
    version::SettlementSize,
};
use gridveil_protocol::{operation::Kind, settlement::apply};
use halo2curves::ff::Field;

use crate::{
    common::{certificate, falsified, in_full_use, on_all_cores, refusals_for, refused_by_mock, tiny},
    mutants,
};

/// How many tables of each sort are compared: MockProver takes about a second for each.
const SAMPLE: usize = 12;

/// `count` of `0..of`, another choice for each commit (`make test` sets the seed).
fn sample(of: usize, count: usize) -> Vec<usize> {
    let seed = std::env::var("GRIDVEIL_FUZZ_SEED").unwrap_or_default();
    println!("seed {seed:?}");
    let mut hash = blake3::Hasher::new().update(seed.as_bytes()).finalize_xof();
    let mut draw = || {
        let mut bytes = [0; 8];
        hash.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % u64::try_from(of).unwrap()).unwrap()
    };
    (0..count).map(|_| draw()).collect()
}

/// A table, the public inputs it is asked with, and whether it is a certificate's.
struct Asked {
    name: String,
    trace: Trace,
    instance: Vec<Fr>,
    certificate: bool,
}

impl Asked {
    fn of(name: String, trace: Trace, certificate: bool) -> Self {
        Self { name, instance: trace.instance().to_vec(), trace, certificate }
    }

    fn agrees(&self) -> bool {
        let instance = self.instance.clone();
        let (direct, mock) = if self.certificate {
            let circuit = CertificateCircuit::from_trace(self.trace.clone());
            let mock = refused_by_mock(K, &circuit, &self.trace, instance.clone());
            (certificate::refusals_for(&self.trace, instance), mock)
        } else {
            let shape = tiny();
            let circuit = SettlementCircuit::from_trace(SettlementSize::current(shape), self.trace.clone());
            let mock = refused_by_mock(shape.k, &circuit, &self.trace, instance.clone());
            (refusals_for(shape, &self.trace, instance), mock)
        };
        if direct != mock {
            println!("{}: {direct:?} directly, {mock:?} by MockProver", self.name);
        }
        direct == mock
    }
}

#[test]
fn direct_refusals_are_those_of_halo2s_own_prover_for_tests() {
    let t = apply(in_full_use(&[Kind::Receive, Kind::Rotate, Kind::Terms])).unwrap();
    let honest = build(&t, table(&tiny()));
    let mut asked = vec![Asked::of("honest".into(), honest.clone(), false)];
    for row in sample(honest.instance().len(), 3) {
        let mut other = Asked::of(format!("public input {row}"), honest.clone(), false);
        other.instance[row] += Fr::ONE;
        asked.push(other);
    }
    let counts: Vec<(&str, usize)> = honest.computed_counts().iter().map(|(clause, count)| (*clause, *count)).collect();
    for at in sample(counts.len(), SAMPLE) {
        let (clause, count) = counts[at];
        let nth = sample(count, 1)[0];
        asked.push(Asked::of(format!("{clause} value {nth}"), falsified(&t, clause, nth, Fr::from(3)), false));
    }
    let all = mutants::all();
    for mutant in sample(all.len(), 2 * SAMPLE).into_iter().map(|at| &all[at]) {
        let name = format!("{} {}", mutant.clause, mutant.theft);
        asked.push(Asked::of(name, mutant.trace(), mutant.is_of_certificates()));
    }
    let agree = on_all_cores(&asked, Asked::agrees);
    assert!(agree.iter().all(|agrees| *agrees));
}
