//! What each home pays, with and without the community, as a picture.

use anyhow::Context as _;
use gridveil_protocol::units::Nano;
use plotters::{
    backend::SVGBackend,
    chart::{ChartBuilder, SeriesLabelPosition},
    drawing::IntoDrawingArea,
    element::Rectangle,
    series::LineSeries,
    style::{Color, RGBColor},
};

use super::{
    Report,
    shown::{counted, shortened},
};

/// Pixels across, and for each home.
const WIDTH: u32 = 960;
const HOME: u32 = 28;
/// Pixels for title, axis and legend.
const REST: u32 = 140;
const WITHOUT: RGBColor = RGBColor(170, 178, 189);
const WITH: RGBColor = RGBColor(31, 122, 77);
/// Nano in a hundredth of the currency: coordinates are whole numbers.
const HUNDREDTH: i128 = 10_000_000;

fn hundredths(nano: Nano) -> i64 {
    i64::try_from(nano.0 / HUNDREDTH).unwrap_or(i64::MAX)
}

/// Two bars a home, the longest bill on top.
///
/// # Errors
/// What the library says: practically never.
pub(super) fn svg(report: &Report) -> anyhow::Result<String> {
    let mut homes: Vec<(String, i64, i64)> = report
        .homes
        .iter()
        .map(|home| (shortened(&home.home), hundredths(home.bill_without_community_nano), hundredths(home.bill_nano)))
        .collect();
    homes.sort_by_key(|(_, without, _)| *without);
    let count = i32::try_from(homes.len()).context("too many homes")?;
    let (low, high) = homes
        .iter()
        .fold((0, 0), |(low, high), (_, without, with)| (low.min(*without).min(*with), high.max(*without).max(*with)));
    let margin = (high - low) / 20 + 1;
    let mut out = String::new();
    {
        let height = REST + HOME * u32::try_from(count).unwrap_or(u32::MAX / HOME);
        let area = SVGBackend::with_string(&mut out, (WIDTH, height)).into_drawing_area();
        area.fill(&RGBColor(255, 255, 255))?;
        let saved: i64 = homes.iter().map(|(_, without, with)| without - with).sum();
        let title = format!(
            "{}, {} to {}: {} {} saved",
            counted(report.homes_count, "home"),
            day(&report.from),
            day(&report.until),
            amount(saved),
            report.currency
        );
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(120)
            .build_cartesian_2d(low - margin..high + margin, 0..4 * count)?;
        let name = |y: &i32| {
            let home = usize::try_from(y / 4).ok().filter(|_| y % 4 == 2).and_then(|at| homes.get(at));
            home.map(|(name, ..)| name.clone()).unwrap_or_default()
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(usize::try_from(4 * count + 1).unwrap_or_default())
            .y_label_formatter(&name)
            .x_label_formatter(&|hundredths| amount(*hundredths))
            .x_desc(format!("bill of these days, {}; left of 0 is earned", report.currency))
            .draw()?;
        for (label, colour, place, of) in [
            ("without the community", WITHOUT, 2, (|home| home.1) as fn(&(String, i64, i64)) -> i64),
            ("with it", WITH, 1, |home| home.2),
        ] {
            let bars = (0..).zip(&homes).map(|(at, home)| {
                Rectangle::new([(0, 4 * at + place), (of(home), 4 * at + place + 1)], colour.filled())
            });
            chart
                .draw_series(bars)?
                .label(label)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled()));
        }
        let zero = [(0, 0), (0, 4 * count)];
        chart.draw_series(LineSeries::new(zero, RGBColor(60, 60, 60)))?;
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .border_style(WITHOUT)
            .background_style(RGBColor(255, 255, 255))
            .draw()?;
        area.present()?;
    }
    Ok(out)
}

fn day(local: &str) -> &str {
    local.split_once(' ').map_or(local, |(day, _)| day)
}

/// `-12.34` of hundredths.
fn amount(hundredths: i64) -> String {
    let (sign, whole, rest) = (if hundredths < 0 { "-" } else { "" }, hundredths.abs() / 100, hundredths.abs() % 100);
    format!("{sign}{whole}.{rest:02}")
}
