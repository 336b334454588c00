//! `gridveil operator deploy`: a rollup on any chain, from a configuration.

mod config;
mod plan;
mod record;
mod state;

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use gridveil_protocol::hex::hex0;
use gridveil_prover::{
    cli::CacheArgs,
    progress::Reporter,
    srs::{LOCAL_CHAIN_ID, Srs},
};
use gridveil_verifier_contract::{
    Address, EthersClient, Role,
    artifact::Contract,
    deployment::Hex,
    ethers_client::{FeePolicy, created_address},
};

use super::council::safe_of;

use self::{
    config::Config,
    plan::{Plan, Step},
    state::{Progress, Sent, StateFile},
};
use crate::{
    common::{keys::Signing, options::named, text},
    member::{Acting, Details, agreed},
    verifiers::{Workshop, by_key},
    verify_deployment,
};

/// Example for the help.
pub const EXAMPLE: &str = "Examples:
  gridveil operator deploy --config deployment.toml --key-file deployer.key --dry-run
  gridveil operator deploy --config deployment.toml --key-file deployer.key

The first sends nothing: it makes the verifiers, and shows every transaction with its gas and cost. After a crash the second
goes on where it was. It writes deployment.json, which every command takes as --deployment or GRIDVEIL_DEPLOYMENT.";

/// Options of `gridveil operator deploy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is deployed, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The deployer's L1 key, hex or an encrypted keystore (JSON); mode 0600. It pays, and keeps no role.
    #[arg(long, value_name = "FILE", required_unless_present = "signer", conflicts_with = "signer")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
    /// Deployment file to write.
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    out: PathBuf,
    /// L1 node, https://… or http://…, or several of one chain, instead of the configuration's.
    #[arg(long = "rpc", value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',')]
    node: Vec<String>,
    /// Most that a unit of gas may cost, gwei, base fee and tip together.
    #[arg(long, value_name = "GWEI", env = "GRIDVEIL_MAX_GAS_GWEI", default_value_t = 200)]
    max_gas_gwei: u32,
    #[command(flatten)]
    cache: CacheArgs,
    /// For machines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    acting: Acting,
}

/// A step that is still to be sent.
struct Priced {
    name: String,
    address: Address,
    gas: u64,
}

/// Runs the command.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let name = args.config.display().to_string();
    let config = Config::read(&args.config).with_context(|| name.clone())?;
    ensure!(
        !args.out.exists(),
        "{}: there is such a file: that deployment is done (gridveil verify-deployment checks it), or name another with --out",
        args.out.display()
    );
    let key = args.signing.key(args.key_file.as_deref(), "--key-file")?;
    let nodes = named(&args.node, config.rpc.as_deref());
    ensure!(!nodes.is_empty(), "{name}: no rpc, and no --rpc");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let fees = FeePolicy::gwei(args.max_gas_gwei);
    let l1 = runtime.block_on(EthersClient::through(&nodes, Some(key), None)).context("rpc")?.with_fees(fees);
    let deployer = l1.account().context("no account")?;
    config.check_deployer(deployer).with_context(|| name.clone())?;
    runtime.block_on(look_around(&l1, &config)).with_context(|| name.clone())?;

    let reporter = Reporter::stderr();
    let srs = Srs::for_chain(config.chain_id, config.source.clone(), &args.cache.directory())?;
    let made = Workshop::open(&std::env::current_dir()?, &srs, &reporter)?.all(config.version, &config.shapes)?;
    let plan = Plan { config: &config, made: &made };
    let from_block = runtime.block_on(l1.block_number())?;
    let begin = Progress::new(config.chain_id, Hex(deployer), Hex(plan.fingerprint()), from_block);
    // A dry run changes nothing, also beside others.
    let lock = if args.acting.dry_run { None } else { Some(StateFile::lock(&args.out)?) };
    let mut state = StateFile::open(&args.out, begin)?;
    runtime.block_on(adopt(&l1, &plan, &mut state, args.acting.dry_run))?;
    let (priced, price) = runtime.block_on(price(&l1, &plan, &state, deployer))?;
    let balance = runtime.block_on(l1.balance_wei(deployer))?;
    let cost = priced.iter().map(|step| u128::from(step.gas)).sum::<u128>().saturating_mul(price);
    let details = details(&config, &srs, deployer, (&priced, price, balance));
    if !agreed(details, args.acting, args.json)? {
        return Ok(());
    }
    ensure!(
        balance >= cost,
        "the deployer {} has {} ether, and the deployment may cost {}: send it more",
        hex0(deployer),
        ether(balance),
        ether(cost)
    );
    runtime.block_on(send(&l1, &plan, &mut state))?;
    let file = runtime.block_on(record::of(&l1, &plan, &state.progress, &srs))?;
    record::write(&args.out, &file)?;
    drop(lock);
    let done = l1.at_contract(file.contracts.rollup.address.0);
    let report = runtime.block_on(verify_deployment::look(
        &done,
        &file,
        &gridveil_auditor::deployment::Generated::Code(by_key(&made)),
    ))?;
    if args.json {
        text::print(&format!("{}\n", serde_json::to_string(&file)?))?;
    } else {
        text::print(&verify_deployment::table(&report))?;
        text::print(&format!("written: {}\n", args.out.display()))?;
    }
    ensure!(report.is_ok(), "what was deployed is not what it should be: do not use it");
    Ok(())
}

