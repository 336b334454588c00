//! Random compositions of everything a settlement may carry, at the ends of what its fields hold: what the native rules
//! say, the circuit says.
use crate::common::{refusals, tiny, trace};
use gridveil_protocol::{
    account::{Account, Terms},
    fixture::{
        Extras, Recipe, Stream, beginning, mdm_key, meter_key, next_owner_key, owner_key, reroot, with_operations,
    },
    header_operation::{Management, Place, Pool, Transfer},
    market::Mechanism,
    operation::{
        EFFECTS, Kind, Operation, SignedOperation,
        slot::{OperationError, OperationSlot},
    },
    operation_slots::OperationsError,
    owner::owner_of,
    params::UNIT_NANO,
    settlement::{SettlementError, SettlementInput, apply, compute},
    units::{Interval, Ticks},
};

/// How many compositions.
const SEEDS: u64 = 80;

fn pick<T: Copy>(s: &mut Stream, of: &[T]) -> T {
    of[usize::try_from(s.below(of.len() as u64)).unwrap()]
}

fn random_terms(s: &mut Stream, next: Interval) -> Terms {
    Terms {
        active_from: pick(s, &[Interval::ZERO, next, next + 2, next + 3, Interval::MAX]),
        active_until: pick(s, &[Interval::ZERO, next, next + 2, next + 3, Interval::MAX]),
        buy_limit: Ticks(pick(s, &[0, 1000, u16::MAX])),
        sell_limit: Ticks(pick(s, &[0, 1000, u16::MAX])),
        cap_import: pick(s, &[0, 1000, u16::MAX]),
        cap_export: pick(s, &[0, 1000, u16::MAX]),
        technology: pick(s, &[0, 1, 255]),
        scale: pick(s, &[1, 10, 100, 1, 10, 100, 0, 7]),
        class: pick(s, &[0, 1, 0, 1, 2]),
    }
}

fn random_operation(s: &mut Stream, i: &SettlementInput, accounts: &[Account]) -> SignedOperation {
    let kind: Kind = pick(s, &EFFECTS).kind;
    let mut slot = usize::try_from(s.below(4)).unwrap();
    if s.below(4) > 0 {
        // Mostly a slot in which it may be valid.
        let fits = |slot: &usize| accounts[*slot].meter.is_some() == (kind != Kind::Enrol);
        let able: Vec<usize> = (0..4).filter(fits).collect();
        if !able.is_empty() {
            slot = pick(s, &able);
        }
    }
    let account = &accounts[slot];
    let nonce = if s.below(12) == 0 { account.nonce.wrapping_sub(1) } else { account.nonce };
    let mut o = Operation::new(kind, i.community.index, u16::try_from(slot).unwrap(), nonce);
    let b = account.balance;
    let floor = b - b % UNIT_NANO;
    o.amount = match kind {
        Kind::Deposit => pick(
            s,
            &[
                0,
                UNIT_NANO,
                5 * UNIT_NANO,
                1,
                u64::MAX,
                u64::MAX - u64::MAX % UNIT_NANO,
                (account.debt / UNIT_NANO) * UNIT_NANO,
            ],
        ),
        Kind::Withdraw => pick(s, &[0, UNIT_NANO, floor, floor.wrapping_add(UNIT_NANO), floor, b]),
        Kind::Send => pick(s, &[0, 1, b, b.wrapping_add(1), floor, u64::MAX]),
        Kind::Receive => pick(
            s,
            &[
                0,
                1,
                u64::MAX - b,
                (u64::MAX - b).wrapping_add(1),
                account.debt,
                account.debt.wrapping_add(1),
                account.debt.wrapping_sub(1),
            ],
        ),
        Kind::Close => pick(s, &[floor, floor, floor, floor, 0, floor.wrapping_add(UNIT_NANO)]),
        Kind::Forced => pick(s, &[floor, floor, floor, 0]),
        _ => 0,
    };
    let key = [owner_key(slot), next_owner_key(slot)]
        .into_iter()
        .find(|k| owner_of(k).commitment() == account.owner)
        .unwrap_or_else(|| owner_key(slot));
    let effect = kind.effect();
    if effect.claim.is_some() {
        o.payout = pick(s, &[[0; 20], [0xff; 20], [1; 20]]);
        o.salts = [s.element(), s.element(), 0u64.into(), 0u64.into()];
    }
    match kind {
        Kind::Send => o.party = owner_of(&owner_key(2)).commitment(),
        Kind::Rotate => {
            (o.party, o.payout) = (owner_of(&next_owner_key(slot)).commitment(), pick(s, &[[0; 20], [0xff; 20]]))
        }
        Kind::Enrol => {
            (o.party, o.payout) = (owner_of(&key).commitment(), [3; 20]);
            o.salts = std::array::from_fn(|_| s.element());
            o.meter = Some(meter_key(slot).public());
            o.terms = Some(random_terms(s, i.community.header.next_interval));
        }
        Kind::Replace => o.meter = Some(meter_key(pick(s, &[slot, 1000 + slot])).public()),
        Kind::Terms => o.terms = Some(random_terms(s, i.community.header.next_interval)),
        Kind::Forced => o.payout = pick(s, &[account.payout, account.payout, [0xee; 20]]),
        _ => {}
    }
    if kind == Kind::Forced {
        return SignedOperation::forced(i.domain, o).unwrap();
    }
    let signed = o.sign(i.domain, &key, owner_of(&key)).unwrap();
    if effect.mdm { signed.countersign(i.domain, &mdm_key()).unwrap() } else { signed }
}

