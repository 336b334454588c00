//! Is what stands on chain what the deployment file says, and what this program would deploy?
//!
//! [`check`] compares three things: the file, the chain ([`OnChain`]), and the verifiers' code as it follows from circuit
//! and ceremony ([`Generated`]). It asks nobody and changes nothing. `docs/spec/audit.md` lists the checks.

mod found;
mod verifiers;

use std::{collections::BTreeMap, fmt::Display};

use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::{
    Address, Appointed, Role, Word,
    anvil::LOCAL_CHAIN_ID,
    artifact::Contract,
    deployment::{Account, DeploymentFile, INSECURE},
    ethers_client::{CouncilOnChain, Found, OnChain, TimelockOnChain},
    verifiers::code_hash,
};
use serde::Serialize;

use crate::date::utc;

/// A verifier's code as it follows from circuit and ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedCode {
    /// Runtime code.
    pub runtime: Vec<u8>,
    /// Bytes of constants at its end.
    pub pool_bytes: usize,
}

/// The code of every verifier, by circuit version and shape's identifier (0 of certificates); or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Generated {
    /// From circuit and ceremony.
    Code(BTreeMap<(u32, u32), GeneratedCode>),
    /// There is no ceremony file, or no compiler.
    Unknown(String),
}

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "what", rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Ok(String),
    /// It could not be looked at.
    NotChecked(String),
    /// It does not hold.
    Failed(String),
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub subject: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Every check of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeploymentReport {
    /// `ok`, `failed`, or either with `INSECURE` before it under the development setup.
    pub verdict: String,
    /// In order.
    pub checks: Vec<Check>,
}

impl DeploymentReport {
    /// Does everything hold that could be looked at?
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failures().count() == 0
    }

    /// What does not hold.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.outcome, Outcome::Failed(_)))
    }

    fn push(&mut self, subject: impl Into<String>, outcome: Outcome) {
        self.checks.push(Check { subject: subject.into(), outcome });
    }

    /// Adds a check that somebody else made, of the deployment of this file.
    pub fn add(&mut self, file: &DeploymentFile, subject: impl Into<String>, outcome: Outcome) {
        self.push(subject, outcome);
        self.judge(file.setup.is_insecure());
    }

    fn judge(&mut self, insecure: bool) {
        let verdict = if self.is_ok() { "ok" } else { "failed" };
        self.verdict = if insecure { format!("{INSECURE}, {verdict}") } else { verdict.to_owned() };
    }

    /// Equal, or failed with both.
    fn same<T: PartialEq + Display>(&mut self, subject: &str, found: T, expected: T) {
        let outcome = if found == expected {
            Outcome::Ok(found.to_string())
        } else {
            Outcome::Failed(format!("is {found} on chain, and {expected} in the file"))
        };
        self.push(subject, outcome);
    }
}

pub use found::check_found;

/// Compares file, chain and generated code.
#[must_use]
pub fn check(file: &DeploymentFile, chain: &OnChain, generated: &Generated) -> DeploymentReport {
    let mut report = DeploymentReport::default();
    report.same("chain", chain.chain_id, file.chain_id);
    report.same("creation block", chain.created_block, file.created_block);
    setup(&mut report, file, chain);
    contracts(&mut report, file, chain);
    terms(&mut report, file, chain);
    verifiers::check(&mut report, file, chain, generated);
    roles(&mut report, file, chain);
    council(&mut report, file, chain);
    match (&file.contracts.timelock, &chain.timelock) {
        (Some(_), Some(found)) => timelock(&mut report, file, found),
        (Some(_), None) => report.push("timelock", Outcome::NotChecked("it was not asked for".to_owned())),
        (None, _) => {}
    }
    let insecure = file.setup.is_insecure() || report.checks.iter().any(is_insecure);
    report.judge(insecure);
    report
}

