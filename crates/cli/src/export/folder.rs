//! Writes an export, part after part, into a folder of its reader's alone. The list of files with their hashes is written
//! last: a folder without it was not finished.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use gridveil_api::export::{ExportPart, ExportedAccount, GoneRecord, Outcome, PacketOf};
use gridveil_keystore::durable;
use gridveil_meter_client::calendar;
use gridveil_protocol::{
    account::{Account, Registers},
    field::{Fr, to_bytes},
    operation::{Kind, SignedOperation},
    packet::{Reading, SignedPacket},
    receipt::StatementLine,
    units::{Interval, Nano, Wh},
};
use gridveil_readings::zone::Zone;
use gridveil_verifier_contract::{deployment::Hex, ethers_client::Key, signing::sign_text};

use super::{
    ABOUT, ACCOUNT_CSV, FORMAT, GONE, KIND, Listed, MANIFEST, Manifest, OPERATIONS, PACKETS, PAGE, PERIODS,
    READINGS_CSV, RECEIPTS, SIGNATURE, STATES, Signed, TARIFFS, TRADES_CSV, file_of, notice::Notice, page, period_of,
};

/// The files of parts, and the tables.
const FILES: [&str; 10] =
    [STATES, PACKETS, OPERATIONS, PERIODS, TARIFFS, RECEIPTS, GONE, READINGS_CSV, TRADES_CSV, ACCOUNT_CSV];

/// One period of the page.
#[derive(Clone, Debug)]
pub(super) struct PeriodRow {
    pub first: Interval,
    pub substituted: bool,
    pub energy: Registers,
    /// Balance less debt, before and after, nano.
    pub value: [Nano; 2],
}

/// What the page tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub periods: Vec<PeriodRow>,
    pub counts: BTreeMap<&'static str, u64>,
    pub operations: Vec<(Kind, String)>,
    pub gone: BTreeMap<GoneRecord, u64>,
    /// Owners' commitments with the period from which each is the owner.
    pub owners: Vec<(Option<Interval>, Fr)>,
    pub last: Option<Account>,
    pub not_final: u64,
}

/// A folder that is being written.
pub struct Folder {
    path: PathBuf,
    about: ExportedAccount,
    zone: Zone,
    /// First instant that is given, of a person who took the account over.
    since_s: Option<i64>,
    files: BTreeMap<&'static str, Hashed>,
    owners: BTreeSet<[u8; 32]>,
    told: Told,
    others: Vec<Listed>,
}

/// A file and its hash so far.
struct Hashed {
    file: BufWriter<File>,
    hash: blake3::Hasher,
    bytes: u64,
}

impl Hashed {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        let file = file.with_context(|| path.display().to_string())?;
        Ok(Self { file: BufWriter::new(file), hash: blake3::Hasher::new(), bytes: 0 })
    }

    fn listed(mut self, name: &str) -> anyhow::Result<Listed> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(Listed { name: name.to_owned(), bytes: self.bytes, blake3: self.hash.finalize().to_hex().to_string() })
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn csv_line(out: &mut impl Write, cells: &[String]) -> anyhow::Result<()> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells)?;
    Ok(out.write_all(&line.into_inner()?)?)
}

/// Exact currency of nano.
fn exact(nano: i128) -> String {
    let (sign, amount) = (if nano < 0 { "-" } else { "" }, nano.unsigned_abs());
    format!("{sign}{}.{:09}", amount / 1_000_000_000, amount % 1_000_000_000)
}

impl Folder {
    /// A new folder of mode 0700.
    ///
    /// # Errors
    /// There is one already, or it cannot be made.
    pub fn create(path: &Path, about: ExportedAccount, zone: Zone, since_s: Option<i64>) -> anyhow::Result<Self> {
        let name = path.display();
        ensure!(!path.exists(), "{name}: is there already: take another folder");
        durable::private_directory(path).with_context(|| name.to_string())?;
        let mut files = BTreeMap::new();
        for name in FILES {
            files.insert(name, Hashed::create(&path.join(name))?);
        }
        let heads: [(&str, &[&str]); 3] = [
            (READINGS_CSV, &["from", "to", "import_wh", "export_wh", "made_by", "counts"]),
            (
                TRADES_CSV,
                &["from", "to", "import_wh", "export_wh", "bought_wh", "sold_wh", "local_price_per_kwh", "substituted"],
            ),
            (
                ACCOUNT_CSV,
                &["from", "to", "balance", "debt", "import_wh", "export_wh", "bought_wh", "sold_wh", "nonce"],
            ),
        ];
        let mut folder = Self {
            path: path.to_path_buf(),
            about,
            zone,
            since_s,
            files,
            owners: BTreeSet::new(),
            told: Told::default(),
            others: Vec::new(),
        };
        for (name, head) in heads {
            csv_line(folder.file(name)?, &head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>())?;
        }
        Ok(folder)
    }

