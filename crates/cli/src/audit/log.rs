//! `gridveil audit log`: the operator's audit log against itself and L1 (`docs/spec/audit-log.md`). No key is needed.

use std::{fs::File, path::PathBuf};

use anyhow::{Context as _, bail, ensure};
use gridveil_keystore::SealingKey;
use gridveil_meter_client::submit::address;
use gridveil_sequencer::{
    audit_log::{
        Entry,
        entry::{Act, Sealing},
        format::{self, FormatError, Head},
    },
    store::data_keys::read_master_key,
};
use gridveil_verifier_contract::{AuditHeadsL1 as _, EthersClient, ethers_client::AuditHeads, types::AuditHead};
use jiff::Timestamp;
use serde::Serialize;

use crate::common::text;

/// Example for the help.
pub const EXAMPLE: &str = "Examples:
  gridveil audit log audit.log --rpc https://rpc.example --deployment deployment.json
  gridveil audit log audit.log --without-l1 --master-key master.key --entries

Exit status: 0 the chain holds and every head of L1 is in it; 1 it does not, or it could not be checked; 2 the options.";

/// Options of `gridveil audit log`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The file, or a copy of it: `audit.log` in the sequencer's data directory.
    file: PathBuf,
    /// L1 node, https://… or http://…: one you trust, best your own.
    #[arg(
        long,
        value_name = "URL",
        env = "GRIDVEIL_RPC",
        value_delimiter = ',',
        required_unless_present = "without_l1"
    )]
    rpc: Vec<String>,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT", required_unless_present = "without_l1")]
    contract: Option<String>,
    /// Contract of the heads; a deployment file names it.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "without_l1")]
    audit_heads: Option<String>,
    /// Checks the chain alone: nobody then says that the end was not cut off, or all of it written anew.
    #[arg(long)]
    without_l1: bool,
    /// Block of the deployment, or an earlier one.
    #[arg(long, default_value_t = 0)]
    from_block: u64,
    /// The sequencer's master key: opens the entries, so that their times are told.
    #[arg(long, value_name = "FILE")]
    master_key: Option<PathBuf>,
    /// Lists the entries.
    #[arg(long, requires = "master_key")]
    entries: bool,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// `ok`, or `broken`.
    audit_log: &'static str,
    /// Entries that follow on one another from the first on.
    entries: u64,
    /// Head after them.
    head: String,
    /// Unix seconds of the first and the last one; with the master key.
    times: Option<(u64, u64)>,
    /// Heads that L1 has; nothing without it.
    heads: Option<usize>,
    /// Entries that L1 vouches for.
    vouched: Option<u64>,
    /// Block of the last head that is in the chain.
    block: Option<u64>,
    /// What is wrong.
    findings: Vec<Finding>,
}

/// Something wrong, and where.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    /// First entry that does not hold.
    entry: Option<u64>,
    /// Its first byte.
    offset: Option<u64>,
}

struct Read {
    heads: Vec<Head>,
    entries: Vec<Entry>,
    finding: Option<Finding>,
}

fn read(args: &Args, master: Option<&SealingKey>) -> anyhow::Result<Read> {
    let name = || args.file.display().to_string();
    let file = File::open(&args.file).with_context(name)?;
    let size = file.metadata().with_context(name)?.len();
    let header = format::header_of(&file, size).with_context(name)?.with_context(|| format!("{}: empty", name()))?;
    let sealing = master.map(|master| Sealing::of(master, &header.id));
    let (mut heads, mut entries, mut closed) = (Vec::new(), Vec::new(), None);
    let scanned = format::heads(&file, |head, body| {
        if let Some(sealing) = &sealing {
            match sealing.open(head.count - 1, body) {
                Some(entry) => entries.push(entry),
                None => _ = closed.get_or_insert(head.count - 1),
            }
        }
        heads.push(*head);
        Ok::<_, FormatError>(())
    });
    let found = |what: &str, number: u64| {
        let (entry, offset) = (Some(number), Some(format::offset_of(number)));
        Finding { what: what.to_owned(), entry, offset }
    };
    let finding = match scanned {
        Ok(_) => closed.map(|number| found("the entry does not open with this master key", number)),
        Err(FormatError::Entry { number, .. }) => {
            Some(found("the entry does not follow on those before it: changed, removed, put in or moved", number))
        }
        Err(other) => return Err(other).with_context(name),
    };
    Ok(Read { heads, entries, finding })
}

