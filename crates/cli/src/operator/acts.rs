//! What the roles do on L1, one command an act: tried first, then sent with a key, or given as a call to a multisignature.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::{
    Address, EthersClient, L1Error, Role,
    deployment::account,
    ethers_client::{Act, Actor, FeePolicy, Key},
};

use crate::{
    common::{keys::Signing, text},
    member::{Acting, Details, agreed},
    sequencer::address,
};

/// Where L1 is.
#[derive(Debug, clap::Args)]
pub struct L1 {
    /// L1 node, https://… or http://…; several of one chain: the next is asked when one does not answer or lags.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',', required = true)]
    rpc: Vec<String>,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT")]
    contract: String,
    /// For machines.
    #[arg(long)]
    pub json: bool,
}

/// Who acts. Not required here: the council's own command finds out who the council is.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("who").args(["key_file", "acting_as"]))]
pub struct Sender {
    #[command(flatten)]
    pub l1: L1,
    /// L1 key of the role's account, hex or an encrypted keystore (JSON); mode 0600. With --as alone the call is tried and
    /// shown, for a multisignature or a timelock to propose, and nothing is sent.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
    /// Most that a unit of gas may cost, gwei, base fee and tip together.
    #[arg(long, value_name = "GWEI", env = "GRIDVEIL_MAX_GAS_GWEI", default_value_t = 200)]
    max_gas_gwei: u32,
    #[command(flatten)]
    pub acting: Acting,
}

/// A client, and the runtime that it needs.
pub struct Connection {
    /// For its answers.
    pub runtime: tokio::runtime::Runtime,
    /// The client.
    pub client: EthersClient,
}

impl L1 {
    /// Connects, with or without a key.
    ///
    /// # Errors
    /// No answer.
    pub fn connect(&self, key: Option<Key>) -> anyhow::Result<Connection> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let contract = address(&self.contract)?;
        let client = runtime.block_on(EthersClient::through(&self.rpc, key, Some(contract))).context("--rpc")?;
        Ok(Connection { runtime, client })
    }
}

/// A refusal in the words of the roles.
fn refusal(error: L1Error, who: Address, actor: Actor) -> anyhow::Error {
    match actor {
        Actor::Role(role) if error.is_revert("AccessControlUnauthorizedAccount") => {
            anyhow::anyhow!("{} has not the role {role}: gridveil operator role list shows who has", hex0(who))
        }
        Actor::Anybody if error.is_revert("ProofRejected") => {
            anyhow::anyhow!("the verifier does not accept both proofs: nothing is proven")
        }
        Actor::Anybody if error.is_revert("NotAStatement") => {
            anyhow::anyhow!("a statement is of another deployment or version, or has a word that L1 would not compose")
        }
        Actor::Role(_) | Actor::Council | Actor::Anybody => error.into(),
    }
}

impl Sender {
    /// The account that is to propose the call: one whose key is not here.
    fn proposer(&self) -> Option<&str> {
        self.signing.acting_as.as_deref().filter(|_| !self.signing.is_external())
    }

    /// Is anybody named?
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.key_file.is_some() || self.signing.acting_as.is_some()
    }

    /// Refuses to show a call to somebody else.
    ///
    /// # Errors
    /// There is no key here, nor a signer.
    pub fn needs_a_key(&self, why: &str) -> anyhow::Result<()> {
        ensure!(self.proposer().is_none(), "{why}: give --key-file, or --signer with --as");
        Ok(())
    }

    /// Connects with the key, if there is one.
    ///
    /// # Errors
    /// No answer, nobody who acts, or no key in the file.
    pub fn connect(&self) -> anyhow::Result<Connection> {
        ensure!(
            self.is_named(),
            "who acts? --key-file FILE, or --signer URL with --as ADDRESS, or --as ADDRESS alone, which shows the call"
        );
        let key = match self.proposer() {
            Some(_) => None,
            None => Some(self.signing.key(self.key_file.as_deref(), "--key-file")?),
        };
        let Connection { runtime, client } = self.l1.connect(key)?;
        let client = client.with_fees(FeePolicy::gwei(self.max_gas_gwei));
        Ok(Connection { runtime, client })
    }

    /// Tries an act, shows it, asks, and does it.
    ///
    /// # Errors
    /// The contract refuses, or nobody agrees.
    pub fn perform(&self, connection: &Connection, shown: Details, act: Act) -> anyhow::Result<()> {
        match (self.proposer(), connection.client.account()) {
            (Some(proposer), _) => self.propose(connection, shown, act, account(proposer).context("--as")?.0),
            (None, Some(who)) => self.send(connection, shown, act, who),
            (None, None) => bail!("--key-file, or --as"),
        }
    }

    /// Tries an act by an account whose key is not here, and shows the call that it is to send.
    ///
    /// # Errors
    /// The contract refuses.
    pub fn propose(
        &self,
        Connection { runtime, client }: &Connection,
        shown: Details,
        act: Act,
        who: Address,
    ) -> anyhow::Result<()> {
        let shown = tried(runtime, client, shown, (who, &act))?;
        let (to, data) = runtime.block_on(client.call_of(act))?;
        let note = "nothing was sent: propose this call";
        shown
            .row("to", hex0(to), hex0(to))
            .row("value", "0", 0)
            .row("data", hex0(&data), hex0(&data))
            .row("note", note, note)
            .print(self.l1.json)
    }

    fn send(
        &self,
        Connection { runtime, client }: &Connection,
        shown: Details,
        act: Act,
        who: Address,
    ) -> anyhow::Result<()> {
        let actor = act.actor();
        let shown = tried(runtime, client, shown, (who, &act))?;
        let again = shown.clone();
        if !agreed(shown, self.acting, self.l1.json)? {
            return Ok(());
        }
        let receipt = runtime.block_on(client.act(act)).map_err(|error| refusal(error, who, actor))?;
        again
            .row("transaction", hex0(receipt.tx), hex0(receipt.tx))
            .row("block", receipt.block.to_string(), receipt.block)
            .print(self.l1.json)
    }
}

