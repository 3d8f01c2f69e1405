//! By name and by address: that a name works says nothing unless it leads to the provider, and where it does
//! not work, the address tells whether anything else does.

use std::net::{IpAddr, Ipv6Addr};

use super::super::{Attempt, PortRoute};
use super::modes::{Making, Told};
use super::{Means, Trouble};
use crate::model::handshake::role::Transport;
use crate::model::handshake::{FailReason, InconclusiveReason, Verdict};

/// Where a connection by name led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// To an address of the provider on the link's network.
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
        Some(peer) if peer == route.address || Some(peer) == route.address6.map(IpAddr::from) => Lead::Link,
        Some(peer) if route.others.contains(&peer) => Lead::Detour(peer),
        Some(peer) => Lead::Elsewhere(peer),
    }
}

/// The provider's IPv6 address that did not let the consumer in, where the consumer's `nc` went to it by the name
/// and tried no other address, as that of Debian's busybox does. Most programs try the IPv4 address next.
fn dead_end(told: &Told, route: &PortRoute) -> Option<Ipv6Addr> {
    let Some(IpAddr::V6(peer)) = told.peer else { return None };
    if !route.ipv6().any(|own| own == peer) {
        return None;
    }
    let not_let_in = match told.attempt.verdict {
        // Programs do not notice that a datagram went nowhere. In an exchange it is the listener's fault.
        Verdict::Fail(FailReason::Refused | FailReason::NoRoute | FailReason::Timeout) => {
            route.transport == Transport::Tcp || told.proven
        }
        Verdict::Pass { listening, .. } => listening == Some(false) && route.transport == Transport::Tcp,
        _ => false,
    };
    not_let_in.then_some(peer)
}

