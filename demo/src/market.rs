//! `gridveil market`: clears one interval and shows why each order is, or is not, served.

use std::{io::Read, path::PathBuf};

use anyhow::Context as _;
use comfy_table::{Cell, CellAlignment, Table, presets};
use gridveil_protocol::{
    market::{self as rules, Clearing, Mechanism, Order, Rationed, Rules},
    units::{Ticks, Wh},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, Unexpected},
};

use gridveil_cli::common::{
    options::mechanism,
    text::{self, json_message},
};

/// Options of `gridveil market`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  echo '{\"orders\":[{\"side\":\"buy\",\"wh\":900,\"limit_ticks\":1500},{\"side\":\"sell\",\"wh\":600,\"limit_ticks\":800}]}' \\\n    | gridveil market --orders -\n\nOne tick is 0.0001 of the currency per kWh."
)]
pub struct Args {
    /// Orders, as JSON; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// How the price is found: auction (uniform price, the lowest that clears) or community-price (published price, shared
    /// in proportion).
    #[arg(long, value_name = "RULE", default_value = "auction", value_parser = mechanism)]
    mechanism: Mechanism,
    /// Price of the community-price mechanism.
    #[arg(long, value_name = "N", required_if_eq("mechanism", "community-price"))]
    price_ticks: Option<Ticks>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Side of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Buys.
    Buy,
    /// Sells.
    Sell,
}

/// One order of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookOrder {
    /// Side.
    pub side: Side,
    /// Energy, Wh.
    pub wh: u32,
    /// Highest price paid, or lowest price asked.
    #[serde(deserialize_with = "limit")]
    pub limit_ticks: Ticks,
}

/// A price. One below zero is refused as that, not as a number of another type.
fn limit<'de, D: Deserializer<'de>>(from: D) -> Result<Ticks, D::Error> {
    let ticks = i64::deserialize(from)?;
    if ticks < 0 {
        let what = format_args!("a limit of {ticks} ticks: prices below zero cannot be settled, the lowest is 0");
        return Err(D::Error::custom(what));
    }
    u16::try_from(ticks).map(Ticks).map_err(|_| D::Error::invalid_value(Unexpected::Signed(ticks), &"u16"))
}

/// The input file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    /// Orders, in any order; ties are rationed in proportion, never by place.
    pub orders: Vec<BookOrder>,
}

/// A file that is not a book of orders.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {what}")]
pub struct BookError {
    file: String,
    line: usize,
    column: usize,
    what: String,
}

/// What the JSON output carries.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// How the price was found.
    pub mechanism: Mechanism,
    /// Published price: 0 where nothing trades.
    pub price_ticks: Ticks,
    /// Traded energy.
    pub volume_wh: Wh,
    /// Demand that accepts the price.
    pub demand_wh: Wh,
    /// Supply that accepts the price.
    pub supply_wh: Wh,
    /// Side whose marginal orders share what is left; absent where both sides fit exactly or nothing trades.
    pub rationed: Option<Side>,
    /// Energy each order gets, in input order.
    pub allocations_wh: Vec<Wh>,
}

/// Reads a book; `name` is for the message.
///
/// # Errors
/// [`BookError`] with line and column.
pub fn parse(name: &str, json: &str) -> Result<Book, BookError> {
    serde_json::from_str(json).map_err(|e| BookError {
        file: name.into(),
        line: e.line(),
        column: e.column(),
        what: json_message(&e),
    })
}

/// Clears a book by the protocol's rules, every order in a slot of its own.
///
/// # Errors
/// [`rules::MarketError`].
pub fn clear(book: &Book, mechanism: Mechanism, reference: Ticks) -> Result<(Clearing, Output), rules::MarketError> {
    let none = Order { wh: Wh::ZERO, limit: None };
    let pairs = book.orders.iter().map(|order| {
        let this = Order { wh: Wh(order.wh.into()), limit: Some(order.limit_ticks) };
        if order.side == Side::Buy { (this, none) } else { (none, this) }
    });
    let (demand, supply): (Vec<_>, Vec<_>) = pairs.unzip();
    let clearing =
        rules::clear(&Rules { mechanism, cap: Ticks::MAX, floor: Ticks::ZERO, reference }, &demand, &supply)?;
    let [demand_wh, supply_wh] = [clearing.demand.iter().sum(), clearing.supply.iter().sum()];
    let rationed = (clearing.volume > Wh::ZERO && demand_wh != supply_wh).then_some(match clearing.rationed {
        Rationed::Demand => Side::Buy,
        Rationed::Supply => Side::Sell,
    });
    let output = Output {
        mechanism,
        price_ticks: clearing.price(),
        volume_wh: clearing.volume,
        demand_wh,
        supply_wh,
        rationed,
        allocations_wh: clearing.bought.iter().zip(&clearing.sold).map(|(bought, sold)| *bought + *sold).collect(),
    };
    Ok((clearing, output))
}

