//! One home: a key file, a meter file, a folder, and a machine that does a day's work with them as `gridveil meter sync` does.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use gridveil_api::{code, public::Taken};
use gridveil_keystore::SealingKey;
use gridveil_meter_client::{
    device::Device,
    key_store::{Cost, Keys},
    l1::JsonRpc,
    outbox::{Outbox, Period},
    packet::Draft,
    service::{Done, Service, ServiceError},
    submit::{ApiError, Sequencer},
    sync::{Member, SyncError},
    wallet::{Deployment, Wallet},
};
use gridveil_protocol::{
    account::Account, market::Mechanism, packet::Context, packet::Reading, units::Interval, version::Domains,
};
use gridveil_readings::{Choice, Import};

use super::{
    script::{Folder, Sending},
    town::{Place, Town},
};
use crate::{
    genesis::{Limits, meter_key, owner_key},
    homes::INTERVAL_LENGTH,
};

/// Of every key file. The keys are public.
const PASSPHRASE: &str = "fleet";
/// The least that a key file may cost: there are thousands.
const COST: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

/// A home's way to the sequencer and to L1.
pub(super) struct Net {
    pub sequencer: Sequencer,
    pub l1: JsonRpc,
    pub deployment: Deployment,
    pub domains: Domains,
}

/// What a home did. None of it is a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Same bytes, handed in once more and known.
    pub repeated: u64,
    /// Other packets for a period that had one, refused.
    pub refused: u64,
    /// Folders that came back from the key file alone.
    pub recovered: u64,
    /// Old copies that are up to date again.
    pub healed: u64,
}

/// What a home's folder says at the end: each of these periods was verified by the client when it came.
#[derive(Clone, Default)]
pub(super) struct Kept {
    /// By day: was it settled with a substitute? `None` without a statement.
    pub substituted: Vec<Option<bool>>,
    /// By day of settlement: the day whose late packet is booked in it.
    pub corrected: Vec<Option<usize>>,
    /// After the last day.
    pub account: Option<Account>,
}

/// A home.
pub(super) struct Home {
    pub place: Place,
    number: u16,
    dir: PathBuf,
    keys: Keys,
    device: Device,
    pub tally: Tally,
    /// By day: what the sequencer has said of its packet, which is a promise. `true` if it was late.
    pub told: BTreeMap<usize, bool>,
    /// Why a day's work was not done.
    pub trouble: Option<String>,
}

impl Home {
    /// A new one, in a directory of its own.
    pub(super) fn new(town: &Town, place: Place, dir: &Path) -> anyhow::Result<Self> {
        let number = town.number(place);
        let dir = dir.join(number.to_string());
        std::fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        let keys = Keys::of(owner_key(number), SealingKey::generate()?);
        keys.create(&dir.join("keys"), PASSPHRASE, COST)?;
        let device = Device::of(meter_key(number));
        Ok(Self { place, number, dir, keys, device, tally: Tally::default(), told: BTreeMap::new(), trouble: None })
    }

    fn folder(&self) -> PathBuf {
        self.dir.join("folder")
    }

    fn copy(&self) -> PathBuf {
        self.dir.join("copy")
    }

    /// What a day brings. A home that is late has its machine off, and makes up for it on the next day.
    pub(super) fn day(&mut self, town: &Town, day: usize, net: &Net) -> anyhow::Result<()> {
        let today = town.today(self.place, day);
        if today.sending != Sending::InTime {
            return Ok(());
        }
        match today.folder {
            Folder::Kept => {}
            Folder::Lost => {
                removed(&self.folder())?;
                self.keys = Keys::open(&self.dir.join("keys"), PASSPHRASE)?;
                self.recover(net)?;
                self.tally.recovered += 1;
            }
            Folder::Copied => copied(&self.folder(), &self.copy())?,
            Folder::Restored => {
                removed(&self.folder())?;
                std::fs::rename(self.copy(), self.folder())?;
            }
        }
        let import = self.meter_file(town, day)?;
        self.round(town, net, Some(&import))?;
        self.tally.healed += u64::from(today.folder == Folder::Restored);
        if today.twice {
            self.hand_in_again(town, day, net)?;
        }
        if today.second {
            self.another_packet(town, day, net)?;
        }
        Ok(())
    }

    /// The last statements, when everything is final.
    pub(super) fn end(&mut self, town: &Town, net: &Net) -> anyhow::Result<()> {
        self.round(town, net, None)
    }

    fn round(&mut self, town: &Town, net: &Net, import: Option<&Import>) -> anyhow::Result<()> {
        match self.try_round(town, net, import) {
            // What the error tells a person to do.
            Err(ServiceError::Sync(SyncError::Gap { .. })) => {
                self.recover(net)?;
                Ok(self.try_round(town, net, import)?)
            }
            done => Ok(done?),
        }
    }