fn published(args: &Args) -> anyhow::Result<Option<Vec<AuditHead>>> {
    let (Some(contract), Some(heads), false) = (&args.contract, &args.audit_heads, args.without_l1) else {
        return Ok(None);
    };
    let contract = address(contract).context("--contract must be 0x and 40 hex digits")?;
    let heads = address(heads).context("--audit-heads must be 0x and 40 hex digits")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = EthersClient::through(&args.rpc, None, Some(contract)).await.context("--rpc")?;
        let heads = AuditHeads::new(client, heads);
        heads.check().await.context("--audit-heads")?;
        Ok(Some(heads.heads(args.from_block).await?))
    })
}

/// The heads of L1 against those of the file.
fn compare(report: &mut Report, heads: &[Head], published: &[AuditHead]) {
    report.heads = Some(published.len());
    report.vouched = Some(0);
    for told in published {
        let at = told.count.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let finding = match at.and_then(|at| heads.get(at)) {
            Some(head) if head.chain == told.head => {
                (report.vouched, report.block) = (Some(told.count), Some(told.block));
                continue;
            }
            Some(_) => format!(
                "L1 has another head for {} entries (block {}): the log was written anew from some entry on",
                told.count, told.block
            ),
            None if report.findings.is_empty() => format!(
                "L1 has a head for {} entries (block {}), and the file has {}: its end is cut off",
                told.count,
                told.block,
                heads.len()
            ),
            // Behind the break nothing can be compared.
            None => continue,
        };
        let first = report.vouched.unwrap_or(0);
        report.findings.push(Finding { what: finding, entry: Some(first), offset: Some(format::offset_of(first)) });
        // Later ones follow on it.
        return;
    }
}

