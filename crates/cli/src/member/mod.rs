//! `gridveil member`: an account in its owner's hands. What needs an L1 key or a proof is here. Keys, wallet and
//! operations are in the meter client (`docs/spec/wallet.md`).

mod account;
mod bill;
mod calendar;
mod certificate;
mod export;
mod force;
mod init;
pub mod leave;
pub mod manage;
mod money;
mod open;
mod recover;
mod session;
mod standing;

pub use crate::common::{
    chain::Chain,
    details::{Details, agreed, hex0},
    options::{Acting, Energy, Money},
};
pub use certificate::{Spent, abandon, hold, refresh, spend};
pub use leave::{Left, exit_call, exit_of, leave};
pub use money::{Deposited, deposit, operate, planned, receive, send};
pub use session::{Session, element};
pub(crate) use session::{deployed, served};

use clap::Subcommand;

const EXAMPLE: &str = "Example:\n  gridveil member account --url http://127.0.0.1:8080 --rpc http://127.0.0.1:8545 \\\n    \
                       --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --community 0 --slot 7 --keys home7.keys --wallet home7.outbox";

/// Options of `gridveil member`.
#[derive(clap::Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The place and the keys, as every example has them.
macro_rules! example {
    ($words:literal) => {
        concat!(
            "Example:\n  gridveil member ",
            $words,
            " \\\n    --url http://127.0.0.1:8080 --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 \\\n    \
             --community 0 --slot 7 --keys home7.keys --wallet home7.outbox"
        )
    };
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes a household's file: afterwards no command needs more than its own words.
    #[command(after_help = example!("init --buy-limit 2500 --sell-limit 900 --zone Europe/Vienna --currency EUR"))]
    Init(init::Args),
    /// Verifies every period since the last time, and shows balance, operations, claims and certificates, and how L1 stands:
    /// how far it is, and whether the rollup is frozen. Shows nothing that this L1 does not have.
    #[command(after_help = example!("account --resend"))]
    Account(account::Args),
    /// Fills an empty folder, or an old copy of one, from the key file: packets, operations and receipts from the operator,
    /// each checked against its signature and L1. Says what did not come back. Running it again goes on.
    #[command(after_help = example!("recover"))]
    Recover(recover::Args),
    /// What was paid over a month or some days: items by rate, neighbours' share, CO2, provisional or final. As a page, on
    /// paper, or for an accountant.
    #[command(after_help = example!("bill --month 2026-11 --zone Europe/Vienna --currency EUR --pdf november.pdf"))]
    Bill(bill::Args),
    /// Pays in on L1 and takes it in.
    #[command(after_help = example!("deposit 12.50 --l1-key home7.l1"))]
    Deposit(money::DepositArgs),
    /// Pays out to the account's payout address on L1; `collect` fetches it when it is settled.
    #[command(after_help = example!("withdraw 5"))]
    Withdraw(money::WithdrawArgs),
    /// Sends to another member, whose claim file goes to it by any other way.
    #[command(after_help = example!("send 3.20 --to 0x1f..e2 --payout 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --out claim.json"))]
    Send(money::SendArgs),
    /// Takes in what another member sent.
    #[command(after_help = example!("receive claim.json"))]
    Receive(money::ReceiveArgs),
    /// Hands the account to a new owner key, or pays out to another address.
    #[command(after_help = example!("rotate --new-keys home7-2.keys"))]
    Rotate(money::RotateArgs),
    /// Pays everything out and empties the slot, once the account's window has ended.
    #[command(after_help = example!("close"))]
    Close(money::CloseArgs),
    /// Consents to an account in an empty slot, for the meter data manager to sign too (`gridveil mdm sign`).
    #[command(after_help = example!("enrol --terms terms.json --payout 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --out consent.json"))]
    Enrol(manage::EnrolArgs),
    /// Consents to another meter, for the meter data manager to sign too.
    #[command(after_help = example!("replace --new-device home7-2.device --out consent.json"))]
    Replace(manage::ReplaceArgs),
    /// Consents to other terms, for the meter data manager to sign too: window, caps, technology, scale, class.
    #[command(after_help = example!("terms --terms terms.json --out consent.json"))]
    Terms(manage::TermsArgs),
    /// Fetches what L1 owes the payout address.
    #[command(after_help = example!("collect --l1-key home7.l1"))]
    Collect(leave::CollectArgs),
    /// Certificates of origin: list, receive, transfer, retire, abandon, drop, prove, show.
    #[command(subcommand, arg_required_else_help = true, after_help = example!("certificate list"))]
    Certificate(certificate::Command),
    /// Opens one fact of the account to an auditor, in a file that L1 alone confirms (`gridveil audit balance|bill`).
    #[command(subcommand, arg_required_else_help = true, after_help = example!("open balance --out balance.json"))]
    Open(open::Command),
    /// What the operator gave you as everything that it holds of your account.
    #[command(subcommand, arg_required_else_help = true, after_help = export::EXAMPLE)]
    Export(export::Command),
    /// Asks L1's forced queue for the whole balance: for a sequencer that does not take withdrawals. With --relay and --for
    /// another account sends the request and pays the bond.
    #[command(after_help = format!("{}{}", example!("force --l1-key home7.l1"), force::FOR_EXAMPLE))]
    Force(force::ForceArgs),
    /// Takes balance, claims and deposits out of a frozen rollup, from the wallet and L1 alone. Also out of a closed
    /// community, or one whose verifier is proven unsound.
    #[command(after_help = example!("exit --l1-key home7.l1"))]
    Exit(leave::ExitArgs),
}

pub(crate) use example;

/// Runs a command. Blocking: call it outside any async runtime.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Init(args) => init::run(args),
        Command::Account(args) => account::run(args),
        Command::Recover(args) => recover::run(args),
        Command::Bill(args) => bill::run(args),
        Command::Deposit(args) => money::run_deposit(args),
        Command::Withdraw(args) => money::run_withdraw(args),
        Command::Send(args) => money::run_send(args),
        Command::Receive(args) => money::run_receive(args),
        Command::Rotate(args) => money::run_rotate(args),
        Command::Close(args) => money::run_close(args),
        Command::Enrol(args) => manage::run_enrol(args),
        Command::Replace(args) => manage::run_replace(args),
        Command::Terms(args) => manage::run_terms(args),
        Command::Collect(args) => leave::run_collect(args),
        Command::Certificate(command) => certificate::run(command),
        Command::Open(command) => open::run(command),
        Command::Export(command) => export::run(command),
        Command::Force(args) => force::run_force(args),
        Command::Exit(args) => leave::run_exit(args),
    }
}
