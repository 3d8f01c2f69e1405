//! Questions to nameservers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::names::Resolver;

/// Answers are no longer: without an extension that is not asked for, what is longer is cut.
const ANSWER_BYTES: usize = 4096;

/// The addresses of the first of `candidates` that has any.
///
/// # Errors
/// If none has, with what came of the last one.
pub async fn look_up(
    resolver: &Resolver,
    candidates: &[String],
    until: Instant,
) -> Result<Vec<Ipv4Addr>, String> {
    let mut why = String::new();
    for (index, name) in candidates.iter().enumerate() {
        match ask_all(resolver, name, share(until, candidates.len() - index)).await {
            Ok(addresses) => return Ok(addresses),
            Err(other) => why = other,
        }
    }
    Err(why)
}

/// The end of a fair part of the time until `until`, where `parts` are to come.
fn share(until: Instant, parts: usize) -> Instant {
    let now = Instant::now();
    now + until.saturating_duration_since(now) / u32::try_from(parts.max(1)).unwrap_or(u32::MAX)
}

/// Asks one nameserver after the other, until one says that there is such a name, or that there is none.
async fn ask_all(resolver: &Resolver, name: &str, until: Instant) -> Result<Vec<Ipv4Addr>, String> {
    let mut why = String::new();
    for (index, server) in resolver.nameservers.iter().enumerate() {
        let patience = resolver.timeout * resolver.attempts;
        let until = share(until, resolver.nameservers.len() - index).min(Instant::now() + patience);
        let attempts = resolver.attempts.try_into().unwrap_or(1);
        let what = match ask(*server, name, attempts, until).await {
            Ok(Answer::Addresses(addresses)) => return Ok(addresses),
            Ok(Answer::None) => return Err(format!("{name}: {} knows no such host", server.ip())),
            Ok(Answer::Refused(code)) => format!("answers {code:?}"),
            Err(error) => error.to_string(),
        };
        why = format!("{name}: {}: {what}", server.ip());
    }
    Err(why)
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Addresses(Vec<Ipv4Addr>),
    None,
    /// It does not know, or does not tell: another one may.
    Refused(RCODE),
}

async fn ask(server: SocketAddr, name: &str, attempts: usize, until: Instant) -> io::Result<Answer> {
    let id = fastrand::u16(..);
    // No name that can be asked for: there is no such host.
    let Some(question) = question(id, name) else { return Ok(Answer::None) };
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    for attempt in 0..attempts {
        socket.send(&question).await?;
        if let Ok(answer) = timeout_at(share(until, attempts - attempt), hear(&socket, id)).await {
            return answer;
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"))
}

async fn hear(socket: &UdpSocket, id: u16) -> io::Result<Answer> {
    let mut bytes = [0; ANSWER_BYTES];
    loop {
        let length = socket.recv(&mut bytes).await?;
        if let Some(answer) = read(&bytes[..length], id) {
            return Ok(answer);
        }
    }
}

fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// What an answer to the question `id` says; `None` is not that answer.
fn read(bytes: &[u8], id: u16) -> Option<Answer> {
    let packet = Packet::parse(bytes).ok()?;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let addresses: Vec<Ipv4Addr> = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(Ipv4Addr::from(a.address)),
            _ => None,
        })
        .collect();
    Some(match packet.rcode() {
        RCODE::NoError if !addresses.is_empty() => Answer::Addresses(addresses),
        RCODE::NoError | RCODE::NameError => Answer::None,
        code => Answer::Refused(code),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME};

    use super::*;
    use crate::speaker::names::Names;

    const DB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn reply(question: &[u8], change: impl FnOnce(&mut Packet)) -> Vec<u8> {
        let mut packet = Packet::parse(question).unwrap().into_reply();
        change(&mut packet);
        packet.build_bytes_vec().unwrap()
    }

    fn found(packet: &mut Packet) {
        let rows = [
            ("db", RData::CNAME(CNAME(Name::new_unchecked("db-1")))),
            ("db-1", RData::A(A { address: DB.into() })),
        ];
        packet.answers = rows
            .map(|(name, data)| ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, 1, data))
            .to_vec();
    }

    /// Makes of a question what is answered to it.
    type Reply = fn(&[u8]) -> Vec<Vec<u8>>;

    /// A nameserver that answers the n-th question by the n-th of `answers`, and then no more.
    async fn server<const N: usize>(answers: [Reply; N]) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut bytes = [0; 512];
            for answer in answers {
                let (length, peer) = socket.recv_from(&mut bytes).await.unwrap();
                for answer in answer(&bytes[..length]) {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
            std::future::pending::<()>().await;
        });
        address
    }

    async fn resolve(host: &str, servers: &[SocketAddr]) -> Result<Vec<Ipv4Addr>, String> {
        let mut names = Names::new("", "search shop");
        names.resolver.nameservers = servers.to_vec();
        names.resolve(host, Instant::now() + Duration::from_secs(8)).await
    }

    #[tokio::test]
    async fn the_address_behind_another_name_is_found() {
        let server = server([|question| vec![reply(question, found)]]).await;
        assert_eq!(resolve("db.", &[server]).await, Ok(vec![DB]));
    }

    #[tokio::test]
    async fn a_name_that_is_not_there_is_looked_for_in_the_next_domain_and_on_no_other_server() {
        let none = |question: &[u8]| vec![reply(question, |packet| *packet.rcode_mut() = RCODE::NameError)];
        let first = server([none, |question| vec![reply(question, found)]]).await;
        let never = server([]).await;
        assert_eq!(resolve("db", &[first, never]).await, Ok(vec![DB]));
        let first = server([none, none]).await;
        let why = resolve("db", &[first, never]).await.unwrap_err();
        assert_eq!(why, "db: 127.0.0.1 knows no such host");
    }

    #[tokio::test]
    async fn a_server_that_fails_or_is_not_there_is_passed_over() {
        let fails =
            server([|question| vec![reply(question, |packet| *packet.rcode_mut() = RCODE::ServerFailure)]]);
        let works = server([|question| vec![reply(question, found)]]);
        let (fails, works) = (fails.await, works.await);
        let gone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        assert_eq!(resolve("db.", &[gone, fails, works]).await, Ok(vec![DB]));
        let why = resolve("db.", &[gone]).await.unwrap_err();
        assert!(why.contains("refused"), "{why}");
    }

    #[tokio::test]
    async fn a_question_that_got_lost_is_asked_again_and_nonsense_is_no_answer() {
        let nonsense = |question: &[u8]| {
            let other = reply(question, |packet| packet.set_id(packet.id().wrapping_add(1)));
            vec![b"nonsense".to_vec(), other, question.to_vec()]
        };
        let server = server([nonsense, |question| vec![reply(question, found)]]).await;
        assert_eq!(resolve("db.", &[server]).await, Ok(vec![DB]));
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_asked_for_is_none() {
        let long = format!("{}.", "x".repeat(64));
        assert!(resolve(&long, &[server([]).await]).await.is_err());
    }
}
