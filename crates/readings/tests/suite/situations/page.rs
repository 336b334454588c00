//! docs/reference/situations.md: every case, its answer and the test that shows it. The page is made here.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::{Becomes, Figures, expected, table::groups};

/// What each file case is about.
const ABOUT: [(&str, &str); 36] = [
    ("02", "Green Button: readings of a register, not energies of intervals"),
    ("03", "Green Button: hours that the utility estimated"),
    ("04", "Green Button: one net register, import less export"),
    ("05", "Green Button: one register of import and export added"),
    ("06", "Green Button: quarter hours, the day's value and kW in one file"),
    ("07", "Green Button: another usage point that has bills alone"),
    ("08", "Green Button: tenths of a Wh"),
    ("09", "Green Button: hours of a zone that is half an hour off"),
    ("10", "Green Button: an hour in two parts, by tier"),
    ("11", "Green Button: an hour in two equal parts, by time of use"),
    ("12", "Green Button: electricity measured on the primary side"),
    ("13", "Dominion (US): 48 half hours on a day of 46"),
    ("14", "Duke (US): 25 hours, each told by its end"),
    ("15", "Enedis (FR): mean power in W, 50 half hours"),
    ("17", "Our own columns: half hours, then quarter hours"),
    ("19", "Netz NÖ (AT): 100 quarter hours told by their end, without an offset"),
    ("20", "Salzburg Netz (AT): a column tells summer and winter time apart"),
    ("22", "Octopus (UK): 50 half hours, one of them missing"),
    ("23", "E-REDES (PT): mean power in kW"),
    ("24", "NEM12 (AU): two registers, substitutes, no summer time"),
    ("26", "HomeMatic (DE): a register that rolls over"),
    ("27", "Eloverblik (DK): 25 hours, one estimated"),
    ("28", "SDG&E (US): net values with 14 decimals below lines about the account"),
    ("29", "e-distribuzione (IT): one row a day"),
    ("30", "Our own columns: 41 kWh in an hour of a home"),
    ("31", "Our own columns: a consumer without an export column"),
    ("32", "Our own columns: local times that say they are UTC"),
    ("33", "Our own columns: intervals that begin a second late"),
    ("34", "Our own columns: semicolon, decimal comma, kWh"),
    ("35", "Netz NÖ (AT): the operator's allocation beside the register"),
    ("36", "Our own columns: a corrected file of a day that was settled"),
    ("37", "Green Button: gas beside electricity"),
    ("38", "Green Button: no links, no direction"),
    ("39", "Green Button: a new meter's register, from zero"),
    ("40", "Our own columns: every second hour is missing"),
    ("41", "Green Button: a negative value in a register of one direction"),
];