    fn file(&mut self, name: &'static str) -> anyhow::Result<&mut Hashed> {
        self.files.get_mut(name).context("no such file")
    }

    fn start_s(&self, interval: Interval) -> i64 {
        i64::from(interval.0) * i64::from(self.about.interval_length)
    }

    fn local(&self, seconds: i64) -> String {
        calendar::local(seconds, &self.zone)
    }

    /// From and to of an interval.
    fn times(&self, interval: Interval) -> [String; 2] {
        let start = self.start_s(interval);
        [self.local(start), self.local(start + i64::from(self.about.interval_length))]
    }

    /// Is it of the person who asks, who may have taken the account over?
    fn is_given(&self, part: &ExportPart) -> bool {
        let Some(since) = self.since_s else { return true };
        match part {
            ExportPart::Operation { operation, .. } => self.owners.contains(&to_bytes(&operation.owner.commitment())),
            ExportPart::State { batch: None, .. } => false,
            other => period_of(other).is_none_or(|period| self.start_s(period) >= since),
        }
    }

    /// Writes a part.
    ///
    /// # Errors
    /// The disk.
    pub fn add(&mut self, part: &ExportPart) -> anyhow::Result<()> {
        if !self.is_given(part) {
            return Ok(());
        }
        let name = file_of(part);
        let mut line = serde_json::to_vec(part)?;
        line.push(b'\n');
        self.file(name)?.write_all(&line)?;
        *self.told.counts.entry(name).or_default() += 1;
        match part {
            ExportPart::State { account, counts, first_interval, batch } => {
                if *counts {
                    self.state(account, batch.map(|_| *first_interval))?;
                }
            }
            ExportPart::Packet { of, counts, packet, .. } => self.readings(*of, *counts, packet)?,
            ExportPart::Operation { outcome, operation } => {
                let outcome = match outcome {
                    Outcome::Waits => "waits".to_owned(),
                    Outcome::Done(batch) => format!("done, batch {batch}"),
                    Outcome::Refused(code) => format!("refused: {code}"),
                };
                self.told.operations.push((operation.operation.kind, outcome));
            }
            ExportPart::Forced { operations, .. } => {
                let forced = |signed: &SignedOperation| (signed.operation.kind, "through L1".to_owned());
                self.told.operations.extend(operations.iter().map(forced));
            }
            ExportPart::Period(period) => self.told.not_final += u64::from(!period.is_final),
            ExportPart::Tariff { .. } => {}
            ExportPart::Receipt { receipt, .. } => {
                self.trades(
                    receipt.first_interval,
                    receipt.substituted,
                    &receipt.readings,
                    &receipt.lines,
                    [&receipt.before, &receipt.settled],
                )?;
            }
            ExportPart::Gone { what, .. } => *self.told.gone.entry(*what).or_default() += 1,
        }
        Ok(())
    }

    fn state(&mut self, account: &Account, first: Option<Interval>) -> anyhow::Result<()> {
        self.owners.insert(to_bytes(&account.owner));
        if self.told.owners.last().is_none_or(|(_, owner)| *owner != account.owner) {
            self.told.owners.push((first, account.owner));
        }
        let period_s = i64::from(self.about.intervals) * i64::from(self.about.interval_length);
        let [from, to] = first.map_or_else(
            || [String::new(), String::new()],
            |first| [self.local(self.start_s(first)), self.local(self.start_s(first) + period_s)],
        );
        let registers = account.registers;
        let cells = [
            from,
            to,
            exact(account.balance.into()),
            exact(account.debt.into()),
            registers.import.0.to_string(),
            registers.export.0.to_string(),
            registers.bought.0.to_string(),
            registers.sold.0.to_string(),
            account.nonce.to_string(),
        ];
        self.told.last = Some(account.clone());
        csv_line(self.file(ACCOUNT_CSV)?, &cells)
    }

    fn readings(&mut self, of: PacketOf, counts: bool, signed: &SignedPacket) -> anyhow::Result<()> {
        let packet = &signed.packet;
        let of = match of {
            PacketOf::Meter => "meter",
            PacketOf::Substitute => "substitute",
            PacketOf::Late => "meter, late",
        };
        for (interval, reading) in (packet.context.first_interval.0..).map(Interval).zip(&packet.readings) {
            let [from, to] = self.times(interval);
            let [import, export] = energy(reading, packet.scale);
            let counts = if counts { "yes" } else { "no" };
            let cells = [from, to, import.0.to_string(), export.0.to_string(), of.to_owned(), counts.to_owned()];
            csv_line(self.file(READINGS_CSV)?, &cells)?;
        }
        Ok(())
    }

