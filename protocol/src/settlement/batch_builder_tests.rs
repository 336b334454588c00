//! Whatever is offered in whatever order, the batch is one that `apply` accepts, and a refusal is the one of `apply`.

use super::*;
use crate::{
    fixture::{Extras, Recipe, Stream, beginning, following, resign_correction, resign_operation, with_operations},
    header_operation::Transfer,
    market::Mechanism,
    operation::EFFECTS,
    params::{FORCED_QUEUE, Shape},
    settlement::apply,
};

#[expect(clippy::large_enum_variant, reason = "a test has a few")]
enum Offer {
    Operation(SignedOperation),
    Correction(Correction),
    Header(HeaderOperation),
}

fn recipe(seed: u64) -> Recipe {
    let shape = Shape { operations: 5, ..Shape::by_name("tiny-4x2").unwrap() };
    Recipe { shape, seed, mechanism: Mechanism::Auction, used: 3 }
}

fn pick(stream: &mut Stream, bound: usize) -> usize {
    usize::try_from(stream.below(bound as u64)).unwrap()
}

/// An edit that some clause refuses, most of the time.
fn spoil(stream: &mut Stream, input: &mut SettlementInput, index: usize) {
    let signed = &mut input.operations.slots[index];
    match stream.below(8) {
        0 => signed.operation.nonce += 1,
        1 => signed.operation.amount += 1,
        2 => signed.operation.amount = u64::MAX / UNIT_NANO * UNIT_NANO,
        3 => signed.operation.slot = 99,
        4 => signed.operation.community += 1,
        5 => signed.operation.party += Fr::from(1u64),
        6 => signed.operation.salts[3] += Fr::from(1u64),
        _ => signed.mdm = None,
    }
    // Without a new signature the first clause refuses, with one a later clause can.
    if stream.below(3) > 0 {
        resign_operation(input, index).unwrap();
    }
}

/// A header operation that passes, or asks for more than a pool or the operator has.
fn header(stream: &mut Stream, input: &SettlementInput) -> HeaderOperation {
    let pool = [Pool::SupplierIn, Pool::SupplierOut, Pool::FeeOut][pick(stream, 3)];
    let units = [7, 20, 1 << 20, 1 << 48][pick(stream, 4)];
    HeaderOperation { transfer: Some(Transfer { pool, units }), ..input.operations.header.clone() }
}

/// What L1 knows of most claims, and a queue of forced withdrawals.
fn on_l1(stream: &mut Stream, input: &SettlementInput) -> L1View {
    let mut view = L1View { supplier_units: stream.below(30), ..L1View::default() };
    for signed in &input.operations.slots {
        let own = to_bytes(&signed.operation.claim(signed.owner.commitment()));
        match signed.operation.kind {
            Kind::Deposit if stream.below(4) > 0 => {
                view.deposits.insert(own, signed.operation.units());
            }
            Kind::Receive if stream.below(4) > 0 => {
                view.transfers.insert(own);
            }
            Kind::Send if stream.below(4) == 0 => {
                view.sent.insert(to_bytes(&signed.operation.claim(signed.operation.party)));
            }
            _ => {}
        }
    }
    for _ in 0..stream.below(3) {
        let slot = pick(stream, 4);
        let own = input.community.accounts[slot].payout;
        let requester = if stream.below(2) == 0 { own } else { [0xee; 20] };
        view.forced.push(ForcedEntry { slot: u16::try_from(slot).unwrap(), requester });
    }
    view.notes = (0..stream.below(20)).map(|_| stream.element()).collect();
    view
}

