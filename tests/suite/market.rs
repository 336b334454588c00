//! `gridveil market` against the published cases of other open projects, and at its edges.

use std::{
    io::Write,
    process::{Output, Stdio},
};

use crate::common;
use gridveil_demo::market::{Book, BookOrder, Side, clear, draw, parse};
use gridveil_protocol::{
    market::Mechanism,
    units::{Ticks, Wh},
};
use serde::Deserialize;

/// Reference price of the community-price cases.
const REFERENCE: Ticks = Ticks(1000);

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    mechanism: Mechanism,
    orders: Vec<BookOrder>,
    theirs: Theirs,
    ours: Ours,
}

#[derive(Deserialize)]
struct Theirs {
    volume_wh: Wh,
    price_ticks: Option<Ticks>,
    by_order_wh: Option<Vec<Wh>>,
    residual_wh: Option<Vec<Wh>>,
}

#[derive(Deserialize)]
struct Ours {
    volume_wh: Wh,
    price_ticks: Ticks,
}

fn cases() -> Vec<Case> {
    serde_json::from_str::<Cases>(include_str!("../data/peer-cases.json")).unwrap().cases
}

fn case(name: &str) -> (Case, gridveil_demo::market::Output) {
    let case = cases().into_iter().find(|c| c.name.starts_with(name)).unwrap();
    let (_, output) = clear(&Book { orders: case.orders.clone() }, case.mechanism, REFERENCE).unwrap();
    (case, output)
}

fn gridveil(args: &[&str], stdin: &str) -> Output {
    let mut child = common::gridveil()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn every_case_clears_as_recorded() {
    for case in cases() {
        let (_, output) = clear(&Book { orders: case.orders.clone() }, case.mechanism, REFERENCE).unwrap();
        assert_eq!(
            (output.volume_wh, output.price_ticks),
            (case.ours.volume_wh, case.ours.price_ticks),
            "{}",
            case.name
        );
        assert!(output.volume_wh >= case.theirs.volume_wh, "{}", case.name);
        let side = |side: Side| {
            let orders = case.orders.iter().zip(&output.allocations_wh);
            orders.filter(|(o, _)| o.side == side).map(|(_, wh)| *wh).sum::<Wh>()
        };
        assert_eq!((side(Side::Buy), side(Side::Sell)), (output.volume_wh, output.volume_wh), "{}", case.name);
    }
}

#[test]
fn pymarket_same_volume_price_and_welfare() {
    let (case, output) = case("pymarket");
    assert_eq!((output.volume_wh, Some(output.price_ticks)), (case.theirs.volume_wh, case.theirs.price_ticks));
    // Their maximal volume (4) needs a price of its own for each pair, and Huang's truthful auction gives up a unit
    // (1); a uniform price gives 3, and at it no allocation has more welfare than their maximum of 6 units of 100 ticks
    // x 1 kWh.
    let worth = case.orders.iter().zip(&output.allocations_wh).map(|(order, wh)| {
        let value = i64::from(order.limit_ticks.0) * i64::try_from(wh.0).unwrap();
        if order.side == Side::Buy { value } else { -value }
    });
    assert_eq!(worth.sum::<i64>(), 6 * 100 * 1000);
}

#[test]
fn gsy_pay_as_clear_stops_at_the_marginal_bid_and_we_do_not() {
    let (case, output) = case("gsy-framework, pay as clear");
    // Theirs clears at a bid's rate only where the offers cover all bids from that rate up: 35 kWh at 2 are not covered
    // by 25, so it goes back to the bid at 3 and 20 kWh, and leaves 5 kWh unsold that a buyer at 2 wants and a seller
    // at 1.00001 has. Ours serves every profitable watt-hour and takes the lowest clearing tick, so the buyer at 2 is
    // marginal and gets the rest.
    assert_eq!((case.theirs.volume_wh, case.theirs.price_ticks), (Wh(20_000), Some(Ticks(30_000))));
    assert_eq!(output.allocations_wh, [0, 5000, 20_000, 25_000, 0, 0].map(Wh));
    assert!(output.price_ticks < Ticks(30_000));
}

#[test]
fn gsy_pay_as_bid_serves_the_same_orders() {
    let (case, output) = case("gsy-framework, pay as bid");
    // The same watt-hours go the same ways; only the prices differ: theirs by pair, ours uniform.
    assert_eq!(Some(output.allocations_wh), case.theirs.by_order_wh);
}

#[test]
fn zk_netting_leaves_the_same_residuals() {
    for name in ["zk-netting (Eberhardt 2020), balanced", "zk-netting (Eberhardt 2020), twice"] {
        let (case, output) = case(name);
        let residual: Vec<Wh> =
            case.orders.iter().zip(&output.allocations_wh).map(|(o, wh)| Wh(o.wh.into()) - *wh).collect();
        assert_eq!(Some(residual), case.theirs.residual_wh);
        // Mirrored, sellers are rationed by the same rule.
        let flip = |o: &BookOrder| match o.side {
            Side::Buy => BookOrder { side: Side::Sell, limit_ticks: Ticks(500), ..*o },
            Side::Sell => BookOrder { side: Side::Buy, limit_ticks: Ticks(1500), ..*o },
        };
        let mirrored = Book { orders: case.orders.iter().map(flip).collect() };
        assert_eq!(clear(&mirrored, case.mechanism, REFERENCE).unwrap().1.allocations_wh, output.allocations_wh);
    }
}

#[test]
fn rationing_is_within_a_watt_hour_of_proportional() {
    // Theirs rounds each share and gives the last unit to whoever is left; ours floors running sums. Both are within 1
    // Wh of exact.
    let buy = |wh| BookOrder { side: Side::Buy, wh, limit_ticks: Ticks(1500) };
    let orders = vec![buy(10), buy(10), buy(10), BookOrder { side: Side::Sell, wh: 20, limit_ticks: Ticks(500) }];
    let (_, output) = clear(&Book { orders }, Mechanism::CommunityPrice, REFERENCE).unwrap();
    assert_eq!(output.allocations_wh.iter().take(3).sum::<Wh>(), Wh(20));
    assert!(output.allocations_wh.iter().take(3).all(|wh| (6..=7).contains(&wh.0)));
}

#[test]
fn the_drawing_marks_the_price_between_served_and_unserved() {
    let (case, _) = case("pymarket");
    let book = Book { orders: case.orders };
    let (clearing, output) = clear(&book, Mechanism::Auction, Ticks::ZERO).unwrap();
    let drawing = draw(&book, &clearing, &output);
    let order: Vec<_> =
        ["#6", "#2", "#1", "► 200", "#4", "#3", "#5"].iter().map(|x| drawing.find(x).unwrap()).collect();
    assert!(order.is_sorted(), "{drawing}");
    assert!(
        drawing.ends_with(
            "3,000 Wh at 200 ticks (0.0200 per kWh); supply at the margin shares what is left in proportion."
        )
    );
    let widths: Vec<_> = drawing.lines().filter(|l| !l.ends_with('.')).map(|l| l.chars().count()).collect();
    assert!(widths.iter().all(|w| *w == widths[0]), "{drawing}");
}

#[test]
fn the_command_prints_json_in_input_order() {
    let orders = r#"{"orders":[{"side":"sell","wh":10,"limit_ticks":5},{"side":"buy","wh":4,"limit_ticks":9}]}"#;
    let out = gridveil(&["market", "--orders", "-", "--json"], orders);
    let json: gridveil_demo::market::Output = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        (json.price_ticks, json.volume_wh, json.allocations_wh, json.rationed),
        (Ticks(5), Wh(4), vec![Wh(4), Wh(4)], Some(Side::Sell))
    );
    let community =
        gridveil(&["market", "--orders", "-", "--mechanism", "community-price", "--price-ticks", "7"], orders);
    assert!(String::from_utf8(community.stdout).unwrap().contains("► 7"));
}