    fn trades(
        &mut self,
        first: Interval,
        substituted: bool,
        readings: &[Reading],
        lines: &[StatementLine],
        [before, settled]: [&Account; 2],
    ) -> anyhow::Result<()> {
        for ((interval, reading), line) in (first.0..).map(Interval).zip(readings).zip(lines) {
            let [from, to] = self.times(interval);
            let [import, export] = energy(reading, before.terms.scale);
            let cells = [
                from,
                to,
                import.0.to_string(),
                export.0.to_string(),
                line.bought_wh.0.to_string(),
                line.sold_wh.0.to_string(),
                // A tick is 100 nano a Wh, and a kWh has a thousand.
                exact(i128::from(line.tick.0) * 100_000),
                if substituted { "yes" } else { "no" }.to_owned(),
            ];
            csv_line(self.file(TRADES_CSV)?, &cells)?;
        }
        let less = |of: fn(&Registers) -> Wh| Wh(of(&settled.registers).0.saturating_sub(of(&before.registers).0));
        let energy = Registers {
            import: less(|registers| registers.import),
            export: less(|registers| registers.export),
            bought: less(|registers| registers.bought),
            sold: less(|registers| registers.sold),
        };
        let value = [before.value(), settled.value()];
        self.told.periods.push(PeriodRow { first, substituted, energy, value });
        Ok(())
    }

    /// Adds a file of the operator's own, such as an excerpt of its audit log or the contract.
    ///
    /// # Errors
    /// No such file, a name that is taken, or the disk.
    pub fn with(&mut self, source: &Path) -> anyhow::Result<()> {
        let shown = source.display().to_string();
        let name = source.file_name().and_then(|name| name.to_str()).with_context(|| format!("{shown}: no name"))?;
        let name = format!("also-{name}");
        let mut from = File::open(source).with_context(|| shown.clone())?;
        let mut to = Hashed::create(&self.path.join(&name))?;
        std::io::copy(&mut from, &mut to).with_context(|| shown)?;
        self.others.push(to.listed(&name)?);
        Ok(())
    }

    /// Writes the page and the list of files, and signs that. Gives how many files there are, and who signed.
    ///
    /// # Errors
    /// The disk, or the key.
    pub fn finish(mut self, notice: &(Notice, String), key: Option<&Key>) -> anyhow::Result<Finished> {
        let page = page::page(&self.about, &self.zone, &self.told, &notice.0, &self.others);
        let about = serde_json::to_vec_pretty(&self.about)?;
        let text = notice.1.as_bytes();
        let mut listed = std::mem::take(&mut self.others);
        for (name, bytes) in [(PAGE, page.as_bytes()), (ABOUT, about.as_slice()), ("notice.toml", text)] {
            let mut file = Hashed::create(&self.path.join(name))?;
            file.write_all(bytes)?;
            listed.push(file.listed(name)?);
        }
        for (name, file) in std::mem::take(&mut self.files) {
            listed.push(file.listed(name)?);
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        let files = listed.len();
        let manifest = Manifest { format: FORMAT.to_owned(), about: self.about.clone(), files: listed };
        let mut json = serde_json::to_string_pretty(&manifest)?;
        json.push('\n');
        let mut signer = None;
        if let Some(key) = key {
            let (signature, account) = sign_text(key, &json)?;
            let signed = Signed { kind: KIND.to_owned(), account: Hex(account), signature };
            write(&self.path.join(SIGNATURE), &serde_json::to_vec_pretty(&signed)?)?;
            signer = Some(account);
        }
        write(&self.path.join(MANIFEST), json.as_bytes())?;
        durable::sync_directory(&self.path)?;
        let owners = self.told.owners.iter().skip(1).filter_map(|(first, _)| *first);
        let owners = owners.map(|first| self.local(self.start_s(first))).collect();
        let parts = self.told.counts.values().sum();
        Ok(Finished { files, parts, gone: self.told.gone.values().sum(), signer, owners })
    }
}

/// A folder that is complete.
#[derive(Debug)]
pub struct Finished {
    /// Files beside the list.
    pub files: usize,
    /// Parts.
    pub parts: u64,
    /// Of them those that cannot be read any more.
    pub gone: u64,
    /// Who signed.
    pub signer: Option<[u8; 20]>,
    /// From when on the account had another owner's key.
    pub owners: Vec<String>,
}

fn energy(reading: &Reading, scale: u8) -> [Wh; 2] {
    [Wh::of_units(reading.import, scale), Wh::of_units(reading.export, scale)]
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    durable::create_new(path, bytes).with_context(|| path.display().to_string())
}
