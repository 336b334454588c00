//! `gridveil mdm grant` and `revoke-grant`: which totals a regulator or an auditor may read.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, ensure};
use gridveil_api::grant::{Grant, GrantField, MOST_NAME_BYTES, Revocation, SignedGrant};
use gridveil_meter_client::{
    calendar::{Periods, When},
    cli::LocalArgs,
    wallet::{read_file, write_file},
};
use jiff::Timestamp;

use super::{Doing, sequencer};
use crate::{
    member::{Details, agreed},
    operator::connect,
};

pub(super) const EXAMPLE: &str = "Example:\n  gridveil mdm grant --community 0 --from 2026-11-01 --to 2026-11-30 --zone Europe/Vienna --field import --field export \\\n    \
                                  --issuer https://id.example/realms/grid --subject auditor-1 --days 30 --out grant.json \\\n    \
                                  --keys mdm.keys --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --url http://127.0.0.1:8080";

pub(super) const REVOKE_EXAMPLE: &str = "Example:\n  gridveil mdm revoke-grant grant.json --admin http://127.0.0.1:8081 --admin-token mdm.token \\\n    \
                                         --keys mdm.keys --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3";

/// Options of `gridveil mdm grant`.
#[derive(Debug, clap::Args)]
pub(super) struct GrantArgs {
    /// Community index.
    #[arg(long)]
    community: u32,
    /// The first period: its local day, such as 2017-05-03, or the time at which it begins, such as 2017-05-03T00:00+02:00.
    #[arg(long, value_name = "DATE")]
    from: When,
    /// The last period, in the same way.
    #[arg(long, value_name = "DATE")]
    to: When,
    #[command(flatten)]
    local: LocalArgs,
    /// What of it, may be repeated: import, export, traded, issued, retired, outstanding, debt, substituted_packets,
    /// substituted_wh, corrected, supplier_account, fee_account, reserve; or header, which is all of it, to be compared with L1.
    #[arg(long = "field", value_name = "NAME", required = true, value_parser = field)]
    fields: Vec<GrantField>,
    /// Who says who the grantee is: `iss` of its tokens.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// The grantee: `sub` of its tokens.
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// Days from now on that it counts.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1096))]
    days: u16,
    /// Sequencer, `https://…` or `http://…`: it says how long periods are.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_URL")]
    url: String,
    /// File of the grant, for the grantee.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    with: Doing,
}

/// Options of `gridveil mdm revoke-grant`.
#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// The grant's file.
    file: PathBuf,
    /// Admin listener of the sequencer, https://… or http://…
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", env = "GRIDVEIL_ADMIN")]
    admin: String,
    /// File with the meter data manager's token, or the operator's.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_ADMIN_TOKEN")]
    admin_token: PathBuf,
    #[command(flatten)]
    with: Doing,
}

fn field(text: &str) -> Result<GrantField, String> {
    let names = || GrantField::ALL.map(GrantField::name).join(", ");
    GrantField::by_name(text).ok_or_else(|| format!("a field of {}", names()))
}

fn names(fields: &BTreeSet<GrantField>) -> String {
    fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ")
}

/// A time, by the clock of UTC.
fn utc(time_s: u64) -> String {
    let time = i64::try_from(time_s).ok().and_then(|s| Timestamp::from_second(s).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

pub(super) fn grant(args: &GrantArgs) -> anyhow::Result<()> {
    let (_, deployment) = args.with.place.deployment()?;
    let (sequencer, _) = sequencer(&args.url, &deployment)?;
    let terms = sequencer.community(args.community)?;
    let periods = Periods::of(&terms, args.local.zone.clone());
    let (from, to) = (periods.find(&args.from).context("--from")?, periods.find(&args.to).context("--to")?);
    ensure!(from <= to, "--to is before --from");
    for (name, text) in [("--issuer", &args.issuer), ("--subject", &args.subject)] {
        ensure!((1..=MOST_NAME_BYTES).contains(&text.len()), "{name}: 1 to {MOST_NAME_BYTES} bytes");
    }
    let key = args.with.place.key()?;
    ensure!(key.public() == terms.mdm, "--keys: not the key of the community's meter data manager");
    let now = u64::try_from(Timestamp::now().as_second()).context("the clock")?;
    let grant = Grant {
        id: gridveil_keystore::random()?,
        chain_id: deployment.chain_id,
        contract: deployment.contract,
        community: args.community,
        from,
        to,
        fields: args.fields.iter().copied().collect(),
        expires_s: now + u64::from(args.days) * 86_400,
        issuer: args.issuer.clone(),
        subject: args.subject.clone(),
    };
    let out = args.out.display().to_string();
    let details = || {
        Details::new("Totals of a community, opened to one reader until the grant expires or is taken back")
            .row("community", args.community.to_string(), args.community)
            .row("periods", periods.spans(from, to), vec![from.0, to.0])
            .row("fields", names(&grant.fields), grant.fields.iter().map(|f| f.name()).collect::<Vec<_>>())
            .row("reader", grant.subject.clone(), grant.subject.clone())
            .row("issuer", grant.issuer.clone(), grant.issuer.clone())
            .row("expires", utc(grant.expires_s), grant.expires_s)
            .row("for the reader", out.clone(), out.clone())
    };
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    write_file(&args.out, &grant.clone().sign(&key)?).with_context(|| out.clone())?;
    details().print(args.with.place.json)
}

pub(super) fn revoke(args: &RevokeArgs) -> anyhow::Result<()> {
    let (_, deployment) = args.with.place.deployment()?;
    let name = args.file.display().to_string();
    let SignedGrant { grant, .. } = read_file(&args.file, &deployment).with_context(|| name.clone())?;
    let id = hex::encode(grant.id);
    let details = || {
        Details::new("Takes a grant back, at once and for ever")
            .row("community", grant.community.to_string(), grant.community)
            .row("grant", id.clone(), id.clone())
            .row("fields", names(&grant.fields), grant.fields.iter().map(|f| f.name()).collect::<Vec<_>>())
            .row("reader", grant.subject.clone(), grant.subject.clone())
            .row("expires", utc(grant.expires_s), grant.expires_s)
    };
    let key = args.with.place.key()?;
    let admin = connect(&args.admin, &args.admin_token)?;
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    admin.revoke(grant.community, &Revocation::sign(&grant, &key)?)?;
    details().row("sequencer", "taken back", "revoked").print(args.with.place.json)
}
