//! A small circuit with a little of everything: selectors, a gate over several rows, a look-up, copies, a public input.

use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    plonk::{
        Advice, Circuit, Column, ConstraintSystem, Error, Fixed, Instance, ProvingKey, Selector, TableColumn,
        keygen_pk, keygen_vk,
    },
    poly::{Rotation, kzg::commitment::ParamsKZG},
};
use halo2curves::bn256::{Bn256, Fr, G1Affine};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// Rows, log2.
pub const K: u32 = 9;

/// `a[i + 2] = a[i] a[i + 1] + c` for as many steps, with the low byte of every step looked up; the last value is
/// public.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub start: [Fr; 2],
    pub steps: usize,
    /// Puts this in the byte's column instead of the step's number.
    pub byte: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Config {
    value: Column<Advice>,
    byte: Column<Advice>,
    copy: Column<Advice>,
    constant: Column<Fixed>,
    step: Selector,
    looked_up: Selector,
    table: TableColumn,
    public: Column<Instance>,
}

fn constant(step: usize) -> Fr {
    Fr::from(step as u64).square() + Fr::from(5)
}

impl Sequence {
    pub fn new(steps: usize) -> Self {
        Self { start: [Fr::from(2), Fr::from(3)], steps, byte: None }
    }

    /// The last value.
    pub fn last(&self) -> Fr {
        (0..self.steps).fold((self.start[0], self.start[1]), |(a, b), step| (b, a * b + constant(step))).1
    }
}

impl Circuit<Fr> for Sequence {
    type Config = Config;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Config {
        let [value, byte, copy] = [(); 3].map(|()| meta.advice_column());
        let (constant, public, table) = (meta.fixed_column(), meta.instance_column(), meta.lookup_table_column());
        let (step, looked_up) = (meta.selector(), meta.complex_selector());
        for column in [value, byte, copy] {
            meta.enable_equality(column);
        }
        meta.enable_equality(public);
        meta.create_gate("a'' = a a' + c", |m| {
            let [a, b, c] = [0, 1, 2].map(|at| m.query_advice(value, Rotation(at)));
            let (q, constant) = (m.query_selector(step), m.query_fixed(constant, Rotation::cur()));
            vec![q * (a * b + constant - c)]
        });
        meta.lookup("byte", |m| {
            let q = m.query_selector(looked_up);
            vec![(q * m.query_advice(byte, Rotation::prev()), table)]
        });
        Config { value, byte, copy, constant, step, looked_up, table, public }
    }

    fn synthesize(&self, config: Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        layouter.assign_table(
            || "bytes",
            |mut table| {
                (0..256).try_for_each(|row| {
                    table.assign_cell(|| "byte", config.table, row, || Value::known(Fr::from(row as u64)))
                })
            },
        )?;
        let last = layouter.assign_region(
            || "sequence",
            |mut region| {
                let (mut a, mut b) = (self.start[0], self.start[1]);
                region.assign_advice(config.value, 0, Value::known(a));
                let mut cell = region.assign_advice(config.value, 1, Value::known(b)).cell();
                for step in 0..self.steps {
                    config.step.enable(&mut region, step)?;
                    config.looked_up.enable(&mut region, step + 1)?;
                    region.assign_fixed(config.constant, step, constant(step));
                    let byte = self.byte.unwrap_or(step as u64 % 256);
                    region.assign_advice(config.byte, step, Value::known(Fr::from(byte)));
                    (a, b) = (b, a * b + constant(step));
                    cell = region.assign_advice(config.value, step + 2, Value::known(b)).cell();
                    let copy = region.assign_advice(config.copy, step, Value::known(b)).cell();
                    region.constrain_equal(cell, copy);
                }
                Ok(cell)
            },
        )?;
        layouter.constrain_instance(last, config.public, 0);
        Ok(())
    }
}

/// Parameters (insecure: from a seed) and key.
pub fn keys(steps: usize) -> (ParamsKZG<Bn256>, ProvingKey<G1Affine>) {
    let params = ParamsKZG::<Bn256>::setup(K, ChaCha20Rng::seed_from_u64(1));
    let circuit = Sequence::new(steps);
    let vk = keygen_vk(&params, &circuit).unwrap();
    let pk = keygen_pk(&params, vk, &circuit).unwrap();
    (params, pk)
}
