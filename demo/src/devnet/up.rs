//! `gridveil devnet up`: everything started, in a new directory or where an earlier run ended.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use gridveil_api::{admin::TariffRequest, beginning::Beginning};
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_cli::{
    common::stop,
    member::{Details, hex0},
    sequencer::{self, Local},
};
use gridveil_keystore::{durable, random, secret_file};
use gridveil_meter_client::{
    key_store::{Cost, Keys},
    submit::Admin,
};
use gridveil_protocol::{
    header_operation::{HeaderOperation, Pool, Transfer},
    params::Shape,
};
use gridveil_prover::{
    certificate::{CertificateProver, CertificateProverConfig},
    progress::Reporter,
    prover::{Prover, ProverConfig},
};
use gridveil_sequencer::Handle;
use gridveil_verifier_contract::{
    ChainL1, EthersClient, OperatorL1, address_of,
    anvil::{ANVIL_KEYS, Anvil, AnvilOptions, saved_time},
};
use tokio::runtime::Runtime;

use super::{Devnet, UpArgs, setting::Setting};
use crate::{
    data,
    demo::{deploy::deploy_verified, scenario::TARIFF_SET},
    homes::INTERVAL_LENGTH,
};

/// Supplier account of each community, units: 500 of the currency.
const SUPPLIER_UNITS: u64 = 50_000;
/// What each member's L1 account gets: smallest parts of the token (1,000 of the currency), and wei.
const MEMBER_TOKENS: u64 = 1_000_000_000;
const MEMBER_WEI: u128 = 10_000_000_000_000_000_000;
/// While it runs.
const RUNNING: &str = "devnet.json";
/// Its content, once it has ended.
const ENDED: &str = "devnet.ended.json";
/// The chain, once it has ended.
const CHAIN: &str = "chain.json";
/// What a shell needs to know.
const ENV: &str = "env";

/// Everything that runs. What is dropped first needs what is dropped later.
struct Running {
    devnet: Devnet,
    sequencer: Runtime,
    handle: Handle,
    anvil: Anvil,
}

pub(super) fn up(args: &UpArgs) -> anyhow::Result<()> {
    let dir = std::path::absolute(&args.dir).with_context(|| args.dir.display().to_string())?;
    let cache = args.cache.directory();
    ensure!(
        !dir.join(RUNNING).exists(),
        "{}: a devnet runs there, or was killed; end it, or take a new directory",
        dir.display()
    );
    let running = if dir.join(ENDED).exists() { resume(&dir, &cache)? } else { start(&dir, args, &cache)? };
    publish(&dir, &running.devnet)?;
    show(&dir, &running.devnet)?;
    let Running { devnet, sequencer, handle, anvil } = running;
    sequencer.block_on(async {
        stop::asked().await?;
        handle.shutdown().await;
        anyhow::Ok(())
    })?;
    drop(sequencer);
    // It writes the chain before it ends.
    drop(anvil);
    ensure!(dir.join(CHAIN).exists(), "the chain was not written: take a new directory");
    write_over(&dir.join(ENDED), &serde_json::to_string_pretty(&devnet)?)?;
    std::fs::remove_file(dir.join(RUNNING)).with_context(|| dir.display().to_string())
}

/// A new network in a new directory.
fn start(dir: &Path, args: &UpArgs, cache: &Path) -> anyhow::Result<Running> {
    let name = || dir.display().to_string();
    std::fs::create_dir_all(dir).with_context(name)?;
    let empty = std::fs::read_dir(dir).with_context(name)?.next().is_none();
    ensure!(empty, "{}: not empty, and no devnet has ended there; take a new directory", dir.display());
    let shape = Shape::by_name(&args.shape).with_context(|| format!("--shape: no shape {}", args.shape))?;
    let passphrase = random_hex::<16>()?;
    let mdm = Keys::generate()?;
    let setting = Setting::new(&hex0(mdm.owner.public().to_bytes()), shape)?;
    let starts = setting.beginning.start(INTERVAL_LENGTH);
    // First of all: without an anvil, nothing is written.
    let anvil = Anvil::spawn_with(&AnvilOptions {
        timestamp: Some(starts - args.lead_hours * 3600),
        dump_state: Some(dir.join(CHAIN)),
        ..AnvilOptions::default()
    })?;
    write(&dir.join("mdm.passphrase"), &passphrase)?;
    mdm.create(&dir.join("mdm.keys"), &passphrase, Cost::default())?;
    write(&dir.join("terms.json"), &serde_json::to_string_pretty(&setting.terms())?)?;
    write(&dir.join("begin.json"), &serde_json::to_string_pretty(&setting.beginnings)?)?;
    write(&dir.join("admin.token"), &random_hex::<16>()?)?;
    write(&dir.join("operator.key"), ANVIL_KEYS.first().copied().context("no key")?)?;
    let readings = dir.join("readings.csv");
    std::fs::write(&readings, data::MONTH).with_context(|| readings.display().to_string())?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let l1 = runtime.block_on(deploy(&anvil.url(), &setting, cache))?;
    let members = runtime.block_on(fund_members(&l1, dir, args.members))?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (rpc, contract) = (anvil.url(), hex0(l1.contract()));
    let (sequencer, handle) = serve(dir, cache, (&rpc, &contract), shape.name, [any, any])?;
    let devnet = Devnet {
        rpc,
        contract,
        url: format!("http://{}", handle.public_address()),
        admin: format!("http://{}", handle.admin_address()),
        shape: shape.name.to_owned(),
        communities: setting.beginnings.iter().map(|one| one.community).collect(),
        active_from: setting.active_from,
        members,
    };
    begin(&devnet.admin(dir)?, &setting)?;
    Ok(Running { devnet, sequencer, handle, anvil })
}

