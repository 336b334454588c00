//! What the prover needs from a circuit. `SettlementCircuit` and `CertificateCircuit` are in use; tests have a toy
//! circuit instead.

use gridveil_circuits::{
    certificate::{self, CertificateCircuit},
    settlement::SettlementCircuit,
    verify::{CERTIFICATE_ROWS, SETTLEMENT_ROWS},
    version::SettlementSize,
};
use gridveil_protocol::{
    certificate::{CERTIFICATE_VERSION, Spend},
    settlement::Transition,
    version::CircuitVersion,
};
use halo2_proofs::plonk::{Circuit, Error, ProvingKey, VerifyingKey, keygen_pk, keygen_vk};
use halo2curves::bn256::{Fr, G1Affine};

use crate::{layout, srs::Params};

/// A circuit that proves a `Witness` of one of its sizes.
pub trait Statement: Circuit<Fr, Params: Copy> + Send + Sync + Sized {
    /// What it proves.
    type Witness;
    /// Name in file names and labels.
    const NAME: &'static str;
    /// Public inputs.
    const ROWS: usize;

    /// The circuit with its witness, in the version of `size`.
    fn of(size: Self::Params, witness: &Self::Witness) -> Self;

    /// The circuit keys are made from.
    fn template(size: Self::Params) -> Self;

    /// The public inputs the circuit's own witness leads to.
    fn instance(&self) -> Vec<Fr>;

    /// The witness: one vector an advice column, without the rows after the last one used.
    fn advice(&self) -> Vec<Vec<Fr>>;

    /// Version in file names, labels and the statement's domain.
    #[must_use]
    fn version(size: &Self::Params) -> CircuitVersion;

    /// log2 of the rows.
    #[must_use]
    fn k(size: &Self::Params) -> u32;

    /// Name of a size, in file names and labels.
    #[must_use]
    fn size_name(size: &Self::Params) -> &'static str;

    /// Digest of the layout.
    ///
    /// # Errors
    /// Those of the circuit's synthesis.
    fn layout(&self, k: u32) -> Result<blake3::Hash, Error>;

    /// Both keys, from parameters of `2^k` rows.
    ///
    /// # Errors
    /// Those of key generation.
    fn proving_key(&self, params: &Params) -> Result<ProvingKey<G1Affine>, Error>;

    /// The verifying key alone.
    ///
    /// # Errors
    /// Those of key generation.
    fn verifying_key(&self, params: &Params) -> Result<VerifyingKey<G1Affine>, Error>;
}

/// The methods that compute for long. Generic functions in their place would be compiled in whatever crate calls them,
/// with that crate's optimisation; those of a circuit are compiled here.
macro_rules! computed_here {
    () => {
        fn layout(&self, k: u32) -> Result<blake3::Hash, Error> {
            layout::digest(self, k)
        }

        fn proving_key(&self, params: &Params) -> Result<ProvingKey<G1Affine>, Error> {
            keygen_pk(params, keygen_vk(params, self)?, self)
        }

        fn verifying_key(&self, params: &Params) -> Result<VerifyingKey<G1Affine>, Error> {
            keygen_vk(params, self)
        }
    };
}

/// A circuit that proves a [`Transition`], one size a version and shape.
pub trait Settling: Statement<Witness = Transition, Params = SettlementSize> {}

impl<S: Statement<Witness = Transition, Params = SettlementSize>> Settling for S {}

impl Statement for SettlementCircuit {
    type Witness = Transition;
    const NAME: &'static str = "settlement";
    const ROWS: usize = SETTLEMENT_ROWS;

    fn of(size: SettlementSize, transition: &Transition) -> Self {
        Self::sized(size, transition)
    }

    fn template(size: SettlementSize) -> Self {
        Self::template(size)
    }

    fn instance(&self) -> Vec<Fr> {
        self.instance()
    }

    fn advice(&self) -> Vec<Vec<Fr>> {
        self.trace().advice_columns()
    }

    fn version(size: &SettlementSize) -> CircuitVersion {
        size.version()
    }

    fn k(size: &SettlementSize) -> u32 {
        size.shape().k
    }

    fn size_name(size: &SettlementSize) -> &'static str {
        size.shape().name
    }

    computed_here!();
}

impl Statement for CertificateCircuit {
    type Witness = Spend;
    const NAME: &'static str = "certificate";
    const ROWS: usize = CERTIFICATE_ROWS;

    fn of((): (), spend: &Spend) -> Self {
        Self::new(spend)
    }

    fn template((): ()) -> Self {
        Self::template()
    }

    fn instance(&self) -> Vec<Fr> {
        self.instance()
    }

    fn advice(&self) -> Vec<Vec<Fr>> {
        self.trace().advice_columns()
    }

    fn version((): &()) -> CircuitVersion {
        CircuitVersion::new(CERTIFICATE_VERSION)
    }

    fn k((): &()) -> u32 {
        certificate::K
    }

    fn size_name((): &()) -> &'static str {
        "note"
    }

    computed_here!();
}

#[cfg(test)]
pub(crate) mod toy {
    //! A small circuit over the same public inputs: each is copied from an advice cell `c = a + b`, with `b`
    //! range-checked to a byte.

