//! Why there is no proof, or no key for the vector unit.

use std::io;

use halo2_proofs::plonk;

/// Why a circuit or its parameters are not for the vector unit ([`crate::VectorKey::supports`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Advice columns in several phases, or challenges between them.
    #[error("circuits with challenges or with advice columns in several phases are not proved here")]
    Phases,
    /// Another number of instance columns than one.
    #[error("circuits of {0} instance columns are not proved here, only of one")]
    InstanceColumns(usize),
    /// Fewer or more rows than the transforms take.
    #[error("circuits of 2^{k} rows are not proved here, only of 2^{least} to 2^{most}")]
    Rows {
        /// log2 of the circuit's rows.
        k: u32,
        /// Smallest.
        least: u32,
        /// Largest.
        most: u32,
    },
    /// The parameters are of another size than the key, or shorter than their own size says.
    #[error("the parameters have 2^{parameters} rows and the key has 2^{key}")]
    Parameters {
        /// log2 of the rows of the parameters.
        parameters: u32,
        /// log2 of the rows of the key.
        key: u32,
    },
    /// The proving key has other columns than its verifying key says.
    #[error("the proving key has {got} fixed and permutation columns; its verifying key says {expected}")]
    Columns {
        /// By the verifying key.
        expected: usize,
        /// Found.
        got: usize,
    },
}

/// Why there is no proof. No value of the witness is in any of these.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// halo2 refused the circuit.
    #[error("halo2: {0}")]
    Halo2(#[from] plonk::Error),
    /// Another number of instance columns than one, or more public inputs than usable rows.
    #[error("{got} instance columns or rows do not fit the key")]
    Instance {
        /// Public inputs given.
        got: usize,
    },
    /// Columns that are not the circuit's, or longer than it has rows.
    #[error("{columns} witness columns of up to {longest} rows do not fit the circuit, which has {usable} rows to use")]
    Advice {
        /// Columns given.
        columns: usize,
        /// Rows of the longest.
        longest: usize,
        /// Rows a column may have.
        usable: usize,
    },
    /// A looked-up value is not in its table: the witness is false.
    #[error("a looked-up value is not in its table")]
    NotInTable,
    /// The caller's source of randomness gave none to blind the proof with.
    #[error("no randomness")]
    Randomness,
    /// The transcript refused a message.
    #[error("transcript: {0}")]
    Transcript(#[from] io::Error),
}
