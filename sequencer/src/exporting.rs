//! What the operator holds of one account, for the person behind it (GDPR, articles 15 and 20): page after page, so that
//! memory is bounded and others go on meanwhile. All pages are of the moment of the first one.
//!
//! Invariant: what is given is sealed under the account's own keys, or follows for it from its settlements as its receipt
//! does, or is public.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gridveil_api::export::{
    ExportPage, ExportPart, ExportPlace, ExportRequest, ExportStage, ExportedAccount, ExportedPeriod, GoneRecord,
    PARTS_OF_PAGE, SCHEMA,
};
use gridveil_protocol::{
    community::Community, field::Fr, operation::Kind, receipt::Receipt, units::Interval, version::Domains,
};

use crate::{
    problem::{self, Problem},
    retention,
    service::Service,
    store::{
        StoreError,
        held::Holder,
        log_state::{CommunityState, SettledPeriod},
        reader::StoreReader,
        record::Applied,
    },
    writer::Snapshot,
};

/// A page ends above so many bytes of JSON.
const BYTES_OF_PAGE: usize = 2 << 20;
/// A page ends after this time of reading.
const TIME_OF_PAGE: Duration = Duration::from_secs(2);
/// Owners that are told apart, of one account.
const MOST_OWNERS: usize = 1024;

/// The account that is meant.
struct Chosen {
    holder: Holder,
    number: u32,
    /// Batch with which it ended.
    ended_with: Option<u64>,
    /// Batch with which the account before it ended.
    after: Option<u64>,
}

fn unknown(detail: &str) -> Problem {
    Problem::new(problem::ACCOUNT_UNKNOWN, detail)
}

/// The account by its number; without one the one that lives, or the only one that has ended.
fn chosen(
    snapshot: &Snapshot,
    (community, slot): (u32, u16),
    number: Option<u32>,
) -> Result<(Chosen, Arc<Community>), Problem> {
    let state = snapshot.log_state.communities.get(&community).ok_or_else(|| unknown("no such community"))?;
    let now = snapshot.communities.get(&community).cloned().ok_or_else(|| unknown("no such community"))?;
    let lives = now.accounts.get(usize::from(slot)).ok_or_else(|| unknown("no such slot"))?.meter.is_some();
    let ended = state.switches.ended(slot);
    let holder = |generations| Holder { community, slot, generations };
    let mut all: Vec<Chosen> = ended
        .iter()
        .map(|account| Chosen {
            holder: holder(account.first..account.next),
            number: account.number,
            ended_with: Some(account.batch),
            after: account.after,
        })
        .collect();
    if lives {
        let first = state.switches.generation(slot);
        let after = ended.last().map(|account| account.batch);
        let number = u32::try_from(ended.len()).unwrap_or(u32::MAX);
        all.push(Chosen { holder: holder(first..first.saturating_add(1)), number, ended_with: None, after });
    }
    let position = match number {
        Some(number) => all.iter().position(|one| one.number == number),
        None if lives || all.len() == 1 => all.len().checked_sub(1),
        None if all.is_empty() => None,
        None => {
            let detail = format!("name one: 0 to {}", all.len() - 1);
            return Err(Problem::new(problem::ACCOUNT_SEVERAL, detail));
        }
    };
    let one = position.filter(|at| *at < all.len()).map(|at| all.swap_remove(at));
    Ok((one.ok_or_else(|| unknown("no account was in this slot, or none with this number"))?, now))
}

/// What a page is read from.
struct Reading {
    reader: Arc<StoreReader>,
    current: Arc<Community>,
    state: Arc<CommunityState>,
    domains: Domains,
    chosen: Chosen,
}

