//! A circuit with a little of everything (columns, look-ups, far rotations, Poseidon-like matrices) and no meaning: what
//! the generator is developed and tested against, and a quick stand-in for tests of contracts that call a verifier.

use halo2_proofs::circuit::{Layouter, SimpleFloorPlanner, Value};
use halo2_proofs::plonk::{
    Advice, Assigned, Circuit, Column, ConstraintSystem, Error, Expression, Fixed, Instance, ProvingKey, create_proof,
    keygen_pk, keygen_vk,
};
use halo2_proofs::poly::Rotation;
use halo2_proofs::poly::kzg::commitment::{KZGCommitmentScheme, ParamsKZG};
use halo2_proofs::poly::kzg::multiopen::{ProverGWC, ProverSHPLONK};
use halo2_proofs::transcript::TranscriptWriterBuffer;
use halo2curves::bn256::{Bn256, Fr, G1Affine};
use halo2curves::ff::Field;
use rand::{CryptoRng, RngCore};
use snark_verifier::system::halo2::transcript::evm::EvmTranscript;

use crate::Multiopen;

/// Rows of the toy circuit, log2.
pub const TOY_K: u32 = 11;
/// Public inputs of the toy circuit.
pub const TOY_INSTANCES: usize = 10;
const MATRICES: usize = 6;
const FAR: i32 = -190;

/// The toy circuit: copies its instances into a column and computes a few matrix products.
#[derive(Clone, Debug, Default)]
pub struct ToyCircuit {
    /// Public inputs.
    pub instances: [Fr; TOY_INSTANCES],
}

/// Columns of the toy circuit.
#[derive(Clone, Debug)]
pub struct ToyConfig {
    state: [Column<Advice>; 5],
    aux: [Column<Advice>; 5],
    selectors: [Column<Fixed>; 11],
    constants: [Column<Fixed>; 5],
    tables: [Column<Fixed>; 2],
    instance: Column<Instance>,
}

/// A matrix of full-size constants, as a Cauchy matrix has.
fn matrix(index: usize, row: usize, column: usize) -> Fr {
    let seed = Fr::from((1 + index * 25 + row * 5 + column) as u64);
    (seed.square() + Fr::from(7)).invert().unwrap_or(Fr::ONE)
}

impl Circuit<Fr> for ToyCircuit {
    type Config = ToyConfig;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        Self::default()
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> ToyConfig {
        let state = [(); 5].map(|()| meta.advice_column());
        let aux = [(); 5].map(|()| meta.advice_column());
        let selectors = [(); 11].map(|()| meta.fixed_column());
        let constants = [(); 5].map(|()| meta.fixed_column());
        let tables = [(); 2].map(|()| meta.fixed_column());
        let instance = meta.instance_column();
        for column in state {
            meta.enable_equality(column);
        }
        meta.enable_equality(instance);
        meta.create_gate("square", |m| {
            let q = m.query_fixed(selectors[0], Rotation::cur());
            (0..5)
                .map(|i| {
                    let a = m.query_advice(state[i], Rotation::cur());
                    let c = m.query_fixed(constants[i], Rotation::cur());
                    q.clone() * (m.query_advice(aux[i], Rotation::cur()) - (a.clone() + c.clone()) * (a + c))
                })
                .collect::<Vec<_>>()
        });
        for (index, selector) in selectors.iter().enumerate().take(MATRICES) {
            meta.create_gate("matrix", |m| {
                let q = m.query_fixed(*selector, Rotation::cur());
                let at = Rotation(index as i32 % 4);
                let sbox: Vec<Expression<Fr>> = (0..5)
                    .map(|j| {
                        let a = m.query_advice(state[j], at);
                        let s = m.query_advice(aux[j], at);
                        (a + m.query_fixed(constants[j], Rotation::cur())) * s.clone() * s
                    })
                    .collect();
                (0..5)
                    .map(|i| {
                        let next = m.query_advice(state[i], Rotation(at.0 + 1));
                        let sum = (0..5).fold(Expression::Constant(Fr::ZERO), |acc, j| {
                            acc + Expression::Constant(matrix(index, i, j)) * sbox[j].clone()
                        });
                        q.clone() * (next - sum)
                    })
                    .collect::<Vec<_>>()
            });
        }
        for index in 0..5 {
            meta.create_gate("misc", |m| {
                let q = m.query_fixed(selectors[6 + index], Rotation::cur());
                let a = m.query_advice(state[index], Rotation::cur());
                let b = m.query_advice(aux[index], Rotation::prev());
                let c = m.query_advice(state[(index + 1) % 5], Rotation::prev());
                let d = m.query_advice(aux[index], Rotation(4));
                let far = m.query_advice(aux[index % 2], Rotation(FAR));
                vec![
                    q.clone() * a.clone() * (Expression::Constant(Fr::ONE) - a.clone()),
                    q.clone()
                        * (a.clone() * Expression::Constant(Fr::from(1 << 16)) + b.clone() - c.clone() * far.clone()),
                    q.clone() * (a.clone() + far - d.clone()),
                    q * (a * b - c * d),
                ]
            });
        }
        for (index, table) in tables.iter().enumerate() {
            meta.lookup_any("range", |m| {
                let q = m.query_fixed(selectors[6 + index], Rotation::cur());
                vec![(q * m.query_advice(aux[3 + index], Rotation::cur()), m.query_fixed(*table, Rotation::cur()))]
            });
        }
        ToyConfig { state, aux, selectors, constants, tables, instance }
    }

