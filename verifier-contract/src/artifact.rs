//! Contracts as they were compiled, to deploy and to compare with what is on chain.

use serde::Deserialize;

use crate::types::{Address, Word};

/// A compiled contract of `artifacts/`.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Creation code, without the constructor's arguments.
    pub creation: Vec<u8>,
    /// Runtime code, zero where an immutable is.
    pub runtime: Vec<u8>,
    /// Of each immutable, its places in the runtime code: first byte and length.
    immutables: Vec<Vec<(usize, usize)>>,
}

/// Why some code is not that of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Differs {
    /// There is none.
    #[error("there is no code")]
    NoCode,
    /// Another length.
    #[error("its code has {found} bytes, and should have {expected}")]
    Length {
        /// On chain.
        found: usize,
        /// Of the artifact.
        expected: usize,
    },
    /// Another byte, outside immutables.
    #[error("its code differs from byte {0} on")]
    At(usize),
    /// Two places of one immutable hold different values, which no constructor does.
    #[error("its code has two values for one immutable, at byte {0}")]
    Torn(usize),
}

/// What this program deploys, compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contract {
    /// Roots and money.
    Rollup,
    /// Roles, verifiers, tariffs, communities.
    Registry,
    /// Certificates.
    Certificates,
    /// Openings after a freeze.
    Exits,
    /// Creates certificates and exits for a rollup.
    Parts,
    /// The hasher.
    Poseidon,
    /// OpenZeppelin's `TimelockController`.
    Timelock,
    /// Heads of the operator's audit log.
    AuditHeads,
}

impl Contract {
    const fn json(self) -> &'static str {
        match self {
            Self::Rollup => include_str!("../artifacts/GridveilRollup.json"),
            Self::Registry => include_str!("../artifacts/GridveilRegistry.json"),
            Self::Certificates => include_str!("../artifacts/GridveilCertificates.json"),
            Self::Exits => include_str!("../artifacts/Exits.json"),
            Self::Parts => include_str!("../artifacts/GridveilParts.json"),
            Self::Poseidon => include_str!("../artifacts/PoseidonT5.json"),
            Self::Timelock => include_str!("../artifacts/TimelockController.json"),
            Self::AuditHeads => include_str!("../artifacts/AuditHeads.json"),
        }
    }

    /// Name, as in messages and in the deployment file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rollup => "rollup",
            Self::Registry => "registry",
            Self::Certificates => "certificates",
            Self::Exits => "exits",
            Self::Parts => "parts",
            Self::Poseidon => "poseidon",
            Self::Timelock => "timelock",
            Self::AuditHeads => "audit heads",
        }
    }

    /// The compiled contract.
    ///
    /// # Errors
    /// The JSON is not an artifact: it was damaged before this program was built.
    pub fn artifact(self) -> Result<Artifact, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Json {
            bytecode: String,
            deployed_bytecode: String,
            #[serde(default)]
            immutables: Vec<Vec<(usize, usize)>>,
        }
        let json: Json = serde_json::from_str(self.json())?;
        let bytes = |text: &str| {
            hex::decode(text.trim_start_matches("0x")).map_err(<serde_json::Error as serde::de::Error>::custom)
        };
        Ok(Artifact {
            creation: bytes(&json.bytecode)?,
            runtime: bytes(&json.deployed_bytecode)?,
            immutables: json.immutables,
        })
    }
}

impl Artifact {
    /// Compares code on chain, immutables left out, and gives their values in the order of their first places.
    ///
    /// # Errors
    /// [`Differs`].
    pub fn compare(&self, code: &[u8]) -> Result<Vec<Word>, Differs> {
        if code.is_empty() {
            return Err(Differs::NoCode);
        }
        if code.len() != self.runtime.len() {
            return Err(Differs::Length { found: code.len(), expected: self.runtime.len() });
        }
        let mut masked = code.to_vec();
        let mut values = Vec::new();
        for places in &self.immutables {
            let mut value: Option<Word> = None;
            for (start, length) in places.iter().copied() {
                let at = masked.get_mut(start..start + length).ok_or(Differs::At(start))?;
                let mut word = Word::default();
                word.get_mut(32usize.saturating_sub(length)..).ok_or(Differs::At(start))?.copy_from_slice(at);
                if value.replace(word).is_some_and(|before| before != word) {
                    return Err(Differs::Torn(start));
                }
                at.fill(0);
            }
            values.extend(value);
        }
        match masked.iter().zip(&self.runtime).position(|(found, expected)| found != expected) {
            Some(at) => Err(Differs::At(at)),
            None => Ok(values),
        }
    }

    /// The same for a library, which has its own address after its first instruction.
    ///
    /// # Errors
    /// [`Differs`].
    pub fn compare_library(&self, code: &[u8], address: Address) -> Result<(), Differs> {
        let mut with_address = self.clone();
        if let Some(own) = with_address.runtime.get_mut(1..21) {
            own.copy_from_slice(&address);
        }
        with_address.compare(code).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Contract; 8] = [
        Contract::Rollup,
        Contract::Registry,
        Contract::Certificates,
        Contract::Exits,
        Contract::Parts,
        Contract::Poseidon,
        Contract::Timelock,
        Contract::AuditHeads,
    ];

    #[test]
    fn every_byte_outside_immutables_counts_and_every_place_of_an_immutable_holds_the_same() {
        for contract in ALL {
            let artifact = contract.artifact().unwrap();
            let mut code = artifact.runtime.clone();
            for (number, places) in artifact.immutables.iter().enumerate() {
                for (start, length) in places {
                    code[start + length - 1] = u8::try_from(number).unwrap() + 1;
                }
            }
            let values = artifact.compare(&code).unwrap();
            let expected: Vec<u8> = (1..=u8::try_from(artifact.immutables.len()).unwrap()).collect();
            assert_eq!(values.iter().map(|word| word[31]).collect::<Vec<_>>(), expected, "{}", contract.name());
            let places: Vec<_> = artifact.immutables.iter().flatten().copied().collect();
            for at in (0..code.len()).step_by(97) {
                let mut other = code.clone();
                other[at] ^= 1;
                let inside = places.iter().any(|(start, length)| (*start..start + length).contains(&at));
                assert!(inside || artifact.compare(&other) == Err(Differs::At(at)), "{}: {at}", contract.name());
            }
            let more = [code.as_slice(), &[0]].concat();
            assert!(matches!(artifact.compare(&more), Err(Differs::Length { .. })));
            assert_eq!(artifact.compare(&[]), Err(Differs::NoCode));
        }
        let rollup = Contract::Rollup.artifact().unwrap();
        let several = rollup.immutables.iter().find(|places| places.len() > 1).unwrap();
        let mut torn = rollup.runtime.clone();
        torn[several[1].0 + 31] = 1;
        assert_eq!(rollup.compare(&torn), Err(Differs::Torn(several[1].0)));
    }

    /// The auditor compares the values as a whole: a new immutable has to be told there.
    #[test]
    fn the_contracts_have_as_many_immutables_as_the_auditor_knows() {
        let count = ALL.map(|contract| contract.artifact().unwrap().immutables.len());
        assert_eq!(count, [12, 5, 5, 3, 0, 0, 0, 1]);
    }
}
