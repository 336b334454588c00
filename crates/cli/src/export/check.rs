//! `gridveil member export check`: is this folder what the operator signed, and do its figures hold?

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use gridveil_api::export::{ExportPart, ExportedAccount, ExportedPeriod, PacketOf};
use gridveil_keystore::durable;
use gridveil_meter_client::l1::{JsonRpc, Roots as _};
use gridveil_protocol::{
    field::{Fr, to_bytes},
    hex::hex0,
    operation::SignedOperation,
    params::CIRCUIT_VERSION,
    poseidon::DomainTag,
    receipt::Receipt,
    schnorr::{self, PublicKey},
    tariff::Tariff,
    units::Interval,
};
use gridveil_verifier_contract::{deployment::account, signing::signer_of};

use super::{
    ABOUT, FORMAT, KIND, MANIFEST, Manifest, OPERATIONS, PACKETS, PERIODS, RECEIPTS, SIGNATURE, STATES, Signed, TARIFFS,
};
use crate::{common::details::Details, sequencer::address};

/// Largest list of files, bytes.
const MOST_MANIFEST: u64 = 1 << 20;
/// Longest line of a file of parts, bytes.
const MOST_LINE: usize = 4 << 20;

pub(crate) const EXAMPLE: &str = "Examples:
  gridveil member export check my-data
  gridveil member export check my-data --account 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --rpc http://127.0.0.1:8545 \\
    --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3";

/// Options of `gridveil member export check`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder.
    folder: PathBuf,
    /// Who should have signed it: the operator's account.
    #[arg(long, value_name = "ADDRESS")]
    account: Option<String>,
    /// L1 node, https://… or http://…: compares roots and tariffs with the chain.
    #[arg(long, value_name = "URL", requires = "contract")]
    rpc: Option<String>,
    /// Rollup contract that you know.
    #[arg(long, value_name = "ADDRESS")]
    contract: Option<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// What was checked.
#[derive(Default)]
struct Checked {
    files: usize,
    receipts: usize,
    packets: usize,
    substitutes: usize,
    operations: usize,
    roots: Option<usize>,
    tariffs: Option<usize>,
}

/// Runs it.
///
/// # Errors
/// The first thing that does not hold.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = &args.folder;
    let (manifest, signer) = listed(folder)?;
    if let Some(expected) = &args.account {
        let expected = account(expected).context("--account")?;
        match signer {
            None => bail!("{}: nobody signed this export", folder.display()),
            Some(signer) => {
                ensure!(signer == expected.0, "{}: signed by {}, not by {expected}", folder.display(), hex0(signer));
            }
        }
    }
    let about = &manifest.about;
    let contract = args.contract.as_deref().map(address).transpose()?;
    ensure!(
        contract.is_none_or(|contract| contract == about.contract),
        "{}: of another contract, {}",
        folder.display(),
        hex0(about.contract)
    );
    let mut checked = Checked { files: manifest.files.len(), ..Checked::default() };
    let content = Content::read(folder, about)?;
    content.check(folder, about, &mut checked)?;
    if let Some(rpc) = &args.rpc {
        content.on_l1(&JsonRpc::new(rpc, about.contract)?, about, &mut checked)?;
    }
    let said = signer.map_or_else(|| "nobody".to_owned(), hex0);
    let compared = |count: Option<usize>| count.map_or_else(|| "not compared (--rpc)".to_owned(), |n| n.to_string());
    Details::new("The export holds")
        .row("community", about.community.to_string(), about.community)
        .row("slot", about.slot.to_string(), about.slot)
        .row("account", about.account.to_string(), about.account)
        .row("signed by", said, signer.map(hex0))
        .row("files", checked.files.to_string(), checked.files)
        .row("receipts", checked.receipts.to_string(), checked.receipts)
        .row("packets of the meter", checked.packets.to_string(), checked.packets)
        .row("substitutes", checked.substitutes.to_string(), checked.substitutes)
        .row("operations", checked.operations.to_string(), checked.operations)
        .row("roots on L1", compared(checked.roots), checked.roots)
        .row("tariffs on L1", compared(checked.tariffs), checked.tariffs)
        .print(args.json)
}

