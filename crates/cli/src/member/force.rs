//! Forced withdrawals: asked for by the member itself, or signed by it and sent by somebody else, who pays the bond.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use gridveil_meter_client::{
    cli::utc,
    wallet::{Deployment, ExchangeFile, read_file, write_file},
};
use gridveil_verifier_contract::{ForcedEntry, ForcedRequest, Stage};
use serde::{Deserialize, Serialize};

use super::{
    leave::payout,
    session::{Session, contract, l1_address, own_chain, own_key, read_chain},
};
use crate::common::{
    chain::Chain,
    details::{Details, agreed, hex0},
    options::{Acting, L1Key, Place, PlaceUnlessFor},
};

/// Another example for the help: who sends for somebody else needs no account.
pub const FOR_EXAMPLE: &str = "\n  gridveil member force --for request.json --l1-key other.l1 --rpc http://127.0.0.1:8545 \\\n    \
                               --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3\n  \
                               gridveil member force --bonds --community 0 --l1-key other.l1 --rpc http://127.0.0.1:8545 \\\n    \
                               --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3";

/// Options of `gridveil member force`.
#[derive(clap::Args, Debug)]
pub struct ForceArgs {
    /// Freezes the rollup for ever, if the head of the community's queue was not served in time, or certificates in L1's
    /// queue were not taken in in time.
    #[arg(long, conflicts_with_all = ["relay", "for_"])]
    freeze: bool,
    /// Signs the request with the payout address's key and writes it, for somebody else to send: this account needs no
    /// ether.
    #[arg(long, value_name = "FILE")]
    relay: Option<PathBuf>,
    /// Days for which the signed request may be sent.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=60))]
    valid_days: u64,
    /// Sends another member's signed request and pays the bond, which comes back when it is paid or all is frozen, and is
    /// lost if the request has no effect. Needs L1 and a key that pays, and no account here.
    #[arg(long = "for", id = "for_", value_name = "FILE", conflicts_with = "relay")]
    for_: Option<PathBuf>,
    /// Fetches the bonds that L1 owes the account of the L1 key. With --community, those that wait in its queue are given
    /// back first, when all is frozen or the community is closed. Needs L1 and a key, and no account here.
    #[arg(long, conflicts_with_all = ["relay", "for_", "freeze"])]
    bonds: bool,
    #[command(flatten)]
    place: PlaceUnlessFor,
    #[command(flatten)]
    key: L1Key,
    #[command(flatten)]
    acting: Acting,
}

/// A signed request, as a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    deployment: Deployment,
    community: u32,
    slot: u32,
    requester: String,
    nonce: u64,
    deadline_s: u64,
    signature: String,
}

impl ExchangeFile for RequestFile {
    const WHAT: &'static str = "a signed request for a forced withdrawal";

    fn deployment(&self) -> Deployment {
        self.deployment
    }
}

impl RequestFile {
    fn of(request: &ForcedRequest) -> Self {
        Self {
            deployment: Deployment { chain_id: request.chain_id, contract: request.contract },
            community: request.community,
            slot: request.slot,
            requester: hex0(request.requester),
            nonce: request.nonce,
            deadline_s: request.deadline_s,
            signature: hex0(&request.signature),
        }
    }

    fn request(&self) -> anyhow::Result<ForcedRequest> {
        let signature = self.signature.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
        let request = ForcedRequest {
            chain_id: self.deployment.chain_id,
            contract: self.deployment.contract,
            community: self.community,
            slot: self.slot,
            requester: l1_address(&self.requester, "the requester")?,
            nonce: self.nonce,
            deadline_s: self.deadline_s,
            signature: signature.context("the signature must be 0x and hex digits")?,
        };
        ensure!(request.is_signed(), "the requester did not sign this request");
        Ok(request)
    }
}

fn date(unix_s: u64) -> String {
    utc(i64::try_from(unix_s).unwrap_or(i64::MAX))
}

fn shown(request: &ForcedRequest, title: &str) -> Details {
    Details::new(title)
        .row("community", request.community.to_string(), request.community)
        .row("slot", request.slot.to_string(), request.slot)
        .row("paid to", hex0(request.requester), hex0(request.requester))
        .row("may be sent until", date(request.deadline_s), request.deadline_s)
}

