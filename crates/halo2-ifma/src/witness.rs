//! Columns of a witness: whether they fit a circuit, and how to come by them.

use halo2_proofs::{
    dev::{AdviceCellValue, MockProver},
    plonk::{Circuit, ConstraintSystem, Error},
};
use halo2curves::bn256::Fr;

use crate::ProveError;

/// Do the columns and public inputs fit a circuit of `n` rows? The last rows of a column are for blinding, so it has
/// fewer to use.
///
/// # Errors
/// [`ProveError::Instance`], [`ProveError::Advice`].
pub fn check(cs: &ConstraintSystem<Fr>, n: usize, advice: &[Vec<Fr>], instance: &[Fr]) -> Result<(), ProveError> {
    let usable = n.saturating_sub(cs.blinding_factors() + 1);
    if cs.num_instance_columns() != 1 || instance.len() > usable {
        return Err(ProveError::Instance { got: instance.len() });
    }
    let longest = advice.iter().map(Vec::len).max().unwrap_or(0);
    if advice.len() == cs.num_advice_columns() && longest <= usable {
        Ok(())
    } else {
        Err(ProveError::Advice { columns: advice.len(), longest, usable })
    }
}

/// The columns that a circuit assigns at `2^k` rows, one vector an advice column, without the zeros at the end.
///
/// This goes through halo2's `MockProver`, which keeps books that no proof needs: convenient, and slower than a
/// synthesis. A project that keeps its witness in a table of its own hands that over instead.
///
/// # Errors
/// Those of the circuit's synthesis.
///
/// # Panics
/// Where `MockProver::run` does: a circuit that does not fit `2^k` rows, or a witness that is not known.
pub fn columns<C: Circuit<Fr>>(k: u32, circuit: &C, instance: &[Fr]) -> Result<Vec<Vec<Fr>>, Error> {
    let mut cs = ConstraintSystem::<Fr>::default();
    C::configure_with_params(&mut cs, circuit.params());
    let mock = MockProver::run(k, circuit, vec![instance.to_vec()])?;
    // The columns themselves are in the circuit's configuration, which is its own; those of another system are equal.
    let mut numbered = ConstraintSystem::<Fr>::default();
    let column = |_| {
        let cells = mock.advice_values(numbered.advice_column());
        let value = |cell: &AdviceCellValue<Fr>| match cell {
            AdviceCellValue::Assigned(value) => value.evaluate(),
            AdviceCellValue::Poison(_) => Fr::zero(),
        };
        let mut values: Vec<Fr> = cells.iter().map(value).collect();
        let used = values.iter().rposition(|value| *value != Fr::zero()).map_or(0, |last| last + 1);
        values.truncate(used);
        values
    };
    Ok((0..cs.num_advice_columns()).map(column).collect())
}
