//! `gridveil meter submit`: one period, signed and handed in, or proposed.

use std::path::PathBuf;

use gridveil_api::public::CommunityInfo;
use gridveil_protocol::{packet::Context, units::Interval};

use super::{
    FileArgs, LocalOfFileArgs, MeterError, PacketArgs, PlaceArgs, contract, import,
    keys::{Signing, SigningArgs},
    rule,
};
use crate::{
    calendar::{Periods, When},
    outbox::{Outbox, Period},
    packet::Draft,
    proposal::ProposalFile,
    recover,
    service::{Done, Now, Service, Substituted, as_first_taken, refused},
    source::{Cut, CutError, Import, Purpose, Rule},
    submit::{ApiError, Retry, Sequencer},
    wallet::{Deployment, write_file},
};

#[derive(Debug, clap::Args)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    place: PlaceArgs<SigningArgs>,
    /// The period: its local day, such as 2017-05-03, or the time at which it begins, such as 2017-05-03T00:00+02:00. If absent,
    /// the community's open period, and before it every one that is late and whole in the file.
    #[arg(long, value_name = "DATE", alias = "first-interval")]
    period: Option<When>,
    #[command(flatten)]
    local: LocalOfFileArgs,
    #[command(flatten)]
    packet: PacketArgs,
    /// Sign intervals for which the file has two readings, with the later block's.
    #[arg(long)]
    accept_overlaps: bool,
    /// Sign in spite of what `meter read` says to ask about, by the name it gives, such as spike.
    #[arg(long, value_name = "RULE", value_parser = rule)]
    accept: Vec<Rule>,
    /// If some of the period was not measured: writes it into this file for the meter data manager. Nothing is signed.
    #[arg(long, value_name = "FILE")]
    propose: Option<PathBuf>,
    /// Refuse any deployment but this contract.
    #[arg(long, env = "GRIDVEIL_CONTRACT")]
    contract: Option<String>,
    /// Refuse any other chain.
    #[arg(long)]
    chain_id: Option<u64>,
}

pub(super) fn submit(args: &SubmitArgs) -> Result<(), MeterError> {
    let PlaceArgs { url, community, slot, keys, outbox } = &args.place;
    let import = import(&args.file)?;
    let sequencer = Sequencer::new(url, Retry::default())?;
    let info = sequencer.info()?;
    let domains = info.checked_domains().ok_or(ApiError::Domain)?;
    let named = args.contract.as_deref().map(contract).transpose()?;
    if named.is_some_and(|c| info.contract != c) || args.chain_id.is_some_and(|id| id != info.chain_id) {
        return Err(MeterError::OtherDeployment);
    }
    let terms = sequencer.community(*community)?;
    let periods = Periods::of(&terms, args.local.zone(&args.file));
    let first_interval = args.period.map_or(Ok(terms.next_interval), |when| periods.find(&when))?;
    let (length, intervals) = (u32::from(terms.interval_length), usize::from(terms.intervals));
    let overlaps = args.accept_overlaps.then_some(Rule::Overlap);
    let accepted: Vec<Rule> = args.accept.iter().copied().chain(overlaps).collect();
    let (scale, purpose) = (u64::from(args.packet.scale), Purpose::Metered(&accepted));
    let cut = Cut { first_interval, intervals, length, scale, purpose };
    let failed = |source| MeterError::Cut { path: args.file.file.clone(), source };
    let deployment = Deployment { chain_id: info.chain_id, contract: info.contract };
    let Signing { household, device, .. } = keys.open()?;
    let mut late_ones = false;
    if args.period.is_none() {
        let service = Service {
            sequencer: &sequencer,
            l1: None,
            keys: household.as_ref(),
            device: &device,
            deployment,
            domains: &domains,
            community: *community,
            slot: *slot,
            wallet: outbox,
            scale: args.packet.scale,
            accepted: &accepted,
            buy_limit: args.packet.buy_limit,
            sell_limit: args.packet.sell_limit,
        };
        late_ones = late(&service, &terms, &import, &periods)?;
    }
    let not_measured = cut.not_measured(&import);
    if !not_measured.is_empty() {
        let readings = Cut { purpose: Purpose::Substitute, ..cut }.of(&import).map_err(failed)?;
        let (community, slot, interval_length) = (*community, *slot, terms.interval_length);
        let scale = args.packet.scale;
        let proposal = ProposalFile {
            deployment,
            community,
            slot,
            first_interval,
            interval_length,
            scale,
            readings,
            not_measured,
        };
        return propose(args, &proposal, &periods);
    }
    let readings = match cut.of(&import) {
        // It was a file of late days.
        Err(CutError::Missing { .. }) if late_ones && !has_some(&import, first_interval, &terms) => {
            println!("{}: the open period, which is not in this file", periods.span(first_interval));
            return Ok(());
        }
        readings => readings.map_err(failed)?,
    };
    let outbox = Outbox::of_signer(outbox, household.as_ref(), &device)?;
    // The circuit version of the period, which may be another one than today's.
    let domain = domains.of_period(first_interval, terms.interval_length);
    let context = Context {
        domain,
        community: *community,
        first_interval,
        interval_length: terms.interval_length,
        intervals: terms.intervals,
    };
    let draft = Draft {
        context,
        slot: *slot,
        readings,
        buy_limit: args.packet.buy_limit,
        sell_limit: args.packet.sell_limit,
        scale: args.packet.scale,
    };
    let period = Period { domain, community: *community, slot: *slot, first_interval };
    if let Some(keys) = &household
        && outbox.packet_by(&period, &device.public())?.is_none()
    {
        // An old copy of this folder, or a new one: the period may be signed and handed in already.
        recover::take_back_packet(&sequencer, keys, &device.public(), &outbox, &period)?;
    }
    let signed = outbox.sign_under(draft, &domains, device.secret())?;
    let status = match sequencer.submit(&signed) {
        Err(ApiError::Refused(problem)) => return Err(MeterError::Refused { why: refused(&problem) }),
        status => status?,
    };
    outbox.mark_delivered(&period, as_first_taken(status, first_interval, &terms))?;
    println!("{}, community {community}, slot {slot}: {status}", periods.span(first_interval));
    Ok(())
}