/// Signs a request and writes it.
fn sign(args: &ForceArgs, place: &Place, file: &Path) -> anyhow::Result<()> {
    let session = Session::open_for_l1(place)?;
    let chain = read_chain(place)?;
    let key = own_key(&args.key)?;
    let account = payout(session.wallet.state())?;
    let signer = key.account();
    ensure!(
        signer == account,
        "a forced withdrawal pays only the account's payout address {}, and this L1 key is {}'s",
        hex0(account),
        hex0(signer)
    );
    let (chain_id, now) = (chain.wait(chain.client().chain_id())?, chain.wait(chain.client().timestamp())?);
    let request = ForcedRequest {
        chain_id,
        contract: contract(place)?,
        community: session.community,
        slot: session.slot.into(),
        requester: account,
        nonce: chain.wait(chain.client().forced_nonce(account))?,
        deadline_s: now + args.valid_days * 24 * 3600,
        signature: Vec::new(),
    };
    let details = || {
        let public = "the slot and the amount become public; who sends it pays the bond, and gets it back";
        shown(&request, "Signs a request for the whole balance, for somebody else to send").row("note", public, public)
    };
    if agreed(details(), args.acting, place.json)? {
        let signed = request.clone().sign(&key)?;
        write_file(file, &RequestFile::of(&signed)).with_context(|| file.display().to_string())?;
        let name = file.display().to_string();
        details().row("file", name.clone(), name).print(place.json)?;
    }
    Ok(())
}

/// Sends a request that another account signed.
fn send(args: &ForceArgs, file: &Path) -> anyhow::Result<()> {
    let (rpc, contract) = (&args.place.rpc, l1_address(&args.place.contract, "contract address")?);
    let key = if args.acting.dry_run { None } else { Some(own_key(&args.key)?) };
    let chain = Chain::connect(rpc, contract, key)?;
    let name = || file.display().to_string();
    let here = Deployment { chain_id: chain.wait(chain.client().chain_id())?, contract };
    let request = read_file::<RequestFile>(file, &here).with_context(name)?.request().with_context(name)?;
    let next = chain.wait(chain.client().forced_nonce(request.requester))?;
    ensure!(request.nonce == next, "{}: this request was sent before, or another one is signed to go first", name());
    let now = chain.wait(chain.client().timestamp())?;
    ensure!(now <= request.deadline_s, "{}: it could be sent until {}", name(), date(request.deadline_s));
    let details = || {
        let bond =
            "a bond is due: it comes back, to you, with the payment; if the slot is another account's it is lost";
        shown(&request, "Asks L1 for another account's whole balance").row("note", bond, bond)
    };
    if agreed(details(), args.acting, args.place.json)? {
        let receipt = chain.wait(chain.client().force_withdraw_for(request.clone()))?;
        details().row("transaction", hex0(receipt.tx), hex0(receipt.tx)).print(args.place.json)?;
    }
    Ok(())
}

/// Fetches what L1 owes to who paid bonds.
fn fetch_bonds(args: &ForceArgs) -> anyhow::Result<()> {
    let contract = l1_address(&args.place.contract, "contract address")?;
    let chain = Chain::connect(&args.place.rpc, contract, Some(own_key(&args.key)?))?;
    let payer = chain.account()?;
    let given_back = match args.place.community {
        Some(community) => bonds_to_give_back(&chain, community, payer)?.map(|wei| (community, wei)),
        None => None,
    };
    let waits = given_back.map_or(0, |(_, wei)| wei);
    let owed = chain.wait(chain.client().bonds_owed(payer))? + waits;
    let details = || {
        let details = Details::new("Fetches bonds").row("paid to", hex0(payer), hex0(payer));
        details.row("owed", format!("{owed} wei"), owed.to_string())
    };
    if owed == 0 {
        return details().print(args.place.json);
    }
    if agreed(details(), args.acting, args.place.json)? {
        if let Some((community, _)) = given_back {
            chain.wait(chain.client().return_bonds(community))?;
        }
        let receipt = chain.wait(chain.client().withdraw_eth(payer))?;
        details().row("transaction", hex0(receipt.tx), hex0(receipt.tx)).print(args.place.json)?;
    }
    Ok(())
}

/// Wei of an account's requests that nobody serves any more and that are still in the queue; `None` if there are none.
fn bonds_to_give_back(chain: &Chain, community: u32, payer: [u8; 20]) -> anyhow::Result<Option<u128>> {
    let closed = chain.wait(chain.client().end_of(community))?.stage == Stage::Closed;
    if !closed && !chain.wait(chain.client().is_frozen())? {
        return Ok(None);
    }
    let queue = chain.wait(chain.client().forced_queue(community))?;
    let wei: u128 = queue.iter().filter(|entry| entry.payer == payer).map(|entry| entry.bond).sum();
    Ok((wei != 0).then_some(wei))
}

