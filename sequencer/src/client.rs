//! Whose request it is, as far as limits are concerned: an address, the peer's own or, behind a proxy that is trusted, the
//! one that the proxy says. It is counted with and never written down.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

/// Who is counted together: an IPv4 address, or the 2^64 addresses of an IPv6 network, which one customer has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub IpAddr);

/// The header in which a proxy says whom it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Neither of the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the headers of proxies are x-forwarded-for and forwarded")]
pub struct ProxyHeaderError;

impl FromStr for ProxyHeader {
    type Err = ProxyHeaderError;

    fn from_str(name: &str) -> Result<Self, ProxyHeaderError> {
        match name {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err(ProxyHeaderError),
        }
    }
}

/// Proxies that are believed when they say whom they ask for. One header alone counts: a proxy that writes one of them hands
/// on what a client has put into the other.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Their addresses.
    pub trusted: Vec<IpNet>,
    /// The header that they write.
    pub header: ProxyHeader,
}

impl Proxies {
    /// Is it one of them?
    pub(crate) fn is_one(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|net| net.contains(&address))
    }

    /// Whose request it is. From the last hop to the first, the first one that is no trusted proxy: what stands before it is
    /// hearsay, and may be forged. The proxy itself, if it says nothing that is understood.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        if !self.is_one(peer) {
            return peer.into();
        }
        let name: HeaderName = match self.header {
            ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            ProxyHeader::Forwarded => header::FORWARDED,
        };
        let mut last = peer;
        let values: Vec<_> = headers.get_all(name).into_iter().collect();
        for hop in values.iter().rev().filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(',')) {
            let address = match self.header {
                ProxyHeader::XForwardedFor => address(hop.trim()),
                ProxyHeader::Forwarded => forwarded(hop),
            };
            match address {
                Some(address) if self.is_one(address) => last = address,
                Some(address) => return address.into(),
                None => break,
            }
        }
        last.into()
    }
}

/// `1.2.3.4`, `1.2.3.4:567`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:567`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
        .or_else(bare)
}

/// The `for` of one hop of `Forwarded`.
fn forwarded(hop: &str) -> Option<IpAddr> {
    let pairs = hop.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(value.trim().trim_matches('"'))
}

/// Counts of what clients have at once, at most so many of each. A client with nothing is not in it.
#[derive(Clone, Debug)]
pub(crate) struct PerClient {
    most: usize,
    counts: Arc<Mutex<HashMap<Client, usize>>>,
}

/// One of them, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Within {
    client: Client,
    of: PerClient,
}

impl PerClient {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, counts: Arc::default() }
    }

    /// One more of a client; `None` if it has as many as it may.
    pub(crate) fn enter(&self, client: Client) -> Option<Within> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&client).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        counts.insert(client, count + 1);
        Some(Within { client, of: self.clone() })
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let mut counts = self.of.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn seen(proxies: &Proxies, peer: &str, lines: &[(&'static str, &'static str)]) -> Client {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        proxies.client(ip(peer), &headers)
    }

    #[test]
    fn only_a_trusted_proxy_says_whose_request_it_is() {
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let by = Proxies { trusted: trusted.clone(), header: ProxyHeader::XForwardedFor };
        let client = |text| Client::from(ip(text));
        let line = |value| [("x-forwarded-for", value)];
        assert_eq!(
            seen(&Proxies::default(), "10.0.0.1", &line("203.0.113.7")),
            client("10.0.0.1"),
            "no proxy is trusted"
        );
        assert_eq!(seen(&by, "198.51.100.1", &line("203.0.113.7")), client("198.51.100.1"), "a stranger's header");
        assert_eq!(seen(&by, "10.0.0.1", &line("203.0.113.7")), client("203.0.113.7"));
        assert_eq!(seen(&by, "::ffff:10.0.0.1", &line("203.0.113.7:4711")), client("203.0.113.7"));
        assert_eq!(
            seen(&by, "::1", &line("192.0.2.9, 203.0.113.7")),
            client("203.0.113.7"),
            "what it was told is forged"
        );
        assert_eq!(
            seen(&by, "10.0.0.1", &line("192.0.2.9, 203.0.113.7, 10.9.9.9")),
            client("203.0.113.7"),
            "two proxies"
        );
        let two = [("x-forwarded-for", "192.0.2.9"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(seen(&by, "10.0.0.1", &two), client("203.0.113.7"), "two lines are one");
        for nothing in ["", "unknown", "203.0.113.7, unknown", "203.0.113.7,"] {
            assert_eq!(seen(&by, "10.0.0.1", &line(nothing)), client("10.0.0.1"), "{nothing}: the proxy itself");
        }
        assert_eq!(seen(&by, "10.0.0.1", &[("forwarded", "for=203.0.113.7")]), client("10.0.0.1"), "a client's own");
        let by = Proxies { trusted, header: ProxyHeader::Forwarded };
        assert_eq!(seen(&by, "10.0.0.1", &line("203.0.113.7")), client("10.0.0.1"), "a client's own");
        for value in [
            "for=203.0.113.7",
            "For=\"203.0.113.7:80\";proto=http",
            "for=192.0.2.9, by=10.1.1.1;for=203.0.113.7",
            "for=\"a,b\", for=203.0.113.7, for=10.2.2.2",
        ] {
            assert_eq!(seen(&by, "10.0.0.1", &[("forwarded", value)]), client("203.0.113.7"), "{value}");
        }
        let v6 = "for=\"[2001:db8:1:2:3::4]:80\"";
        assert_eq!(seen(&by, "10.0.0.1", &[("forwarded", v6)]), client("2001:db8:1:2::"), "a network is one client");
        for nothing in ["for=_hidden", "host=\"", "for=\"", "for"] {
            assert_eq!(seen(&by, "10.0.0.1", &[("forwarded", nothing)]), client("10.0.0.1"), "{nothing}");
        }
        assert_eq!(format!("{:?}", client("203.0.113.7")), "Client");
    }

    #[test]
    fn a_client_has_so_many_at_once() {
        let counts = PerClient::new(2);
        let (one, other) = (Client::from(ip("192.0.2.1")), Client::from(ip("192.0.2.2")));
        let first = counts.enter(one).unwrap();
        let _second = counts.enter(one).unwrap();
        assert!(counts.enter(one).is_none() && counts.enter(other).is_some());
        drop(first);
        assert!(counts.enter(one).is_some());
        drop(_second);
        assert!(counts.counts.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }
}
