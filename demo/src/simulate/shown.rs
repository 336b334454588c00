//! A simulation for a person.

use gridveil_cli::common::text;
use gridveil_protocol::market::Mechanism;

use super::{HomeReport, Report};

/// Characters of a home's name in a table: of a longer one the last, which differ.
const NAME: usize = 12;

/// The end of a long name.
pub(super) fn shortened(name: &str) -> String {
    let count = name.chars().count();
    if count <= NAME {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(count + 1 - NAME).collect::<String>())
    }
}

/// Names of files that are listed one by one; of more, the first and the last.
const FILES: usize = 3;

/// `1 home`, `17 homes`.
pub(super) fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// Which files made a home, where they are several.
fn files_of(home: &HomeReport) -> Option<String> {
    let names: Vec<&str> = home.files.iter().map(|path| path.rsplit(['/', '\\']).next().unwrap_or(path)).collect();
    let [first, .., last] = names.as_slice() else { return None };
    let list = if names.len() <= FILES { names.join(", ") } else { format!("{first} to {last}") };
    Some(format!("home {} of {} files: {list}\n", home.home, names.len()))
}

/// What the readings are, where they are not simply all that there is.
fn notes(r: &Report) -> String {
    let mut out = String::new();
    if r.example_tariff {
        out += "prices: the built-in example; --tariff FILE takes yours\n";
    }
    if r.example_zone {
        out += "days: by the example's clock, as the files name no zone; --zone takes yours\n";
    }
    for meter in &r.same_meters {
        out += &format!("files of several homes name meter {meter}: these homes have their files' names\n");
    }
    out.extend(r.homes.iter().filter_map(files_of));
    if r.left_out_days > 0 {
        out +=
            &format!("{} left out: not whole in every home, or not next to these\n", counted(r.left_out_days, "day"));
    }
    for lack in &r.lacks {
        out += &format!("home {} has no reading for {}\n", lack.home, lack.start);
    }
    if r.unsettled_intervals > 0 {
        out +=
            &format!("at the end, not settled, as no period is full: {}\n", counted(r.unsettled_intervals, "interval"));
    }
    if r.skipped_rows > 0 {
        out += &format!("{} of local hours that do not exist\n", counted(r.skipped_rows, "row"));
    }
    let estimated: usize = r.homes.iter().map(|home| home.estimated_intervals).sum();
    if estimated > 0 {
        out += &format!("not measured, by the files' own word: {}\n", counted(estimated, "reading"));
    }
    out
}

/// Tables for a person.
pub(super) fn render(r: &Report) -> String {
    let unit = &r.currency;
    let mut homes = text::table(&[
        "home",
        "import\nkWh",
        "export\nkWh",
        "bought\nkWh",
        "sold\nkWh",
        &format!("bill\n{unit}"),
        &format!("saved\n{unit}"),
    ]);
    for h in &r.homes {
        homes.add_row([
            shortened(&h.home),
            text::kwh(h.import_wh),
            text::kwh(h.export_wh),
            text::kwh(h.bought_wh),
            text::kwh(h.sold_wh),
            text::money(h.bill_nano),
            text::money(h.bill_without_community_nano - h.bill_nano),
        ]);
    }
    let (e, m, c) = (&r.energy, &r.money, &r.certificates);
    let mut totals = text::table(&["total", "amount", "unit", "share"]);
    let mut row = |name: &str, amount: String, unit: &str, share: String| {
        totals.add_row([name, &amount, unit, &share].map(str::to_owned));
    };
    row("import", text::kwh(e.import_wh), "kWh", String::new());
    row("export", text::kwh(e.export_wh), "kWh", String::new());
    row(
        "matchable in the same interval",
        text::kwh(e.matchable_wh),
        "kWh",
        text::percent(e.matchable_wh, e.export_wh) + " of export",
    );
    row("traded locally", text::kwh(e.traded_wh), "kWh", text::percent(e.traded_wh, e.matchable_wh) + " of matchable");
    row("members to local sellers", text::money(m.local_trade_nano), unit, String::new());
    row("members to the supplier", text::money(m.supplier_energy_nano), unit, String::new());
    row("members to the networks, fees", text::money(m.fees_nano), unit, String::new());
    row("supplier to members, for feed-in", text::money(m.supplier_feed_in_nano), unit, String::new());
    row("all bills, net", text::money(m.bills_nano), unit, String::new());
    row("all bills without the community", text::money(m.bills_without_community_nano), unit, String::new());
    row("owed by members", text::money(m.debt_nano), unit, String::new());
    row("certificates issued", text::kwh(c.issued_wh), "kWh", String::new());
    row(
        "certificates retired",
        text::kwh(c.retired_wh),
        "kWh",
        text::percent(c.retired_wh, c.issued_wh) + " of issued",
    );
    row(
        "certificates outstanding",
        text::kwh(c.outstanding_wh),
        "kWh",
        text::percent(c.outstanding_wh, c.issued_wh) + " of issued",
    );
    let mechanism = match r.mechanism {
        Mechanism::Auction => "auction",
        Mechanism::CommunityPrice => "community price",
    };
    let mut out = format!(
        "{}, {} to {}, {}\n{} of {} min, {} of them with both sides, {mechanism}\n",
        counted(r.homes_count, "home"),
        r.from,
        r.until,
        r.zone,
        counted(r.intervals, "interval"),
        r.interval_length / 60,
        r.intervals_with_both_sides,
    );
    out += &notes(r);
    out += &format!("{homes}\n{totals}\n");
    for check in &r.checks {
        out += &format!("{}  {}\n", if check.holds { "ok    " } else { "FAILED" }, check.name);
    }
    out
}
