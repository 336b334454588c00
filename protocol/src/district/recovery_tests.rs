use super::*;
use crate::{
    district::{
        account::{Account, empty_record},
        seed::{Deployment, Seat},
        words::{masked, settled_record, settled_words},
    },
    schnorr::SecretKey,
    units::{Ticks, Wh},
};
use proptest::prelude::*;

const HERE: Deployment = Deployment { chain_id: 31_337, contract: [9; 20] };
const SEAT: Seat = Seat { community: 2, slot: 5, epoch: 1 };
/// The slot, counted over the district.
const INDEX: u16 = 37;
const LANES: usize = 3;

fn n(x: u64) -> Fr {
    Fr::from(x)
}

/// One batch as an operator makes it.
struct Made {
    nonce: Fr,
    slot: SlotWords,
    lanes: Vec<[Fr; 2]>,
}

impl Made {
    fn words(&self) -> BatchWords<'_> {
        BatchWords { nonce: self.nonce, slot: self.slot, lanes: &self.lanes }
    }
}

/// What an operation does to the account.
type Change<'a> = &'a dyn Fn(&mut Account);

/// An operator's view of one slot.
struct Operator {
    account: Account,
    batches: u64,
}

impl Operator {
    fn new() -> Self {
        let seed = Seed::random(&[1; 64]);
        Self { account: Account::empty(seed, n(77)), batches: 0 }
    }