impl<M: Means> Making<'_, M> {
    /// The handshake by the provider's name; where that fails, the address tells whether it is the name's fault.
    pub async fn by_name_or_address(&self, route: &PortRoute) -> Result<Attempt, Trouble> {
        let told = self.by_name(route).await?;
        let dead_end = dead_end(&told, route);
        if let Some(peer) = dead_end
            && let Some(attempt) = self.at_ipv4(&told, peer, route).await
        {
            return Ok(attempt);
        }
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
            (Verdict::Fail(_), _) if dead_end.is_some() => Ok(told.attempt),
            (Verdict::Fail(reason), led) => self.blame(told, reason, led, route).await,
            (Verdict::Pass { listening: Some(false), .. }, Lead::Unseen) => {
                Ok(self.unless_at_ipv4(told, route).await)
            }
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
        let tokens = self.exchange(&route.host, route, None).await;
        let tokens = tokens.map_err(|trouble| {
            let message = format!("{}; to whom is unknown: {}", told.attempt.message, trouble.message);
            Trouble::new(trouble.reason, message)
        })?;
        match tokens.attempt.verdict {
            Verdict::Pass { .. } => Ok(Told { peer: tokens.peer, ..told }),
            _ => Ok(tokens),
        }
    }

    /// The handshake by the provider's IPv4 address, where that lets the consumer in and `peer`, to which its
    /// name leads first, does not.
    async fn at_ipv4(&self, told: &Told, peer: Ipv6Addr, route: &PortRoute) -> Option<Attempt> {
        let by_address = self.by_address(route).await?;
        let Verdict::Pass { listening, .. } = by_address.verdict else { return None };
        let is_better = matches!(told.attempt.verdict, Verdict::Fail(_)) || listening == Some(true);
        is_better.then(|| self.beside_dead_end(by_address, told, peer, route))
    }

    /// The connection to the provider's IPv4 address, where `connect` by its name was refused at an IPv6 address
    /// of it, and no exchange can be made.
    pub(super) async fn connected_at_ipv4(&self, connect: &Told, route: &PortRoute) -> Option<Told> {
        let peer = dead_end(connect, route).filter(|_| !self.left().is_zero())?;
        let told = self.connect(&route.address.to_string(), route).await.ok()?;
        let passed = matches!(told.attempt.verdict, Verdict::Pass { .. });
        passed.then(|| Told {
            attempt: self.beside_dead_end(told.attempt.clone(), connect, peer, route),
            ..told
        })
    }

    /// The handshake by the IPv4 address where it was not seen whether the name leads to IPv6 first.
    async fn unless_at_ipv4(&self, told: Told, route: &PortRoute) -> Attempt {
        if route.transport == Transport::Udp || route.ipv6().next().is_none() {
            return told.attempt;
        }
        let listens = |it: &Attempt| matches!(it.verdict, Verdict::Pass { listening: Some(true), .. });
        self.by_address(route).await.filter(listens).unwrap_or(told.attempt)
    }

    /// The finding where the provider is reached at its IPv4 address, and its name leads to `peer` first.
    fn beside_dead_end(
        &self,
        by_address: Attempt,
        told: &Told,
        peer: Ipv6Addr,
        route: &PortRoute,
    ) -> Attempt {
        let message = format!(
            "{}; {} leads first to {peer}, which is {} too: {}",
            by_address.message, route.host, self.request.provider.name, told.attempt.message
        );
        let detour = route.address6 != Some(peer);
        let verdict = match by_address.verdict {
            Verdict::Pass { listening, .. } => Verdict::Pass { listening, detour },
            other => other,
        };
        Attempt { verdict, message, ..by_address }
    }

    /// The handshake by the provider's IPv4 address, where there is time for it and it can be made.
    async fn by_address(&self, route: &PortRoute) -> Option<Attempt> {
        if self.left().is_zero() {
            return None;
        }
        self.with(&route.address.to_string(), route).await.ok().map(|told| told.attempt)
    }

    /// The finding where the provider was not reached by its name: the address tells whether the name is at fault.
    async fn blame(
        &self,
        told: Told,
        reason: FailReason,
        led: Lead,
        route: &PortRoute,
    ) -> Result<Attempt, Trouble> {
        let by_address = self.by_address(route).await;
        let Some(by_address) = by_address.filter(|it| matches!(it.verdict, Verdict::Pass { .. })) else {
            return Ok(told.attempt);
        };
        if (reason, led) == (FailReason::Refused, Lead::Unseen)
            && let Some(attempt) = self.at_ipv6(&told, &by_address, route).await?
        {
            return Ok(attempt);
        }
        // A name that was found led somewhere, and that is not where the address leads.
        let reason = match (reason, led) {
            (FailReason::NameNotResolved, _) | (_, Lead::Detour(_)) => FailReason::ByAddressOnly,
            _ => FailReason::NameLeadsElsewhere,
        };
        let message = format!("{} works, and by its name: {}", route.address, told.attempt.message);
        Ok(Attempt { verdict: Verdict::Fail(reason), message, ..told.attempt })
    }

    /// Whether the name, which was refused before anybody saw where it leads, leads to an IPv6 address of the
    /// provider. `None` where it leads elsewhere.
    async fn at_ipv6(
        &self,
        told: &Told,
        by_address: &Attempt,
        route: &PortRoute,
    ) -> Result<Option<Attempt>, Trouble> {
        if route.ipv6().next().is_none() {
            return Ok(None);
        }
        // The listener of an exchange was refused by its name already.
        if !told.proven {
            let tokens = self.exchange(&route.host, route, None).await?;
            match (tokens.attempt.verdict, tokens.peer) {
                (Verdict::Pass { .. }, Some(IpAddr::V6(peer))) => {
                    return Ok(Some(self.beside_dead_end(by_address.clone(), told, peer, route)));
                }
                (Verdict::Pass { .. }, _) => return Ok(Some(by_address.clone())),
                _ => {}
            }
        }
        // Where the listener is refused there too, the name may lead there.
        for own in route.ipv6() {
            let tokens = self.exchange(&own.to_string(), route, None).await?;
            if tokens.attempt.verdict == Verdict::Fail(FailReason::Refused) {
                let message = format!(
                    "{}; {} may lead to {own}, which is {} too, and its nc listens on IPv4 only",
                    told.attempt.message, route.host, self.request.provider.name
                );
                return Err(Trouble::new(InconclusiveReason::Unsupported, message));
            }
        }
        Ok(None)
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

#[cfg(test)]
mod tests;