/// The list of files, each of which is there and has its hash, and who signed it.
fn listed(folder: &Path) -> anyhow::Result<(Manifest, Option<[u8; 20]>)> {
    let shown = folder.display();
    let path = folder.join(MANIFEST);
    let text = durable::read_bounded(&path, MOST_MANIFEST)
        .with_context(|| format!("{}: no finished export is here", path.display()))?;
    let text = String::from_utf8(text).with_context(|| format!("{}: not text", path.display()))?;
    let manifest: Manifest = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    ensure!(manifest.format == FORMAT, "{}: another format than this program's ({FORMAT})", path.display());
    let names: BTreeSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    for entry in fs::read_dir(folder).with_context(|| shown.to_string())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let known = names.contains(name.as_str()) || [MANIFEST, SIGNATURE].contains(&name.as_str());
        ensure!(known, "{shown}: {name} is not in the list of files");
    }
    for file in &manifest.files {
        ensure!(
            !file.name.contains(['/', '\\']) && !file.name.starts_with('.'),
            "{}: a name that leads elsewhere",
            path.display()
        );
        let at = folder.join(&file.name);
        let mut hash = blake3::Hasher::new();
        let bytes = File::open(&at)
            .and_then(|mut open| std::io::copy(&mut open, &mut hash))
            .with_context(|| at.display().to_string())?;
        ensure!(
            bytes == file.bytes && hash.finalize().to_hex().as_str() == file.blake3,
            "{}: not the file that was exported",
            at.display()
        );
    }
    let signature = folder.join(SIGNATURE);
    let signer = if signature.exists() {
        let bytes =
            durable::read_bounded(&signature, MOST_MANIFEST).with_context(|| signature.display().to_string())?;
        Some(signer(&bytes, &text).with_context(|| signature.display().to_string())?)
    } else {
        None
    };
    Ok((manifest, signer))
}

fn signer(bytes: &[u8], text: &str) -> anyhow::Result<[u8; 20]> {
    let signed: Signed = serde_json::from_slice(bytes).context("not a signature of an export")?;
    ensure!(signed.kind == KIND, "a signature of another kind");
    let signer = signer_of(text, &signed.signature).context("not a signature")?;
    ensure!(signer == signed.account.0, "the signature is not of account {}", signed.account);
    Ok(signer)
}

/// Every part of a file, one after another.
fn parts(folder: &Path, name: &str, mut each: impl FnMut(ExportPart) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let path = folder.join(name);
    let shown = || path.display().to_string();
    let mut file = BufReader::new(File::open(&path).with_context(shown)?);
    let (mut line, mut number) = (String::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        if file.by_ref().take(MOST_LINE as u64).read_line(&mut line).with_context(shown)? == 0 {
            return Ok(());
        }
        ensure!(line.ends_with('\n'), "{}: line {number} is cut off, or too long", path.display());
        let part = serde_json::from_str(&line);
        // The message of a JSON error could repeat a value.
        let part = part.map_err(|_| anyhow::anyhow!("{}: line {number} is no part of an export", path.display()))?;
        each(part).with_context(|| format!("{}: line {number}", path.display()))?;
    }
}

/// What is needed beside the receipts themselves.
struct Content {
    periods: BTreeMap<u64, ExportedPeriod>,
    tariffs: BTreeMap<Interval, Tariff>,
    meters: Vec<PublicKey>,
    domains: Vec<Fr>,
}

impl Content {
    fn read(folder: &Path, about: &ExportedAccount) -> anyhow::Result<Self> {
        let told: ExportedAccount = serde_json::from_slice(
            &durable::read_bounded(&folder.join(ABOUT), MOST_MANIFEST).with_context(|| ABOUT.to_owned())?,
        )?;
        ensure!(told == *about, "{ABOUT} is about another account than {MANIFEST}");
        let domain = gridveil_protocol::instance::domain(about.chain_id, &about.contract, CIRCUIT_VERSION);
        let mut content =
            Self { periods: BTreeMap::new(), tariffs: BTreeMap::new(), meters: Vec::new(), domains: vec![domain] };
        parts(folder, PERIODS, |part| {
            if let ExportPart::Period(period) = part {
                content.periods.insert(period.batch, period);
            }
            Ok(())
        })?;
        parts(folder, TARIFFS, |part| {
            if let ExportPart::Tariff { first_interval, tariff } = part {
                content.tariffs.insert(first_interval, tariff);
            }
            Ok(())
        })?;
        parts(folder, STATES, |part| {
            if let ExportPart::State { account, .. } = part {
                content.meters.extend(account.meter.filter(|meter| !content.meters.contains(meter)));
            }
            Ok(())
        })?;
        Ok(content)
    }