/// Tests, each with its file.
type Tests = &'static [(&'static str, &'static str)];
/// Number, what it is about, the answer, tests.
type Other = (&'static str, &'static str, &'static str, Tests);

/// Markets, settlements and certificates.
const OTHERS: [Other; 12] = [
    ("S01", "Two sellers ask one price", "500 ticks, 1,000 Wh; the sellers share equally", MARKET),
    ("S02", "Two equal buyers want twice what is offered", "1,000 ticks; 500 Wh each", MARKET),
    (
        "S03",
        "Any price of a range clears",
        "the lowest, 600 ticks; 1,000 Wh",
        &[("prices_and_shares_of_other_markets_cases", SUITE), ("of_several_prices_the_lowest_is_taken", SUITE)],
    ),
    ("S04", "Nobody sells", "nothing trades, no price is booked", MARKET),
    ("S05", "An offer of nothing asks the highest price", "2,900 ticks, 1,000 Wh", MARKET),
    ("S06", "Fees, once a kWh", "2.49216 of the currency; 21,600 Wh traded", &[("fees_are_paid_once_per_kwh", SUITE)]),
    (
        "S07",
        "A fixed allocation key",
        "refused by its name: version 2 settles none. By use: 415, 415 and 70 Wh of 900",
        &[("a_fixed_key_is_refused_by_its_name", SUITE), ("a_rule_has_its_name", "crates/cli/src/common/options.rs")],
    ),
    (
        "S08",
        "Prices below zero",
        "refused: version 2 settles no price below zero",
        &[("a_price_below_zero_is_refused_by_its_name", SUITE)],
    ),
    (
        "S09",
        "A community of one's own",
        "9,600 Wh traded, in hours and quarters, by any name",
        &[
            ("a_street_of_ones_own_is_settled", "tests/suite/simulate.rs"),
            ("communities_that_people_wanted_to_simulate", "tests/suite/simulate.rs"),
        ],
    ),
    (
        "S10",
        "A meter that is always one period late",
        "not booked in version 2 while it stays behind: corrections go from the newest substitute down (ADR 0006), so the \
         debt after n settlements is that of n substitutes. Once the meter is on time, one more is booked in each \
         settlement: after n of them every register is the meter's, nothing is lost and nothing booked twice",
        &[
            ("a_meter_that_is_always_one_period_late_is_booked_once_it_is_on_time", ALWAYS_LATE),
            ("another_meter_that_is_always_one_period_late_loses_nothing_either", ALWAYS_LATE),
            (
                "a_meter_that_was_silent_for_several_periods_is_corrected_for_each",
                "sequencer/tests/suite/operations/late.rs",
            ),
        ],
    ),
    (
        "S11",
        "A certificate is claimed twice",
        "refused: by the wallet, and by L1 from a copy of it",
        &[
            ("a_certificate_is_claimed_once_from_whatever_copy", "tests/suite/member/certificates.rs"),
            ("a_certificate_is_retired_and_an_auditor_agrees", "tests/suite/member/certificates.rs"),
            ("one_note_has_one_nullifier", "protocol/src/certificate/tests.rs"),
            ("the_contract_has_the_same_queue", "verifier-contract/tests/suite/notes.rs"),
        ],
    ),
    (
        "S12",
        "An account of 10 or 100 Wh a unit",
        "the sum of what is signed is less than a unit below the register",
        &[
            ("a_commercial_meter_loses_nothing_to_the_units_of_its_account", SUITE),
            ("what_is_less_than_a_unit_is_carried_on", "meter-client/src/source.rs"),
        ],
    ),
];

const SUITE: &str = "tests/suite/situations.rs";
const ALWAYS_LATE: &str = "sequencer/tests/suite/operations/always_late.rs";
const MARKET: Tests = &[("prices_and_shares_of_other_markets_cases", SUITE)];

const HEAD: &str = "# Situations that people met

48 situations from public bug reports and descriptions of real files, each with the value that is right. All values in them are made up. The test
`the_page_lists_every_situation` makes this page and fails where it differs; it also fails where a test named here does not exist.

## Meter files
The files, with the source of each and how its value is computed, are in `crates/readings/tests/situations/`. The tests are in
`crates/readings/tests/suite/situations.rs`. `the_changed_values` reads every changed copy of the table below.

";

const CHANGES: &str = "
## Changed copies
A test makes each copy from the committed file and computes the value that is right for it from the case's. Every interval is compared, not only
the sums, unless the last column says otherwise.
";

const MARKETS: &str = "
## Markets, settlements, certificates
S01 to S08 and S12 are in `tests/data/situations/`, with changed copies in their tests: three times the energy, twice the price, another order,
quarters in place of hours, another sign. The copy of S10 is another meter that is late for another while, that of S11 another certificate.

| case | what it is about | answer | tests |
|---|---|---|---|
";

fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn answer(number: &str, figures: &Figures) -> String {
    let shown = [
        ("import_wh", "Wh import"),
        ("export_wh", "Wh export"),
        ("change_import_wh", "Wh more import"),
        ("community_wh", "Wh of the community"),
        ("intervals", "intervals"),
        ("missing_intervals", "missing"),
        ("estimated_intervals", "estimated"),
    ];
    let value = shown.iter().filter_map(|(name, unit)| {
        let value = figures.get(*name).filter(|value| **value != 0)?;
        Some(format!("{} {unit}", grouped(*value)))
    });
    let value = value.collect::<Vec<_>>().join(", ");
    let spike =
        if figures.contains_key("spike_interval") { "; the spike is signed only with `--accept spike`" } else { "" };
    match number {
        "05" => format!("refused: the parts of a sum are unknown. With `--total-is-import`: {value}"),
        "09" => "refused: half-hourly data is needed".to_owned(),
        _ => value + spike,
    }
}

fn test(number: &str) -> &'static str {
    match number {
        "05" => "a_total_is_split_by_nobody",
        "09" => "hours_that_begin_at_half_past_are_refused",
        "36" => "a_correction_is_the_difference_of_two_files",
        _ => "the_right_values",
    }
}

fn becomes(becomes: &Becomes) -> String {
    match becomes {
        Becomes::Same => "the same".to_owned(),
        Becomes::Times(by) => format!("{} times", grouped(i64::try_from(*by).unwrap())),
        Becomes::Part(by) => format!("1/{}, the running sum rounded down", grouped(i64::try_from(*by).unwrap())),
        Becomes::Swapped => "import is export, export is import".to_owned(),
        Becomes::Later(seconds) if *seconds < 0 => format!("{} h earlier", -seconds / 3600),
        Becomes::Later(seconds) => format!("{} h later", seconds / 3600),
        Becomes::Now(words, _) => format!("{words} (sums alone)"),
        Becomes::Refused(words, _) => format!("refused: {words}"),
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned() + "| case | what it is about | answer | test |\n|---|---|---|---|\n";
    for (number, about) in ABOUT {
        let _ = writeln!(page, "| {number} | {about} | {} | `{}` |", answer(number, &expected(number)), test(number));
    }
    page += CHANGES;
    for (of, rows) in groups() {
        let _ = write!(page, "\n### {of}\n| change | cases | what becomes of the value |\n|---|---|---|\n");
        for row in rows {
            let _ = writeln!(page, "| {} | {} | {} |", row.words, row.cases.replace(' ', ", "), becomes(&row.becomes));
        }
    }
    page += MARKETS;
    for (number, about, answer, tests) in OTHERS {
        let tests: Vec<String> = tests.iter().map(|(name, file)| format!("`{name}` (`{file}`)")).collect();
        assert!(!tests.is_empty(), "{number} has no test");
        let _ = writeln!(page, "| {number} | {about} | {answer} | {} |", tests.join(", "));
    }
    page
}

#[test]
fn the_page_lists_every_situation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let about: BTreeMap<&str, &str> = ABOUT.into_iter().collect();
    assert!(super::folders().keys().all(|number| about.contains_key(number.as_str())) && about.len() == 36);
    for (name, path) in OTHERS.iter().flat_map(|(_, _, _, tests)| tests.iter()) {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        assert!(text.contains(&format!("fn {name}(")), "{path}: {name}");
    }
    let (page, made) = (std::fs::read_to_string(root.join("docs/reference/situations.md")).unwrap_or_default(), page());
    if page != made {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("situations.md");
        std::fs::write(&path, made).unwrap();
        panic!("docs/reference/situations.md differs; as it should be: {}", path.display());
    }
}