fn is_insecure(check: &Check) -> bool {
    let (Outcome::Ok(what) | Outcome::NotChecked(what) | Outcome::Failed(what)) = &check.outcome;
    what.contains(INSECURE)
}

/// The development setup is for the local chain, and says so in every name.
fn setup(report: &mut DeploymentReport, file: &DeploymentFile, chain: &OnChain) {
    let name = &file.setup.name;
    let outcome = if !file.setup.is_insecure() {
        if file.setup.blake2b.is_some() {
            Outcome::Ok(name.clone())
        } else {
            Outcome::Failed(format!("{name} has no hash of its ceremony file"))
        }
    } else if chain.chain_id == LOCAL_CHAIN_ID {
        Outcome::Ok(format!("{name}: anyone can forge proofs under it; local chains only"))
    } else {
        Outcome::Failed(format!("{name} on chain {}: anyone can forge proofs under it", chain.chain_id))
    };
    report.push("setup", outcome);
    let names = file.settlement.iter().map(|verifier| &verifier.name).chain([&file.certificate.name]);
    for name in names.filter(|name| file.setup.is_insecure() && !name.contains(INSECURE)) {
        report.push(
            name.clone(),
            Outcome::Failed(format!("made under {}, and its name does not say so", file.setup.name)),
        );
    }
}

/// Code against artifacts, and every immutable's value against what it should be.
fn contracts(report: &mut DeploymentReport, file: &DeploymentFile, chain: &OnChain) {
    let contracts = &file.contracts;
    let word = |address: Address| {
        let mut word = Word::default();
        word[12..].copy_from_slice(&address);
        word
    };
    let number = |value: u128| {
        let mut word = Word::default();
        word[16..].copy_from_slice(&value.to_be_bytes());
        word
    };
    let (rollup, registry) = (word(contracts.rollup.address.0), word(contracts.registry.address.0));
    let terms = &file.terms;
    let modulus = {
        let mut top = gridveil_protocol::field::to_bytes(&-gridveil_protocol::field::Fr::from(1u64));
        top[31] += 1;
        top
    };
    let deadline = number(terms.forced_deadline_s.into());
    let of_rollup = [
        registry,
        word(contracts.certificates.address.0),
        word(contracts.exits.address.0),
        number(file.created_block.into()),
        word(terms.token.0),
        number(terms.token_per_unit.into()),
        deadline,
        number(terms.refund_delay_s.into()),
        number(terms.forced_bond_wei),
        word(terms.treasury.0),
        terms.genesis_root.0,
        modulus,
    ];
    let of_registry = [
        rollup,
        deadline,
        number(terms.verifier_delay_s.into()),
        number(terms.enforce_future_tariffs.into()),
        number(chain.tariff_notice_s.into()),
    ];
    let of_certificates = [rollup, registry, word(terms.treasury.0), deadline, number(terms.forced_bond_wei / 32)];
    let of_exits = [rollup, registry, word(contracts.poseidon.address.0)];
    let all: [(Contract, &Found, Account, Word, &[Word]); 4] = [
        (Contract::Rollup, &chain.rollup, contracts.rollup.address, contracts.rollup.code_hash.0, &of_rollup),
        (Contract::Registry, &chain.registry, contracts.registry.address, contracts.registry.code_hash.0, &of_registry),
        (
            Contract::Certificates,
            &chain.certificates,
            contracts.certificates.address,
            contracts.certificates.code_hash.0,
            &of_certificates,
        ),
        (Contract::Exits, &chain.exits, contracts.exits.address, contracts.exits.code_hash.0, &of_exits),
    ];
    for (contract, found, address, hash, immutables) in all {
        let outcome = match place(found, address, hash) {
            Some(wrong) => Outcome::Failed(wrong),
            None => of_artifact(contract, found, immutables),
        };
        report.push(contract.name(), outcome);
    }
    let poseidon = (&chain.poseidon, contracts.poseidon.address, contracts.poseidon.code_hash.0);
    let outcome = place(poseidon.0, poseidon.1, poseidon.2).map_or_else(
        || match Contract::Poseidon.artifact() {
            Ok(artifact) => match artifact.compare_library(&poseidon.0.code, poseidon.0.address) {
                Ok(()) => Outcome::Ok(hex0(poseidon.0.address)),
                Err(differs) => Outcome::Failed(format!("is not PoseidonT5: {differs}")),
            },
            Err(_) => Outcome::NotChecked("this program's artifact is damaged".to_owned()),
        },
        Outcome::Failed,
    );
    report.push(Contract::Poseidon.name(), outcome);
    token(report, &chain.token);
    for (part, found) in ["registry", "certificates", "exits"].into_iter().zip(chain.rollup_of) {
        if found != chain.rollup.address {
            let what = format!("belongs to the rollup {}, not to this one", hex0(found));
            report.push(part, Outcome::Failed(what));
        }
    }
    // Off the local chain a tariff is told an hour before.
    let notice = if chain.chain_id == LOCAL_CHAIN_ID { 0 } else { 3600 };
    report.same("tariff notice, seconds", chain.tariff_notice_s, notice);
}

