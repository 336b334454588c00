//! `deployment.toml`: what is to be deployed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use gridveil_keystore::durable::read_bounded;
use gridveil_protocol::{
    params::{CIRCUIT_VERSION, SHAPES, Shape},
    version::CircuitVersion,
};
use gridveil_prover::srs::{LOCAL_CHAIN_ID, SrsError, SrsSource};
use gridveil_verifier_contract::{
    Address, Role,
    deployment::{Account, AccountError, Hex, account},
};
use serde::Deserialize;

/// Largest configuration that is read, bytes.
const MAX_BYTES: u64 = 64 << 10;
/// Most accounts of a timelock's role.
const MAX_ACCOUNTS: usize = 16;
const DAY_S: u64 = 24 * 3600;
const MAX_DAYS: u64 = 3650;

/// Why a configuration is refused. The file's name is added by whoever reads it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Longer than any configuration.
    #[error("longer than a configuration (64 KiB)")]
    TooLong,
    /// Not TOML of this form.
    #[error("{0}")]
    Toml(String),
    /// Not an account.
    #[error("{key} = {text:?}: {source}")]
    Account {
        /// Key.
        key: String,
        /// What it holds.
        text: String,
        /// Why.
        source: AccountError,
    },
    /// The zero address, which nobody has.
    #[error("{key} is the zero address: nobody has it")]
    Zero {
        /// Key.
        key: String,
    },
    /// A shape that is none.
    #[error("verifiers.shapes: no shape {0:?}; there are {known}", known = SHAPES.map(|shape| shape.name).join(", "))]
    Shape(String),
    /// The same shape twice, or none.
    #[error("verifiers.shapes: name each shape once, and one at least")]
    Shapes,
    /// A number out of its bounds.
    #[error("{key}: {bound}")]
    Bound {
        /// Key.
        key: &'static str,
        /// What it may be.
        bound: &'static str,
    },
    /// Two roles of one account.
    #[error("roles.{0} and roles.{1} are one account: off the local chain each role has its own")]
    SameAccount(Role, Role),
    /// The deployer would keep a role.
    #[error("roles.{0} is the deployer's own account: deploy with a key that has no role afterwards")]
    DeployerKeeps(Role),
    /// Neither an upgrader nor a timelock, or both.
    #[error("roles.upgrader: an account, or \"timelock\" together with a section [timelock]")]
    Upgrader,
    /// No ceremony off the local chain.
    #[error(
        "[setup] is missing: off the local chain ({LOCAL_CHAIN_ID}) the parameters come from a ceremony file, ptau and blake2b"
    )]
    NoSetup,
    /// The pin.
    #[error("setup: {0}")]
    Setup(#[from] SrsError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    chain_id: u64,
    rpc: Option<String>,
    public_rpc: Option<String>,
    setup: Option<FileSetup>,
    verifiers: FileVerifiers,
    token: FileToken,
    terms: FileTerms,
    roles: BTreeMap<String, String>,
    timelock: Option<FileTimelock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSetup {
    ptau: PathBuf,
    blake2b: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileVerifiers {
    circuit_version: Option<u64>,
    shapes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileToken {
    address: String,
    decimals: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTerms {
    forced_deadline_days: u64,
    refund_delay_days: u64,
    verifier_delay_days: u64,
    forced_bond_wei: String,
    treasury: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTimelock {
    delay_days: u64,
    proposers: Vec<String>,
    executors: Vec<String>,
}

/// A timelock that is deployed for the upgrader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelockConfig {
    /// Seconds from an announcement to what it announces.
    pub delay_s: u64,
    /// Who announce and cancel.
    pub proposers: Vec<Account>,
    /// Who carry out what was announced; the zero address: anybody.
    pub executors: Vec<Account>,
}

/// What is to be deployed, every value within its bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain that the node must have.
    pub chain_id: u64,
    /// The node.
    pub rpc: Option<String>,
    /// A node to name in the deployment file.
    pub public_rpc: Option<String>,
    /// Where the parameters come from.
    pub source: SrsSource,
    /// Circuit version of the first verifiers.
    pub version: CircuitVersion,
    /// Their shapes.
    pub shapes: Vec<Shape>,
    /// The ERC-20.
    pub token: Account,
    /// Its decimals.
    pub decimals: u8,
    /// Its smallest parts in a hundredth.
    pub token_per_unit: u64,
    /// Seconds within which a forced withdrawal must be served.
    pub forced_deadline_s: u64,
    /// Seconds from a refund's request to its payment.
    pub refund_delay_s: u64,
    /// Seconds from a later verifier's registration to its first use.
    pub verifier_delay_s: u64,
    /// Bond of the first request in a forced queue, wei.
    pub forced_bond_wei: u128,
    /// Gets what leaves supplier accounts and fee accounts.
    pub treasury: Account,
    /// Who has which role; the upgrader is missing if it is the timelock.
    pub roles: BTreeMap<Role, Account>,
    /// The council that may shorten a delay when a verifier in use is proven unsound; zero for none.
    pub council: Account,
    /// The upgrader's timelock.
    pub timelock: Option<TimelockConfig>,
    /// The file itself: what a crashed deployment is finished with.
    pub text: String,
}

fn named(key: &str, text: &str) -> Result<Account, ConfigError> {
    account(text).map_err(|source| ConfigError::Account {
        key: key.to_owned(),
        text: text.chars().take(60).collect(),
        source,
    })
}

fn someone(key: &str, text: &str) -> Result<Account, ConfigError> {
    let account = named(key, text)?;
    if account.0 == Address::default() { Err(ConfigError::Zero { key: key.to_owned() }) } else { Ok(account) }
}

fn days(key: &'static str, days: u64) -> Result<u64, ConfigError> {
    let bound = ConfigError::Bound { key, bound: "1 to 3650 days" };
    if (1..=MAX_DAYS).contains(&days) { Ok(days * DAY_S) } else { Err(bound) }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = read_bounded(path, MAX_BYTES).map_err(|error| match error.kind() {
            std::io::ErrorKind::FileTooLarge => ConfigError::TooLong,
            _ => ConfigError::Io(error),
        })?;
        let text = String::from_utf8(bytes).map_err(|_| ConfigError::Toml("not text".to_owned()))?;
        Self::parse(text, path.parent().unwrap_or(Path::new("")))
    }

    fn parse(text: String, folder: &Path) -> Result<Self, ConfigError> {
        let mut file: File = toml::from_str(&text).map_err(|e| ConfigError::Toml(e.to_string()))?;
        let local = file.chain_id == LOCAL_CHAIN_ID;
        let source = match &file.setup {
            Some(setup) => SrsSource::pinned(Some(&folder.join(&setup.ptau)), Some(&setup.blake2b))?,
            None if local => SrsSource::InsecureDev,
            None => return Err(ConfigError::NoSetup),
        };
        let shapes = shapes(&file.verifiers.shapes)?;
        // A unit is a hundredth: fewer decimals cannot pay it, more than 18 no token has.
        let decimals = file.token.decimals;
        if !(2..=18).contains(&decimals) {
            return Err(ConfigError::Bound { key: "token.decimals", bound: "2 to 18" });
        }
        let bond = file.terms.forced_bond_wei.parse().ok().filter(|bond| *bond > 0);
        let bond =
            bond.ok_or(ConfigError::Bound { key: "terms.forced_bond_wei", bound: "wei in quotes, above zero" })?;
        let timelock = file.timelock.map(timelock).transpose()?;
        // No role: it may do nothing until a verifier is proven unsound, and a deployment may have none.
        let council = file.roles.remove("council");
        let council = council.map_or(Ok(Hex(Address::default())), |text| someone("roles.council", &text))?;
        Ok(Self {
            chain_id: file.chain_id,
            rpc: file.rpc,
            public_rpc: file.public_rpc,
            source,
            version: CircuitVersion::new(file.verifiers.circuit_version.unwrap_or(CIRCUIT_VERSION)),
            shapes,
            token: someone("token.address", &file.token.address)?,
            decimals,
            token_per_unit: 10u64.pow(u32::from(decimals) - 2),
            forced_deadline_s: days("terms.forced_deadline_days", file.terms.forced_deadline_days)?,
            refund_delay_s: days("terms.refund_delay_days", file.terms.refund_delay_days)?,
            verifier_delay_s: days("terms.verifier_delay_days", file.terms.verifier_delay_days)?,
            forced_bond_wei: bond,
            treasury: someone("terms.treasury", &file.terms.treasury)?,
            roles: roles(&file.roles, timelock.is_some(), local)?,
            council,
            timelock,
            text,
        })
    }

    /// The council, if there is one.
    #[must_use]
    pub fn council(&self) -> Option<Address> {
        Some(self.council.0).filter(|council| *council != Address::default())
    }

    /// The deployer keeps no role off the local chain.
    ///
    /// # Errors
    /// [`ConfigError::DeployerKeeps`].
    pub fn check_deployer(&self, deployer: Address) -> Result<(), ConfigError> {
        let kept = self.roles.iter().find(|(_, account)| account.0 == deployer);
        match kept {
            Some((role, _)) if self.chain_id != LOCAL_CHAIN_ID => Err(ConfigError::DeployerKeeps(*role)),
            _ => Ok(()),
        }
    }
}

fn shapes(names: &[String]) -> Result<Vec<Shape>, ConfigError> {
    let shape = |name: &String| Shape::by_name(name).ok_or_else(|| ConfigError::Shape(name.chars().take(40).collect()));
    let shapes = names.iter().map(shape).collect::<Result<Vec<_>, _>>()?;
    let mut ids: Vec<u32> = shapes.iter().map(|shape| shape.id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() == shapes.len() && !shapes.is_empty() { Ok(shapes) } else { Err(ConfigError::Shapes) }
}

fn timelock(file: FileTimelock) -> Result<TimelockConfig, ConfigError> {
    if file.proposers.is_empty()
        || file.executors.is_empty()
        || file.proposers.len().max(file.executors.len()) > MAX_ACCOUNTS
    {
        return Err(ConfigError::Bound { key: "timelock", bound: "1 to 16 proposers, and 1 to 16 executors" });
    }
    let proposers = file.proposers.iter().map(|text| someone("timelock.proposers", text));
    let executors = file.executors.iter().map(|text| named("timelock.executors", text));
    Ok(TimelockConfig {
        delay_s: days("timelock.delay_days", file.delay_days)?,
        proposers: proposers.collect::<Result<_, _>>()?,
        executors: executors.collect::<Result<_, _>>()?,
    })
}

fn roles(
    file: &BTreeMap<String, String>,
    with_timelock: bool,
    local: bool,
) -> Result<BTreeMap<Role, Account>, ConfigError> {
    let key = |role: Role| role.name().replace('-', "_");
    if let Some(unknown) = file.keys().find(|name| !Role::ALL.iter().any(|role| key(*role) == **name)) {
        let known = Role::ALL.map(key).join(", ");
        let name: String = unknown.chars().take(40).collect();
        return Err(ConfigError::Toml(format!("[roles] has no role {name:?}; there are {known}")));
    }
    let mut roles = BTreeMap::new();
    for role in Role::ALL {
        let text = file.get(&key(role));
        if role == Role::Upgrader && (with_timelock || text.is_none_or(|text| text == "timelock")) {
            match text {
                Some(text) if with_timelock && text == "timelock" => continue,
                _ => return Err(ConfigError::Upgrader),
            }
        }
        let text = text.ok_or_else(|| ConfigError::Toml(format!("[roles] has no {}", key(role))))?;
        let account = someone(&format!("roles.{}", key(role)), text)?;
        let same = roles.iter().find(|(_, other)| **other == account);
        if let Some((other, _)) = same.filter(|_| !local) {
            return Err(ConfigError::SameAccount(*other, role));
        }
        roles.insert(role, account);
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../../../../docs/how-to/deployment.toml");

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text.to_owned(), Path::new("folder"))
    }

    #[test]
    fn the_example_of_the_page_is_read() {
        let config = parse(GOOD).unwrap();
        assert_eq!((config.chain_id, config.token_per_unit, config.shapes.len()), (11_155_111, 10_000, 1));
        assert_eq!((config.roles.len(), config.timelock.is_some()), (5, true));
        assert_eq!(config.council.0, [0; 20], "no council is no council");
        let with = GOOD.replacen("[roles]", "[roles]\ncouncil = \"0x1000000000000000000000000000000000000008\"", 1);
        assert_eq!(parse(&with).unwrap().council.0[19], 8);
        assert!(matches!(config.source, SrsSource::Ptau { path, .. } if path.starts_with("folder")));
    }

    #[test]
    fn every_wrong_value_is_named() {
        let admin = "0x1000000000000000000000000000000000000001";
        for (from, to, says) in [
            ("decimals = 6", "decimals = 1", "token.decimals: 2 to 18"),
            ("decimals = 6", "decimals = 6\nsymbol = \"X\"", "unknown field `symbol`"),
            ("forced_deadline_days = 7", "forced_deadline_days = 0", "terms.forced_deadline_days: 1 to 3650 days"),
            ("[\"tiny-4x2\"]", "[\"huge\"]", "no shape \"huge\"; there are tiny-4x2"),
            ("[\"tiny-4x2\"]", "[\"tiny-4x2\", \"tiny-4x2\"]", "name each shape once"),
            ("[\"tiny-4x2\"]", "[]", "one at least"),
            ("upgrader = \"timelock\"", "upgrader = \"0x1000000000000000000000000000000000000009\"", "[timelock]"),
            ("upgrader = \"timelock\"", "", "[timelock]"),
            ("mdm = \"0x", "mdm = \"", "roles.mdm"),
            ("regulator =", "regulators =", "no role \"regulators\""),
            ("[roles]", "[roles]\ncouncil = \"none\"", "roles.council"),
            ("forced_bond_wei = \"", "forced_bond_wei = \"-", "wei in quotes, above zero"),
            ("blake2b = \"", "blake2b = \"z", "128 hex digits"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{to}: {error}");
        }
        let zero = GOOD.replace(admin, "0x0000000000000000000000000000000000000000");
        assert!(matches!(parse(&zero), Err(ConfigError::Zero { key }) if key == "roles.admin"));
        let same = GOOD.replace("0x1000000000000000000000000000000000000002", admin);
        assert!(matches!(parse(&same), Err(ConfigError::SameAccount(Role::Admin, Role::Operator))));
        assert!(parse(&same.replace("11155111", "31337")).is_ok(), "the local chain may have one account for all");
        let start = GOOD.find("[setup]").unwrap();
        let end = GOOD.find("[verifiers]").unwrap();
        let bare = format!("{}{}", &GOOD[..start], &GOOD[end..]);
        assert!(matches!(parse(&bare), Err(ConfigError::NoSetup)));
        let local = parse(&bare.replace("11155111", "31337")).unwrap();
        assert_eq!(local.source, SrsSource::InsecureDev);
    }

    #[test]
    fn the_deployer_keeps_no_role() {
        let config = parse(GOOD).unwrap();
        let mdm = config.roles[&Role::Mdm].0;
        assert!(matches!(config.check_deployer(mdm), Err(ConfigError::DeployerKeeps(Role::Mdm))));
        assert!(config.check_deployer([7; 20]).is_ok());
    }
}
