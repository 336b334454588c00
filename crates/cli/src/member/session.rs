//! One member's open wallet, with its keys, sequencer and L1.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
use gridveil_meter_client::{
    cli::open_keys,
    key_store::Keys,
    l1::JsonRpc,
    operation::Actor,
    outbox::Outbox,
    recover::{Recovered, TWO_PACKETS},
    statement::TAKEN_OVER,
    submit::{ApiError, Retry, Sequencer, address},
    sync::Member,
    wallet::{Deployment, Wallet, WalletError, file_name, of_other_deployments},
};
use gridveil_protocol::{
    field::Fr,
    version::{CircuitVersion, Domains, Versions},
};
use gridveil_verifier_contract::ethers_client::Key;
use zeroize::Zeroizing;

use crate::common::{
    chain::Chain,
    options::{L1Key, Place},
    text::one_line,
};

/// Name of the variable with the member's L1 key.
const L1_KEY_VARIABLE: &str = "GRIDVEIL_L1_KEY";

/// An open wallet.
#[derive(Debug)]
pub struct Session {
    /// Chain and contract.
    pub deployment: Deployment,
    /// Of the periods, as far as their circuit versions are decided.
    pub domains: Domains,
    /// Of operations: the open period's.
    pub domain: Fr,
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// Keys.
    pub keys: Keys,
    /// Packets and receipts.
    pub outbox: Outbox,
    /// The wallet.
    pub wallet: Wallet,
    /// The sequencer, if there is one.
    pub sequencer: Option<Sequencer>,
    /// L1 for statements.
    pub roots: JsonRpc,
}

impl Session {
    /// Opens what the options name.
    ///
    /// # Errors
    /// Keys, wallet, or L1.
    pub fn open(place: &Place) -> anyhow::Result<Self> {
        Self::opened(place, |url, named| {
            Served::ask(Sequencer::new(url, Retry::default())?, named, place.community).map(Some)
        })
    }

    /// Opens what the options name for a command of L1. The operator may be silent, or serve something else: a line says
    /// so, and the wallet is used as it is.
    ///
    /// # Errors
    /// Keys, wallet, or L1; never the sequencer.
    pub fn open_for_l1(place: &Place) -> anyhow::Result<Self> {
        // It is not waited for as long as elsewhere.
        let patience = Retry { attempts: 2, timeout: Duration::from_secs(10), ..Retry::default() };
        Self::opened(place, |url, named| {
            let served = Sequencer::new(url, patience)
                .map_err(Into::into)
                .and_then(|sequencer| Served::ask(sequencer, named, place.community));
            let said =
                |error: &anyhow::Error| eprintln!("gridveil: goes on without the sequencer: {}", one_line(error));
            Ok(served.inspect_err(said).ok())
        })
    }

    fn opened(
        place: &Place,
        ask: impl FnOnce(&str, &Deployment) -> anyhow::Result<Option<Served>>,
    ) -> anyhow::Result<Self> {
        let contract = contract(place)?;
        let keys = open_keys(&place.keys)?;
        let (roots, named) = deployed(&place.rpc, contract)?;
        let served = place.url.as_deref().map(|url| ask(url, &named)).transpose()?.flatten();
        let alone = CircuitVersion::new(place.circuit_version);
        Self::assembled(roots, named, served, alone, keys, &place.wallet, (place.community, place.slot))
    }

    /// With open keys, and a sequencer or none.
    ///
    /// # Errors
    /// Wallet, or L1.
    pub fn with(
        rpc: &str,
        contract: [u8; 20],
        sequencer: Option<Sequencer>,
        keys: Keys,
        wallet: &Path,
        (community, slot): (u32, u16),
    ) -> anyhow::Result<Self> {
        let (roots, named) = deployed(&[rpc], contract)?;
        let served = sequencer.map(|sequencer| Served::ask(sequencer, &named, community)).transpose()?;
        Self::assembled(roots, named, served, CircuitVersion::V2, keys, wallet, (community, slot))
    }

    /// `alone`: the circuit version to sign for where no sequencer is asked.
    fn assembled(
        roots: JsonRpc,
        named: Deployment,
        served: Option<Served>,
        alone: CircuitVersion,
        keys: Keys,
        wallet: &Path,
        (community, slot): (u32, u16),
    ) -> anyhow::Result<Self> {
        let (sequencer, domains, domain) = match served {
            Some(Served { sequencer, domains, domain }) => (Some(sequencer), domains, domain),
            None => {
                let domains = Domains::new(named.chain_id, named.contract, Versions::default());
                let domain = domains.of_version(alone);
                (None, domains, domain)
            }
        };
        refuse_other_deployments(wallet, &keys, &domains, (community, slot))?;
        let outbox = Outbox::open(wallet, &keys)?;
        let wallet = Wallet::open(wallet, &keys, domains.name(), community, slot)?;
        Ok(Self { deployment: named, domains, domain, community, slot, keys, outbox, wallet, sequencer, roots })
    }