/// The token is somebody else's contract: what it does with balances is its code's, which no artifact here is of.
fn token(report: &mut DeploymentReport, token: &Found) {
    let what = || {
        format!(
            "{}: a contract of its own, whose code has the hash {}",
            hex0(token.address),
            hex0(code_hash(&token.code))
        )
    };
    let outcome = if token.code.is_empty() {
        Outcome::Failed(format!("there is no code at {}", hex0(token.address)))
    } else if verifiers::is_proxy(&token.code) {
        Outcome::NotChecked(format!("{}; it may run another contract's, which can be exchanged", what()))
    } else {
        Outcome::Ok(what())
    };
    report.push("token's code", outcome);
}

/// What is wrong with a contract's place or its code's hash.
fn place(found: &Found, address: Account, hash: Word) -> Option<String> {
    if found.address != address.0 {
        return Some(format!("is {} on chain, and {address} in the file", hex0(found.address)));
    }
    let code = code_hash(&found.code);
    (code != hash).then(|| format!("its code has the hash {} on chain, and {} in the file", hex0(code), hex0(hash)))
}

fn of_artifact(contract: Contract, found: &Found, expected: &[Word]) -> Outcome {
    let Ok(artifact) = contract.artifact() else {
        return Outcome::NotChecked("this program's artifact is damaged".to_owned());
    };
    match artifact.compare(&found.code) {
        Err(differs) => Outcome::Failed(format!("is not this program's {}: {differs}", contract.name())),
        Ok(values) => {
            let sorted = |mut words: Vec<Word>| {
                words.sort_unstable();
                words
            };
            // Which place has which value is told by the getters, which are in the compared code.
            if sorted(values) == sorted(expected.to_vec()) {
                Outcome::Ok(hex0(found.address))
            } else {
                Outcome::Failed("what its constructor fixed is not what the file says".to_owned())
            }
        }
    }
}

fn terms(report: &mut DeploymentReport, file: &DeploymentFile, chain: &OnChain) {
    let (found, expected) = (&chain.terms, &file.terms);
    report.same("genesis root", found.genesis_root, expected.genesis_root);
    report.same("token", found.token, expected.token);
    report.same("token's parts in a unit", found.token_per_unit, expected.token_per_unit);
    report.same("forced deadline, seconds", found.forced_deadline_s, expected.forced_deadline_s);
    report.same("refund delay, seconds", found.refund_delay_s, expected.refund_delay_s);
    report.same("verifier delay, seconds", found.verifier_delay_s, expected.verifier_delay_s);
    report.same("forced bond, wei", found.forced_bond_wei, expected.forced_bond_wei);
    report.same("future tariffs alone", found.enforce_future_tariffs, expected.enforce_future_tariffs);
    report.same("treasury", found.treasury, expected.treasury);
}

