//! `gridveil member init`: a household's file, so that no command has to be told the same again.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use gridveil_keystore::durable;
use gridveil_meter_client::cli::defaults::nodes;

use super::session::Session;
use crate::{
    common::{details::Details, options::Place},
    household::{Household, NAME},
};

/// Options of `gridveil member init`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Sequencer, `https://…` or `http://…`. It says which slot is this owner's.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_URL")]
    url: Option<String>,
    /// L1 node, `https://…` or `http://…`: one you trust, best your own; several with commas.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',', required = true)]
    rpc: Vec<String>,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT")]
    contract: String,
    /// Block of the deployment, or an earlier one.
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    from_block: u64,
    /// Community.
    #[arg(long, env = "GRIDVEIL_COMMUNITY")]
    community: u32,
    /// Slot in the community; asked of the sequencer if absent.
    #[arg(long, env = "GRIDVEIL_SLOT")]
    slot: Option<u16>,
    #[command(flatten)]
    keys: gridveil_meter_client::cli::KeyArgs,
    /// Key file of the meter's device, if it is not the one beside the household's.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_DEVICE")]
    device: Option<PathBuf>,
    /// Folder of the wallet; made if there is none.
    #[arg(long, value_name = "DIRECTORY", env = "GRIDVEIL_WALLET")]
    wallet: PathBuf,
    /// File with this household's key of L1, if it has one.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_L1_KEY_FILE")]
    l1_key: Option<PathBuf>,
    /// Highest price to buy at, ticks of 0.0001 per kWh: of every packet, where the command says no other.
    #[arg(long, value_name = "TICKS")]
    buy_limit: Option<u16>,
    /// Lowest price to sell at, ticks of 0.0001 per kWh.
    #[arg(long, value_name = "TICKS")]
    sell_limit: Option<u16>,
    /// The account's scale, Wh of a reading's unit, if not 1.
    #[arg(long, value_name = "WH")]
    scale: Option<u8>,
    /// Zone of days on a bill: Europe/Vienna.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<String>,
    /// Name of the currency on a bill: EUR.
    #[arg(long, value_name = "NAME", value_parser = super::bill::currency)]
    currency: Option<String>,
    /// The file to write; never one that is there.
    #[arg(long, value_name = "FILE", default_value = NAME)]
    out: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
}

fn zone(text: &str) -> Result<String, String> {
    crate::common::options::zone(text).map(|_| text.to_owned())
}

/// Runs it. Nothing is written before L1, and the sequencer where one is named, have answered for this contract.
///
/// # Errors
/// A file that is there, keys, L1, the sequencer, or no slot of this owner.
pub fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(!args.out.exists(), "{}: is there already; it is not changed", args.out.display());
    let place = |slot: u16| Place {
        url: args.url.clone(),
        rpc: args.rpc.clone(),
        contract: args.contract.clone(),
        circuit_version: gridveil_protocol::params::CIRCUIT_VERSION,
        from_block: args.from_block,
        community: args.community,
        slot,
        keys: args.keys.clone(),
        wallet: args.wallet.clone(),
        json: args.json,
    };
    let slot = match args.slot {
        Some(slot) => slot,
        None => asked(&Session::open(&place(0))?)?,
    };
    let session = Session::open(&place(slot))?;
    let from = |path: &Path| seen_from(&args.out, path);
    let household = Household {
        url: args.url.clone(),
        rpc: args.rpc.iter().flat_map(|rpc| nodes(rpc)).collect::<Vec<_>>().join(","),
        contract: args.contract.clone(),
        from_block: args.from_block,
        community: args.community,
        slot,
        keys: Some(from(&args.keys.keys)?),
        device: args.device.as_deref().map(from).transpose()?,
        wallet: from(&args.wallet)?,
        l1_key: args.l1_key.as_deref().map(from).transpose()?,
        buy_limit: args.buy_limit,
        sell_limit: args.sell_limit,
        scale: args.scale,
        zone: args.zone.clone(),
        currency: args.currency.clone(),
    };
    let name = args.out.display().to_string();
    durable::create_new(&args.out, household.text()?.as_bytes()).with_context(|| name.clone())?;
    let shown = if args.out == Path::new(NAME) {
        "found by `gridveil member` and `gridveil meter` in this folder".to_owned()
    } else {
        format!("named with --household {name}, or in GRIDVEIL_HOUSEHOLD")
    };
    Details::new("A household")
        .row("file", name.clone(), name)
        .row("chain", session.deployment.chain_id.to_string(), session.deployment.chain_id)
        .row("contract", args.contract.clone(), args.contract.clone())
        .row("community", args.community.to_string(), args.community)
        .row("slot", slot.to_string(), slot)
        .row("it is", shown.clone(), shown)
        .print(args.json)
}

/// The slot of the owner of the key file.
fn asked(session: &Session) -> anyhow::Result<u16> {
    let slots = session.slots_of_owner().context("--slot")?;
    match slots.as_slice() {
        [slot] => Ok(*slot),
        [] => bail!(
            "no slot of community {} is this key file's yet: enrol (gridveil member enrol), or say which with --slot",
            session.community
        ),
        several => bail!(
            "slots {} of community {} are this key file's: say which with --slot",
            several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            session.community
        ),
    }
}

/// A path as it is seen from the folder of a file.
fn seen_from(file: &Path, path: &Path) -> anyhow::Result<PathBuf> {
    let absolute = |path: &Path| std::path::absolute(path).with_context(|| path.display().to_string());
    let (file, path) = (absolute(file)?, absolute(path)?);
    let folder = file.parent().unwrap_or(&file);
    Ok(path.strip_prefix(folder).map_or_else(|_| path.clone(), Path::to_owned))
}