/// A period without operations, what L1 knows, and offers in any order.
fn case(seed: u64) -> (SettlementInput, L1View, Vec<Offer>) {
    let mut stream = Stream::new(seed ^ 0x6262);
    let kinds: Vec<Kind> = (0..1 + stream.below(8)).map(|_| EFFECTS[pick(&mut stream, EFFECTS.len())].kind).collect();
    let extras = Extras { correction: stream.below(2) == 0, management: stream.below(3) == 0, ..Extras::default() };
    let mut input = with_operations(&recipe(seed), &kinds, extras).unwrap();
    for index in 0..input.operations.slots.len() {
        if stream.below(3) == 0 {
            spoil(&mut stream, &mut input, index);
        }
    }
    let view = on_l1(&mut stream, &input);
    let header = header(&mut stream, &input);
    let operations = std::mem::take(&mut input.operations);
    let mut offers: Vec<Offer> = operations.slots.into_iter().map(Offer::Operation).collect();
    offers.extend(operations.correction.map(Offer::Correction));
    offers.push(Offer::Header(header));
    for last in (1..offers.len()).rev() {
        offers.swap(last, pick(&mut stream, last + 1));
    }
    (input, view, offers)
}

/// What `apply` says of the operations taken so far, with one more.
fn applied(base: &SettlementInput, taken: &[SignedOperation], more: Option<&SignedOperation>) -> Operations {
    let slots = taken.iter().chain(more).cloned().collect();
    Operations { slots, ..base.operations.clone() }
}

fn apply_with(base: &SettlementInput, operations: Operations) -> Result<Transition, SettlementError> {
    apply(SettlementInput { operations, ..base.clone() })
}

fn operation_error(result: &Result<Transition, SettlementError>) -> Option<OperationError> {
    match result {
        Err(SettlementError::Operations(OperationsError::Operation { source, .. })) => Some(*source),
        _ => None,
    }
}

fn correction_error(result: Result<Transition, SettlementError>) -> Option<CorrectionError> {
    match result {
        Err(SettlementError::Operations(OperationsError::Correction(error))) => Some(error),
        _ => None,
    }
}

/// How often each answer was given.
#[derive(Debug, Default)]
struct Counts {
    taken: usize,
    later: usize,
    left: usize,
    by_rules: usize,
    by_l1: usize,
    corrections: usize,
    headers_refused: usize,
}

#[test]
fn every_batch_is_accepted_and_every_refusal_is_that_of_apply() {
    let mut counts = Counts::default();
    for seed in 0..150 {
        let (base, view, offers) = case(seed);
        let mut builder = BatchBuilder::open(base.clone(), view).unwrap();
        let mut offered_header = None;
        for offer in offers {
            match offer {
                Offer::Operation(signed) => offer_operation(&mut builder, &base, signed, &mut counts),
                Offer::Correction(correction) => offer_correction(&mut builder, &base, correction, &mut counts),
                Offer::Header(header) => match builder.offer_header(header.clone()) {
                    Ok(()) => offered_header = Some(header),
                    Err(refusal) => {
                        assert_eq!((refusal, Refused::from(refusal).clause()), (L1Refusal::Funds, Some("L1.10")));
                    }
                },
            }
        }
        let offered_correction = builder.operations.correction.clone();
        let batch = builder.finish().unwrap();
        assert_eq!(apply(batch.transition.input.clone()).unwrap(), batch.transition, "seed {seed}");
        assert!(batch.transition.input.operations.notes.len() <= QUEUE);
        let header = &batch.transition.input.operations.header;
        if let Some(error) = batch.header_refused {
            assert_eq!(*header, HeaderOperation::default());
            let with = Operations { header: offered_header.unwrap(), ..batch.transition.input.operations.clone() };
            // The header may have been refused with a correction that was postponed after it.
            let both = Operations { correction: offered_correction, ..with.clone() };
            let clauses = [with, both].map(|operations| apply_with(&base, operations).err().map(|e| e.clause()));
            assert!(clauses.contains(&Some(error.clause())), "seed {seed}: {clauses:?}, {error}");
            counts.headers_refused += 1;
        } else {
            assert_eq!(*header, offered_header.unwrap_or_default());
        }
    }
    let Counts { taken, later, left, by_rules, by_l1, corrections, headers_refused } = counts;
    assert!(
        taken > 100 && later > 5 && left > 0 && by_rules > 50 && by_l1 > 20 && corrections > 30 && headers_refused > 20,
        "{counts:?}"
    );
}