/// The network of an earlier run: its chain, its log, and its addresses where nobody else has taken them.
fn resume(dir: &Path, cache: &Path) -> anyhow::Result<Running> {
    let ended = dir.join(ENDED);
    let name = || ended.display().to_string();
    let earlier: Devnet = serde_json::from_slice(&std::fs::read(&ended).with_context(name)?).with_context(name)?;
    let chain = dir.join(CHAIN);
    let anvil = Anvil::spawn_with(&AnvilOptions {
        timestamp: Some(saved_time(&chain)? + 1),
        port: free(bound(&earlier.rpc)?).map(|address| address.port()),
        load_state: Some(chain.clone()),
        dump_state: Some(chain),
        ..AnvilOptions::default()
    })?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let binds = [&earlier.url, &earlier.admin].map(|url| bound(url).map(|address| free(address).unwrap_or(any)));
    let [public, admin] = binds;
    let (sequencer, handle) = serve(dir, cache, (&anvil.url(), &earlier.contract), &earlier.shape, [public?, admin?])?;
    let devnet = Devnet {
        rpc: anvil.url(),
        url: format!("http://{}", handle.public_address()),
        admin: format!("http://{}", handle.admin_address()),
        ..earlier
    };
    Ok(Running { devnet, sequencer, handle, anvil })
}

fn serve(
    dir: &Path,
    cache: &Path,
    (rpc, contract): (&str, &str),
    shape: &str,
    [bind, admin_bind]: [SocketAddr; 2],
) -> anyhow::Result<(Runtime, Handle)> {
    sequencer::start(&sequencer::Args::local(&Local { dir, cache, rpc, contract, shape, bind, admin_bind }))
}

/// The address that a URL names.
fn bound(url: &str) -> anyhow::Result<SocketAddr> {
    url.strip_prefix("http://").and_then(|address| address.parse().ok()).with_context(|| format!("{url}: no address"))
}

/// The address, if nobody listens there.
fn free(address: SocketAddr) -> Option<SocketAddr> {
    TcpListener::bind(address).is_ok().then_some(address)
}

/// The contract with the verifiers of these circuits, both communities registered, the tariff of all periods, and the
/// operator's funds.
async fn deploy(url: &str, setting: &Setting, cache: &Path) -> anyhow::Result<EthersClient> {
    let reporter = Reporter::stderr();
    let config = ProverConfig::local(cache, vec![setting.shape]);
    let prover = Prover::<SettlementCircuit>::open(&config, &reporter)?;
    let certificates = CertificateProver::open(&CertificateProverConfig::local(cache.to_path_buf()), &reporter)?;
    let empty = |one: &Beginning| Ok(one.registered()?.empty());
    let communities = setting.beginnings.iter().map(empty).collect::<anyhow::Result<Vec<_>>>()?;
    let (l1, _) = deploy_verified(url, &communities, &prover, &certificates).await?;
    l1.register_tariff(
        TARIFF_SET,
        setting.beginning.0,
        gridveil_protocol::field::to_bytes(&setting.tariff()?.commitment()),
    )
    .await?;
    l1.fund_supplier_account(SUPPLIER_UNITS * setting.beginnings.len() as u64).await?;
    Ok(l1)
}

/// Makes the members' L1 accounts; gives their addresses.
async fn fund_members(l1: &EthersClient, dir: &Path, members: u16) -> anyhow::Result<Vec<String>> {
    let mut addresses = Vec::new();
    for number in 0..members {
        let key = random_hex::<32>()?;
        let account = address_of(&key)?;
        write(&dir.join(format!("l1-{number}.key")), &key)?;
        write(&dir.join(format!("l1-{number}.address")), &hex0(account))?;
        l1.mint_test_tokens(account, MEMBER_TOKENS).await?;
        l1.set_local_balance(account, MEMBER_WEI).await?;
        addresses.push(hex0(account));
    }
    Ok(addresses)
}