/// One page of an export.
///
/// # Errors
/// `account.unknown`, `account.several`, `queue.full` while another export is read.
pub async fn page(service: &Arc<Service>, place: (u32, u16), request: ExportRequest) -> Result<ExportPage, Problem> {
    let busy = || Problem::new(problem::QUEUE_FULL, "another export is read").after(1);
    let _one_at_a_time = service.exports.try_acquire().map_err(|_| busy())?;
    let (reading, about, at) = {
        let snapshot = service.writer.snapshot();
        let (chosen, current) = chosen(&snapshot, place, request.account)?;
        let state = snapshot.log_state.communities.get(&place.0).cloned();
        let state = state.ok_or_else(|| unknown("no such community"))?;
        let reader = Arc::clone(&service.reader);
        let erased = |generation: u32| reader.data_keys().is_erased((place.0, place.1, generation));
        let about = ExportedAccount {
            schema: SCHEMA,
            chain_id: service.genesis.chain_id,
            contract: service.genesis.contract,
            community: place.0,
            slot: place.1,
            account: chosen.number,
            lives: chosen.ended_with.is_none(),
            ended_with: chosen.ended_with,
            erased: chosen.holder.generations.clone().any(erased),
            intervals: current.header.intervals,
            interval_length: current.header.interval_length,
            made_s: service.config.clock.now(),
            erased_from_s: match chosen.ended_with {
                Some(batch) => retention::erased_from(service, &current, batch)?,
                None => None,
            },
        };
        let first = ExportPlace {
            stage: ExportStage::Records,
            offset: StoreReader::first_record(),
            records: snapshot.height,
            batch: chosen.ended_with.or(state.last_batch),
            tariff_from: None,
            owners: Vec::new(),
        };
        let at = request.at.unwrap_or(first);
        (Reading { reader, current, state, domains: service.domains(&snapshot), chosen }, about, at)
    };
    // Computing receipts leaves processors to members.
    let _receipts = match at.stage {
        ExportStage::Periods => {
            Some(service.receipts.acquire().await.map_err(|_| Problem::internal("receipts are closed"))?)
        }
        ExportStage::Records | ExportStage::Operations => None,
    };
    let read = tokio::task::spawn_blocking(move || reading.read(at));
    let (parts, next) = read.await.map_err(|_| Problem::internal("an export could not be read"))??;
    Ok(ExportPage { about, parts, next })
}

/// What a page takes in, and when it is full.
struct Page {
    parts: Vec<ExportPart>,
    bytes: usize,
    until: Instant,
}

impl Page {
    fn new() -> Self {
        Self { parts: Vec::new(), bytes: 0, until: Instant::now() + TIME_OF_PAGE }
    }

    fn push(&mut self, part: ExportPart) -> Result<(), StoreError> {
        let json = serde_json::to_vec(&part).map_err(|_| StoreError::Inconsistent("a part of an export"))?;
        self.bytes += zeroize::Zeroizing::new(json).len();
        self.parts.push(part);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.parts.len() >= PARTS_OF_PAGE - 4 || self.bytes >= BYTES_OF_PAGE || Instant::now() >= self.until
    }
}

impl Reading {
    fn read(&self, mut at: ExportPlace) -> Result<(Vec<ExportPart>, Option<ExportPlace>), Problem> {
        let mut page = Page::new();
        loop {
            match at.stage {
                ExportStage::Records | ExportStage::Operations => {
                    if !self.records(&mut at, &mut page)? {
                        return Ok((page.parts, Some(at)));
                    }
                    let operations = at.stage == ExportStage::Records;
                    at.stage = if operations { ExportStage::Operations } else { ExportStage::Periods };
                    at.offset = StoreReader::first_record();
                    // Receipts have a permit of their own.
                    if !operations {
                        return Ok((page.parts, Some(at)));
                    }
                }
                ExportStage::Periods => {
                    let done = self.periods(&mut at, &mut page)?;
                    return Ok((page.parts, (!done).then_some(at)));
                }
            }
        }
    }

    /// Reads on in the log; `true` at its end, as it was at the first page.
    fn records(&self, at: &mut ExportPlace, page: &mut Page) -> Result<bool, Problem> {
        while !page.is_full() {
            if self.reader.height_at(at.offset, at.records)?.is_none() {
                return Ok(true);
            }
            let held = match at.stage {
                ExportStage::Operations => self.reader.held_operation(&self.chosen.holder, &at.owners, at.offset)?,
                ExportStage::Records | ExportStage::Periods => self.reader.held(&self.chosen.holder, at.offset)?,
            };
            at.offset = held.end;
            let Some(part) = held.part else { continue };
            for owner in owners_in(&part) {
                if !at.owners.contains(&owner) && at.owners.len() < MOST_OWNERS {
                    at.owners.push(owner);
                }
            }
            page.push(part)?;
        }
        Ok(false)
    }