    use super::{
        CircuitVersion, Fr, G1Affine, Params, ProvingKey, SettlementSize, Statement, Transition, VerifyingKey,
        keygen_pk, keygen_vk, layout,
    };
    use gridveil_circuits::field::imported;
    use gridveil_protocol::params::SHAPES;
    use halo2_proofs::{
        circuit::{Layouter, SimpleFloorPlanner, Value},
        plonk::{Advice, Circuit, Column, ConstraintSystem, Error, Fixed, Instance, TableColumn},
        poly::Rotation,
    };
    use halo2curves::ff::Field;

    pub(crate) const K: u32 = 9;

    #[derive(Clone, Debug)]
    pub(crate) struct Toy {
        pub size: SettlementSize,
        pub rows: Vec<Fr>,
        /// Makes the witness false.
        pub broken: bool,
        /// Panics in synthesis, with what a careless assertion would print.
        pub panics: bool,
    }

    impl Toy {
        pub fn with(rows: Vec<Fr>) -> Self {
            Self { size: SettlementSize::current(SHAPES[0]), rows, broken: false, panics: false }
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Config {
        advice: [Column<Advice>; 3],
        q: Column<Fixed>,
        shape: Column<Fixed>,
        table: TableColumn,
        instance: Column<Instance>,
    }

    impl Circuit<Fr> for Toy {
        type Config = Config;
        type FloorPlanner = SimpleFloorPlanner;
        type Params = SettlementSize;

        fn without_witnesses(&self) -> Self {
            self.clone()
        }

        fn params(&self) -> SettlementSize {
            self.size
        }

        fn configure(meta: &mut ConstraintSystem<Fr>) -> Config {
            let advice = [(); 3].map(|()| meta.advice_column());
            let (q, shape, table, instance) =
                (meta.fixed_column(), meta.fixed_column(), meta.lookup_table_column(), meta.instance_column());
            meta.enable_equality(advice[2]);
            meta.enable_equality(instance);
            meta.create_gate("c = a + b", |m| {
                let [a, b, c] = advice.map(|column| m.query_advice(column, Rotation::cur()));
                vec![m.query_fixed(q, Rotation::cur()) * (c - a - b)]
            });
            meta.create_gate("binds the shape", |m| {
                let a = m.query_advice(advice[0], Rotation::next());
                let shape = m.query_fixed(shape, Rotation::cur());
                vec![
                    m.query_fixed(q, Rotation::next())
                        * shape
                        * a.clone()
                        * (a - m.query_advice(advice[0], Rotation::next())),
                ]
            });
            meta.lookup("byte", |m| {
                vec![(m.query_fixed(q, Rotation::cur()) * m.query_advice(advice[1], Rotation::cur()), table)]
            });
            Config { advice, q, shape, table, instance }
        }

        fn synthesize(&self, config: Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
            assert!(!self.panics, "secret reading 123456789");
            let cells = layouter.assign_region(
                || "rows",
                |mut region| {
                    region.assign_fixed(config.shape, 0, Fr::from(u64::from(self.size.shape().id)));
                    Ok(self
                        .rows
                        .iter()
                        .enumerate()
                        .map(|(row, c)| {
                            let b = Fr::from(if self.broken { 256 } else { row as u64 });
                            region.assign_fixed(config.q, row, Fr::ONE);
                            region.assign_advice(config.advice[0], row, Value::known(*c - b));
                            region.assign_advice(config.advice[1], row, Value::known(b));
                            region.assign_advice(config.advice[2], row, Value::known(*c)).cell()
                        })
                        .collect::<Vec<_>>())
                },
            )?;
            for (row, cell) in cells.into_iter().enumerate() {
                layouter.constrain_instance(cell, config.instance, row);
            }
            layouter.assign_table(
                || "bytes",
                |mut table| {
                    (0..256).try_for_each(|row| {
                        table.assign_cell(|| "byte", config.table, row, || Value::known(Fr::from(row as u64)))
                    })
                },
            )
        }
    }

    impl Statement for Toy {
        type Witness = Transition;
        const NAME: &'static str = "toy";
        const ROWS: usize = gridveil_circuits::verify::SETTLEMENT_ROWS;

        fn of(size: SettlementSize, transition: &Transition) -> Self {
            let rows = transition.instance.rows().iter().map(imported).collect();
            Self { size: size.with_shape(transition.input.community.shape), ..Self::with(rows) }
        }

        fn template(size: SettlementSize) -> Self {
            Self { size, ..Self::with((0..10).map(Fr::from).collect()) }
        }

        fn instance(&self) -> Vec<Fr> {
            self.rows.clone()
        }

        fn advice(&self) -> Vec<Vec<Fr>> {
            assert!(!self.panics, "secret reading 123456789");
            let b = |row: usize| Fr::from(if self.broken { 256 } else { row as u64 });
            let rows = || self.rows.iter().copied().enumerate();
            vec![
                rows().map(|(row, c)| c - b(row)).collect(),
                rows().map(|(row, _)| b(row)).collect(),
                self.rows.clone(),
            ]
        }

        fn version(size: &SettlementSize) -> CircuitVersion {
            size.version()
        }

        fn k(_: &SettlementSize) -> u32 {
            K
        }

        fn size_name(size: &SettlementSize) -> &'static str {
            size.shape().name
        }

        computed_here!();
    }
}