/// The sequencer learns the tariff, and takes the supplier accounts in with the first settlements.
fn begin(admin: &Admin, setting: &Setting) -> anyhow::Result<()> {
    let tariff = setting.tariff()?;
    for Beginning { community, .. } in &setting.beginnings {
        let request = TariffRequest { first_interval: setting.beginning, tariff: tariff.clone() };
        admin.publish_tariff(*community, &request)?;
        let transfer = Some(Transfer { pool: Pool::SupplierIn, units: SUPPLIER_UNITS });
        admin.operate_header(*community, &HeaderOperation { transfer, management: None })?;
    }
    Ok(())
}

/// Says on disk that it runs, and where: for the other commands, and for a shell.
fn publish(dir: &Path, devnet: &Devnet) -> anyhow::Result<()> {
    write_over(&dir.join(ENV), &env_file(dir, devnet))?;
    write_over(&dir.join(RUNNING), &serde_json::to_string_pretty(devnet)?)
}

/// Zone of the tariff.
const ZONE: &str = "America/Los_Angeles";

/// Variables that stand for options, so that commands are short.
fn env_file(dir: &Path, devnet: &Devnet) -> String {
    // For a shell: in single quotes, and a single quote ends them, comes escaped, and opens them again.
    let quoted = |path: PathBuf| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    format!(
        "# Of the devnet in this directory. In a shell that is to use it: . ./env\n\
         export GRIDVEIL_DEVNET={}\n\
         export GRIDVEIL_RPC={}\n\
         export GRIDVEIL_CONTRACT={}\n\
         export GRIDVEIL_URL={}\n\
         export GRIDVEIL_ADMIN={}\n\
         export GRIDVEIL_ADMIN_TOKEN={}\n\
         # Of the tariff and the readings: a period is a local day.\n\
         export GRIDVEIL_ZONE={ZONE}\n",
        quoted(dir.to_path_buf()),
        devnet.rpc,
        devnet.contract,
        devnet.url,
        devnet.admin,
        quoted(dir.join("admin.token")),
    )
}

fn show(dir: &Path, devnet: &Devnet) -> anyhow::Result<()> {
    let shown = |name: &str| dir.join(name).display().to_string();
    let mut details = Details::new("A local rollup runs until this is interrupted; its money is worth nothing")
        .row("L1 node", devnet.rpc.clone(), devnet.rpc.clone())
        .row("contract", devnet.contract.clone(), devnet.contract.clone())
        .row("sequencer", devnet.url.clone(), devnet.url.clone())
        .row("admin", format!("{} (token in {})", devnet.admin, shown("admin.token")), devnet.admin.clone())
        .row("mdm", format!("{} (passphrase in {})", shown("mdm.keys"), shown("mdm.passphrase")), shown("mdm.keys"))
        .row("terms", shown("terms.json"), shown("terms.json"))
        .row("readings", shown("readings.csv"), shown("readings.csv"));
    for (number, address) in devnet.members.iter().enumerate() {
        let key = shown(&format!("l1-{number}.key"));
        details = details.row(&format!("L1 account {number}"), format!("{address} (key in {key})"), address.clone());
    }
    details.row("for a shell", format!(". {}", shown(ENV)), shown(ENV)).print(false)
}

fn random_hex<const N: usize>() -> anyhow::Result<String> {
    Ok(hex::encode(random::<N>()?))
}

/// A new file that only its owner reads.
fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    secret_file::create(path, content.as_bytes()).with_context(|| path.display().to_string())
}

/// A file whose content is seen whole or not at all.
fn write_over(path: &Path, content: &str) -> anyhow::Result<()> {
    durable::replace(path, content.as_bytes()).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_that_of_the_tariff() {
        let tariff = gridveil_cli::time_of_use::TimeOfUse::parse(crate::data::TARIFF).unwrap();
        assert_eq!(tariff.zone.iana_name(), Some(ZONE));
    }

    #[test]
    fn a_shell_reads_the_environment_back() {
        let devnet = Devnet {
            rpc: "http://127.0.0.1:1".into(),
            contract: "0x01".into(),
            url: "http://127.0.0.1:2".into(),
            admin: "http://127.0.0.1:3".into(),
            shape: "home-32x24".into(),
            communities: vec![0],
            active_from: gridveil_protocol::units::Interval(1),
            members: Vec::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("it's $HOME here");
        let file = dir.path().join("env");
        std::fs::write(&file, env_file(&odd, &devnet)).unwrap();
        let script = format!(". '{}'; printf '%s|%s' \"$GRIDVEIL_ADMIN_TOKEN\" \"$GRIDVEIL_URL\"", file.display());
        let said = std::process::Command::new("sh").args(["-euc", &script]).output().unwrap();
        let expected = format!("{}|{}", odd.join("admin.token").display(), devnet.url);
        assert_eq!(String::from_utf8(said.stdout).unwrap(), expected);
    }
}
