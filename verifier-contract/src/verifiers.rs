//! The settlement verifiers whose code is committed, by circuit version and shape.
//!
//! They are made with the INSECURE development setup: a deployment on a public chain generates its own. A version is
//! never generated again under the same name. A new one is a line here; the test of the code hashes names its hash.

use gridveil_protocol::version::CircuitVersion;

use crate::types::Word;

/// A verifier that is committed as `verifiers/<name>.yul` and `artifacts/<name>.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedVerifier {
    /// Circuit version.
    pub version: CircuitVersion,
    /// Shape's name.
    pub shape: &'static str,
    /// Contract name.
    pub name: &'static str,
    /// keccak256 of the runtime code, hex: what L1 tells when the verifier is registered.
    pub code_hash: &'static str,
}

/// Every committed settlement verifier.
pub const COMMITTED: [CommittedVerifier; 3] = [
    CommittedVerifier {
        version: CircuitVersion::V2,
        shape: "home-32x24",
        name: "SettlementHome32x24",
        code_hash: "99303451efa7ef631653b5bffb98f29eb010df3f836ffdfb2b98bc38cec595b6",
    },
    CommittedVerifier {
        version: CircuitVersion::V2,
        shape: "district-128x96",
        name: "SettlementDistrict128x96",
        code_hash: "2aac0f0399bf07cb0940054da07e0312d57768cf87766bd28e832e5840952c3e",
    },
    CommittedVerifier {
        version: CircuitVersion::V2,
        shape: "district-512x96",
        name: "SettlementDistrict512x96",
        code_hash: "efdaeb544efdc62cf5a3f6ac2cd7d1ee8afb951073ed827efec3f76529a44c56",
    },
];

/// The committed verifiers of a version.
pub fn of_version(version: CircuitVersion) -> impl Iterator<Item = CommittedVerifier> {
    COMMITTED.into_iter().filter(move |verifier| verifier.version == version)
}

/// Code hash of a contract, as the EVM has it.
#[must_use]
pub fn code_hash(runtime: &[u8]) -> Word {
    ethers::utils::keccak256(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gridveil_protocol::params::Shape;

    #[test]
    fn every_shape_for_deployment_has_a_verifier_in_the_current_version() {
        let committed: Vec<_> = of_version(CircuitVersion::CURRENT).map(|v| (v.shape, v.name.to_owned())).collect();
        assert_eq!(committed, Shape::deployed().map(|shape| (shape.name, shape.verifier_name())));
    }

    #[test]
    fn code_hashes_are_those_of_the_committed_artifacts() {
        for verifier in COMMITTED {
            let path = format!("{}/artifacts/{}.json", env!("CARGO_MANIFEST_DIR"), verifier.name);
            let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let runtime = artifact["deployed_bytecode"].as_str().unwrap().trim_start_matches("0x");
            assert_eq!(hex::encode(code_hash(&hex::decode(runtime).unwrap())), verifier.code_hash, "{}", verifier.name);
        }
    }
}