    /// Verifies every new period and asks after what waits; returns how many periods were new. Without a sequencer
    /// there is nothing to do.
    ///
    /// # Errors
    /// The sequencer, L1, or a statement that does not hold.
    pub fn sync(&mut self, resend: bool) -> anyhow::Result<usize> {
        let Self { sequencer, roots, keys, outbox, wallet, domains, community, slot, .. } = self;
        let Some(sequencer) = sequencer else { return Ok(0) };
        let member = Member { sequencer, l1: roots, keys, outbox, domains, community: *community, slot: *slot };
        let statements = member.sync(wallet)?;
        let waiting = member.ask_after(wallet, resend)?;
        let settled: usize = statements.iter().map(|statement| statement.taken_over).sum();
        if settled + waiting > 0 {
            eprintln!("gridveil: {} of another copy: {TAKEN_OVER}", settled + waiting);
        }
        if statements.iter().any(|statement| statement.notices.contains(&TWO_PACKETS)) {
            eprintln!("gridveil: {TWO_PACKETS}");
        }
        Ok(statements.len())
    }

    /// Takes everything back that the operator has ([`Member::recover`]).
    ///
    /// # Errors
    /// No sequencer, or as [`Member::recover`].
    pub fn recover(&mut self, said: &mut dyn FnMut(usize, usize)) -> anyhow::Result<Recovered> {
        let Self { sequencer, roots, keys, outbox, wallet, domains, community, slot, .. } = self;
        let sequencer = sequencer.as_ref().context("no sequencer: give --url")?;
        let member = Member { sequencer, l1: roots, keys, outbox, domains, community: *community, slot: *slot };
        Ok(member.recover(wallet, said)?)
    }

    /// The slots of the community that the operator knows as this owner's.
    ///
    /// # Errors
    /// The sequencer.
    pub fn slots_of_owner(&self) -> anyhow::Result<Vec<u16>> {
        Ok(self.member()?.slots_of_owner()?)
    }

    /// The means of this member, where the wallet itself is not changed.
    ///
    /// # Errors
    /// No sequencer is named.
    pub fn member(&self) -> anyhow::Result<Member<'_>> {
        let Self { roots, keys, outbox, domains, community, slot, .. } = self;
        let sequencer = self.sequencer()?;
        Ok(Member { sequencer, l1: roots, keys, outbox, domains, community: *community, slot: *slot })
    }

    /// As [`Self::sync`], for a command of L1: where the sequencer does not help, a line says so.
    pub fn sync_if_served(&mut self) {
        if let Err(error) = self.sync(false) {
            eprintln!("gridveil: the last receipt is used as it is: {}", one_line(&error));
        }
    }

    /// Hands in an operation that the wallet has kept.
    ///
    /// # Errors
    /// No sequencer, or its refusal.
    pub fn hand_in(&mut self, signed: &gridveil_protocol::operation::SignedOperation) -> anyhow::Result<String> {
        let Self { sequencer, roots, keys, outbox, wallet, domains, community, slot, .. } = self;
        let sequencer = sequencer.as_ref().context("no sequencer: give --url")?;
        let member = Member { sequencer, l1: roots, keys, outbox, domains, community: *community, slot: *slot };
        Ok(member.send(wallet, signed)?.to_string())
    }

    /// Who signs next, for the period that is open.
    ///
    /// # Errors
    /// No receipt was verified yet.
    pub fn actor(&self) -> Result<Actor<'_>, WalletError> {
        Ok(self.wallet.state().actor(&self.keys.owner)?.under(self.domain))
    }

    /// The sequencer.
    ///
    /// # Errors
    /// None is named.
    pub fn sequencer(&self) -> anyhow::Result<&Sequencer> {
        self.sequencer.as_ref().context("no sequencer: give --url")
    }
}

