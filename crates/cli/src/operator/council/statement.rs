//! A statement of a settlement verifier and its proof, as a file that people hand to each other.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, ensure};
use gridveil_keystore::durable::{self, Access, read_bounded};
use gridveil_protocol::{hex::parse0, params::Shape};
use gridveil_verifier_contract::{
    ChainL1 as _, ProvenStatement, Word,
    deployment::{Account, Hex},
    ethers_client::SettledStatement,
};
use serde::{Deserialize, Serialize};

use super::super::{acts::Connection, upgrade::shape_name};
use crate::member::{Details, hex0};

/// Largest file that is read, bytes: a proof has a few thousand.
const MAX_BYTES: u64 = 256 << 10;

/// Where a statement is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The settlement of a transaction.
    Transaction(Word),
    /// A file.
    File(PathBuf),
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(parse0::<32>(text).map_or_else(|| Self::File(text.into()), Self::Transaction))
    }
}

/// A statement, its proof, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) circuit_version: u32,
    /// Shape's identifier.
    pub(super) shape: u32,
    pub(super) statement: ProvenStatement,
}

/// The instance rows by name, in their order (docs/spec/state.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    domain: Hex<32>,
    old_root: Hex<32>,
    new_root: Hex<32>,
    community: Hex<32>,
    period: Hex<32>,
    tariff_commitment: Hex<32>,
    community_new: Hex<32>,
    ops_digest: Hex<32>,
    z: Hex<32>,
    y: Hex<32>,
}

impl Rows {
    fn of(rows: &[Word; 10]) -> Self {
        let [domain, old_root, new_root, community, period, tariff_commitment, community_new, ops_digest, z, y] =
            rows.map(Hex);
        Self { domain, old_root, new_root, community, period, tariff_commitment, community_new, ops_digest, z, y }
    }

    fn words(&self) -> [Word; 10] {
        let Self { domain, old_root, new_root, community, period, tariff_commitment, community_new, ops_digest, z, y } =
            self;
        [domain, old_root, new_root, community, period, tariff_commitment, community_new, ops_digest, z, y]
            .map(|row| row.0)
    }
}

/// A statement and its proof, as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementFile {
    chain_id: u64,
    contract: Account,
    circuit_version: u32,
    /// Shape's name.
    shape: String,
    rows: Rows,
    /// `0x` and hex digits.
    proof: String,
}

impl StatementFile {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read_bounded(path, MAX_BYTES)?;
        serde_json::from_slice(&bytes).context("not a statement of a settlement verifier")
    }

    fn stated(&self) -> anyhow::Result<Stated> {
        let shape = Shape::by_name(&self.shape).with_context(|| format!("no shape {:?}", self.shape))?;
        let proof = self.proof.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
        let proof = proof.context("the proof must be 0x and hex digits")?;
        let statement = ProvenStatement { rows: self.rows.words(), proof };
        Ok(Stated { circuit_version: self.circuit_version, shape: shape.id, statement })
    }
}

impl Source {
    /// The statement.
    ///
    /// # Errors
    /// No such file or settlement, or one of another deployment.
    pub(super) fn read(&self, connection: &Connection) -> anyhow::Result<Stated> {
        let path = match self {
            Self::Transaction(tx) => return of_transaction(connection, *tx),
            Self::File(path) => path,
        };
        let name = || path.display().to_string();
        let file = StatementFile::read(path).with_context(name)?;
        let Connection { runtime, client } = connection;
        let here = (runtime.block_on(client.chain_id())?, client.contract());
        ensure!((file.chain_id, file.contract.0) == here, "{}: of another deployment", name());
        file.stated().with_context(name)
    }
}

/// The statement of a settlement that L1 took.
pub(super) fn of_transaction(Connection { runtime, client }: &Connection, tx: Word) -> anyhow::Result<Stated> {
    let settled = runtime.block_on(client.statement_of(tx)).with_context(|| hex0(tx))?;
    let SettledStatement { circuit_version, shape, statement, .. } = settled;
    Ok(Stated { circuit_version, shape, statement })
}

/// Writes a statement, for everybody to read: it is public.
pub(super) fn write(path: &Path, Connection { runtime, client }: &Connection, stated: &Stated) -> anyhow::Result<()> {
    use std::io::Write as _;
    let file = StatementFile {
        chain_id: runtime.block_on(client.chain_id())?,
        contract: Hex(client.contract()),
        circuit_version: stated.circuit_version,
        shape: shape_name(stated.shape),
        rows: Rows::of(&stated.statement.rows),
        proof: hex0(&stated.statement.proof),
    };
    let json = serde_json::to_string_pretty(&file)? + "\n";
    durable::replace_with(path, Access::Mask, |out| out.write_all(json.as_bytes()))
        .with_context(|| path.display().to_string())
}

impl Stated {
    /// With what people compare.
    pub(super) fn shown(&self, details: Details) -> Details {
        let Rows { old_root, new_root, community_new, .. } = Rows::of(&self.statement.rows);
        details
            .row("circuit version", self.circuit_version.to_string(), self.circuit_version)
            .row("shape", shape_name(self.shape), shape_name(self.shape))
            .row("old root", old_root.to_string(), old_root.to_string())
            .row("new root", new_root.to_string(), new_root.to_string())
            .row("community node", community_new.to_string(), community_new.to_string())
    }
}

/// How two statements contradict each other.
pub(super) fn how(first: &ProvenStatement, second: &ProvenStatement) -> &'static str {
    let (first, second) = (Rows::of(&first.rows), Rows::of(&second.rows));
    if first.community != second.community {
        "batches of two communities lead from one root to one other root"
    } else if first.new_root == second.new_root {
        "one new root has two nodes in one place"
    } else {
        "one node in one place leads to two roots"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> StatementFile {
        let mut rows = [[0; 32]; 10];
        (0u8..).zip(&mut rows).for_each(|(number, row)| row[31] = number);
        StatementFile {
            chain_id: 31_337,
            contract: Hex([7; 20]),
            circuit_version: 2,
            shape: "tiny-4x2".to_owned(),
            rows: Rows::of(&rows),
            proof: "0x0102".to_owned(),
        }
    }

    #[test]
    fn a_file_has_the_rows_in_their_order_and_nothing_else() {
        let stated = file().stated().unwrap();
        assert!(stated.statement.rows.iter().enumerate().all(|(at, row)| usize::from(row[31]) == at));
        assert_eq!((stated.shape, stated.statement.proof), (1, vec![1, 2]));
        let names = serde_json::to_value(file().rows).unwrap();
        for name in gridveil_protocol::instance::ROWS {
            assert!(names[name].is_string(), "{name}");
        }
        for (from, to) in
            [("tiny-4x2", "huge"), ("0x0102", "0102"), ("\"z\"", "\"zz\""), ("\"y\":", "\"more\":1,\"y\":")]
        {
            let text = serde_json::to_string(&file()).unwrap().replacen(from, to, 1);
            let read = serde_json::from_str::<StatementFile>(&text).map_err(anyhow::Error::from);
            assert!(read.and_then(|file| file.stated()).is_err(), "{to}");
        }
    }

    #[test]
    fn a_hash_is_a_transaction_and_anything_else_a_file() {
        let hash = format!("0x{}", "ab".repeat(32));
        assert_eq!(hash.parse(), Ok(Source::Transaction([0xab; 32])));
        assert_eq!("a.json".parse(), Ok(Source::File("a.json".into())));
        assert_eq!("0xab".parse(), Ok(Source::File("0xab".into())));
    }
}