    /// Settles a period, then lets the operations change the account, each in its lane; a lane may be another slot's.
    fn batch(&mut self, absent: bool, changes: &[Option<Change<'_>>]) -> Made {
        self.batches += 1;
        let nonce = n(1_000 + self.batches);
        let secrets = self.account.seed.settle(nonce, INDEX);
        let shown = settled_words(&self.account, &secrets, true);
        (self.account.exit_salt, self.account.seed) = (secrets.exit_salt, secrets.next);
        self.account.record = settled_record((!absent).then_some([n(3), n(4)]), shown);
        let mut lanes = Vec::new();
        for (i, change) in (1u16..).zip((0..LANES).map(|lane| changes.get(lane).copied().flatten())) {
            let Some(change) = change else {
                lanes.push([n(900 + u64::from(i)), n(950 + self.batches)]);
                continue;
            };
            change(&mut self.account);
            // The seed of the leaf after: an enrolment brings its own.
            let secrets = self.account.seed.operate(nonce, INDEX, NonZeroU16::new(i).unwrap());
            self.account.exit_salt = secrets.exit_salt;
            lanes.push(masked(Opening::of(&self.account).packed(), &secrets.masks));
        }
        let account = &self.account;
        let (exit, private) = (account.exit_commitment(), account.private_commitment());
        let slot = SlotWords { exit, private, record: account.record, masked: shown };
        assert_eq!(slot.leaf(), account.leaf());
        Made { nonce, slot, lanes }
    }
}

fn enrol(owner: &SecretKey) -> impl Fn(&mut Account) {
    let seed = Seed::first(owner, &HERE, &SEAT);
    move |account| {
        (account.owner, account.payout, account.nonce, account.number) = (n(5), [0xab; 20], 2, 1_234);
        (account.terms.buy_limit, account.terms.sell_limit) = (Ticks(2_000), Ticks(7));
        account.seed = seed.clone();
    }
}

fn days(owner: &SecretKey) -> (Operator, Vec<Made>) {
    let mut operator = Operator::new();
    let enrol = enrol(owner);
    let deposit =
        |account: &mut Account| (account.balance, account.nonce) = (account.balance + (1 << 40), account.nonce + 1);
    let mut made = vec![operator.batch(false, &[None, Some(&enrol)])];
    made.push(operator.batch(false, &[None, None, Some(&deposit)]));
    operator.account.registers.import += Wh(12_345);
    (operator.account.balance, operator.account.debt) = (0, 999);
    made.push(operator.batch(false, &[]));
    made.push(operator.batch(true, &[]));
    let receive = |account: &mut Account| (account.balance, account.debt) = (5 << 30, 0);
    made.push(operator.batch(true, &[Some(&receive), Some(&deposit)]));
    (operator, made)
}

#[test]
fn a_key_file_and_the_data_of_the_batches_give_the_account_back() {
    let owner = SecretKey::from_seed(&[3; 64]);
    let (operator, made) = days(&owner);
    let first = Seed::first(&owner, &HERE, &SEAT);
    let account = &operator.account;
    let found = follow(&first, INDEX, made.iter().map(Made::words)).unwrap();
    assert_eq!(found.opening, Opening::of(account));
    assert_eq!((found.opening.balance, found.opening.debt), ((5 << 30) + (1 << 40), 0));
    assert_eq!((found.exit_salt, found.seed.clone()), (account.exit_salt, account.seed.clone()));
    assert_eq!(found.registers.unwrap().import, Wh(12_345));
    // It exits with that: the leaf is the one in the tree.
    let [private, record] = found.closed;
    let exit = super::super::account::exit_commitment(found.opening.balance, &found.opening.payout, found.exit_salt);
    assert_eq!(super::super::account::leaf(exit, private, record), account.leaf());
    // Half way it is the account of that day.
    let found = follow(&first, INDEX, made.iter().take(4).map(Made::words)).unwrap();
    assert_eq!((found.opening.balance, found.opening.debt), (0, 999));
}

#[test]
fn nobody_else_and_no_other_data_opens() {
    let owner = SecretKey::from_seed(&[3; 64]);
    let (_, mut made) = days(&owner);
    let first = Seed::first(&owner, &HERE, &SEAT);
    let words = |made: &[Made], seed: &Seed| follow(seed, INDEX, made.iter().map(Made::words)).map(|_| ());
    let thief = Seed::first(&SecretKey::from_seed(&[4; 64]), &HERE, &SEAT);
    assert_eq!(words(&made, &thief), Err(NotOpened { batch: 0 }));
    assert_eq!(follow(&first, INDEX + 1, made.iter().map(Made::words)).map(|_| ()), Err(NotOpened { batch: 0 }));
    assert_eq!(words(&[], &first), Err(NotOpened { batch: 0 }));
    // A batch is left out.
    let left_out = made.remove(2);
    assert_eq!(words(&made, &first), Err(NotOpened { batch: 2 }));
    made.insert(2, left_out);
    assert_eq!(words(&made, &first), Ok(()));
    // A word is another.
    made[3].slot.masked[0] += n(1);
    assert_eq!(words(&made, &first), Err(NotOpened { batch: 3 }));
}

/// Whoever takes today's seed learns today, and nothing of the day before.
#[test]
fn todays_seed_opens_no_earlier_batch() {
    let owner = SecretKey::from_seed(&[3; 64]);
    let (operator, made) = days(&owner);
    let seed = &operator.account.seed;
    for batch in &made {
        assert!(
            batch.words().followed(seed, INDEX).is_none() && batch.words().begun(seed, INDEX).is_none()
                || std::ptr::eq(batch, made.last().unwrap())
        );
    }
    // Of the batch that made it, it opens what its operations did: they came after.
    assert!(made.last().unwrap().words().begun(seed, INDEX).is_some());
}

#[test]
fn a_deployment_without_openings_shows_nothing() {
    let account = Operator::new().account;
    let secrets = account.seed.settle(n(1), INDEX);
    assert_eq!(settled_words(&account, &secrets, false), [Fr::default(); 3]);
    assert_eq!(settled_record(None, [Fr::default(); 3]), empty_record([Fr::default(); 3]));
}

proptest! {
    #[test]
    fn words_hold_what_was_put_in(
        balance: u64, payout: [u8; 20], debt: u64, nonce: u32, owed: u64, limits: [u16; 2], number: u32,
        registers in prop::array::uniform4(0u64..1 << 62), mask: [u64; 4],
    ) {
        let opening = Opening { balance, payout, debt, nonce, owed: Wh(owed), limits: limits.map(Ticks), number };
        let [a, b] = opening.packed();
        prop_assert_eq!(Opening::read([a, b]), Some(opening.clone()));
        prop_assert_eq!(Opening::read([a, b + crate::field::shifted(1, 224)]), None);
        prop_assert_eq!(Opening::read([a - n(balance) - n(1), b]).filter(|_| balance == 0 && payout == [0; 20]), None);
        let masks = [n(mask[0]) * n(mask[1]) * n(mask[2]) * n(mask[3]) + n(1), n(mask[3])];
        prop_assert_eq!(Opening::read(unmasked(masked([a, b], &masks), &masks)), Some(opening));
        let [import, export, bought, sold] = registers.map(Wh);
        let registers = Registers { import, export, bought, sold };
        prop_assert_eq!(read_registers(registers.packed()), Some(registers));
        prop_assert_eq!(read_registers(registers.packed() + crate::field::shifted(1, 248)), None);
    }
}
