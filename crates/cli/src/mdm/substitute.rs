//! `gridveil mdm substitute`: a packet in a silent meter's place, from an estimate or from what a member proposes.

use std::io::Read as _;

use anyhow::{Context as _, ensure};
use gridveil_meter_client::{
    calendar::Periods,
    cli::import,
    proposal::ProposalFile,
    source::{Cut, Purpose},
    submit::Sequencer,
    wallet::{Deployment, read_file},
};
use gridveil_protocol::{field::Fr, packet::Reading, units::Interval, version::Domains};

use super::{Silent, SubstituteArgs, sequencer, substituted};
use crate::member::{Details, agreed, element};

/// What is put in, and where.
struct Estimate {
    community: u32,
    slot: u16,
    first_interval: Interval,
    scale: u8,
    readings: Vec<Reading>,
    /// Of a proposal: what its member did not measure.
    not_measured: Option<String>,
}

/// A proposal is JSON, and no meter file is.
fn is_proposal(args: &SubstituteArgs) -> bool {
    let mut first = [0; 1];
    let read = std::fs::File::open(&args.estimate.file).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first == *b"{"
}

/// From a member's proposal. What the command says too must be the same.
fn proposed(args: &SubstituteArgs, deployment: &Deployment, sequencer: &Sequencer) -> anyhow::Result<Estimate> {
    let file: ProposalFile = read_file(&args.estimate.file, deployment)?;
    let ProposalFile { community, slot, first_interval, scale, .. } = file;
    let terms = sequencer.community(community)?;
    let periods = Periods::of(&terms, args.local.zone(&args.estimate));
    let told = args.period.map(|when| periods.find(&when)).transpose().context("--period")?;
    ensure!(
        args.community.is_none_or(|told| told == community)
            && args.slot.is_none_or(|told| told == slot)
            && told.is_none_or(|told| told == first_interval)
            && args.scale.is_none_or(|told| told == scale),
        "the proposal is for slot {slot} of community {community}, {}, scale {scale}: not for what the options say",
        periods.span(first_interval)
    );
    ensure!(
        file.is_sound()
            && file.readings.len() == usize::from(terms.intervals)
            && file.interval_length == terms.interval_length,
        "the proposal is no whole period of this community: ask its member to make it anew"
    );
    let not_measured = Some(file.dates());
    Ok(Estimate { community, slot, first_interval, scale, readings: file.readings, not_measured })
}

/// From a file of readings of any kind.
fn estimated(args: &SubstituteArgs, sequencer: &Sequencer) -> anyhow::Result<Estimate> {
    let whose = "say whose meter it is: --community and --slot";
    let (community, slot) = (args.community.context(whose)?, args.slot.context(whose)?);
    let terms = sequencer.community(community)?;
    let periods = Periods::of(&terms, args.local.zone(&args.estimate));
    let told = args.period.map(|when| periods.find(&when)).transpose().context("--period")?;
    let (first_interval, scale) = (told.unwrap_or(terms.next_interval), args.scale.unwrap_or(1));
    let cut = Cut {
        first_interval,
        intervals: usize::from(terms.intervals),
        length: u32::from(terms.interval_length),
        scale: u64::from(scale),
        purpose: Purpose::Substitute,
    };
    let readings = cut.of(&import(&args.estimate)?)?;
    Ok(Estimate { community, slot, first_interval, scale, readings, not_measured: None })
}

pub(super) fn substitute(args: &SubstituteArgs) -> anyhow::Result<()> {
    let (_, deployment) = args.with.place.deployment()?;
    let (sequencer, domains): (Sequencer, Domains) = sequencer(&args.url, &deployment)?;
    let estimate =
        if is_proposal(args) { proposed(args, &deployment, &sequencer) } else { estimated(args, &sequencer) };
    let estimate = estimate.with_context(|| args.estimate.file.display().to_string())?;
    let Estimate { community, slot, first_interval, scale, readings, not_measured } = estimate;
    let terms = sequencer.community(community)?;
    let periods = Periods::of(&terms, args.local.zone(&args.estimate));
    let domain = domains.of_period(first_interval, terms.interval_length);
    let previous_substitute = args
        .previous_substitute
        .as_deref()
        .map_or(Ok(Fr::from(0u64)), |text| element(text, "--previous-substitute"))?;
    let at = Silent { domain, community, slot, first_interval, scale, previous_substitute };
    let packet = substituted(at, &terms, readings, &args.with.place.key()?)?;
    let details = || {
        let details = Details::new("A packet in a silent meter's place: substituted, no local trade, no certificates")
            .row("slot", format!("{slot} of community {community}"), slot)
            .row("period", periods.span(first_interval), first_interval.0);
        match &not_measured {
            Some(dates) => details.row("not measured", dates.clone(), dates.clone()),
            None => details,
        }
    };
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let status = sequencer.submit(&packet)?.as_str();
    details().row("sequencer", status, status).print(args.with.place.json)
}
