//! Exact energy. No floating point: a reading is what the file says, to the last digit.

/// Longest number that is read, characters.
const LONGEST: usize = 48;
/// Most decimals that are read: a spreadsheet writes 17.
const MOST_DECIMALS: u32 = 17;

/// A decimal number: `mantissa / 10^scale`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    /// Reads a number whose decimal sign is `sign`. Thousands are not grouped. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str, sign: char) -> Option<Self> {
        let text = text.trim();
        if text.len() > LONGEST {
            return None;
        }
        let (negative, digits) = match text.strip_prefix(['-', '\u{2212}']) {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (digits, exponent) = match digits.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok().filter(|e| e.abs() <= 15)?),
            None => (digits, 0),
        };
        let (whole, fraction) = digits.split_once(sign).unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let mut scale = i32::try_from(fraction.len()).ok()? - exponent;
        while scale < 0 {
            mantissa = mantissa.checked_mul(10)?;
            scale += 1;
        }
        let scale = u32::try_from(scale).ok().filter(|scale| *scale <= MOST_DECIMALS + 15)?;
        Some(Self { mantissa: if negative { -mantissa } else { mantissa }, scale })
    }

    /// A whole number.
    #[must_use]
    pub const fn whole(value: i64) -> Self {
        Self { mantissa: value as i128, scale: 0 }
    }

    /// Times `10^power`.
    #[must_use]
    pub fn shifted(self, power: i64) -> Option<Self> {
        let scale = i64::from(self.scale).checked_sub(power)?;
        if let Ok(scale) = u32::try_from(scale) {
            return (scale <= 40 || self.mantissa == 0)
                .then_some(Self { mantissa: self.mantissa, scale: scale.min(40) });
        }
        let factor = u32::try_from(-scale).ok().and_then(|p| 10i128.checked_pow(p));
        let mantissa = if self.mantissa == 0 { 0 } else { self.mantissa.checked_mul(factor?)? };
        Some(Self { mantissa, scale: 0 })
    }

    /// The whole number it is, if it is one.
    #[must_use]
    pub fn to_whole(self) -> Option<i64> {
        let divisor = 10i128.checked_pow(self.scale)?;
        (self.mantissa % divisor == 0).then(|| i64::try_from(self.mantissa / divisor).ok()).flatten()
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Watt-hours.
    Wh,
    /// Thousand watt-hours.
    KWh,
    /// Million watt-hours.
    MWh,
    /// Mean power of the interval, watts.
    W,
    /// Mean power of the interval, kilowatts.
    KW,
}

impl Unit {
    /// Reads a unit's name, in any case but for the prefix mega.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "MWh" | "MWH" => return Some(Self::MWh),
            _ => {}
        }
        match text.trim().to_ascii_lowercase().as_str() {
            "wh" | "watt-hours" | "watthours" => Some(Self::Wh),
            "kwh" | "kilowatt-hours" | "kilowatthours" => Some(Self::KWh),
            "w" | "watts" => Some(Self::W),
            "kw" | "kilowatts" => Some(Self::KW),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wh => "Wh",
            Self::KWh => "kWh",
            Self::MWh => "MWh",
            Self::W => "W",
            Self::KW => "kW",
        }
    }

    /// Is it a mean power, whose energy depends on the interval's length?
    #[must_use]
    pub const fn is_power(self) -> bool {
        matches!(self, Self::W | Self::KW)
    }
}

/// Picojoules of a watt-second.
const PER_JOULE: i128 = 1_000_000_000_000;
/// Picojoules of a watt-hour.
const PER_WH: i128 = 3600 * PER_JOULE;

/// Energy in picojoules: exact for Wh with 12 decimals and for a mean power in W of any whole number of seconds.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Energy(i128);

impl std::fmt::Debug for Energy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Energy(..)")
    }
}

impl Energy {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole watt-hours.
    #[must_use]
    pub const fn wh(wh: i64) -> Self {
        Self(wh as i128 * PER_WH)
    }

    /// `value` in `unit`; a mean power lasts `seconds`. `None` if it is finer than a picojoule, or out of range.
    #[must_use]
    pub fn of(value: Decimal, unit: Unit, seconds: u32) -> Option<Self> {
        let factor = match unit {
            Unit::Wh => PER_WH,
            Unit::KWh => PER_WH * 1_000,
            Unit::MWh => PER_WH * 1_000_000,
            Unit::W => PER_JOULE * i128::from(seconds),
            Unit::KW => PER_JOULE * 1_000 * i128::from(seconds),
        };
        let (mut mantissa, mut factor, mut scale) = (value.mantissa, factor, value.scale);
        while scale > 0 && factor % 10 == 0 {
            (factor, scale) = (factor / 10, scale - 1);
        }
        while scale > 0 && mantissa % 10 == 0 {
            (mantissa, scale) = (mantissa / 10, scale - 1);
        }
        let divisor = 10i128.checked_pow(scale)?;
        let product = mantissa.checked_mul(factor)?;
        (product % divisor == 0).then_some(Self(product / divisor))
    }

    /// Is it less than nothing?
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Is it nothing?
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// `numerator` of `denominator` parts, rounded down; all of it if there are no parts. Of what is not negative.
    #[must_use]
    pub fn part(self, numerator: i64, denominator: i64) -> Self {
        let (numerator, denominator) = (i128::from(numerator), i128::from(denominator));
        if denominator <= 0 || numerator >= denominator {
            return self;
        }
        let (whole, rest) = (self.0 / denominator, self.0 % denominator);
        Self(whole.saturating_mul(numerator).saturating_add(rest.saturating_mul(numerator) / denominator))
    }

