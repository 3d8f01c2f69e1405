//! Tokens: what one side says and the other has to have read.

use std::fmt;

/// A fresh token, recognisable by a person who finds one where it should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token of these 128 random bits.
    pub fn new(random: u128) -> Self {
        Self(format!("tieline-handshake-{random:032x}"))
    }

    /// The line that says it.
    pub fn line(&self) -> String {
        format!("{}\n", self.0)
    }

    /// A search for it in what is heard.
    pub fn search(&self) -> Search<'_> {
        Search { token: self.0.as_bytes(), from: 0, found: false }
    }
}

/// A search for a token in bytes that become more. None are searched again: they may come one by one.
#[derive(Debug)]
pub struct Search<'a> {
    token: &'a [u8],
    from: usize,
    found: bool,
}

impl Search<'_> {
    /// Whether the token is in `heard`, which begins with what was heard before.
    pub fn found_in(&mut self, heard: &[u8]) -> bool {
        let length = self.token.len();
        self.found |= heard[self.from..].windows(length).any(|window| window == self.token);
        self.from = self.from.max((heard.len() + 1).saturating_sub(length));
        self.found
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_heard_among_other_bytes_and_only_when_whole() {
        let token = Token::new(0xab);
        let is_in = |bytes: &[u8]| token.search().found_in(bytes);
        assert!(is_in(format!("\0{}", token.line()).as_bytes()));
        assert!(!is_in(&token.line().as_bytes()[..20]));
        assert!(!is_in(Token::new(0xac).line().as_bytes()));
    }

    #[test]
    fn a_token_is_heard_in_pieces() {
        let token = Token::new(0xab);
        let heard = format!("noise {}noise", token.line()).into_bytes();
        for size in 1..heard.len() {
            let mut search = token.search();
            let ends = (0..=heard.len()).step_by(size).chain([heard.len()]);
            let found: Vec<bool> = ends.map(|end| search.found_in(&heard[..end])).collect();
            assert!(!found[0] && found.is_sorted() && found.ends_with(&[true]), "{size}: {found:?}");
        }
    }
}