/// What native rules and circuit say of random compositions of everything.
#[test]
fn random_compositions() {
    let (mut accepted, mut refused) = (0, 0);
    let mut wrong = Vec::new();
    for seed in 0..SEEDS {
        let mut s = Stream::new(0xbeef + seed);
        let begins = s.below(6) == 0;
        let mut i = if begins {
            let mut i = beginning(tiny(), seed).unwrap();
            i.operations.slots.clear();
            i
        } else {
            let extras = Extras {
                correction: s.below(2) == 0,
                notes: usize::try_from(s.below(17)).unwrap(),
                ..Extras::default()
            };
            let used = 1 + usize::try_from(s.below(4)).unwrap();
            with_operations(
                &Recipe {
                    shape: tiny(),
                    seed,
                    mechanism: pick(&mut s, &[Mechanism::Auction, Mechanism::CommunityPrice]),
                    used,
                },
                &[],
                extras,
            )
            .unwrap()
        };
        if !begins {
            for a in i.community.accounts.iter_mut().filter(|a| a.meter.is_some()) {
                match s.below(6) {
                    0 => (a.balance, a.debt) = (pick(&mut s, &[0, 1 << 60, u64::MAX - (1 << 50)]), 0),
                    1 => (a.balance, a.debt) = (0, pick(&mut s, &[1, UNIT_NANO, 1 << 50, u64::MAX - (1 << 50)])),
                    2 => a.nonce = pick(&mut s, &[0, u32::MAX - 1, u32::MAX]),
                    _ => {}
                }
            }
            let sum: u128 = i.community.accounts.iter().map(|a| u128::from(a.debt)).sum();
            // Debts of more than 64 bits are no state that a settlement leads to.
            let Ok(debt) = u64::try_from(sum) else { continue };
            i.community.header.totals.debt = debt;
            i.community.header.supplier_account =
                pick(&mut s, &[i.community.header.supplier_account, 1 << 62, u64::MAX - (1 << 51), 1 << 45]);
            i.community.header.fee_account = pick(&mut s, &[i.community.header.fee_account, 1 << 60]);
            i.community.header.reserve = pick(&mut s, &[0, i.community.header.supplier_account, 1 << 61, u64::MAX]);
        }
        let mut accounts = compute(SettlementInput { operations: Default::default(), ..i.clone() }).settled;
        for _ in 0..s.below(4) {
            let signed = random_operation(&mut s, &i, &accounts);
            let slot = usize::from(signed.operation.slot);
            let operation_slot = OperationSlot::compute(&accounts[slot], &signed);
            let valid = operation_slot
                .check(&accounts[slot], &signed, i.domain, i.community.index, &i.community.header.mdm)
                .is_ok();
            if !valid && s.below(5) > 0 {
                continue;
            }
            accounts[slot] = operation_slot.after;
            i.operations.slots.push(signed);
        }
        if s.below(3) == 0 {
            let units = pick(&mut s, &[0, 1, 7, 1 << 20, (1 << 48) - 1]);
            i.operations.header.transfer =
                Some(Transfer { pool: pick(&mut s, &[Pool::SupplierIn, Pool::SupplierOut, Pool::FeeOut]), units });
        }
        if s.below(3) == 0 {
            let management = Management {
                mechanism: pick(&mut s, &[Mechanism::Auction, Mechanism::CommunityPrice]),
                mdm: meter_key(77).public(),
                reserve: pick(&mut s, &[0, 1 << 44, u64::MAX]),
                skip: pick(&mut s, &[0, 1, u16::MAX]),
            };
            i.operations.header.management =
                Some(management.sign(i.domain, &Place::of(&i.community), &mdm_key()).unwrap());
        }
        reroot(&mut i);
        let kinds: Vec<_> = i.operations.slots.iter().map(|o| (o.operation.kind, o.operation.slot)).collect();
        let native = apply(i.clone());
        if let Err(SettlementError::Operations(OperationsError::Operation {
            source: OperationError::Field(_), ..
        })) = native
        {
            // A field that the operation does not use is refused natively and has no effect in the circuit
            // (docs/spec/operations.md).
            continue;
        }
        let found = refusals(tiny(), &trace(&compute(i)));
        *(if native.is_ok() { &mut accepted } else { &mut refused }) += 1;
        if native.is_ok() != found.is_empty() {
            wrong.push(format!(
                "seed {seed} begins {begins} {kinds:?}: native {:?}, circuit {found:?}",
                native.map(|_| ())
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(accepted >= 10 && refused >= 10, "{accepted} accepted, {refused} refused");
}