#[test]
fn bad_input_is_one_line_with_its_place_and_a_failing_exit() {
    for (input, message) in [
        (
            "{\"orders\":[\n {\"side\":\"by\"}]}",
            "gridveil: standard input:2:13: unknown variant `by`, expected `buy` or `sell`",
        ),
        (
            "{\"orders\":[{\"side\":\"buy\",\"wh\":-1,\"limit_ticks\":1}]}",
            "gridveil: standard input:1:32: invalid value: integer `-1`, expected u32",
        ),
        (
            "{\"orders\":[{\"side\":\"buy\",\"wh\":1,\"limit_ticks\":65536}]}",
            "gridveil: standard input:1:52: invalid value: integer `65536`, expected u16",
        ),
        ("", "gridveil: standard input:1:0: EOF while parsing a value"),
    ] {
        let out = gridveil(&["market", "--orders", "-"], input);
        assert_eq!(out.status.code(), Some(1));
        assert!(out.stdout.is_empty());
        assert_eq!(String::from_utf8(out.stderr).unwrap().trim_end_matches('\n'), message);
    }
    let sum = r#"{"orders":[{"side":"buy","wh":4294967295,"limit_ticks":1},{"side":"buy","wh":1,"limit_ticks":1}]}"#;
    let out = gridveil(&["market", "--orders", "-"], sum);
    assert_eq!(
        String::from_utf8(out.stderr).unwrap(),
        "gridveil: standard input: orders of one interval add up to 2^32 Wh or more\n"
    );
    let out = gridveil(&["market", "--orders", "-", "--mechanism", "community-price"], "");
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(String::from_utf8(out.stderr).unwrap().lines().count(), 1);
    assert!(parse("x", "[").is_err());
}
