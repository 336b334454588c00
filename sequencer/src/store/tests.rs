use gridveil_protocol::{
    account::{Account, LeafSalts, Registers, Terms},
    fixture,
    units::{Ticks, Wh},
};

use super::*;

/// An empty slot, a poor account and the largest one are of one length.
#[test]
fn accounts_are_of_one_length() {
    let most = -Fr::from(1u64);
    let salts = LeafSalts { exit: [most; 2], private: [most; 2] };
    let empty = Account::empty(salts);
    let registers = Wh((1 << 62) - 1);
    let full = Account {
        owner: most,
        meter: Some(fixture::meter_public(1)),
        balance: u64::MAX,
        payout: [0xff; 20],
        debt: u64::MAX,
        nonce: u32::MAX,
        terms: Terms {
            active_from: Interval::MAX,
            active_until: Interval::MAX,
            buy_limit: Ticks(u16::MAX),
            sell_limit: Ticks(u16::MAX),
            cap_import: u16::MAX,
            cap_export: u16::MAX,
            technology: u8::MAX,
            scale: 100,
            class: 1,
        },
        registers: Registers { import: registers, export: registers, bought: registers, sold: registers },
        pending_substitute: most,
        ..empty.clone()
    };
    let length = |account: &Account| plain(1, account).unwrap().len();
    assert_eq!((length(&empty), length(&full)), (length(&full), length(&full)));
}
