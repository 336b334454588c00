//! First state of a community of homes, with keys anyone can derive: for simulations and the demonstration, never for
//! real money.

use gridveil_api::beginning::{PublicStream, Registered};
use gridveil_protocol::{
    account::{Account, LeafSalts, Registers, Terms},
    community::Community,
    field::Fr,
    market::Mechanism,
    owner::owner_of,
    params::Shape,
    schnorr::{PublicKey, SecretKey},
    units::{Interval, Nano, Ticks},
};
use gridveil_verifier_contract::{address_of, anvil::ANVIL_KEYS};

/// Number of the generation technology "solar" in leaves and notes.
pub const SOLAR: u8 = 1;

/// Why a community cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// More homes than slots.
    #[error("{homes} homes do not fit {slots} slots")]
    TooManyHomes {
        /// Homes.
        homes: usize,
        /// N.
        slots: usize,
    },
}

/// Key of a home's meter.
#[must_use]
pub fn meter_key(home: u16) -> SecretKey {
    SecretKey::from_seed(&PublicStream::new("meter", home.into()).bytes())
}

/// Key of a home's owner.
#[must_use]
pub fn owner_key(home: u16) -> SecretKey {
    SecretKey::from_seed(&PublicStream::new("owner", home.into()).bytes())
}

/// Key of the meter data manager.
#[must_use]
pub fn mdm_key() -> SecretKey {
    SecretKey::from_seed(&PublicStream::new("mdm", 0).bytes())
}

/// Key of a home's L1 address, for the homes that act on L1 themselves: keys that every local chain funds.
#[must_use]
pub fn payout_key(home: u16) -> Option<&'static str> {
    match home {
        4 => ANVIL_KEYS.get(2).copied(),
        6 => ANVIL_KEYS.get(3).copied(),
        _ => None,
    }
}

/// L1 address a home is paid to.
#[must_use]
pub fn payout(home: u16) -> [u8; 20] {
    let own = payout_key(home).and_then(|key| address_of(key).ok());
    own.unwrap_or_else(|| PublicStream::new("payout", home.into()).bytes())
}

/// Order limits of a home, the same every day: what a member's own energy manager would set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Highest price at which it buys locally.
    pub buy: Ticks,
    /// Lowest price at which it sells locally.
    pub sell: Ticks,
}

impl Limits {
    /// Auction: the homes differ (buyers 0.09 to 0.19, sellers 0.06 to 0.15 per kWh), so that some energy finds no
    /// match. Community price: everybody takes part at the published price, within the tariff's bounds.
    #[must_use]
    pub const fn of(home: u16, mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Auction => Self { buy: Ticks(900 + 200 * (home % 6)), sell: Ticks(600 + 150 * (home % 7)) },
            Mechanism::CommunityPrice => Self { buy: Ticks::MAX, sell: Ticks::ZERO },
        }
    }
}

/// What a community starts with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Index in the state tree.
    pub index: u32,
    /// Size of its settlements.
    pub shape: Shape,
    /// Clearing rule.
    pub mechanism: Mechanism,
    /// Seconds.
    pub interval_length: u16,
    /// First interval that is settled, and in which accounts are active.
    pub first_interval: Interval,
    /// First interval in which they are not.
    pub active_until: Interval,
    /// Homes, in slot order; the other slots are empty.
    pub homes: Vec<u16>,
    /// Prepaid by each home, nano.
    pub balance: u64,
    /// Supplier's pool, nano.
    pub supplier_account: u64,
    /// Largest substituted import and export of an interval, Wh.
    pub caps_wh: [u16; 2],
    /// Key of the meter data manager.
    pub mdm: PublicKey,
}

impl Plan {
    /// Money in the community: what the L1 vault must hold for it, nano.
    #[must_use]
    pub fn funds(&self) -> Nano {
        self.homes.iter().map(|_| Nano::from(self.balance)).sum::<Nano>() + Nano::from(self.supplier_account)
    }

    /// Builds the community: zero totals, every slot salted alike.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn community(&self) -> Result<Community, GenesisError> {
        let (homes, slots) = (self.homes.len(), self.shape.members);
        if homes > slots {
            return Err(GenesisError::TooManyHomes { homes, slots });
        }
        let mut community = self.registered().empty();
        for (account, home) in community.accounts.iter_mut().zip(&self.homes) {
            *account = self.account(*home, account.salts);
        }
        community.header.supplier_account = self.supplier_account;
        Ok(community)
    }

    /// What of it is fixed when it is registered.
    #[must_use]
    pub const fn registered(&self) -> Registered {
        Registered {
            index: self.index,
            shape: self.shape,
            mechanism: self.mechanism,
            interval_length: self.interval_length,
            first_interval: self.first_interval,
            mdm: self.mdm,
        }
    }

    fn account(&self, home: u16, salts: LeafSalts) -> Account {
        let limits = Limits::of(home, self.mechanism);
        Account {
            owner: owner_of(&owner_key(home)).commitment(),
            meter: Some(meter_key(home).public()),
            balance: self.balance,
            payout: payout(home),
            debt: 0,
            nonce: 0,
            terms: Terms {
                active_from: self.first_interval,
                active_until: self.active_until,
                buy_limit: limits.buy,
                sell_limit: limits.sell,
                cap_import: self.caps_wh[0],
                cap_export: self.caps_wh[1],
                technology: SOLAR,
                scale: 1,
                class: 0,
            },
            registers: Registers::default(),
            pending_substitute: Fr::from(0u64),
            salts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(homes: u16) -> Plan {
        Plan {
            index: 0,
            shape: Shape::by_name("tiny-4x2").unwrap(),
            mechanism: Mechanism::Auction,
            interval_length: 3600,
            first_interval: Interval(10),
            active_until: Interval(20),
            homes: (1..=homes).collect(),
            balance: 7,
            supplier_account: 5,
            caps_wh: [10, 10],
            mdm: mdm_key().public(),
        }
    }

    #[test]
    fn keys_differ_by_home_and_purpose() {
        assert_ne!(meter_key(1).to_bytes(), meter_key(2).to_bytes());
        assert_ne!(meter_key(1).to_bytes(), owner_key(1).to_bytes());
        assert_ne!(payout(1), payout(2));
    }

    #[test]
    fn no_two_leaves_share_salts_and_the_rest_is_empty() {
        let community = plan(3).community().unwrap();
        let mut salts: Vec<_> =
            community.accounts.iter().flat_map(|a| a.salts.exit.into_iter().chain(a.salts.private)).collect();
        salts.sort_unstable();
        salts.dedup();
        assert_eq!(salts.len(), 16);
        assert_eq!(community.accounts.iter().filter(|a| a.meter.is_some()).count(), 3);
        assert_eq!(plan(3).funds(), Nano(26));
        assert_eq!(plan(5).community().unwrap_err(), GenesisError::TooManyHomes { homes: 5, slots: 4 });
    }
}
