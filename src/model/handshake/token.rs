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

    /// Whether it was heard in `bytes`.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(self.0.len()).any(|window| window == self.0.as_bytes())
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
        assert!(token.is_in(format!("\0{}", token.line()).as_bytes()));
        assert!(!token.is_in(&token.line().as_bytes()[..20]));
        assert!(!token.is_in(Token::new(0xac).line().as_bytes()));
    }
}