    /// Signatures of packets and operations, and every figure of every receipt.
    fn check(&self, folder: &Path, about: &ExportedAccount, checked: &mut Checked) -> anyhow::Result<()> {
        let mut domains = self.domains.clone();
        parts(folder, PACKETS, |part| {
            let ExportPart::Packet { of, packet, .. } = part else { bail!("not a packet") };
            let (context, slot) = (packet.packet.context, packet.packet.slot);
            ensure!((context.community, slot) == (about.community, about.slot), "of another account");
            if !domains.contains(&context.domain) {
                domains.push(context.domain);
            }
            match of {
                PacketOf::Substitute => checked.substitutes += 1,
                PacketOf::Meter | PacketOf::Late => {
                    ensure!(self.meters.iter().any(|meter| packet.verify(meter).is_ok()), "not signed by the meter");
                    checked.packets += 1;
                }
            }
            Ok(())
        })?;
        parts(folder, OPERATIONS, |part| {
            let one = |signed: &SignedOperation| {
                let place = (signed.operation.community, signed.operation.slot);
                ensure!(place == (about.community, about.slot), "of another account");
                Ok(())
            };
            match part {
                ExportPart::Operation { operation, .. } => {
                    one(&operation)?;
                    let signs = |domain: &Fr| {
                        let message = [operation.operation.message(*domain)];
                        schnorr::verify(DomainTag::Operation, &operation.owner.key, &message, &operation.signature)
                            .is_ok()
                    };
                    ensure!(domains.iter().any(signs), "not signed by its owner");
                    checked.operations += 1;
                }
                // L1 has them, by the address that asked.
                ExportPart::Forced { operations, .. } => operations.iter().try_for_each(one)?,
                _ => bail!("not an operation"),
            }
            Ok(())
        })?;
        parts(folder, RECEIPTS, |part| {
            match part {
                ExportPart::Receipt { batch, receipt } => {
                    self.receipt(about, batch, &receipt)?;
                    checked.receipts += 1;
                }
                _ => bail!("not a receipt"),
            }
            Ok(())
        })
    }

    fn receipt(&self, about: &ExportedAccount, batch: u64, receipt: &Receipt) -> anyhow::Result<()> {
        ensure!((receipt.community, receipt.slot) == (about.community, about.slot), "of another account");
        let period = self.periods.get(&batch).context("of a period that is not listed")?;
        ensure!(period.is_final && period.first_interval == receipt.first_interval, "of another period than its batch");
        let tariff = self.tariffs.get(&period.tariff_from).context("its tariff is not here")?;
        receipt.verify(None, tariff, period.root)?;
        Ok(())
    }

    /// Roots of final periods, and their tariffs, are those that L1 has.
    fn on_l1(&self, l1: &JsonRpc, about: &ExportedAccount, checked: &mut Checked) -> anyhow::Result<()> {
        let chain_id = l1.chain_id()?;
        ensure!(chain_id == about.chain_id, "the node is of chain {chain_id}, the export of {}", about.chain_id);
        let (mut roots, mut tariffs) = (0, 0);
        for period in self.periods.values().filter(|period| period.is_final) {
            ensure!(l1.is_finalised(period.root)?, "batch {}: its root was never finalised on L1", period.batch);
            roots += 1;
            let Some(tariff) = self.tariffs.get(&period.tariff_from) else { continue };
            let on_l1 = l1.tariff_commitment(about.community, period.first_interval);
            let on_l1 = on_l1?;
            ensure!(
                to_bytes(&on_l1) == to_bytes(&tariff.commitment()),
                "batch {}: its tariff is not the one registered on L1",
                period.batch
            );
            tariffs += 1;
        }
        (checked.roots, checked.tariffs) = (Some(roots), Some(tariffs));
        Ok(())
    }
}
