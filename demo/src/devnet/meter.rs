//! A meter that is none: sends the telegrams of a P1 port (DSMR 5) to everybody who connects.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gridveil_readings::p1::checksum;

/// Options of `gridveil devnet meter`.
#[derive(Clone, Debug, clap::Args)]
pub struct MeterArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8088")]
    listen: String,
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

/// A meter's clock and register.
#[derive(Clone, Copy)]
struct Meter {
    began: Instant,
    unix: i64,
    watts: u64,
    speed: u64,
}

impl Meter {
    fn telegram(&self) -> anyhow::Result<String> {
        let passed = self.began.elapsed().as_millis() * u128::from(self.speed);
        // What a whole second has used: a telegram of that second says no more.
        let seconds = u64::try_from(passed / 1000)?;
        let wh = 1_000_000 + self.watts.saturating_mul(seconds) / 3600;
        let winter = jiff::tz::Offset::constant(1);
        let local = winter.to_datetime(jiff::Timestamp::from_second(self.unix + i64::try_from(seconds)?)?);
        let body = format!(
            "/GRV5\\2SIMULATED\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0({}W)\r\n0-0:96.1.1(53494D)\r\n1-0:1.8.1({:06}.{:03}*kWh)\r\n\
             1-0:2.8.1(000000.000*kWh)\r\n1-0:1.7.0({:02}.{:03}*kW)\r\n!",
            local.strftime("%y%m%d%H%M%S"),
            wh / 1000,
            wh % 1000,
            self.watts / 1000,
            self.watts % 1000,
        );
        Ok(format!("{body}{:04X}\r\n", checksum(body.as_bytes())))
    }
}

/// Runs until it is interrupted.
pub(super) fn meter(args: &MeterArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind(&args.listen).with_context(|| format!("cannot listen at {}", args.listen))?;
    println!("a meter at tcp://{}, {} W", listener.local_addr()?, args.watts);
    let unix = jiff::Timestamp::now().as_second();
    let meter = Meter { began: Instant::now(), unix, watts: args.watts, speed: args.speed };
    for stream in listener.incoming() {
        let (stream, args) = (stream?, args.clone());
        std::thread::spawn(move || {
            // Whoever listened has gone.
            let _ = speak(stream, meter, &args);
        });
    }
    Ok(())
}

fn speak(mut stream: TcpStream, meter: Meter, args: &MeterArgs) -> anyhow::Result<()> {
    for number in 1.. {
        let mut telegram = meter.telegram()?;
        if args.bad_every.is_some_and(|every| number % every == 0) {
            telegram = telegram.replace("1-0:1.8.1(0010", "1-0:1.8.1(0090");
        }
        if args.cut_after.is_some_and(|after| number > after) {
            telegram.truncate(telegram.len() / 2);
            stream.write_all(telegram.as_bytes())?;
            return Ok(());
        }
        stream.write_all(telegram.as_bytes())?;
        std::thread::sleep(Duration::from_millis(args.every_ms));
    }
    Ok(())
}