    fn synthesize(&self, config: ToyConfig, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let instance = config.instance;
        let cells = layouter.assign_region(
            || "toy",
            |mut region| {
                for (index, table) in config.tables.iter().enumerate() {
                    for row in 0..256 {
                        region.assign_fixed(*table, row, Fr::from((row * (index + 1)) as u64));
                    }
                }
                // The first selector alone on real rows: squares and the first matrix.
                let base = 300;
                for (index, selector) in config.selectors.iter().enumerate() {
                    region.assign_fixed(*selector, base + 20 * index, Fr::ONE);
                }
                let mut row_state: [Fr; 5] = [Fr::from(3), Fr::from(5), Fr::from(7), Fr::from(11), Fr::from(13)];
                let mut sbox = [Fr::ZERO; 5];
                for j in 0..5 {
                    let constant = Fr::from(100 + j as u64);
                    region.assign_fixed(config.constants[j], base, constant);
                    region.assign_advice(config.state[j], base, Value::known(Assigned::Trivial(row_state[j])));
                    let square = (row_state[j] + constant).square();
                    region.assign_advice(config.aux[j], base, Value::known(Assigned::Trivial(square)));
                    sbox[j] = square.square() * (row_state[j] + constant);
                }
                for (i, value) in row_state.iter_mut().enumerate() {
                    *value = (0..5).map(|j| matrix(0, i, j) * sbox[j]).sum();
                    region.assign_advice(config.state[i], base + 1, Value::known(Assigned::Trivial(*value)));
                }
                Ok(self
                    .instances
                    .iter()
                    .enumerate()
                    .map(|(row, value)| {
                        region.assign_advice(config.state[row % 5], row, Value::known(Assigned::Trivial(*value))).cell()
                    })
                    .collect::<Vec<_>>())
            },
        )?;
        for (row, cell) in cells.into_iter().enumerate() {
            layouter.constrain_instance(cell, instance, row);
        }
        Ok(())
    }
}

/// Parameters and key of the toy circuit, from a seeded (insecure) setup.
///
/// # Errors
/// As halo2's key generation.
pub fn toy_keys<R: RngCore>(rng: R) -> Result<(ParamsKZG<Bn256>, ProvingKey<G1Affine>), Error> {
    let params = ParamsKZG::<Bn256>::setup(TOY_K, rng);
    let circuit = ToyCircuit::default();
    let vk = keygen_vk(&params, &circuit)?;
    let pk = keygen_pk(&params, vk, &circuit)?;
    Ok((params, pk))
}

/// A proof over the EVM transcript, as the generated verifiers read it.
///
/// # Errors
/// As halo2's `create_proof`.
pub fn prove<C: Circuit<Fr>, R: RngCore + CryptoRng + Send + Sync>(
    params: &ParamsKZG<Bn256>,
    pk: &ProvingKey<G1Affine>,
    circuit: C,
    instances: &[&[Fr]],
    multiopen: Multiopen,
    rng: R,
) -> Result<Vec<u8>, Error> {
    let mut transcript = TranscriptWriterBuffer::<_, G1Affine, _>::init(Vec::new());
    match multiopen {
        Multiopen::Shplonk => create_proof::<
            KZGCommitmentScheme<Bn256>,
            ProverSHPLONK<_>,
            _,
            _,
            EvmTranscript<_, _, _, _>,
            _,
        >(params, pk, &[circuit], &[instances], rng, &mut transcript)?,
        Multiopen::Gwc => create_proof::<KZGCommitmentScheme<Bn256>, ProverGWC<_>, _, _, EvmTranscript<_, _, _, _>, _>(
            params,
            pk,
            &[circuit],
            &[instances],
            rng,
            &mut transcript,
        )?,
    }
    Ok(transcript.finalize())
}