fn offer_operation(builder: &mut BatchBuilder, base: &SettlementInput, signed: SignedOperation, counts: &mut Counts) {
    let result = apply_with(base, applied(base, builder.operations(), Some(&signed)));
    let (before, slot) = (builder.operations().len(), signed.operation.slot);
    match builder.offer(signed) {
        Ok(()) => {
            assert_eq!((operation_error(&result), builder.operations().len()), (None, before + 1));
            counts.taken += 1;
            return;
        }
        Err(Refused::Operation(error)) => {
            assert_eq!(operation_error(&result), Some(error));
            assert_eq!(Refused::from(error).clause(), result.err().map(|error| error.clause()));
            counts.by_rules += 1;
        }
        Err(Refused::Left) => {
            assert!(operation_error(&result).is_none() && builder.was_left(slot));
            counts.left += 1;
        }
        Err(Refused::Later) => {
            let full = OperationsError::TooMany { slots: before, got: before + 1 };
            assert_eq!(result.unwrap_err(), full.into());
            counts.later += 1;
        }
        // The rules have nothing against it: only L1 knows.
        Err(Refused::L1(_)) => {
            assert_eq!(operation_error(&result), None);
            counts.by_l1 += 1;
        }
        Err(Refused::Correction(error)) => panic!("{error}"),
    }
    assert_eq!(builder.operations().len(), before);
}

fn offer_correction(builder: &mut BatchBuilder, base: &SettlementInput, correction: Correction, counts: &mut Counts) {
    let operations = Operations { correction: Some(correction.clone()), ..applied(base, builder.operations(), None) };
    let error = correction_error(apply_with(base, operations));
    match builder.offer_correction(correction) {
        Ok(()) => {
            assert_eq!(error, None);
            counts.corrections += 1;
        }
        Err(Refused::Correction(refusal)) => assert_eq!(error, Some(refusal)),
        Err(refused) => panic!("{refused}"),
    }
}

#[test]
fn a_forced_withdrawal_comes_from_the_queue_alone() {
    let (mut base, mut view, _) = case(1);
    base.operations = Operations::default();
    let account = base.community.accounts[0].clone();
    view.forced = vec![
        ForcedEntry { slot: 0, requester: account.payout },
        ForcedEntry { slot: 2, requester: [0xee; 20] },
        ForcedEntry { slot: 99, requester: [0xee; 20] },
        ForcedEntry { slot: 2, requester: [0xee; 20] },
    ];
    let mut builder = BatchBuilder::open(base.clone(), view).unwrap();
    // No slot 99: what is behind it waits, too, since L1 serves its queue in order.
    let served: Vec<_> = builder.operations().iter().map(|o| (o.operation.slot, o.operation.amount > 0)).collect();
    assert_eq!(served, [(0, true), (2, false)]);
    let again = builder.operations()[1].clone();
    assert_eq!(builder.offer(again), Err(Refused::L1(L1Refusal::NotForced)));
    let batch = builder.finish().unwrap();
    assert_eq!(apply(batch.transition.input.clone()).unwrap(), batch.transition);
}

