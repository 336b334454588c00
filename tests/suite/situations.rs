//! Situations of markets and settlements that people met elsewhere, each with the value that is right and changed copies
//! with the changed value. Those of meter files are in `crates/readings/tests/suite/situations.rs`; all are listed in
//! `docs/reference/situations.md`.

use std::path::PathBuf;

use crate::common;
use gridveil_demo::market::{Book, BookOrder, Output, Side, clear, parse};
use gridveil_meter_client::source::{Choice, Cut, Purpose, read};
use gridveil_protocol::{
    market::Mechanism,
    units::{Interval, Ticks, Wh},
};
use serde_json::Value;

fn folder(number: &str) -> PathBuf {
    let mut all = std::fs::read_dir("tests/data/situations").unwrap().map(|entry| entry.unwrap().path());
    all.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(number)).unwrap()
}

fn file(number: &str, name: &str) -> String {
    std::fs::read_to_string(folder(number).join(name)).unwrap()
}

fn expected(number: &str) -> Value {
    serde_json::from_str(&file(number, "expected.json")).unwrap()
}

fn cleared(orders: Vec<BookOrder>) -> Output {
    clear(&Book { orders }, Mechanism::Auction, Ticks::ZERO).unwrap().1
}

/// What the case says of a clearing; energies and prices of a changed copy are so many times as large.
fn clears(number: &str, output: &Output, energy: u64, price: u64, turned: bool) {
    let expected = expected(number);
    assert_eq!(output.volume_wh, Wh(energy * expected["volume_wh"].as_u64().unwrap()), "{number}");
    let ticks = u64::from(output.price_ticks.0);
    match (&expected["price_ticks"], expected["price_range"].as_array()) {
        (Value::Null, None) => assert_eq!(ticks, 0, "{number}: nothing trades, and no price is booked"),
        (Value::Null, Some(range)) => {
            let [low, high] = [&range[0], &range[1]].map(|end| price * end.as_u64().unwrap());
            assert!((low..=high).contains(&ticks), "{number}: {ticks}");
        }
        (right, _) => assert_eq!(ticks, price * right.as_u64().unwrap(), "{number}"),
    }
    if let Some(right) = expected["allocations_wh"].as_array() {
        let mut right: Vec<Wh> = right.iter().map(|wh| Wh(energy * wh.as_u64().unwrap())).collect();
        if turned {
            right.reverse();
        }
        assert_eq!(output.allocations_wh, right, "{number}");
    }
}

#[test]
fn prices_and_shares_of_other_markets_cases() {
    for number in ["S01", "S02", "S03", "S04", "S05"] {
        let orders = parse("orders.json", &file(number, "orders.json")).unwrap().orders;
        clears(number, &cleared(orders.clone()), 1, 1, false);
        let with = |change: &dyn Fn(&BookOrder) -> BookOrder| cleared(orders.iter().map(change).collect());
        clears(number, &with(&|o| BookOrder { wh: 3 * o.wh, ..*o }), 3, 1, false);
        clears(number, &with(&|o| BookOrder { limit_ticks: Ticks(2 * o.limit_ticks.0), ..*o }), 1, 2, false);
        clears(number, &cleared(orders.iter().rev().copied().collect()), 1, 1, true);
    }
}

/// Which of the prices that clear is taken is a rule: the lowest.
#[test]
fn of_several_prices_the_lowest_is_taken() {
    let orders = parse("orders.json", &file("S03", "orders.json")).unwrap().orders;
    assert_eq!(cleared(orders).price_ticks, Ticks(600));
    // Sellers alone trade as little as buyers alone.
    let sells = |o: BookOrder| BookOrder { side: Side::Sell, ..o };
    let orders = parse("orders.json", &file("S04", "orders.json")).unwrap().orders;
    clears("S04", &cleared(orders.into_iter().map(sells).collect()), 1, 1, false);
}

/// A price below zero is refused as one: version 2 has none.
#[test]
fn a_price_below_zero_is_refused_by_its_name() {
    let orders = file("S08", "orders.json");
    let error = parse("orders.json", &orders).unwrap_err().to_string();
    assert_eq!(error, "orders.json:1:54: a limit of -100 ticks: prices below zero cannot be settled, the lowest is 0");
    // With the seller first, at another price.
    let copy = orders.replace("buy", "other").replace("sell", "buy").replace("other", "sell").replace("-100", "-1");
    let error = parse("copy.json", &copy).unwrap_err().to_string();
    assert_eq!(error, "copy.json:1:53: a limit of -1 ticks: prices below zero cannot be settled, the lowest is 0");
    // With the other sign nobody agrees, and two tenths of a cent higher they do.
    let clear = |text: String| cleared(parse("orders.json", &text).unwrap().orders);
    assert_eq!(clear(orders.replace('-', "")).volume_wh, Wh(0));
    let higher = clear(orders.replace("-100", "100").replace("-200", "0"));
    assert_eq!((higher.volume_wh, higher.price_ticks), (Wh(1000), Ticks(0)));
}

