//! A digest of everything keys depend on except the parameters: the constraint system, the fixed columns, the copies.
//!
//! Keys on disk are found by it, so keys of an older circuit are never used for a newer one, whatever its version
//! number says. It costs a synthesis, not key generation.

use halo2_proofs::{
    circuit::Value,
    plonk::{
        Advice, Any, Assigned, Assignment, Challenge, Circuit, Column, ConstraintSystem, Error, Fixed, FloorPlanner,
        Instance, Selector,
    },
};
use halo2curves::{bn256::Fr, ff::PrimeField};

/// Digest of a circuit's layout at `2^k` rows.
///
/// # Errors
/// Those of the circuit's synthesis.
pub fn digest<C: Circuit<Fr>>(circuit: &C, k: u32) -> Result<blake3::Hash, Error> {
    let mut cs = ConstraintSystem::default();
    let config = C::configure_with_params(&mut cs, circuit.params());
    let mut recorder = Recorder { hasher: blake3::Hasher::new_derive_key("gridveil circuit layout 1") };
    // The degree is not only the gates': the prover clamps it to the environment's MAX_DEGREE.
    recorder.hasher.update(format!("k={k} degree={} {:?}", cs.degree(), cs.pinned()).as_bytes());
    C::FloorPlanner::synthesize(&mut recorder, circuit, config, cs.constants().clone())?;
    Ok(recorder.hasher.finalize())
}

struct Recorder {
    hasher: blake3::Hasher,
}

impl Recorder {
    fn number(&mut self, x: usize) {
        self.hasher.update(&(x as u64).to_le_bytes());
    }

    fn column(&mut self, column: Column<Any>) {
        let kind = match column.column_type() {
            Any::Advice(_) => 0,
            Any::Fixed => 1,
            Any::Instance => 2,
        };
        self.number(kind);
        self.number(column.index());
    }
}

impl Assignment<Fr> for Recorder {
    fn enter_region<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _: N) {}
    fn exit_region(&mut self) {}
    fn annotate_column<A: FnOnce() -> AR, AR: Into<String>>(&mut self, _: A, _: Column<Any>) {}
    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _: N) {}
    fn pop_namespace(&mut self, _: Option<String>) {}

    fn enable_selector<A: FnOnce() -> AR, AR: Into<String>>(
        &mut self,
        _: A,
        selector: &Selector,
        row: usize,
    ) -> Result<(), Error> {
        self.hasher.update(b"s");
        self.number(selector.index());
        self.number(row);
        Ok(())
    }

    fn query_instance(&self, _: Column<Instance>, _: usize) -> Result<Value<Fr>, Error> {
        Ok(Value::unknown())
    }

    fn assign_advice<'v>(&mut self, _: Column<Advice>, _: usize, _: Value<Assigned<Fr>>) -> Value<&'v Assigned<Fr>> {
        Value::unknown()
    }

    fn assign_fixed(&mut self, column: Column<Fixed>, row: usize, to: Assigned<Fr>) {
        self.hasher.update(b"f");
        self.number(column.index());
        self.number(row);
        self.hasher.update(to.evaluate().to_repr().as_ref());
    }

    fn copy(&mut self, left_column: Column<Any>, left_row: usize, right_column: Column<Any>, right_row: usize) {
        self.hasher.update(b"c");
        self.column(left_column);
        self.number(left_row);
        self.column(right_column);
        self.number(right_row);
    }

    fn fill_from_row(&mut self, column: Column<Fixed>, row: usize, to: Value<Assigned<Fr>>) -> Result<(), Error> {
        self.hasher.update(b"F");
        self.number(column.index());
        self.number(row);
        to.map(|value| self.hasher.update(value.evaluate().to_repr().as_ref()));
        Ok(())
    }

    fn get_challenge(&self, _: Challenge) -> Value<Fr> {
        Value::unknown()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{Statement, toy::Toy};
    use gridveil_circuits::version::SettlementSize;
    use gridveil_protocol::params::SHAPES;

    #[test]
    fn the_digest_follows_the_layout_and_not_the_witness() {
        let size = |shape: usize| SettlementSize::current(SHAPES[shape]);
        let template = digest(&Toy::template(size(0)), 9).unwrap();
        assert_eq!(digest(&Toy::with((50..60).map(Fr::from).collect()), 9).unwrap(), template, "another witness");
        assert_ne!(digest(&Toy::template(size(1)), 9).unwrap(), template, "another fixed column");
        assert_ne!(digest(&Toy::with((0..9).map(Fr::from).collect()), 9).unwrap(), template, "a copy less");
        assert_ne!(digest(&Toy::template(size(0)), 10).unwrap(), template, "more rows");
    }
}