/// What is due on L1 never waits for what is not: of every shape one batch serves a full forced queue and takes in as many
/// notes as become due in a period, and operations have the other slots.
#[test]
fn a_full_forced_queue_and_due_notes_fit_every_deployed_shape() {
    for shape in Shape::deployed() {
        let recipe = Recipe { shape, seed: 5, mechanism: Mechanism::Auction, used: 24 };
        let free = shape.operations.min(16) - FORCED_QUEUE;
        let mut input = with_operations(&recipe, &vec![Kind::Deposit; free], Extras::default()).unwrap();
        let offers = std::mem::take(&mut input.operations).slots;
        let mut stream = Stream::new(7);
        let mut view = L1View { notes: (0..3 * QUEUE).map(|_| stream.element()).collect(), ..L1View::default() };
        for signed in &offers {
            let claim = to_bytes(&signed.operation.claim(signed.owner.commitment()));
            view.deposits.insert(claim, signed.operation.units());
        }
        let acts = |slot: &u16| offers.iter().any(|signed| signed.operation.slot == *slot);
        let slots = (0..24).filter(|slot| !acts(slot)).take(FORCED_QUEUE);
        view.forced = slots
            .map(|slot| ForcedEntry { slot, requester: input.community.accounts[usize::from(slot)].payout })
            .collect();
        assert_eq!(view.forced.len(), FORCED_QUEUE, "{}", shape.name);
        let (forced, notes) = (view.forced.clone(), view.notes.clone());
        let mut builder = BatchBuilder::open(input, view).unwrap();
        for signed in offers {
            builder.offer(signed).unwrap();
        }
        let batch = builder.finish().unwrap();
        let operations = &batch.transition.input.operations;
        let kinds: Vec<_> = operations.slots.iter().map(|signed| signed.operation.kind).collect();
        assert_eq!(kinds[..FORCED_QUEUE], [Kind::Forced; FORCED_QUEUE], "{}", shape.name);
        assert_eq!(kinds[FORCED_QUEUE..], vec![Kind::Deposit; free], "{}", shape.name);
        for (signed, entry) in operations.slots.iter().zip(&forced) {
            assert_eq!((signed.operation.slot, signed.operation.payout), (entry.slot, entry.requester));
        }
        assert_eq!(operations.notes.iter().map(|note| note.0).collect::<Vec<_>>(), notes[..QUEUE]);
    }
}

#[test]
fn a_claim_opened_in_the_batch_can_be_taken_in_by_the_same_batch() {
    let mut view = L1View::default();
    let mut input = with_operations(&recipe(3), &[Kind::Send, Kind::Receive, Kind::Send], Extras::default()).unwrap();
    let operations = std::mem::take(&mut input.operations).slots;
    let claim = to_bytes(&operations[0].operation.claim(operations[0].operation.party));
    view.sent.insert(to_bytes(&operations[2].operation.claim(operations[2].operation.party)));
    let mut builder = BatchBuilder::open(input, view).unwrap();
    builder.offer(operations[0].clone()).unwrap();
    assert!(builder.l1.transfers.contains(&claim) && builder.l1.sent.contains(&claim));
    assert_eq!(builder.offer(operations[1].clone()), Err(L1Refusal::NoTransfer.into()));
    builder.l1.transfers.insert(to_bytes(&operations[1].operation.claim(operations[1].owner.commitment())));
    builder.offer(operations[1].clone()).unwrap();
    assert_eq!(builder.offer(operations[2].clone()), Err(L1Refusal::ClaimUsed.into()));
    builder.finish().unwrap();
}

#[test]
fn a_correction_that_the_pools_do_not_carry_waits() {
    let mut input = with_operations(&recipe(2), &[], Extras { correction: true, ..Extras::default() }).unwrap();
    input.community.header.fee_account = 0;
    let correction = input.operations.correction.as_mut().unwrap();
    correction.late.packet.readings.iter_mut().for_each(|reading| *reading = Default::default());
    let prices = correction.tariff.intervals.iter_mut().flat_map(|interval| &mut interval.classes);
    prices.for_each(|class| class.network = 1_000_000_000);
    resign_correction(&mut input).unwrap();
    assert_eq!(apply(input.clone()).unwrap_err(), SettlementError::FeeAccount);
    let correction = std::mem::take(&mut input.operations).correction.unwrap();
    let mut builder = BatchBuilder::open(input, L1View::default()).unwrap();
    builder.offer_correction(correction.clone()).unwrap();
    assert_eq!(builder.offer_correction(correction), Err(Refused::Later));
    let batch = builder.finish().unwrap();
    assert!(batch.correction_postponed && batch.header_refused.is_none());
    assert_eq!(batch.transition.input.operations.correction, None);
    assert_eq!(apply(batch.transition.input.clone()).unwrap(), batch.transition);
}