/// A fixed key is refused by its name, wherever a rule is asked for, and the rules that there are share as the case says
/// of use.
#[test]
fn a_fixed_key_is_refused_by_its_name() {
    let homes = folder("S06").join("homes.csv");
    let homes = homes.to_str().unwrap();
    let said = "shares by a fixed key are no rule of circuit version 2, which settles none. Its rules are auction";
    for rule in ["static-key", "fixed-key"] {
        for command in [&["simulate", homes][..], &["market", "--orders", "-"]] {
            let out = common::gridveil().args(command).args(["--mechanism", rule]).output().unwrap();
            let error = String::from_utf8(out.stderr).unwrap();
            assert!(error.contains(said) && error.contains(rule) && error.lines().count() == 1, "{error}");
            assert_eq!((out.status.code(), out.stdout.len()), (Some(2), 0));
        }
    }
    let out = common::gridveil().args(["simulate", homes, "--mechanism", "pay-as-bid"]).output().unwrap();
    assert!(String::from_utf8(out.stderr).unwrap().contains("the rules are auction and community-price"));
    // Uses of 600, 600 and 100 Wh share 900.
    let shares = |orders: &[(Side, u32)]| -> Vec<u64> {
        let order = |(side, wh): &(Side, u32)| {
            let limit_ticks = if *side == Side::Buy { Ticks(2000) } else { Ticks(500) };
            BookOrder { side: *side, wh: *wh, limit_ticks }
        };
        let book = Book { orders: orders.iter().map(order).collect() };
        let output = clear(&book, Mechanism::CommunityPrice, Ticks(1000)).unwrap().1;
        output.allocations_wh.iter().map(|wh| wh.0).collect()
    };
    let uses = [(Side::Buy, 600), (Side::Buy, 600), (Side::Buy, 100), (Side::Sell, 900)];
    assert_eq!(shares(&uses), [415, 415, 70, 900], "by use, and not 450, 270 and 100");
    // In the other order, where the Wh that no share is whole of falls elsewhere; with twice as much to share nobody is short.
    let turned: Vec<(Side, u32)> = uses.into_iter().rev().collect();
    assert_eq!(shares(&turned), [900, 69, 415, 416]);
    let more = uses.map(|(side, wh)| if side == Side::Sell { (side, 2 * wh) } else { (side, wh) });
    assert_eq!(shares(&more), [600, 600, 100, 1300]);
}

fn simulated(name: &str, text: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let out = common::gridveil().args(["simulate", path.to_str().unwrap(), "--json"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Of each kWh, traded or not, a fee is paid once.
#[test]
fn fees_are_paid_once_per_kwh() {
    let (text, expected) = (file("S06", "homes.csv"), expected("S06"));
    let fees = |text: &str, times: i64| {
        let report = simulated("homes.csv", text);
        assert_eq!(report["money"]["fees_nano"], times * expected["fees_nano"].as_i64().unwrap());
        assert_eq!(report["energy"]["traded_wh"], times * expected["traded_wh"].as_i64().unwrap());
    };
    fees(&text, 1);
    let rows = |change: &dyn Fn(&str) -> Vec<String>| -> String {
        let (header, rows) = text.split_once('\n').unwrap();
        let rows: Vec<String> = rows.lines().flat_map(change).collect();
        format!("{header}\n{}\n", rows.join("\n"))
    };
    let energies = |row: &str, of: &dyn Fn(u64) -> u64| {
        let cells: Vec<&str> = row.split(',').collect();
        let energies = cells[3..].iter().map(|wh| of(wh.parse().unwrap()).to_string());
        cells[..3].iter().map(|cell| (*cell).to_owned()).chain(energies).collect::<Vec<_>>().join(",")
    };
    // Three times the energy: three times the fees.
    fees(&rows(&|row| vec![energies(row, &|wh| 3 * wh)]), 3);
    // In quarters, the same.
    let quarters = |row: &str| {
        let quarter = energies(row, &|wh| wh / 4);
        ["00", "15", "30", "45"]
            .map(|minute| {
                quarter.replacen(":00,", &format!(":{minute},"), 1).replacen(":00:00Z", &format!(":{minute}:00Z"), 1)
            })
            .to_vec()
    };
    fees(&rows(&quarters), 1);
    // The other home first, and columns from the right to the left.
    let turned: String = text.lines().map(|line| line.split(',').rev().collect::<Vec<_>>().join(",") + "\n").collect();
    fees(&turned, 1);
}

/// A school with a meter of 1 Wh and an account of 10 or 100: the running sum is never a unit away.
#[test]
fn a_commercial_meter_loses_nothing_to_the_units_of_its_account() {
    let text = file("S12", "input.csv");
    let kwh = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let of = |wh: &str| {
            wh.parse::<u64>().map_or(wh.replace("_wh", "_kwh"), |wh| format!("{}.{:03}", wh / 1000, wh % 1000))
        };
        format!("{},{},{}\n", cells[0], of(cells[1]), of(cells[2]))
    };
    let turned = |line: &str| line.split(',').rev().collect::<Vec<_>>().join(",") + "\n";
    let copies = [
        text.clone(),
        text.lines().filter(|l| !l.is_empty()).map(kwh).collect(),
        text.lines().filter(|l| !l.is_empty()).map(turned).collect(),
    ];
    for (copy, scale) in copies.iter().flat_map(|copy| [10, 100].map(|scale| (copy, scale))) {
        let import = read(copy.as_bytes(), &Choice::default()).unwrap();
        let first = import.series.entries()[0].start / 3600;
        let cut = Cut {
            first_interval: Interval(u32::try_from(first).unwrap()),
            intervals: 24,
            length: 3600,
            scale,
            purpose: Purpose::Metered(&[]),
        };
        let (mut wh, mut units) = (0, 0);
        for (entry, reading) in import.series.entries().iter().zip(cut.of(&import).unwrap()) {
            wh += entry.import_wh;
            units += u64::from(reading.import);
            assert_eq!(units, wh / scale);
        }
        let rows = text.lines().skip(1).filter_map(|line| line.split(',').nth(1)?.parse::<u64>().ok());
        assert_eq!(wh, rows.sum::<u64>());
    }
}