fn utc(time_s: u64) -> String {
    let time = i64::try_from(time_s).ok().and_then(|s| Timestamp::from_second(s).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

/// What was asked for, with its numbers in their places.
fn told(act: &Act) -> String {
    let places =
        [("community", act.community), ("slot", act.slot.map(u32::from)), ("first_interval", act.first_interval)];
    let endpoint = act.endpoint.replacen("/admin/v1/", "", 1);
    places.into_iter().fold(endpoint, |text, (name, value)| {
        let (place, Some(value)) = (format!("{{{name}}}"), value) else { return text };
        if text.contains(&place) { text.replace(&place, &value.to_string()) } else { format!("{text} {name} {value}") }
    })
}

/// Two lines an act, and one its outcome: within 80 columns.
fn listed(entries: &[Entry]) -> String {
    let mut text = String::from("entry   time                  role              subject\n");
    for (number, entry) in entries.iter().enumerate() {
        let mut outcome = match &entry.code {
            Some(code) => format!("{}: {code}", entry.outcome.name()),
            None => entry.outcome.name().to_owned(),
        };
        if entry.unwritten > 0 {
            outcome += &format!("\n        {} more tries were refused before", entry.unwritten);
        }
        let time = utc(entry.time_s);
        text += &match (entry.of, &entry.act) {
            (Some(of), _) => format!("{number:<6}  {time}  of entry {of}: {outcome}\n"),
            (None, act) => {
                let (role, subject) =
                    (entry.role.map_or("-", |role| role.name()), entry.subject.as_deref().unwrap_or("-"));
                let act = act.as_ref().map_or_else(|| "-".to_owned(), told);
                format!("{number:<6}  {time}  {role:<16}  {subject}\n        {act}: {outcome}\n")
            }
        };
    }
    text + "\n"
}

fn table(report: &Report) -> String {
    let times = match report.times {
        Some((first, last)) => format!("{} to {}", utc(first), utc(last)),
        None => "sealed; --master-key opens them".to_owned(),
    };
    let l1 = match (report.heads, report.vouched, report.block) {
        (None, ..) => "not compared".to_owned(),
        (Some(0), ..) => "no head was published".to_owned(),
        (Some(heads), Some(vouched), Some(block)) => {
            format!("{heads} heads; vouches for {vouched} entries, the last head in block {block}")
        }
        (Some(heads), ..) => format!("{heads} heads; vouches for no entry"),
    };
    let mut out =
        format!("entries    {}\ntimes      {times}\nhead       {}\nL1         {l1}\n", report.entries, report.head);
    for finding in &report.findings {
        let place = finding.entry.zip(finding.offset).map(|(entry, offset)| format!(" (entry {entry}, byte {offset})"));
        out.push_str(&format!("finding    {}{}\n", finding.what, place.unwrap_or_default()));
    }
    format!("{out}audit log: {}\n", report.audit_log)
}

/// Runs the command.
///
/// # Errors
/// The file, L1, or findings.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let master = args.master_key.as_deref().map(read_master_key).transpose().context("--master-key")?;
    let published = published(args)?;
    ensure!(published.is_some() || args.without_l1, "--rpc, --contract and --audit-heads, or --without-l1");
    let Read { heads, entries, finding } = read(args, master.as_ref())?;
    let last = heads.last();
    let mut report = Report {
        entries: heads.len() as u64,
        head: last.map_or_else(|| "none".to_owned(), |head| format!("0x{}", hex::encode(head.chain))),
        times: entries.first().zip(entries.last()).map(|(first, last)| (first.time_s, last.time_s)),
        findings: finding.into_iter().collect(),
        ..Report::default()
    };
    if let Some(published) = &published {
        compare(&mut report, &heads, published);
    }
    report.audit_log = if report.findings.is_empty() { "ok" } else { "broken" };
    if args.json {
        let mut value = serde_json::to_value(&report)?;
        if let (true, Some(value)) = (args.entries, value.as_object_mut()) {
            value.insert("list".to_owned(), serde_json::to_value(&entries)?);
        }
        text::print(&format!("{value}\n"))?;
    } else {
        if args.entries {
            text::print(&listed(&entries))?;
        }
        text::print(&table(&report))?;
    }
    match report.findings.first() {
        None => Ok(()),
        Some(finding) => bail!("{}: {}", args.file.display(), finding.what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gridveil_sequencer::staff::Role;

    /// An act has its numbers in their places, and every line fits a terminal.
    #[test]
    fn entries_are_listed_within_80_columns() {
        let act = Act {
            endpoint: "GET /admin/v1/communities/{community}/totals/{first_interval}".to_owned(),
            community: Some(65_535),
            slot: None,
            first_interval: Some(1_959_456),
            grant: None,
        };
        let other = Act { endpoint: "POST /admin/v1/communities".to_owned(), first_interval: None, ..act.clone() };
        let of = "0123456789abcdef".to_owned();
        let entries = [
            Entry::begun(1_796_083_200, Role::Auditor, of.clone(), act.clone()),
            Entry::refused(1_796_083_201, None, of.clone(), other, "community.unregistered", 3),
            Entry::refused(1_796_083_202, Some(Role::TariffAuthority), of, act, "grant.invalid", 0),
        ];
        let text = listed(&entries);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("GET communities/65535/totals/1959456: begun"), "{text}");
        assert!(
            text.contains("POST communities community 65535: refused: community.unregistered\n        3 more tries"),
            "{text}"
        );
    }

    fn head(count: u64, mark: u8) -> Head {
        Head { count, chain: [mark; 32] }
    }

    fn told(count: u64, mark: u8) -> AuditHead {
        AuditHead { block: 100 + count, count, head: [mark; 32] }
    }

    fn compared(published: &[AuditHead]) -> Report {
        let heads = [head(1, 1), head(2, 2), head(3, 3)];
        let mut report = Report::default();
        compare(&mut report, &heads, published);
        report
    }

    #[test]
    fn what_l1_vouches_for_is_told_and_where_it_ends() {
        let good = compared(&[told(1, 1), told(3, 3)]);
        assert!(good.findings.is_empty());
        assert_eq!((good.heads, good.vouched, good.block), (Some(2), Some(3), Some(103)));
        let none = compared(&[]);
        assert_eq!((none.vouched, none.findings.len()), (Some(0), 0));
        let cut = compared(&[told(2, 2), told(4, 4)]);
        assert!(cut.findings[0].what.contains("cut off") && cut.findings[0].entry == Some(2), "{cut:?}");
        assert_eq!(cut.vouched, Some(2));
        let forked = compared(&[told(1, 1), told(2, 9), told(3, 3)]);
        assert!(forked.findings[0].what.contains("written anew") && forked.findings[0].entry == Some(1), "{forked:?}");
        assert_eq!((forked.vouched, forked.findings.len()), (Some(1), 1));
    }
}