fn listed<'a>(accounts: impl IntoIterator<Item = &'a Address>) -> String {
    let all: Vec<String> = accounts.into_iter().map(hex0).collect();
    if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
}

fn roles(report: &mut DeploymentReport, file: &DeploymentFile, chain: &OnChain) {
    for role in Role::ALL {
        let found = listed(chain.roles.get(&role).into_iter().flatten());
        let mut expected: Vec<Address> = file.holders(role).iter().map(|account| account.0).collect();
        expected.sort_unstable();
        report.same(&format!("role {role}"), found, listed(&expected));
    }
    if !chain.unknown_roles.is_empty() {
        let what = format!("{} have a role that no contract asks for", listed(&chain.unknown_roles));
        report.push("other roles", Outcome::Failed(what));
    }
    if chain.chain_id != LOCAL_CHAIN_ID {
        let mut seen: BTreeMap<Address, Role> = BTreeMap::new();
        for (role, account) in chain.roles.iter().flat_map(|(role, all)| all.iter().map(move |one| (*role, *one))) {
            if let Some(other) = seen.insert(account, role) {
                let what = format!("{} is {other} and {role}: one key should not be both", hex0(account));
                report.push("separation of roles", Outcome::Failed(what));
            }
        }
    }
}

/// Who may shorten a delay. One that is appointed and is not yet is told, and becomes a difference on its day.
fn council(report: &mut DeploymentReport, file: &DeploymentFile, chain: &OnChain) {
    let CouncilOnChain { appointed: Appointed { council, next }, safe } = &chain.council;
    let name = |account: &Option<Address>| account.as_ref().map_or_else(|| "nobody".to_owned(), hex0);
    let expected = file.council.map(|account| account.0);
    let outcome = match (council, safe) {
        _ if *council != expected => {
            Outcome::Failed(format!("is {} on chain, and {} in the file", name(council), name(&expected)))
        }
        (None, _) => Outcome::Ok(name(council)),
        (Some(_), Some(safe)) if safe.may_be_council() => Outcome::Ok(format!(
            "{}: {} of its {} owners sign, as it says; its code is to be read",
            name(council),
            safe.threshold,
            safe.owners.len()
        )),
        (Some(_), _) => Outcome::Failed(format!(
            "{} is no Safe of at least eight owners, three quarters of whom sign: it cannot act",
            name(council)
        )),
    };
    report.push("council", outcome);
    if let Some((next, from_s)) = next {
        let what = format!("{} becomes the council {}: change the file then", name(next), utc(*from_s));
        report.push("council appointed", Outcome::NotChecked(what));
    }
}

fn timelock(report: &mut DeploymentReport, file: &DeploymentFile, found: &TimelockOnChain) {
    let Some(expected) = &file.contracts.timelock else { return };
    let code = place(&found.contract, expected.address, expected.code_hash.0)
        .map_or_else(|| of_artifact(Contract::Timelock, &found.contract, &[]), Outcome::Failed);
    report.push("timelock", code);
    report.same("timelock's delay, seconds", found.delay_s, expected.delay_s);
    let accounts = |list: &[Account]| {
        let mut all: Vec<Address> = list.iter().map(|account| account.0).collect();
        all.sort_unstable();
        listed(&all)
    };
    let roles = [
        ("PROPOSER_ROLE", accounts(&expected.proposers)),
        ("CANCELLER_ROLE", accounts(&expected.proposers)),
        ("EXECUTOR_ROLE", accounts(&expected.executors)),
        ("DEFAULT_ADMIN_ROLE", listed([&expected.address.0])),
    ];
    for (role, expected) in roles {
        report.same(&format!("timelock's {role}"), listed(found.roles.get(role).into_iter().flatten()), expected);
    }
    for (role, accounts) in found.roles.iter().filter(|(role, _)| **role == "another role") {
        report.push(format!("timelock's {role}"), Outcome::Failed(listed(accounts)));
    }
}