    /// Reads on in the periods, from the newest to the oldest; `true` at the end.
    fn periods(&self, at: &mut ExportPlace, page: &mut Page) -> Result<bool, Problem> {
        while let Some(batch) = at.batch.filter(|batch| Some(*batch) != self.chosen.after) {
            if page.is_full() {
                return Ok(false);
            }
            let applied = self.reader.applied(batch)?;
            at.batch = applied.previous;
            self.period(&applied, at, page)?;
        }
        Ok(true)
    }

    fn period(&self, applied: &Applied, at: &mut ExportPlace, page: &mut Page) -> Result<(), Problem> {
        let Holder { community, slot, .. } = self.chosen.holder;
        let (batch, first_interval) = (applied.batch, applied.first_interval);
        let ends = self.chosen.ended_with == Some(batch);
        let [before, after] = self.reader.account_around(batch, slot)?;
        let used = |account: &Option<_>| {
            account.as_ref().is_some_and(|a: &gridveil_protocol::account::Account| a.meter.is_some())
        };
        let gone = before.is_none() || (after.is_none() && !ends);
        if !gone && !used(&before) && (ends || !used(&after)) {
            return Ok(());
        }
        let settled: Option<&SettledPeriod> = self.state.settled.iter().rfind(|one| one.record.batch == batch);
        let (tariff_from, substituted) = self.reader.settled_with(community, first_interval, slot)?;
        page.push(ExportPart::Period(ExportedPeriod {
            first_interval,
            batch,
            is_final: settled.is_some(),
            tx: settled.and_then(|one| one.record.tx),
            block: settled.and_then(|one| one.record.block),
            root: applied.new_root,
            tariff_from,
            substituted,
        }))?;
        if at.tariff_from.replace(tariff_from) != Some(tariff_from) {
            let tariff = self.reader.tariff_from(community, tariff_from)?;
            page.push(ExportPart::Tariff { first_interval: tariff_from, tariff })?;
        }
        if settled.is_none() {
            return Ok(());
        }
        if gone {
            page.push(ExportPart::Gone { what: GoneRecord::Receipt, first_interval })?;
            return Ok(());
        }
        match self.receipt(batch, first_interval)? {
            Some(receipt) => page.push(ExportPart::Receipt { batch, receipt: Box::new(receipt) })?,
            None => page.push(ExportPart::Gone { what: GoneRecord::Receipt, first_interval })?,
        }
        Ok(())
    }

    /// `None` if it was erased.
    fn receipt(&self, batch: u64, first_interval: Interval) -> Result<Option<Receipt>, StoreError> {
        let slot = self.chosen.holder.slot;
        let receipt = match self.reader.kept_receipt(batch, slot) {
            Ok(Some(kept)) => return Ok(Some(kept)),
            Err(error) if error.is_erased() => return Ok(None),
            Err(error) => return Err(error),
            Ok(None) => {
                let domain = self.domains.of_period(first_interval, self.current.header.interval_length);
                self.reader.transition(domain, batch, &self.current)
            }
        };
        match receipt {
            Ok(transition) => Ok(Receipt::of(&transition, usize::from(slot))),
            Err(error) if error.is_erased() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Who owns the account by this part: the owner of a state, and whom an operation hands the account to.
fn owners_in(part: &ExportPart) -> Vec<Fr> {
    match part {
        ExportPart::State { account, .. } => vec![account.owner],
        ExportPart::Operation { operation, .. } if operation.operation.kind == Kind::Rotate => {
            vec![operation.operation.party]
        }
        ExportPart::Operation { .. }
        | ExportPart::Packet { .. }
        | ExportPart::Forced { .. }
        | ExportPart::Period(_)
        | ExportPart::Tariff { .. }
        | ExportPart::Receipt { .. }
        | ExportPart::Gone { .. } => Vec::new(),
    }
}