/// What can be known before anything is made: the chain, the token, the accounts.
async fn look_around(l1: &EthersClient, config: &Config) -> anyhow::Result<()> {
    use gridveil_verifier_contract::ChainL1 as _;
    let chain_id = l1.chain_id().await?;
    ensure!(chain_id == config.chain_id, "chain_id is {}, and the node's chain is {chain_id}", config.chain_id);
    let decimals =
        l1.token_decimals(config.token.0).await.with_context(|| format!("token.address {}", config.token))?;
    ensure!(
        decimals == config.decimals,
        "token.decimals is {}, and the contract {} has {decimals}",
        config.decimals,
        config.token
    );
    if let Some(operator) = config.roles.get(&Role::Operator) {
        let code = l1.code(operator.0).await?;
        ensure!(
            code.is_empty(),
            "roles.operator {operator} is a contract, or delegates to one: only an account with a key settles (docs/spec/l1.md)"
        );
    }
    if let Some(council) = config.council() {
        safe_of(l1, council).await.context("roles.council")?;
    }
    Ok(())
}

/// Takes in what an earlier run has sent: what is mined at the place that its transaction has.
async fn adopt(l1: &EthersClient, plan: &Plan<'_>, state: &mut StateFile, dry_run: bool) -> anyhow::Result<()> {
    for step in plan.steps() {
        let Some(sent) = state.progress.steps.get(step.name()).copied() else { continue };
        let address = created_address(state.progress.deployer.0, sent.nonce);
        let code = l1.code(address).await?;
        match sent.address {
            // It was mined once: if the chain does not have it any more, it is another chain, or was reorganised.
            Some(recorded) => {
                ensure!(
                    recorded.0 == address,
                    "{}: the state names {recorded}, not the place of its transaction",
                    step.name()
                );
                plan.check(step, address, &code)?;
            }
            None if code.is_empty() => {}
            None => {
                plan.check(step, address, &code)?;
                let done = Sent { address: Some(Hex(address)), ..sent };
                if dry_run {
                    state.progress.steps.insert(step.name().to_owned(), done);
                } else {
                    state.record(step.name(), done)?;
                }
            }
        }
    }
    Ok(())
}

/// The address of a step that is done.
fn deployed(state: &Progress, name: &str) -> Option<Address> {
    state.steps.get(name).and_then(|sent| sent.address).map(|address| address.0)
}

/// Where a step that is not done is for the estimate. Not where it will be: the node estimates each creation for the
/// account's next nonce, and refuses one at whose place there is code.
fn stand_in(name: &str) -> Address {
    let hash = blake3::derive_key("gridveil deployment estimate 1", name.as_bytes());
    let mut address = Address::default();
    address.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
    address
}

