//! `gridveil operator audit-log`: where heads of the audit log are published (`docs/how-to/staff.md`).

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use gridveil_keystore::durable::{self, Access};
use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::{
    deployment::{Deployed, DeploymentFile, Hex},
    ethers_client::AuditHeads,
    verifiers::code_hash,
};

use super::acts::{Connection, L1};
use crate::{
    common::keys::Signing,
    member::{Acting, Details, agreed},
};

const EXAMPLE: &str = "Example:
  gridveil operator audit-log deploy --key-file deployer.key --rpc https://rpc.example --deployment deployment.json

Anybody may deploy the contract: who publishes heads is who has the operator's role on L1. The deployment file then names it.";

/// Options of `gridveil operator audit-log`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Deploys the contract of heads for a rollup, and names it in the deployment file.
    #[command(after_help = EXAMPLE)]
    Deploy(DeployArgs),
}

#[derive(Debug, clap::Args)]
struct DeployArgs {
    #[command(flatten)]
    l1: L1,
    /// L1 key of any account, hex or an encrypted keystore (JSON); mode 0600.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
    /// The deployment file, by way of the global option.
    #[arg(long, hide = true)]
    deployment_file: Option<PathBuf>,
    #[command(flatten)]
    acting: Acting,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Deploy(args) => deploy(args),
    }
}

fn deploy(args: &DeployArgs) -> anyhow::Result<()> {
    let mut file = match &args.deployment_file {
        Some(path) => Some((path, DeploymentFile::read(path)?)),
        None => None,
    };
    if let Some((path, file)) = &file
        && let Some(there) = file.contracts.audit_heads
    {
        anyhow::bail!("{}: it names the contract {} already", path.display(), there.address);
    }
    let key = args.signing.key(args.key_file.as_deref(), "--key-file")?;
    let Connection { runtime, client } = args.l1.connect(Some(key))?;
    let details = || {
        let named =
            args.deployment_file.as_ref().map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
        Details::new("A contract for heads of the operator's audit log: about 220,000 gas").row(
            "named in",
            named.clone(),
            named,
        )
    };
    if !agreed(details(), args.acting, args.l1.json)? {
        return Ok(());
    }
    let (address, code) = runtime.block_on(async {
        let heads = AuditHeads::deploy(client.clone()).await?;
        heads.check().await?;
        let code = client.code(heads.contract()).await?;
        Ok::<_, gridveil_verifier_contract::L1Error>((heads.contract(), code))
    })?;
    if let Some((path, file)) = &mut file {
        ensure!(file.contracts.audit_heads.is_none(), "another run was faster");
        file.contracts.audit_heads = Some(Deployed { address: Hex(address), code_hash: Hex(code_hash(&code)) });
        let text = format!("{}\n", serde_json::to_string_pretty(&file)?);
        let written = durable::replace_with(path, Access::Mask, |out| std::io::Write::write_all(out, text.as_bytes()));
        // The contract is there: who names it by hand needs its address.
        written.with_context(|| format!("{}: name audit heads {} there", path.display(), hex0(address)))?;
    }
    details().row("audit heads", hex0(address), hex0(address)).print(args.l1.json)
}
