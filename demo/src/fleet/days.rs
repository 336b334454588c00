//! The days of a fleet, one after the other: homes do theirs at the same time, the sequencer is killed among them, the day is
//! closed and becomes final.

use std::{
    path::Path,
    slice::IterMut,
    sync::{Mutex, PoisonError, atomic::Ordering, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gridveil_cli::common::text::one_line;
use gridveil_meter_client::{l1::JsonRpc, submit::Sequencer, wallet::Deployment};
use gridveil_verifier_contract::{ChainL1, anvil::LOCAL_CHAIN_ID};

use super::{
    home::{Home, Kept, Net, Tally},
    line::{Counts, Line},
    operator::{Operator, PATIENT},
    town::{Place, Town},
};
use crate::demo::progress::Progress;

/// Homes that do their day at the same time.
const AT_ONCE: usize = 8;

/// What happened, and what homes have at the end.
pub(super) struct Lived {
    /// In the town's order.
    pub homes: Vec<HomeLived>,
    pub tally: Tally,
    /// What the line did.
    pub line: LineCounts,
    pub substitutes: u64,
    /// In which homes worked, and in which days were closed and became final.
    pub took: [Duration; 2],
    /// Peak resident memory of this process and of the sequencer, bytes.
    pub peak_bytes: [u64; 2],
}

/// A home at the end.
pub(super) struct HomeLived {
    pub place: Place,
    /// By day on which the sequencer took its packet: the day, and was it late?
    pub told: Vec<(usize, bool)>,
    pub kept: Kept,
    pub trouble: Option<String>,
}

/// [`Counts`] when everything is over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineCounts {
    pub requests: u64,
    pub packets: u64,
    pub lost: u64,
    pub unanswered: u64,
    pub doubled: u64,
    pub cut: u64,
}

impl LineCounts {
    fn of(counts: &Counts) -> Self {
        let Counts { requests, packets, lost, unanswered, doubled, cut } = counts;
        let [requests, packets, lost, unanswered, doubled, cut] =
            [requests, packets, lost, unanswered, doubled, cut].map(|count| count.load(Ordering::Relaxed));
        Self { requests, packets, lost, unanswered, doubled, cut }
    }
}

/// Lives all days.
pub(super) fn live(
    town: &Town,
    operator: &Operator,
    dir: &Path,
    loss: u8,
    progress: &Progress,
) -> anyhow::Result<Lived> {
    let line = Line::open(operator.public, loss, town.seed).context("no line to the sequencer")?;
    let mdm = net(operator, &line)?;
    let dir = dir.join("homes");
    std::fs::create_dir(&dir)?;
    let mut homes = town.places().map(|place| Home::new(town, place, &dir)).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut substitutes, mut took) = (0, [Duration::ZERO; 2]);
    for day in 0..town.days {
        let named = format!("day {} of {}", day + 1, town.days);
        progress.say(&format!("{named}: homes"));
        let morning = Instant::now();
        let kill_after = town.kills.get(day).and_then(|kills| kills.after_packets);
        killed_meanwhile(operator, &line, kill_after, || {
            each(operator, &line, &mut homes, progress, |home, net| home.day(town, day, net))
        })?;
        progress.say(&format!("{named}: closing"));
        let evening = Instant::now();
        substitutes += operator.close(town, day, &mdm.sequencer, &mdm.domains)?;
        progress.say(&format!("{named}: settling on L1"));
        operator.until_final(town, day, &|settled| progress.done(settled as u64))?;
        let [homes, settling] = &mut took;
        *homes += evening - morning;
        *settling += evening.elapsed();
    }
    progress.say("the last statements");
    let morning = Instant::now();
    each(operator, &line, &mut homes, progress, |home, net| home.end(town, net))?;
    let [of_homes, _] = &mut took;
    *of_homes += morning.elapsed();
    let mut tally = Tally::default();
    let mut lived = Vec::with_capacity(homes.len());
    for home in homes {
        let Tally { repeated, refused, recovered, healed } = home.tally;
        tally.repeated += repeated;
        tally.refused += refused;
        tally.recovered += recovered;
        tally.healed += healed;
        let kept = home.kept(town, &mdm)?;
        let told = home.told.into_iter().collect();
        lived.push(HomeLived { place: home.place, told, kept, trouble: home.trouble });
    }
    Ok(Lived { homes: lived, tally, line: LineCounts::of(line.counts()), substitutes, took, peak_bytes: [0; 2] })
}

fn net(operator: &Operator, line: &Line) -> anyhow::Result<Net> {
    let sequencer = Sequencer::new(&line.url(), PATIENT)?;
    let contract = operator.l1.contract();
    let domains = sequencer.domains()?;
    let l1 = JsonRpc::new(&operator.rpc(), contract)?;
    Ok(Net { sequencer, l1, deployment: Deployment { chain_id: LOCAL_CHAIN_ID, contract }, domains })
}

/// Does `work`, during which the sequencer is killed when so many packets are on their way to it.
fn killed_meanwhile(
    operator: &Operator,
    line: &Line,
    after_packets: Option<u64>,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(packets) = after_packets else { return work() };
    let (sender, alarm) = mpsc::channel();
    line.after(packets, sender);
    thread::scope(|scope| {
        let killer = scope.spawn(move || match alarm.recv() {
            Ok(()) => operator.kill(),
            // Fewer packets than that were sent.
            Err(mpsc::RecvError) => Ok(()),
        });
        let done = work();
        line.no_alarm();
        killer.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the sequencer was not started again")))?;
        done
    })
}

/// Every home does `work`. What one cannot do is its trouble, and the others go on.
fn each(
    operator: &Operator,
    line: &Line,
    homes: &mut [Home],
    progress: &Progress,
    work: impl Fn(&mut Home, &Net) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let next: Mutex<IterMut<'_, Home>> = Mutex::new(homes.iter_mut());
    let one = || {
        let net = net(operator, line)?;
        loop {
            let home = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(home) = home else { return anyhow::Ok(()) };
            if let Err(error) = work(home, &net) {
                home.trouble.get_or_insert(one_line(&error));
            }
            progress.done(1);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one)).collect();
        let mut ended = workers.into_iter().map(thread::ScopedJoinHandle::join);
        ended.try_for_each(|end| end.unwrap_or_else(|_| Err(anyhow::anyhow!("a home's thread ended"))))
    })
}