    /// In Wh, exact, with a point; `None` if it has no end in decimals.
    #[must_use]
    pub fn exact_wh(self) -> Option<String> {
        let (whole, mut rest) = (self.0.abs() / PER_WH, self.0.abs() % PER_WH);
        let mut text = format!("{}{whole}", if self.is_negative() { "-" } else { "" });
        for decimals in 0..MOST_DECIMALS {
            if rest == 0 {
                return Some(text);
            }
            if decimals == 0 {
                text.push('.');
            }
            rest *= 10;
            text.push(char::from(b'0' + u8::try_from(rest / PER_WH).ok()?));
            rest %= PER_WH;
        }
        None
    }

    /// Whole Wh, rounded down.
    #[must_use]
    pub fn floor_wh(self) -> i64 {
        i64::try_from(self.0.div_euclid(PER_WH)).unwrap_or(i64::MAX)
    }

    /// Whole tenths of a Wh, rounded down.
    #[must_use]
    pub fn floor_tenth_wh(self) -> i64 {
        i64::try_from(self.0.div_euclid(PER_WH / 10)).unwrap_or(i64::MAX)
    }

    /// Mean power over `seconds`, whole W, rounded up.
    #[must_use]
    pub fn mean_w(self, seconds: u32) -> i64 {
        let per_w = PER_JOULE * i128::from(seconds.max(1));
        i64::try_from((self.0 + per_w - 1).div_euclid(per_w)).unwrap_or(i64::MAX)
    }
}

impl std::ops::Add for Energy {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Energy {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::ops::AddAssign for Energy {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Energy {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, |a, b| a + b)
    }
}

/// Rounds a sequence so that its running sum is right: each is the difference of two rounded-down sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rounding {
    sum: Energy,
}

impl Rounding {
    /// The next one's whole Wh.
    pub fn next(&mut self, energy: Energy) -> u64 {
        let before = self.sum.floor_wh();
        self.sum += energy;
        u64::try_from(self.sum.floor_wh() - before).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kwh(text: &str) -> Energy {
        Energy::of(Decimal::parse(text, '.').unwrap(), Unit::KWh, 0).unwrap()
    }

    #[test]
    fn numbers_are_read_exactly_or_not_at_all() {
        assert!(kwh("0.18") == Energy::wh(180));
        assert!(kwh("0.18000000000000") == Energy::wh(180));
        assert!(kwh("-0.617") == Energy::wh(-617));
        assert!(kwh("1.8e-1") == Energy::wh(180));
        assert!(Decimal::parse("1.234,5", ',').is_none() && Decimal::parse("1,234.5", '.').is_none());
        for text in ["", "-", ".", "1 2", "1,2", "0x1", "NaN", "inf", "1e99", "1e", &"9".repeat(60)] {
            assert!(Decimal::parse(text, '.').is_none(), "{text}");
        }
        // Nothing finer than a picojoule is dropped.
        assert!(Energy::of(Decimal::parse("0.00000000000000000001", '.').unwrap(), Unit::Wh, 0).is_none());
    }

    #[test]
    fn a_mean_power_becomes_energy_by_its_length() {
        let energy = |text: &str, unit, seconds| Energy::of(Decimal::parse(text, '.').unwrap(), unit, seconds).unwrap();
        assert!(energy("246", Unit::W, 1800) == Energy::wh(123));
        assert!(energy("0.220", Unit::KW, 900) == Energy::wh(55));
        // A twelfth of a watt-hour has no end in decimals, and none is lost.
        let twelfth = energy("1", Unit::W, 300);
        assert!((0..12).map(|_| twelfth).sum::<Energy>() == Energy::wh(1));
    }

    #[test]
    fn the_running_sum_is_rounded() {
        let mut rounding = Rounding::default();
        let tenths = [1922, 1711, 1635, 2519];
        let whole: Vec<u64> = tenths.iter().map(|t| rounding.next(kwh(&format!("0.0{t}")))).collect();
        assert_eq!(whole, [19, 17, 16, 25]);
        let rounded: u64 = tenths.iter().scan(Rounding::default(), |r, t| Some(r.next(kwh(&format!("0.{t}"))))).sum();
        assert_eq!(rounded, 778);
    }

    #[test]
    fn powers_of_ten_are_exact() {
        assert!(Decimal::whole(192_200).shifted(-3).and_then(|d| Energy::of(d, Unit::Wh, 0)) == Some(kwh("0.1922")));
        assert!(Decimal::whole(2).shifted(3).and_then(|d| Energy::of(d, Unit::Wh, 0)) == Some(Energy::wh(2000)));
        assert!(Decimal::whole(1).shifted(i64::MAX).is_none() && Decimal::whole(1).shifted(-99).is_none());
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["0", "12", "12.5", "-0.0001", "1581123.000000000001", "1099511627775.1"] {
            let energy = Energy::of(Decimal::parse(text, '.').unwrap(), Unit::Wh, 0).unwrap();
            assert_eq!(energy.exact_wh().as_deref(), Some(text));
        }
        assert_eq!(Energy::of(Decimal::whole(1), Unit::W, 1).unwrap().exact_wh(), None, "a 3600th of a Wh has no end");
    }

    #[test]
    fn energy_is_not_printed() {
        assert_eq!(format!("{:?}", Energy::wh(987)), "Energy(..)");
    }
}
