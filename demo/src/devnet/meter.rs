//! A meter that is none: sends the telegrams of a P1 port (DSMR 5), or those of a German meter (SML), to everybody who
//! connects.

use std::{
    io::Write,
    net::TcpListener,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gridveil_readings::{live::Speech, p1::checksum};

use super::sml;

/// What its register of import shows at first.
const FIRST_WH: u64 = 1_000_000;

/// Options of `gridveil devnet meter`.
#[derive(Clone, Debug, clap::Args)]
pub struct MeterArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8088")]
    listen: String,
    /// What it speaks: p1 (DSMR 5, with the time), or sml (no time; the seconds that it has run).
    #[arg(long, default_value = "p1")]
    protocol: Speech,
    /// Power that the home takes, W.
    #[arg(long, default_value_t = 480, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    watts: u64,
    /// Milliseconds between two telegrams.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    every_ms: u64,
    /// The meter's clock runs so many times as fast as the computer's.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    speed: u64,
    /// Every so many telegrams one is sent changed; none if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    bad_every: Option<u64>,
    /// After so many telegrams the line is cut in the middle of one; never if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    cut_after: Option<u64>,
}

/// A meter's clock and registers.
#[derive(Clone, Copy)]
struct Meter {
    began: Instant,
    unix: i64,
    watts: u64,
    speed: u64,
}

/// What a meter shows at some moment. Of a whole second: a telegram of it says no more.
struct Shown {
    /// Since it began.
    seconds: u64,
    import_wh: u64,
}

impl Meter {
    fn shown(&self) -> anyhow::Result<Shown> {
        let passed = self.began.elapsed().as_millis() * u128::from(self.speed);
        let seconds = u64::try_from(passed / 1000)?;
        Ok(Shown { seconds, import_wh: FIRST_WH + self.watts.saturating_mul(seconds) / 3600 })
    }

    fn telegram(&self, speech: Speech) -> anyhow::Result<Vec<u8>> {
        let shown = self.shown()?;
        match speech {
            Speech::P1 => self.p1(&shown),
            Speech::Sml => sml::frame(u32::try_from(shown.seconds)?, [shown.import_wh, 0]),
        }
    }

    fn p1(&self, shown: &Shown) -> anyhow::Result<Vec<u8>> {
        let (wh, unix) = (shown.import_wh, self.unix + i64::try_from(shown.seconds)?);
        let winter = jiff::tz::Offset::constant(1);
        let local = winter.to_datetime(jiff::Timestamp::from_second(unix)?);
        let body = format!(
            "/GRV5\\2SIMULATED\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0({}W)\r\n0-0:96.1.1(53494D)\r\n1-0:1.8.1({:06}.{:03}*kWh)\r\n\
             1-0:2.8.1(000000.000*kWh)\r\n1-0:1.7.0({:02}.{:03}*kW)\r\n!",
            local.strftime("%y%m%d%H%M%S"),
            wh / 1000,
            wh % 1000,
            self.watts / 1000,
            self.watts % 1000,
        );
        Ok(format!("{body}{:04X}\r\n", checksum(body.as_bytes())).into_bytes())
    }
}

/// Runs until it is interrupted.
pub(super) fn meter(args: &MeterArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind(&args.listen).with_context(|| format!("cannot listen at {}", args.listen))?;
    println!("a meter at tcp://{}, {} W, {}", listener.local_addr()?, args.watts, args.protocol.name());
    let unix = jiff::Timestamp::now().as_second();
    let meter = Meter { began: Instant::now(), unix, watts: args.watts, speed: args.speed };
    listen(&listener, meter, args)
}

/// Speaks to everybody who connects.
fn listen(listener: &TcpListener, meter: Meter, args: &MeterArgs) -> anyhow::Result<()> {
    for stream in listener.incoming() {
        let (stream, args) = (stream?, args.clone());
        std::thread::spawn(move || {
            // Whoever listened has gone.
            let _ = speak(stream, meter, &args);
        });
    }
    Ok(())
}

/// Until the other side has gone, or the line is to be cut.
fn speak(mut line: impl Write, meter: Meter, args: &MeterArgs) -> anyhow::Result<()> {
    for number in 1.. {
        let mut telegram = meter.telegram(args.protocol)?;
        if args.bad_every.is_some_and(|every| number % every == 0) {
            // In the middle of it, where no frame begins or ends.
            let middle = telegram.len() / 2;
            telegram.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
        }
        if args.cut_after.is_some_and(|after| number > after) {
            telegram.truncate(telegram.len() / 2);
            line.write_all(&telegram)?;
            return Ok(());
        }
        line.write_all(&telegram)?;
        std::thread::sleep(Duration::from_millis(args.every_ms));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
