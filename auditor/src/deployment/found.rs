//! A deployment without a file that says what it should be: compared with itself and with this program.

use gridveil_protocol::{params::Shape, version::FIRST_CERTIFICATE};
use gridveil_verifier_contract::{
    Role,
    deployment::{
        CertificateVerifier, Contracts, Deployed, DeploymentFile, FORM, Hex, Holders, INSECURE, SettlementVerifier,
        Setup,
    },
    ethers_client::{Found, OnChain, VerifierOnChain},
    verifiers::{COMMITTED, code_hash},
};

use super::{DeploymentReport, Generated, Outcome, check};

/// Subjects that are compared with the file alone.
const OF_FILE: [&str; 13] = [
    "chain",
    "creation block",
    "setup",
    "genesis root",
    "token",
    "token's parts in a unit",
    "forced deadline, seconds",
    "refund delay, seconds",
    "verifier delay, seconds",
    "forced bond, wei",
    "future tariffs alone",
    "treasury",
    "council",
];

/// Compares chain and artifacts, without a file. What only a file says is told as not checked.
#[must_use]
pub fn check_found(chain: &OnChain, why: &str) -> DeploymentReport {
    // A version that is retired is history.
    let verifiers = chain.verifiers.iter().filter(|verifier| !verifier.retired).cloned().collect();
    let chain = OnChain { verifiers, ..chain.clone() };
    let file = as_found(&chain);
    let mut report = check(&file, &chain, &Generated::Unknown(why.to_owned()));
    if !chain.verifiers.iter().any(is_certificate) {
        // A rollup without certificates.
        report.checks.retain(|found| found.subject != format!("verifier {}", file.certificate.name));
    }
    for found in &mut report.checks {
        let of_file = OF_FILE.contains(&found.subject.as_str()) || found.subject.starts_with("role ");
        let said = match &found.outcome {
            Outcome::Ok(what) if of_file => format!("{what} on chain; no deployment file says what it should be"),
            Outcome::NotChecked(what) => what.replace("the hash of the file, which", "the registered hash, and"),
            Outcome::Ok(_) | Outcome::Failed(_) => continue,
        };
        found.outcome = Outcome::NotChecked(said);
    }
    report.judge(file.setup.is_insecure());
    report
}

fn is_certificate(found: &VerifierOnChain) -> bool {
    u64::from(found.circuit_version) >= FIRST_CERTIFICATE
}

fn deployed(found: &Found) -> Deployed {
    Deployed { address: Hex(found.address), code_hash: Hex(code_hash(&found.code)) }
}

/// The file of a deployment that is right as it is found.
fn as_found(chain: &OnChain) -> DeploymentFile {
    let committed = |found: &VerifierOnChain| {
        let hash = hex::encode(code_hash(&found.contract.code));
        COMMITTED.iter().any(|committed| committed.code_hash == hash)
    };
    let insecure = chain.verifiers.iter().any(committed);
    let before = if insecure { format!("{INSECURE}-") } else { String::new() };
    let settlement = chain.verifiers.iter().filter(|found| !is_certificate(found)).map(|found| {
        let shape = Shape::by_id(found.shape).map_or_else(|| found.shape.to_string(), |shape| shape.name.to_owned());
        SettlementVerifier {
            name: format!("{before}of version {}, shape {shape}", found.circuit_version),
            circuit_version: found.circuit_version,
            shape,
            shape_id: found.shape,
            slots: found.size.0,
            m: found.size.1,
            proof_length: found.proof_length,
            address: Hex(found.contract.address),
            code_hash: Hex(found.registered_hash),
        }
    });
    let certificate = chain.verifiers.iter().find(|found| is_certificate(found)).map_or_else(
        || CertificateVerifier {
            name: format!("{before}of certificates"),
            circuit_version: u32::try_from(FIRST_CERTIFICATE).unwrap_or(u32::MAX),
            proof_length: 0,
            address: Hex([0; 20]),
            code_hash: Hex([0; 32]),
        },
        |found| CertificateVerifier {
            name: format!("{before}of certificates, version {}", found.circuit_version),
            circuit_version: found.circuit_version,
            proof_length: found.proof_length,
            address: Hex(found.contract.address),
            code_hash: Hex(found.registered_hash),
        },
    );
    let name = if insecure { format!("{INSECURE}-dev") } else { "a ceremony that nobody names".to_owned() };
    DeploymentFile {
        form: FORM,
        chain_id: chain.chain_id,
        rpc: None,
        created_block: chain.created_block,
        contracts: Contracts {
            rollup: deployed(&chain.rollup),
            registry: deployed(&chain.registry),
            certificates: deployed(&chain.certificates),
            exits: deployed(&chain.exits),
            poseidon: deployed(&chain.poseidon),
            timelock: None,
            audit_heads: None,
        },
        setup: Setup { name, file: None, blake2b: Some(Hex([0; 64])) },
        settlement: settlement.collect(),
        certificate,
        terms: chain.terms.clone(),
        roles: Role::ALL
            .into_iter()
            .map(|role| Holders {
                role,
                accounts: chain.roles.get(&role).into_iter().flatten().map(|account| Hex(*account)).collect(),
            })
            .collect(),
        council: chain.council.appointed.council.map(Hex),
    }
}
