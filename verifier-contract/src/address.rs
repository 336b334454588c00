//! Addresses of nodes and signers: what in one may be a key, and texts without it.

/// Shortest part of a path that is taken for a key: versions and names of chains are shorter, keys are longer.
const SHORTEST_KEY: usize = 12;

/// The parts of an address that may be secret: a user's name and password, parts of the path that are long, and what a query
/// says.
#[must_use]
pub fn secrets_in(url: &str) -> Vec<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let in_query = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let in_path = path.split('/').filter(|part| part.len() >= SHORTEST_KEY);
    let all = user.split(':').chain(in_path).chain(in_query).chain([fragment]);
    all.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What must not be told of an address.
#[derive(Clone)]
pub(crate) struct Hidden(Vec<String>);

impl Hidden {
    pub(crate) fn of(url: &str) -> Self {
        let mut words = secrets_in(url);
        // The longest first: one may be part of another.
        words.push(url.to_owned());
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Self(words)
    }

    /// A text of somebody else without what is hidden. Who refuses a key may repeat it.
    pub(crate) fn out_of(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, word| text.replace(word.as_str(), "…"))
    }

    /// The same, at most 200 characters of it.
    pub(crate) fn told(&self, text: &str) -> String {
        self.out_of(text).chars().take(200).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_key_is_found() {
        assert!(secrets_in("http://127.0.0.1:8545").is_empty());
        assert!(secrets_in("https://rpc.example/v1/mainnet/").is_empty());
        assert_eq!(secrets_in("https://eth.example/v3/0123456789abcdef"), ["0123456789abcdef"]);
        assert_eq!(secrets_in("https://user:pass@eth.example/rpc?key=abc&x#f"), ["user", "pass", "abc", "x", "f"]);
    }

    #[test]
    fn a_text_is_told_without_it() {
        let hidden = Hidden::of("https://user:pass@eth.example/v3/0123456789abcdef?k=0123456789abcdefgh");
        assert_eq!(hidden.told("no such key 0123456789abcdefgh"), "no such key …");
        assert_eq!(hidden.told("0123456789abcdef is no project"), "… is no project");
        assert_eq!(hidden.told(&"x".repeat(300)).len(), 200);
    }
}