#[test]
fn a_substitute_of_this_period_lies_above_those_before() {
    let first = apply(with_operations(&recipe(2), &[], Extras::default()).unwrap()).unwrap();
    let second = apply(following(&first, 2, |slot| slot == 2).unwrap()).unwrap();
    let (substitute, signer) = (second.input.packets[2].clone(), second.input.community.header.mdm);
    let late = crate::packet::Packet { substituted: false, previous_substitute: Fr::ZERO, ..substitute.packet.clone() }
        .sign(&crate::fixture::meter_key(2))
        .unwrap();
    let correction = Correction { substitute, signer, late, tariff: second.input.tariff.clone() };
    let offered = |substituted: bool| {
        let third = following(&second, 3, |slot| substituted && slot == 2).unwrap();
        BatchBuilder::open(third, L1View::default()).unwrap().offer_correction(correction.clone())
    };
    assert_eq!((offered(false), offered(true)), (Ok(()), Err(Refused::Later)));
    // The account waits for nothing any more.
    let mut final_now = following(&second, 3, |_| false).unwrap();
    final_now.community.accounts[2].pending_substitute = Fr::ZERO;
    let refused = BatchBuilder::open(final_now, L1View::default()).unwrap().offer_correction(correction);
    assert_eq!(refused, Err(CorrectionError::NotPending { slot: 2 }.into()));
}

#[test]
fn a_community_begins_with_its_first_batch() {
    let mut input = beginning(recipe(1).shape, 1).unwrap();
    let offers = std::mem::take(&mut input.operations.slots);
    let mut builder = BatchBuilder::open(input, L1View::default()).unwrap();
    offers.into_iter().for_each(|signed| builder.offer(signed).unwrap());
    let batch = builder.finish().unwrap();
    assert!(batch.transition.input.operations.init);
    assert_eq!(apply(batch.transition.input.clone()).unwrap(), batch.transition);
}

#[test]
fn a_period_that_does_not_settle_is_refused() {
    let (mut base, view, _) = case(1);
    base.packets.pop();
    let error = BatchBuilder::open(base, view.clone()).unwrap_err();
    assert_eq!(error, SettlementError::PacketCount { expected: 4, got: 3 });
    let (mut poor, ..) = case(1);
    poor.community.header.supplier_account = 0;
    poor.tariff.intervals.iter_mut().flat_map(|t| &mut t.classes).for_each(|class| class.energy = -1_000_000_000);
    let error = BatchBuilder::open(poor, view).unwrap().finish().unwrap_err();
    assert!(matches!(error, SettlementError::SupplierTooSmall { .. }));
}

/// The rules take both in one settlement; the builder does not, since the receipt of who left would open the account of who
/// came.
#[test]
fn a_slot_that_was_left_is_taken_in_the_next_batch() {
    let mut input = with_operations(&recipe(2), &[Kind::Close, Kind::Enrol], Extras::default()).unwrap();
    let both = apply(input.clone()).unwrap();
    let operations = std::mem::take(&mut input.operations).slots;
    let slot = operations[0].operation.slot;
    assert_eq!(operations[1].operation.slot, slot);
    assert_eq!(crate::receipt::Receipt::of(&both, usize::from(slot)), None);
    let mut builder = BatchBuilder::open(input, L1View::default()).unwrap();
    builder.offer(operations[0].clone()).unwrap();
    assert_eq!(builder.offer(operations[1].clone()), Err(Refused::Left));
    let left = builder.finish().unwrap().transition;
    let receipt = crate::receipt::Receipt::of(&left, usize::from(slot)).unwrap();
    assert!(receipt.after.meter.is_none() && !receipt.opens_two());
    let next = following(&left, 3, |_| false).unwrap();
    let mut builder = BatchBuilder::open(next, L1View::default()).unwrap();
    builder.offer(operations[1].clone()).unwrap();
    let taken = builder.finish().unwrap().transition;
    let receipt = crate::receipt::Receipt::of(&taken, usize::from(slot)).unwrap();
    assert!(receipt.before.meter.is_none() && receipt.after.meter.is_some());
}
