//! What flags become once they are valid. A value that is not gets a sentence that says what is right.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::Ipv4Net;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{EngineArgs, PolicyArgs};
use crate::commands::Error;
use crate::docker::DEFAULT_HOST;
use crate::model::handshake::role::{Manner, Transport};
use crate::model::labels::{DEFAULT_PREFIX, INTERVAL_RANGE, TIMEOUT_RANGE, parse_duration, parse_target};
use crate::model::link::Target;
use crate::model::owner::Owner;
use crate::model::subnet::PAIR_PREFIX;
use crate::model::world::Policy;
use crate::prober::order::{Order, Way};

/// The longest duration that a flag takes.
const MOST: Duration = Duration::from_secs(24 * 3600);

/// The engine's address: the flag, else `DOCKER_HOST`, else the usual socket.
///
/// # Errors
/// If `DOCKER_HOST` is no address that can be used here.
pub fn host(args: &EngineArgs) -> Result<String, Error> {
    if let Some(host) = &args.host {
        return Ok(host.clone());
    }
    match std::env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => {
            parse_host(&host).map_err(|right| Error::Usage(format!("DOCKER_HOST is \"{host}\": {right}")))
        }
        _ => Ok(DEFAULT_HOST.to_owned()),
    }
}

/// The rules by which the world is read.
pub fn policy(engine: &EngineArgs, policy: &PolicyArgs) -> Policy {
    Policy {
        owner: Owner::new(&engine.instance),
        label_prefix: policy.label_prefix.clone(),
        default_deny: policy.default_deny,
        pool: policy.subnet_pool,
    }
}

/// Reads where to listen.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write ADDRESS:PORT, such as 127.0.0.1:9810 or 0.0.0.0:9810".to_owned())
}

/// Reads an engine's address.
pub fn parse_host(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(text.to_owned()),
        Some(("tcp" | "http", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err("write unix:///path/to/docker.sock or tcp://HOST:PORT".to_owned()),
    }
}

/// Reads a controller's address.
pub fn parse_server(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    match url.strip_prefix("http://") {
        Some(rest) if !rest.is_empty() && !rest.contains('/') => Ok(url.to_owned()),
        _ => Err("write http://HOST:PORT".to_owned()),
    }
}

/// Reads what `check` is asked about.
pub fn parse_asked_target(text: &str) -> Result<Target, String> {
    parse_target(DEFAULT_PREFIX, text).map_err(|fault| fault.fix)
}

/// Reads an instance's name. It becomes part of network names, so it has their characters.
pub fn parse_instance(text: &str) -> Result<String, String> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let all = text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if first && all && text.len() <= 63 {
        return Ok(text.to_owned());
    }
    Err("an instance's name has letters, digits, '_', '.' and '-', begins with a letter or digit, and has at most 63 of them".to_owned())
}

/// Reads a label prefix.
pub fn parse_prefix(text: &str) -> Result<String, String> {
    let all = text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
    match text.strip_suffix('.') {
        Some(name) if !name.is_empty() && all => Ok(text.to_owned()),
        None if !text.is_empty() && all => Err(format!("a prefix ends with a dot; write '{text}.'")),
        _ => Err("write a name that ends with a dot, such as 'tieline.'".to_owned()),
    }
}

/// Reads an image's name or id. Which of those the engine knows, it says itself.
pub fn parse_image(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err("write an image's name or id, such as tieline:latest".to_owned())
}

/// Reads a pool of subnets.
pub fn parse_pool(text: &str) -> Result<Ipv4Net, String> {
    let pool: Ipv4Net = text.parse().map_err(|_| "write an IPv4 network such as 10.213.0.0/16".to_owned())?;
    if pool.prefix_len() > PAIR_PREFIX {
        return Err(format!("too small: one link network takes a /{PAIR_PREFIX}, so write at least that"));
    }
    if pool != pool.trunc() {
        return Err(format!("has bits beyond its prefix; write {}", pool.trunc()));
    }
    Ok(pool)
}

/// Reads how long to wait.
pub fn parse_patience(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, MOST)
}

/// Reads the interval of handshakes.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    parse_duration(text, &INTERVAL_RANGE).map_err(|fault| fault.fix)
}

/// Reads the bound on one handshake.
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text, &TIMEOUT_RANGE).map_err(|fault| fault.fix)
}

/// Reads the interval of lists.
pub fn parse_resync(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_secs(1), MOST)
}

/// Reads the grace period of networks.
pub fn parse_grace(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO, MOST)
}

fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    parse_duration(text, &(least..=most)).map_err(|fault| fault.fix)
}