/// What is shown of an act that the node would take.
fn tried(
    runtime: &tokio::runtime::Runtime,
    client: &EthersClient,
    shown: Details,
    (who, act): (Address, &Act),
) -> anyhow::Result<Details> {
    let actor = act.actor();
    let gas = runtime.block_on(client.try_act(who, act.clone())).map_err(|error| refusal(error, who, actor))?;
    let shown = shown.row("account", hex0(who), hex0(who)).row("role", actor.name(), actor.name());
    Ok(shown.row("gas", text::grouped(gas.into()), gas))
}

const ROLE_EXAMPLE: &str = "Examples:
  gridveil operator role list --rpc https://rpc.example --deployment deployment.json
  gridveil operator role grant regulator 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --key-file admin.key --rpc https://rpc.example \\
    --deployment deployment.json
  gridveil operator role revoke regulator 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --as 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC \\
    --rpc https://rpc.example --deployment deployment.json

With --as the call is tried and shown, for a multisignature to propose. Change `roles` in deployment.json afterwards.";

/// Options of `gridveil operator role`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = ROLE_EXAMPLE)]
pub struct RoleArgs {
    #[command(subcommand)]
    command: RoleCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RoleCommand {
    /// Gives an account a role (admin).
    #[command(after_help = ROLE_EXAMPLE)]
    Grant(RoleChange),
    /// Takes a role from an account (admin).
    #[command(after_help = ROLE_EXAMPLE)]
    Revoke(RoleChange),
    /// Who has which role.
    #[command(after_help = ROLE_EXAMPLE)]
    List(L1),
}

fn role(text: &str) -> Result<Role, String> {
    Role::by_name(text).ok_or_else(|| format!("no such role; there are {}", Role::ALL.map(Role::name).join(", ")))
}

#[derive(Debug, clap::Args)]
struct RoleChange {
    /// admin, operator, mdm, tariff-authority, regulator or upgrader.
    #[arg(value_parser = role)]
    role: Role,
    /// Account.
    account: String,
    #[command(flatten)]
    sender: Sender,
}

/// Runs `gridveil operator role`.
///
/// # Errors
/// One line for a person.
pub fn role_command(args: &RoleArgs) -> anyhow::Result<()> {
    let (change, grant) = match &args.command {
        RoleCommand::List(l1) => return list(l1),
        RoleCommand::Grant(change) => (change, true),
        RoleCommand::Revoke(change) => (change, false),
    };
    let whose = account(&change.account).context("account")?.0;
    let connection = change.sender.connect()?;
    let holders = connection.runtime.block_on(connection.client.role_holders())?;
    let has = holders.get(&change.role).is_some_and(|accounts| accounts.contains(&whose));
    // L1 takes both without a change: who asks for it means something else.
    if has == grant {
        bail!("{} {} the role {} already", hex0(whose), if grant { "has" } else { "has not" }, change.role);
    }
    if !grant && change.role == Role::Admin && holders.get(&Role::Admin).is_none_or(|accounts| accounts.len() < 2) {
        bail!(
            "{} is the last admin: nobody could change roles any more; grant the role to another account first",
            hex0(whose)
        );
    }
    if grant && change.role == Role::Operator && !connection.runtime.block_on(connection.client.code(whose))?.is_empty()
    {
        bail!(
            "{} is a contract, or delegates to one: only an account with a key settles (docs/spec/l1.md)",
            hex0(whose)
        );
    }
    let act = if grant { Act::Grant(change.role, whose) } else { Act::Revoke(change.role, whose) };
    let title = if grant { "Gives a role" } else { "Takes a role away" };
    let details = Details::new(title).row("changed role", change.role.name(), change.role.name()).row(
        "of account",
        hex0(whose),
        hex0(whose),
    );
    change.sender.perform(&connection, details, act)
}

fn list(l1: &L1) -> anyhow::Result<()> {
    let Connection { runtime, client } = l1.connect(None)?;
    let holders = runtime.block_on(client.role_holders())?;
    let council = runtime.block_on(client.appointed())?.council;
    let details = Role::ALL.into_iter().fold(Details::new(""), |details, role| {
        let accounts: Vec<String> = holders.get(&role).into_iter().flatten().map(hex0).collect();
        let shown = if accounts.is_empty() { "nobody".to_owned() } else { accounts.join(", ") };
        details.row(role.name(), shown, accounts)
    });
    let shown = council.map_or_else(|| "none".to_owned(), hex0);
    details.row("council", shown, council.map(hex0)).print(l1.json)
}

/// Runs `gridveil operator pause` and `unpause`.
///
/// # Errors
/// One line for a person.
pub fn pause(sender: &Sender, paused: bool) -> anyhow::Result<()> {
    let title = if paused { "Refuses deposits from now on; nothing else is paused" } else { "Takes deposits again" };
    sender.perform(&sender.connect()?, Details::new(title), Act::PauseDeposits(paused))
}
