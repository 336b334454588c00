//! `gridveil operator pay-treasury`: what L1 owes the treasury is paid when somebody asks for it.

use gridveil_verifier_contract::{AuditorL1 as _, L1Error, MemberL1 as _};

use super::acts::{Connection, L1};
use crate::{
    common::{keys::OperatorKey, options::Acting},
    member::{Details, agreed, hex0},
};

pub(super) const EXAMPLE: &str = "Example:\n  gridveil operator pay-treasury --operator-key operator.key --rpc http://127.0.0.1:8545 \\\n    \
     --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3\n\nAny account may ask for it; only the treasury is paid.";

/// Options of `gridveil operator pay-treasury`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    l1: L1,
    #[command(flatten)]
    operator: OperatorKey,
    #[command(flatten)]
    acting: Acting,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Connection { runtime, client } = args.l1.connect(Some(args.operator.open()?))?;
    let (treasury, owed, fees) = runtime.block_on(async {
        let treasury = client.terms().await?.treasury.0;
        Ok::<_, L1Error>((treasury, client.withdrawable(treasury).await?, client.fee_owed(treasury).await?))
    })?;
    let details = || {
        Details::new(
            "Pays the treasury what L1 owes it: out of supplier accounts and fee accounts, and fees of certificates",
        )
        .row("treasury", hex0(treasury), hex0(treasury))
        .row("owed", format!("{owed} smallest parts of the token"), owed.to_string())
        .row("fees of certificates", format!("{fees} wei"), fees.to_string())
    };
    if owed == 0 && fees == 0 {
        return details().print(args.l1.json);
    }
    if !agreed(details(), args.acting, args.l1.json)? {
        return Ok(());
    }
    if owed > 0 {
        runtime.block_on(client.withdraw(treasury))?;
    }
    if fees > 0 {
        runtime.block_on(client.withdraw_fee(treasury))?;
    }
    details().row("status", "paid", "paid").print(args.l1.json)
}