/// Reads a log level or tracing directives.
pub fn parse_level(text: &str) -> Result<String, String> {
    // A lone word that is no level is read by the filter as the name of a module.
    let known = !text.is_empty() && (text.parse::<LevelFilter>().is_ok() || text.contains('='));
    match EnvFilter::try_new(text) {
        Ok(_) if known => Ok(text.to_owned()),
        _ => Err("write error, warn, info, debug or trace".to_owned()),
    }
}

/// Reads in which ways handshakes are made, the first one first.
pub fn parse_prober(text: &str) -> Result<Order, String> {
    let right =
        || format!("write auto, or some of {}, the first one first", Way::ALL.map(Way::as_str).join(","));
    if text == "auto" {
        let [first, others @ ..] = Way::ALL;
        return Ok(Order { first, others: others.to_vec() });
    }
    let way = |word| Way::ALL.into_iter().find(|way| way.as_str() == word).ok_or_else(right);
    let mut ways = text.split(',').map(str::trim).map(way);
    let first = ways.next().ok_or_else(right)??;
    let mut others = Vec::new();
    for way in ways {
        let way = way?;
        if way == first || others.contains(&way) {
            return Err(format!("{} is there twice; {}", way.as_str(), right()));
        }
        others.push(way);
    }
    Ok(Order { first, others })
}

/// Reads what carries a handshake.
pub fn parse_transport(text: &str) -> Result<Transport, String> {
    let known = [Transport::Tcp, Transport::Udp].into_iter().find(|transport| transport.as_str() == text);
    known.ok_or_else(|| "write tcp or udp".to_owned())
}

/// Reads what a client does.
pub fn parse_manner(text: &str) -> Result<Manner, String> {
    let known = [Manner::Knock, Manner::Talk, Manner::Ask].into_iter().find(|manner| manner.as_str() == text);
    known.ok_or_else(|| "write knock, talk or ask".to_owned())
}

/// Reads CONSUMER/LINK. A consumer that is a service has a slash itself; a link never.
pub fn parse_link(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('/') {
        Some((consumer, link)) if !consumer.is_empty() && !link.is_empty() => {
            Ok((consumer.to_owned(), link.to_owned()))
        }
        _ => Err("write CONSUMER/LINK as `tieline status` shows them, e.g. shop/web/db".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_says_what_is_right() {
        assert!(parse_host("docker.sock").unwrap_err().contains("unix:///"));
        assert!(parse_pool("10.213.0.0").unwrap_err().contains("10.213.0.0/16"));
        assert!(parse_pool("10.213.0.1/16").unwrap_err().contains("write 10.213.0.0/16"));
        assert!(parse_pool("10.213.0.0/29").unwrap_err().contains("/28"));
        assert!(parse_prefix("acme").unwrap_err().contains("'acme.'"));
        assert!(parse_interval("0s").unwrap_err().contains("from 1s to"));
        assert!(parse_timeout("5").unwrap_err().contains("5s"));
        assert!(parse_patience("18446744073709551615s").is_err());
        for level in ["loud", "", "loud=!"] {
            assert!(parse_level(level).unwrap_err().contains("info"), "{level}");
        }
        assert!(parse_level("tieline=debug,bollard=info").is_ok());
        assert!(parse_listen("9810").unwrap_err().contains("127.0.0.1:9810"));
        assert!(parse_link("web").unwrap_err().contains("CONSUMER/LINK"));
        assert!(parse_instance("a/b").is_err());
        for image in ["", " ", "tieline latest"] {
            assert!(parse_image(image).unwrap_err().contains("tieline:latest"), "{image}");
        }
    }

    #[test]
    fn ways_are_read_in_their_order_each_once() {
        let order = |first, others: &[Way]| Order { first, others: others.to_vec() };
        assert_eq!(parse_prober("exec").unwrap(), order(Way::Exec, &[]));
        assert_eq!(parse_prober("namespace, exec").unwrap(), order(Way::Namespace, &[Way::Exec]));
        assert_eq!(parse_prober("auto").unwrap(), order(Way::ALL[0], &Way::ALL[1..]));
        assert!(parse_prober("exec,namespace,exec").unwrap_err().starts_with("exec is there twice"));
        for wrong in ["", "exec,", "telnet", "auto,exec", "exec namespace", "Exec"] {
            assert!(parse_prober(wrong).unwrap_err().contains("auto, or some of exec,"), "{wrong}");
        }
    }

    #[test]
    fn a_link_may_belong_to_a_service_or_a_container() {
        assert_eq!(parse_link("shop/web/db").unwrap(), ("shop/web".into(), "db".into()));
        assert_eq!(parse_link("web/db").unwrap(), ("web".into(), "db".into()));
    }
}