    fn try_round(&mut self, town: &Town, net: &Net, import: Option<&Import>) -> Result<(), ServiceError> {
        let limits = Limits::of(self.number, Mechanism::Auction);
        let folder = self.folder();
        let service = Service {
            sequencer: &net.sequencer,
            l1: Some(&net.l1),
            keys: Some(&self.keys),
            device: &self.device,
            deployment: net.deployment,
            domains: &net.domains,
            community: index(self.place.community),
            slot: slot(self.place.slot),
            wallet: &folder,
            scale: 1,
            accepted: &[],
            buy_limit: limits.buy,
            sell_limit: limits.sell,
        };
        let (told, trouble) = (&mut self.told, &mut self.trouble);
        service.round(import, &mut |done| match done {
            Done::Sent { first_interval, late } => {
                if let Some(day) = town.day_of(first_interval) {
                    told.entry(day).or_insert(late);
                }
            }
            Done::Statement { .. } => {}
            Done::Refused { why, .. } | Done::NotSigned { why, .. } | Done::Meter { why } => {
                trouble.get_or_insert(why);
            }
            Done::Rollup { going } => {
                trouble.get_or_insert(format!("L1 says: {going:?}"));
            }
            Done::Proposed { dates, .. } => {
                trouble.get_or_insert(format!("not measured: {dates}"));
            }
        })
    }

    /// As `gridveil member recover`: all that the operator has of this key, checked against L1.
    fn recover(&self, net: &Net) -> anyhow::Result<()> {
        let (folder, keys) = (self.folder(), &self.keys);
        let (community, slot) = (index(self.place.community), slot(self.place.slot));
        let outbox = Outbox::open(&folder, keys)?;
        let mut wallet = Wallet::open(&folder, keys, net.domains.name(), community, slot)?;
        let Net { sequencer, l1, domains, .. } = net;
        let member = Member { sequencer, l1, keys, outbox: &outbox, domains, community, slot };
        let came = member.recover(&mut wallet, &mut |_, _| {})?;
        match came.missing.first() {
            None => Ok(()),
            Some(missing) => bail!("recovered without {:?}: {}", missing.what, missing.why),
        }
    }

    fn hand_in_again(&mut self, town: &Town, day: usize, net: &Net) -> anyhow::Result<()> {
        let signed = Outbox::open(&self.folder(), &self.keys)?.packet(&self.period(town, day, net))?;
        let taken = net.sequencer.submit(&signed.context("no packet to hand in again")?)?;
        ensure!(taken == Taken::Duplicate, "the same packet again is taken as {taken:?}");
        self.tally.repeated += 1;
        Ok(())
    }

    /// Another folder with these keys, which knows nothing of this one, signs other readings.
    fn another_packet(&mut self, town: &Town, day: usize, net: &Net) -> anyhow::Result<()> {
        let readings = town.measured(self.place, day).iter();
        let readings = readings.map(|r| Reading { import: r.import.saturating_add(1), export: r.export }).collect();
        let limits = Limits::of(self.number, Mechanism::Auction);
        let Period { domain, community, slot, first_interval } = self.period(town, day, net);
        let intervals = u16::try_from(town.shape.intervals)?;
        let draft = Draft {
            context: Context { domain, community, first_interval, interval_length: INTERVAL_LENGTH, intervals },
            slot,
            readings,
            buy_limit: limits.buy,
            sell_limit: limits.sell,
            scale: 1,
        };
        match net.sequencer.submit(&draft.sign(self.device.secret())?) {
            Err(ApiError::Refused(problem)) if problem.is(code::PACKET_DUPLICATE) => {
                self.tally.refused += 1;
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(taken) => bail!("another packet of the same period is taken as {taken:?}"),
        }
    }

    fn period(&self, town: &Town, day: usize, net: &Net) -> Period {
        let first_interval = town.first_interval(day);
        let domain = net.domains.of_period(first_interval, INTERVAL_LENGTH);
        Period { domain, community: index(self.place.community), slot: slot(self.place.slot), first_interval }
    }

    /// What its meter has measured until the end of a day, as a file, read again.
    fn meter_file(&self, town: &Town, day: usize) -> anyhow::Result<Import> {
        let mut text = String::from("interval_start,interval_end,import_wh,export_wh,quality\n");
        for day in 0..=day {
            let starts = (town.first_interval(day).0..).map(|at| Interval(at).start(INTERVAL_LENGTH));
            for (start, Reading { import, export }) in starts.zip(town.measured(self.place, day)) {
                writeln!(text, "{start},{},{import},{export},A", start + u64::from(INTERVAL_LENGTH))?;
            }
        }
        let path = self.dir.join("meter.csv");
        std::fs::write(&path, text)?;
        Ok(gridveil_readings::read_file(&path, &Choice::default())?)
    }

    /// What its folder says.
    pub(super) fn kept(&self, town: &Town, net: &Net) -> anyhow::Result<Kept> {
        let outbox = Outbox::open(&self.folder(), &self.keys)?;
        let mut kept = Kept::default();
        for day in 0..town.days {
            let receipt = outbox.receipt(&self.period(town, day, net))?;
            kept.substituted.push(receipt.as_ref().map(|receipt| receipt.substituted));
            let correction = receipt.as_ref().and_then(|receipt| receipt.correction.as_ref());
            kept.corrected.push(correction.and_then(|c| town.day_of(c.late.packet.context.first_interval)));
            if day + 1 == town.days {
                kept.account = receipt.map(|receipt| receipt.after);
            }
        }
        Ok(kept)
    }
}

fn index(community: usize) -> u32 {
    u32::try_from(community).unwrap_or(u32::MAX)
}

fn slot(slot: usize) -> u16 {
    u16::try_from(slot).unwrap_or(u16::MAX)
}

/// There may be none yet: a home that is late from the first day on.
fn removed(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// A folder of files, as somebody copies it. There may be none yet.
fn copied(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(to)?;
    if !from.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