/// A folder that belongs to another chain or contract is not begun anew: that would look like an empty account.
fn refuse_other_deployments(
    wallet: &Path,
    keys: &Keys,
    domains: &Domains,
    (community, slot): (u32, u16),
) -> anyhow::Result<()> {
    if wallet.join(file_name(domains.name(), community, slot)).exists() {
        return Ok(());
    }
    let others = of_other_deployments(wallet, keys, domains.name(), community, slot)?;
    let Some(other) = others.first() else { return Ok(()) };
    bail!(
        "{}: this wallet is of another chain or another contract than --rpc and --contract name; for a second deployment \
         take another folder",
        other.display()
    )
}

/// A sequencer that answers for the named deployment, and what it said of circuit versions.
struct Served {
    sequencer: Sequencer,
    domains: Domains,
    domain: Fr,
}

impl Served {
    fn ask(sequencer: Sequencer, named: &Deployment, community: u32) -> anyhow::Result<Self> {
        let domains = served(&sequencer, named)?;
        let domain = sequencer.open_domain(&domains, community)?;
        Ok(Self { sequencer, domains, domain })
    }
}

/// L1, and the deployment that the member names there: never the sequencer's.
pub fn deployed(rpc: &[impl AsRef<str>], contract: [u8; 20]) -> anyhow::Result<(JsonRpc, Deployment)> {
    let mut silent = None;
    for url in rpc {
        let roots = JsonRpc::new(url.as_ref(), contract)?;
        match roots.chain_id() {
            Ok(chain_id) => return Ok((roots, Deployment { chain_id, contract })),
            Err(error) => silent = Some(error),
        }
    }
    Err(silent.map_or_else(|| anyhow::anyhow!("--rpc: no node"), Into::into))
}

/// The domains of the deployment that is named, with the circuit versions that a sequencer tells.
///
/// # Errors
/// The sequencer, or it serves another deployment.
pub fn served(sequencer: &Sequencer, named: &Deployment) -> anyhow::Result<Domains> {
    let info = sequencer.info()?;
    let domains = info.checked_domains().ok_or(ApiError::Domain)?;
    ensure!(
        (info.chain_id, info.contract) == (named.chain_id, named.contract),
        "the sequencer serves another deployment than --contract and --rpc"
    );
    Ok(domains)
}

/// The contract's address.
pub fn contract(place: &Place) -> anyhow::Result<[u8; 20]> {
    address(&place.contract).context("contract address must be 0x and 40 hex digits")
}

/// The contract, with nobody's key.
pub fn read_chain(place: &Place) -> anyhow::Result<Chain> {
    Ok(Chain::connect(&place.rpc, contract(place)?, None)?.reading_from(place.from_block))
}

/// Who signs for the member on L1: a key file, an external signer, or the environment.
pub fn own_key(key: &L1Key) -> anyhow::Result<Key> {
    let named = key.l1_key.is_some() || key.signing.is_external();
    match std::env::var(L1_KEY_VARIABLE) {
        Ok(secret) if !named => Key::of_hex(&Zeroizing::new(secret)).context(L1_KEY_VARIABLE),
        _ if !named => bail!(
            "no L1 key: give --l1-key (l1_key in household.toml), or --signer with --as, or set {L1_KEY_VARIABLE}"
        ),
        _ => key.signing.key(key.l1_key.as_deref(), "--l1-key"),
    }
}

/// The contract, with the member's own L1 key.
pub fn own_chain(place: &Place, key: &L1Key) -> anyhow::Result<Chain> {
    Ok(Chain::connect(&place.rpc, contract(place)?, Some(own_key(key)?))?.reading_from(place.from_block))
}

/// A field element from `0x` and at most 64 hex digits.
pub fn element(text: &str, what: &str) -> anyhow::Result<Fr> {
    let digits = text.strip_prefix("0x").filter(|d| !d.is_empty() && d.len() <= 64 && d.is_ascii());
    let padded = digits.map(|digits| format!("{digits:0>64}"));
    let mut bytes = [0u8; 32];
    let parsed = padded.filter(|padded| {
        let pairs = padded
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
        bytes.iter_mut().zip(pairs).all(|(byte, pair)| pair.map(|pair| *byte = pair).is_some())
    });
    parsed
        .and_then(|_| gridveil_protocol::field::from_bytes(&bytes).ok())
        .with_context(|| format!("{what} must be 0x and at most 64 hex digits, below the field's modulus"))
}

/// An L1 address.
pub fn l1_address(text: &str, what: &str) -> anyhow::Result<[u8; 20]> {
    address(text)
        .filter(|address| *address != [0; 20])
        .with_context(|| format!("{what} must be 0x and 40 hex digits, not all zero"))
}
