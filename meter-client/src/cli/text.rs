//! Operations and statements for a person.

use gridveil_protocol::{
    field::to_bytes,
    hex::hex0,
    units::{Interval, Nano},
};

use crate::{calendar::Periods, statement::Statement};

/// The statement for a person, by the clock of its zone. Money in currency units, exact.
#[must_use]
pub fn table(s: &Statement, periods: &Periods) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let start = |interval: Interval| periods.begins(interval);
    let _ =
        writeln!(out, "Statement: community {}, slot {}, {}\n", s.community, s.slot, periods.span(s.first_interval));
    let _ = writeln!(
        out,
        "{:<23} {:>9} {:>9} {:>9} {:>9} {:>11}",
        "interval from", "import Wh", "export Wh", "bought Wh", "sold Wh", "price /kWh"
    );
    for l in &s.lines {
        let _ = writeln!(
            out,
            "{:<23} {:>9} {:>9} {:>9} {:>9} {:>11}",
            start(l.interval),
            l.import_wh,
            l.export_wh,
            l.bought_wh,
            l.sold_wh,
            l.tick
        );
    }
    let e = &s.bill.energy;
    let _ = writeln!(out, "{:<23} {:>9} {:>9} {:>9} {:>9}\n", "sum", e.import, e.export, e.bought, e.sold);
    let mut money = |name: &str, nano: Nano| {
        let _ = writeln!(out, "{name:<34} {nano:>24}");
    };
    money("balance before", s.before_nano);
    money("local trade", s.bill.trade_nano);
    money("supplier", -s.bill.supply_nano);
    money("fees", -s.bill.fees_nano);
    for operation in &s.operations {
        money(operation.kind.effect().title, operation.change_nano);
    }
    if let Some(correction) = &s.correction {
        money(&format!("corrected {}", start(correction.first_interval)), correction.change_nano);
    }
    money("balance after", s.after_nano);
    let _ = writeln!(out, "{:<34} {:>21} Wh\n", "certificates", s.certificates_wh);
    let _ = writeln!(out, "Every figure was recomputed from this meter's readings and the tariff registered on L1;");
    let _ = writeln!(out, "the account is in root {}, final on L1.", hex0(to_bytes(&s.root)));
    for notice in &s.notices {
        let _ = writeln!(out, "Note: {notice}");
    }
    out
}

/// An error and its causes on one line. A cause that the error says itself is not said twice. What the operating system
/// says of a file is in the same words, whichever way it was asked.
#[must_use]
pub fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = plain(&error.to_string());
    let mut next = error.source();
    while let Some(cause) = next {
        let said = plain(&cause.to_string());
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text.lines().collect::<Vec<_>>().join(" ")
}

/// Without the number of the operating system's error, and `entity not found` by its usual name.
fn plain(text: &str) -> String {
    const SAME: [(&str, &str); 4] = [
        ("No such file or directory", "no such file"),
        ("entity not found", "no such file"),
        ("Permission denied", "permission denied"),
        ("Is a directory", "a folder, not a file"),
    ];
    let mut text = text.to_owned();
    while let Some((before, after)) = text.split_once(" (os error ") {
        let after = after.split_once(')').map_or("", |(_, after)| after);
        text = format!("{before}{after}");
    }
    SAME.iter().fold(text, |text, (said, usual)| text.replace(said, usual))
}
