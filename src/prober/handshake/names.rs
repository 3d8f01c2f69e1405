//! By name and by address: that a name works says nothing unless it leads to the provider, and where it does
//! not work, the address tells whether anything else does.

use std::net::IpAddr;

use super::super::{Attempt, PortRoute};
use super::modes::{Making, Told, high_ports};
use super::{Means, Trouble};
use crate::model::handshake::{FailReason, Verdict};

/// Where a connection by name led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// To the provider's address on the link's network.
    Link,
    /// It was over before anybody saw it.
    Unseen,
    /// To the provider, over another network that both are on.
    Detour(IpAddr),
    /// To somebody else.
    Elsewhere(IpAddr),
}

fn lead(peer: Option<IpAddr>, route: &PortRoute) -> Lead {
    match peer {
        None => Lead::Unseen,
        Some(peer) if peer == route.address => Lead::Link,
        Some(peer) if route.others.iter().any(|other| peer == *other) => Lead::Detour(peer),
        Some(peer) => Lead::Elsewhere(peer),
    }
}

impl<M: Means> Making<'_, M> {
    /// The handshake by the provider's name; where that fails, the address tells whether it is the name's fault.
    pub async fn by_name_or_address(&self, route: &PortRoute) -> Result<Attempt, Trouble> {
        let told = self.by_name(route).await?;
        match (told.attempt.verdict, lead(told.peer, route)) {
            (_, Lead::Elsewhere(peer)) => Ok(self.elsewhere(told, peer, route)),
            (Verdict::Pass { listening, .. }, Lead::Detour(peer)) => {
                let verdict = Verdict::Pass { listening, detour: true };
                let message =
                    format!("{}, at {peer} over another network that both are on", told.attempt.message);
                Ok(Attempt { verdict, message, ..told.attempt })
            }
            // The same address once more would tell the same.
            (Verdict::Fail(_), Lead::Link) => Ok(told.attempt),
            (Verdict::Fail(reason), led) => Ok(self.blame(told, reason, led, route).await),
            _ => Ok(told.attempt),
        }
    }

    /// The handshake by the provider's name. Whoever answered proves nothing while it is not known who that
    /// was: tokens tell, where the connection was over too soon for a look at its socket.
    async fn by_name(&self, route: &PortRoute) -> Result<Told, Trouble> {
        let told = self.with(&route.host, route).await?;
        let passed = matches!(told.attempt.verdict, Verdict::Pass { .. });
        if !passed || told.proven || lead(told.peer, route) != Lead::Unseen {
            return Ok(told);
        }
        let tokens = self.exchange_on(&route.host, route, &high_ports(), None).await;
        let tokens = tokens.map_err(|trouble| {
            let message = format!("{}; to whom is unknown: {}", told.attempt.message, trouble.message);
            Trouble::new(trouble.reason, message)
        })?;
        match tokens.attempt.verdict {
            Verdict::Pass { .. } => Ok(Told { peer: tokens.peer, ..told }),
            _ => Ok(tokens),
        }
    }

    /// What it tells that the provider was not reached by its name.
    async fn blame(&self, told: Told, reason: FailReason, led: Lead, route: &PortRoute) -> Attempt {
        if self.left().is_zero() {
            return told.attempt;
        }
        let address = route.address.to_string();
        let Ok(by_address) = self.with(&address, route).await else { return told.attempt };
        if !matches!(by_address.attempt.verdict, Verdict::Pass { .. }) {
            return told.attempt;
        }
        // A name that was found led somewhere, and that is not where the address leads.
        let reason = match (reason, led) {
            (FailReason::NameNotResolved, _) | (_, Lead::Detour(_)) => FailReason::ByAddressOnly,
            _ => FailReason::NameLeadsElsewhere,
        };
        let message = format!("{address} works, and by its name: {}", told.attempt.message);
        Attempt { verdict: Verdict::Fail(reason), message, ..told.attempt }
    }

    fn elsewhere(&self, told: Told, peer: IpAddr, route: &PortRoute) -> Attempt {
        let provider = &self.request.provider.name;
        let message = format!(
            "{} leads to {peer}, and {provider} is {} on the link's network",
            route.host, route.address
        );
        Attempt { verdict: Verdict::Fail(FailReason::NameLeadsElsewhere), rtt: None, message, ..told.attempt }
    }
}
