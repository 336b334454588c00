//! Communities, tariff and terms of a local network.

use anyhow::Context as _;
use gridveil_api::beginning::Beginning;
use gridveil_protocol::{
    account::Terms,
    market::Mechanism,
    params::Shape,
    tariff::Tariff,
    units::{Interval, Ticks},
};

use crate::{
    data,
    demo::scenario::FIRST_DAY,
    genesis::SOLAR,
    homes::INTERVAL_LENGTH,
    simulate::CAPS_WH,
    time_of_use::{Split, TimeOfUse},
};

/// Communities, tariff and terms of a devnet.
pub(super) struct Setting {
    pub(super) shape: Shape,
    pub(super) beginnings: Vec<Beginning>,
    time_of_use: TimeOfUse,
    /// First interval of the first period, in which members enrol; the next one is the first day of
    /// `data/zne17-2017-05.csv`.
    pub(super) beginning: Interval,
    pub(super) active_from: Interval,
}

impl Setting {
    pub(super) fn new(mdm: &str, shape: Shape) -> anyhow::Result<Self> {
        let time_of_use = TimeOfUse::parse(data::TARIFF).context(data::TARIFF_NAME)?;
        let midnight = FIRST_DAY.to_zoned(time_of_use.zone.clone())?.timestamp().as_second();
        let active_from = Interval::of_time(midnight, INTERVAL_LENGTH).context("the first day is before 1970")?;
        let beginning = active_from - u32::try_from(shape.intervals)?;
        let one = |community| Beginning {
            community,
            shape: shape.name.to_owned(),
            mechanism: Mechanism::Auction,
            interval_length: INTERVAL_LENGTH,
            first_interval: beginning,
            mdm: mdm.to_owned(),
        };
        Ok(Self { shape, beginnings: vec![one(0), one(1)], time_of_use, beginning, active_from })
    }

    /// Of the first period and all that follow.
    pub(super) fn tariff(&self) -> anyhow::Result<Tariff> {
        Ok(self.time_of_use.tariff(&Split::default(), self.beginning, INTERVAL_LENGTH, self.shape.intervals)?)
    }

    /// What the meter data manager offers every home.
    pub(super) const fn terms(&self) -> Terms {
        let [cap_import, cap_export] = CAPS_WH;
        Terms {
            active_from: self.active_from,
            active_until: Interval::MAX,
            buy_limit: Ticks(1_900),
            sell_limit: Ticks(600),
            cap_import,
            cap_export,
            technology: SOLAR,
            scale: 1,
            class: 0,
        }
    }
}