/// Has the file anything of the period?
fn has_some(import: &Import, first_interval: Interval, terms: &CommunityInfo) -> bool {
    let length = i64::from(terms.interval_length);
    let begins = i64::from(first_interval) * length;
    let period = begins..begins + i64::from(terms.intervals) * length;
    import.series.entries().iter().any(|entry| period.contains(&entry.start))
}

/// Hands in what the file has of earlier periods that were settled with a substitute, and says what became of those that are
/// handed in already. `true` if one was handed in now.
fn late(service: &Service<'_>, terms: &CommunityInfo, import: &Import, periods: &Periods) -> Result<bool, MeterError> {
    let (mut new, mut sent) = (Vec::new(), false);
    service.late(terms, import, &mut |done| {
        let (first_interval, what) = match done {
            Done::Sent { first_interval, .. } => {
                sent = true;
                (first_interval, "handed in late".to_owned())
            }
            Done::Refused { first_interval, why } => (first_interval, format!("the sequencer refuses: {why}")),
            Done::NotSigned { first_interval, why } => (first_interval, format!("not signed: {why}")),
            Done::Proposed { .. } | Done::Statement { .. } | Done::Rollup { .. } | Done::Meter { .. } => return,
        };
        println!("{}: {what}", periods.span(first_interval));
        new.push(first_interval);
    })?;
    // Neighbours with the same words are one entry: a month without readings is no month of lines.
    let mut told: Vec<(Interval, Interval, String)> = Vec::new();
    for Substituted { first_interval, now } in service.substituted()? {
        let what = match now {
            Now::Booked { first_interval } => format!("booked in the settlement of {}", periods.begins(first_interval)),
            Now::HandedIn => "a later settlement books the difference, one at a time, the newest first".to_owned(),
            Now::Missing if new.contains(&first_interval) => continue,
            Now::Final => "final: meter or terms are others since".to_owned(),
            Now::Missing => "not handed in: it is not whole in this file".to_owned(),
        };
        match told.last_mut() {
            Some((_, last, same)) if *same == what && *last + u32::from(terms.intervals) == first_interval => {
                *last = first_interval;
            }
            _ => told.push((first_interval, first_interval, what)),
        }
    }
    for (first, last, what) in told {
        println!("{}: settled with a substitute\n  {what}", periods.spans(first, last));
    }
    if let (Some(_), Some(unseen)) = (service.keys, service.unseen(terms)?) {
        println!(
            "Periods settled since {} are not looked at:\n  `gridveil member account` fetches them",
            periods.begins(unseen)
        );
    }
    Ok(sent)
}

/// Nothing of a period is signed that was not measured as a whole.
fn propose(args: &SubmitArgs, proposal: &ProposalFile, periods: &Periods) -> Result<(), MeterError> {
    let dates = proposal.dates();
    let Some(file) = &args.propose else {
        return Err(MeterError::NotMeasured { path: args.file.file.clone(), dates });
    };
    write_file(file, proposal).map_err(|source| MeterError::Exchange { path: file.clone(), source })?;
    let period = periods.span(proposal.first_interval);
    println!("{period}: not signed, as this was not measured: {dates}");
    println!("For the meter data manager: gridveil mdm substitute {}", file.display());
    Ok(())
}