/// Pairs of notes that are looked at for one that is overdue.
const PAIRS: u32 = 1_000;

fn freeze(args: &ForceArgs, chain: &Chain, community: u32, head: Option<&ForcedEntry>) -> anyhow::Result<()> {
    let now = chain.wait(chain.client().timestamp())?;
    let pairs = chain.wait(chain.client().waiting_pairs(PAIRS))?;
    let overdue = pairs.into_iter().find(|pair| pair.due_s < now);
    let title = "Freezes the whole rollup, for ever";
    let details = match (&overdue, head) {
        (Some(pair), _) => {
            Details::new(title).row("certificates", format!("due {}, and not taken in", date(pair.due_s)), pair.due_s)
        }
        (None, Some(head)) => Details::new(title).row("oldest request", format!("of {}", date(head.time)), head.time),
        (None, None) => bail!("nobody waits in the community's forced queue, and no certificates are overdue"),
    };
    if agreed(details.clone(), args.acting, args.place.json)? {
        match overdue {
            Some(pair) => chain.wait(chain.client().freeze_for_notes(pair.number))?,
            None => chain.wait(chain.client().freeze(community))?,
        };
        details.row("status", "frozen", "frozen").print(args.place.json)?;
    }
    Ok(())
}

pub fn run_force(args: &ForceArgs) -> anyhow::Result<()> {
    if let Some(file) = &args.for_ {
        return send(args, file);
    }
    if args.bonds {
        return fetch_bonds(args);
    }
    let place = args.place.own().context("--community, --slot, --keys and --wallet: whose request is it?")?;
    if let Some(file) = &args.relay {
        return sign(args, &place, file);
    }
    let session = Session::open_for_l1(&place)?;
    let chain = if args.acting.dry_run { read_chain(&place)? } else { own_chain(&place, &args.key)? };
    let (community, slot) = (session.community, u32::from(session.slot));
    let queue = chain.wait(chain.client().forced_queue(community))?;
    if args.freeze {
        return freeze(args, &chain, community, queue.first());
    }
    let account = payout(session.wallet.state())?;
    if !args.acting.dry_run {
        let sender = chain.account()?;
        ensure!(
            sender == account,
            "a forced withdrawal pays only the account's payout address {}, and this L1 key is {}'s",
            hex0(account),
            hex0(sender)
        );
    }
    ensure!(
        !queue.iter().any(|entry| entry.slot == slot && entry.requester == account),
        "a request of this account waits in the forced queue already"
    );
    let details = || {
        let public = "the slot and the amount become public; a bond is due, which comes back";
        Details::new("Asks L1 for the whole balance")
            .row("community", community.to_string(), community)
            .row("slot", slot.to_string(), slot)
            .row("paid to", hex0(account), hex0(account))
            .row("before it", queue.len().to_string(), queue.len())
            .row("note", public, public)
    };
    if agreed(details(), args.acting, place.json)? {
        let receipt = chain.wait(chain.client().force_withdraw(community, slot))?;
        details().row("transaction", hex0(receipt.tx), hex0(receipt.tx)).print(place.json)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gridveil_verifier_contract::{anvil::ANVIL_KEYS, ethers_client::Key};

    /// FORCED.7: what is sent is what was signed; a changed file is refused before anything is paid.
    #[test]
    fn a_file_has_what_was_signed_and_nothing_else() {
        let key = Key::of_hex(ANVIL_KEYS[1]).unwrap();
        let request = ForcedRequest {
            chain_id: 31_337,
            contract: [7; 20],
            community: 3,
            slot: 2,
            requester: key.account(),
            nonce: 4,
            deadline_s: 1_000,
            signature: Vec::new(),
        };
        let signed = request.sign(&key).unwrap();
        let written = serde_json::to_value(RequestFile::of(&signed)).unwrap();
        let read = |value: &serde_json::Value| serde_json::from_value::<RequestFile>(value.clone()).unwrap().request();
        assert_eq!(read(&written).unwrap(), signed);
        for (field, value) in [("community", 4), ("slot", 3), ("nonce", 5), ("deadline_s", 1_001)] {
            let mut changed = written.clone();
            changed[field] = value.into();
            assert!(read(&changed).unwrap_err().to_string().contains("did not sign"), "{field}");
        }
        let mut another = written.clone();
        another["requester"] = "0x1111111111111111111111111111111111111111".into();
        assert!(read(&another).is_err());
        another["more"] = 1.into();
        assert!(serde_json::from_value::<RequestFile>(another).is_err());
    }
}