/// Runs the command.
///
/// # Errors
/// Files, input and clearing, each on one line.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let name = args.orders.display().to_string();
    let mut json = String::new();
    if name == "-" {
        std::io::stdin().read_to_string(&mut json).context("standard input")?;
    } else {
        json = std::fs::read_to_string(&args.orders).with_context(|| name.clone())?;
    }
    let name = if name == "-" { "standard input" } else { &name };
    let book = parse(name, &json)?;
    let (clearing, output) =
        clear(&book, args.mechanism, args.price_ticks.unwrap_or_default()).with_context(|| name.to_owned())?;
    let out = if args.json { serde_json::to_string_pretty(&output)? } else { draw(&book, &clearing, &output) };
    Ok(text::print(&(out + "\n"))?)
}

/// One row of the ladder.
struct Step {
    limit: Ticks,
    side: Side,
    number: usize,
    wh: u32,
    served: Wh,
}

/// Demand from the highest limit down, supply from the lowest up, on one ladder of prices with the highest on top.
fn ladder(book: &Book, output: &Output) -> Vec<Step> {
    let mut steps: Vec<Step> = (book.orders.iter().zip(&output.allocations_wh).enumerate())
        .map(|(i, (order, served))| Step {
            limit: order.limit_ticks,
            side: order.side,
            number: i + 1,
            wh: order.wh,
            served: *served,
        })
        .collect();
    steps.sort_by_key(|s| (std::cmp::Reverse(s.limit), s.side == Side::Sell, s.number));
    steps
}

/// Draws the merit order: one row an order, the clearing price as a row of its own.
#[must_use]
pub fn draw(book: &Book, clearing: &Clearing, output: &Output) -> String {
    let steps = ladder(book, output);
    let cumulative = |side: Side, from_top: bool| {
        let mut sums = vec![0u64; steps.len()];
        let mut total = 0u64;
        let mut add = |i: usize| {
            total += steps.get(i).filter(|s| s.side == side).map_or(0, |s| u64::from(s.wh));
            if let Some(sum) = sums.get_mut(i) {
                *sum = total;
            }
        };
        if from_top {
            (0..steps.len()).for_each(&mut add)
        } else {
            (0..steps.len()).rev().for_each(&mut add)
        }
        sums
    };
    let (demand, supply) = (cumulative(Side::Buy, true), cumulative(Side::Sell, false));
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "buy",
        "demand Wh",
        "served",
        "up to here",
        "price, ticks",
        "per kWh",
        "up to here",
        "served",
        "supply Wh",
        "sell",
    ]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut marked = false;
    let mark = |table: &mut Table| {
        let text = if output.volume_wh > Wh::ZERO { "clears" } else { "no trade" };
        let volume = if output.volume_wh > Wh::ZERO { text::grouped(output.volume_wh.into()) } else { String::new() };
        let (tick, price) = (format!("► {}", clearing.tick.0), clearing.tick.to_string());
        table.add_row(["", "", &volume, "", &tick, &price, "", &volume, "", text].map(|t| right(t.into())));
    };
    for (step, (demand, supply)) in steps.iter().zip(demand.iter().zip(&supply)) {
        // Buyers at the clearing price stand above the line, sellers below it.
        let above = if step.side == Side::Buy { step.limit >= clearing.tick } else { step.limit > clearing.tick };
        if !above && !marked {
            mark(&mut table);
            marked = true;
        }
        let number = format!("#{}", step.number);
        let [wh, served] = [i128::from(step.wh), i128::from(step.served)].map(text::grouped);
        let (limit, price) = (step.limit.0.to_string(), step.limit.to_string());
        let [demand, supply] = [i128::from(*demand), i128::from(*supply)].map(text::grouped);
        let blank = String::new;
        table.add_row(
            match step.side {
                Side::Buy => [number, wh, served, demand, limit, price, blank(), blank(), blank(), blank()],
                Side::Sell => [blank(), blank(), blank(), blank(), limit, price, supply, served, wh, number],
            }
            .map(right),
        );
    }
    if !marked {
        mark(&mut table);
    }
    format!("{table}\n{}", summary(clearing, output))
}

fn summary(clearing: &Clearing, output: &Output) -> String {
    if output.volume_wh == Wh::ZERO {
        return "Nothing trades: no buyer's limit reaches a seller's at this price.".into();
    }
    let volume = text::grouped(output.volume_wh.into());
    let (ticks, price) = (clearing.tick.0, clearing.tick);
    let rationing = match output.rationed {
        Some(Side::Buy) => "demand at the margin shares what is left in proportion",
        Some(Side::Sell) => "supply at the margin shares what is left in proportion",
        None => "both sides fit exactly",
    };
    format!("{volume} Wh at {ticks} ticks ({price} per kWh); {rationing}.")
}