/// Gas of each step that is not done, and the most that a unit of gas may cost now. The contracts' own checks are made
/// here, before anything is sent.
async fn price(
    l1: &EthersClient,
    plan: &Plan<'_>,
    state: &StateFile,
    deployer: Address,
) -> anyhow::Result<(Vec<Priced>, u128)> {
    let mut nonce = l1.mined_transactions(deployer).await?;
    let (mut priced, mut as_if): (Vec<Priced>, Vec<(Address, Vec<u8>)>) = (Vec::new(), Vec::new());
    for step in plan.steps().into_iter().filter(|step| deployed(&state.progress, step.name()).is_none()) {
        let address = |name: &str| {
            let planned = priced.iter().any(|priced| priced.name == name).then(|| stand_in(name));
            planned.or_else(|| deployed(&state.progress, name))
        };
        let creation = plan.creation(step, &address)?;
        // Only the rollup's constructor looks at what was deployed before it.
        let others = if matches!(step, Step::Rollup) { as_if.as_slice() } else { &[] };
        let gas = l1.estimate_creation(deployer, &creation, others).await.with_context(|| step.name().to_owned())?;
        let stand_in = stand_in(step.name());
        match step {
            Step::Verifier(made) => as_if.push((stand_in, made.code.runtime.clone())),
            Step::Parts => as_if.push((stand_in, Contract::Parts.artifact()?.runtime)),
            Step::Poseidon => {
                let mut code = Contract::Poseidon.artifact()?.runtime;
                if let Some(own) = code.get_mut(1..21) {
                    own.copy_from_slice(&stand_in);
                }
                as_if.push((stand_in, code));
            }
            Step::Timelock | Step::Rollup => {}
        }
        // A quarter more is offered than estimated, and comes back.
        let address = created_address(deployer, nonce);
        priced.push(Priced { name: step.name().to_owned(), address, gas: gas + gas / 4 });
        nonce += 1;
    }
    Ok((priced, l1.gas_price_wei().await?))
}

/// Sends what is not done. Nothing else may send from this account meanwhile.
async fn send(l1: &EthersClient, plan: &Plan<'_>, state: &mut StateFile) -> anyhow::Result<()> {
    let deployer = state.progress.deployer.0;
    for step in plan.steps() {
        if deployed(&state.progress, step.name()).is_some() {
            continue;
        }
        let creation = plan.creation(step, &|name| deployed(&state.progress, name))?;
        let nonce = l1.mined_transactions(deployer).await?;
        state.record(step.name(), Sent { nonce, address: None })?;
        let address = l1.deploy_code(&creation).await.with_context(|| step.name().to_owned())?;
        if address != created_address(deployer, nonce) {
            bail!("{}: another program sends transactions of {}: stop it, and try again", step.name(), hex0(deployer));
        }
        plan.check(step, address, &l1.code(address).await?)?;
        state.record(step.name(), Sent { nonce, address: Some(Hex(address)) })?;
        tracing::info!(step = step.name(), "deployed");
    }
    Ok(())
}

fn details(
    config: &Config,
    srs: &Srs,
    deployer: Address,
    (priced, price, balance): (&[Priced], u128, u128),
) -> Details {
    let ether_of = |gas: u64| ether(u128::from(gas).saturating_mul(price));
    let total: u64 = priced.iter().map(|step| step.gas).sum();
    let chain = if config.chain_id == LOCAL_CHAIN_ID { " (local)" } else { "" };
    let details = Details::new("Transactions of the deployment, with the most they may cost now")
        .row("chain", format!("{}{chain}", config.chain_id), config.chain_id)
        .row("setup", srs.id().to_string(), srs.id().to_string())
        .row("deployer", format!("{}, {} ether", hex0(deployer), ether(balance)), hex0(deployer))
        .row("council", config.council().map_or_else(|| "none".to_owned(), hex0), config.council().map(hex0));
    let details = priced.iter().fold(details, |details, step| {
        let shown = format!(
            "{:>11} gas, {} ether, at {}",
            text::grouped(step.gas.into()),
            ether_of(step.gas),
            hex0(step.address)
        );
        let value = serde_json::json!({ "gas": step.gas, "address": hex0(step.address) });
        details.row(&step.name, shown, value)
    });
    let all =
        format!("{:>11} gas, {} ether, {} transactions", text::grouped(total.into()), ether_of(total), priced.len());
    details.row("all", all, total).value("gas_price_wei", price.to_string())
}

/// Ether with six decimals, rounded up.
fn ether(wei: u128) -> String {
    let micro = wei.div_ceil(1_000_000_000_000);
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ether_is_rounded_up() {
        assert_eq!(ether(0), "0.000000");
        assert_eq!(ether(1), "0.000001");
        assert_eq!(ether(1_500_000_000_000_000_000), "1.500000");
    }
}
