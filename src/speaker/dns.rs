//! Questions to nameservers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::names::{Resolver, any};

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
) -> Result<Vec<IpAddr>, String> {
    let mut why = String::new();
    for (index, name) in candidates.iter().enumerate() {
        match both_families(resolver, name, share(until, candidates.len() - index)).await {
            Ok(addresses) => return Ok(addresses),
            Err(other) => why = other,
        }
    }
    Err(why)
}

/// The addresses of `name` of both families, IPv6 first. The two questions are asked at once, as C libraries do.
async fn both_families(resolver: &Resolver, name: &str, until: Instant) -> Result<Vec<IpAddr>, String> {
    let ask = |family| ask_all(resolver, name, family, until);
    match tokio::join!(ask(TYPE::AAAA), ask(TYPE::A)) {
        (Ok(v6), Ok(v4)) => Ok([v6, v4].concat()),
        (Ok(addresses), Err(_)) | (Err(_), Ok(addresses)) => Ok(addresses),
        (Err(_), Err(why)) => Err(why),
    }
}

/// The end of a fair part of the time until `until`, where `parts` are to come.
fn share(until: Instant, parts: usize) -> Instant {
    let now = Instant::now();
    now + until.saturating_duration_since(now) / u32::try_from(parts.max(1)).unwrap_or(u32::MAX)
}

/// Asks one nameserver after the other, until one says that there is such a name, or that there is none.
async fn ask_all(
    resolver: &Resolver,
    name: &str,
    family: TYPE,
    until: Instant,
) -> Result<Vec<IpAddr>, String> {
    let mut why = String::new();
    for (index, server) in resolver.nameservers.iter().enumerate() {
        let patience = resolver.timeout * resolver.attempts;
        let until = share(until, resolver.nameservers.len() - index).min(Instant::now() + patience);
        let attempts = resolver.attempts.try_into().unwrap_or(1);
        let what = match ask(*server, (name, family), attempts, until).await {
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
    Addresses(Vec<IpAddr>),
    None,
    /// It does not know, or does not tell: another one may.
    Refused(RCODE),
}

async fn ask(
    server: SocketAddr,
    (name, family): (&str, TYPE),
    attempts: usize,
    until: Instant,
) -> io::Result<Answer> {
    let id = fastrand::u16(..);
    // No name that can be asked for: there is no such host.
    let Some(question) = question(id, name, family) else { return Ok(Answer::None) };
    let socket = UdpSocket::bind((any(server.ip()), 0)).await?;
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

fn question(id: u16, name: &str, family: TYPE) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(family), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// What an answer to the question `id` says; `None` is not that answer.
fn read(bytes: &[u8], id: u16) -> Option<Answer> {
    let packet = Packet::parse(bytes).ok()?;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let addresses: Vec<IpAddr> = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
            RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
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
    use simple_dns::rdata::{A, AAAA, CNAME};

    use super::*;
    use crate::speaker::names::Names;

    const DB: IpAddr = IpAddr::V4(DB_4);
    const DB_4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const DB_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

    fn reply(question: &[u8], change: impl FnOnce(&mut Packet)) -> Vec<u8> {
        let mut packet = Packet::parse(question).unwrap().into_reply();
        change(&mut packet);
        packet.build_bytes_vec().unwrap()
    }

    fn found(packet: &mut Packet) {
        let rows = [
            ("db", RData::CNAME(CNAME(Name::new_unchecked("db-1")))),
            ("db-1", RData::A(A { address: DB_4.into() })),
        ];
        packet.answers = rows
            .map(|(name, data)| ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, 1, data))
            .to_vec();
    }

    /// Makes of a question what is answered to it.
    type Reply = fn(&[u8]) -> Vec<Vec<u8>>;

    /// A nameserver that answers the n-th question for IPv4 by the n-th of `answers`, and then no more. It knows
    /// no address of IPv6.
    async fn server<const N: usize>(answers: [Reply; N]) -> SocketAddr {
        server_of_both(answers, |question| vec![reply(question, |_| ())]).await
    }

    /// The same, with an answer to every question for IPv6.
    async fn server_of_both<const N: usize>(answers: [Reply; N], to_ipv6: Reply) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut answers = answers.into_iter();
        tokio::spawn(async move {
            let mut bytes = [0; 512];
            loop {
                let (length, peer) = socket.recv_from(&mut bytes).await.unwrap();
                let asked = Packet::parse(&bytes[..length]).unwrap();
                let is_ipv6 = asked.questions[0].qtype == QTYPE::TYPE(TYPE::AAAA);
                let Some(answer) = (if is_ipv6 { Some(to_ipv6) } else { answers.next() }) else { continue };
                for answer in answer(&bytes[..length]) {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        address
    }

    fn found_6(packet: &mut Packet) {
        let data = RData::AAAA(AAAA { address: DB_6.into() });
        packet.answers = vec![ResourceRecord::new(Name::new_unchecked("db"), CLASS::IN, 1, data)];
    }

    async fn resolve(host: &str, servers: &[SocketAddr]) -> Result<Vec<IpAddr>, String> {
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
    async fn the_addresses_of_both_families_are_found_ipv6_first() {
        let both = server_of_both([|question| vec![reply(question, found)]], |question| {
            vec![reply(question, found_6)]
        });
        assert_eq!(resolve("db.", &[both.await]).await, Ok(vec![DB_6.into(), DB]));
        let no_4 = |question: &[u8]| vec![reply(question, |_| ())];
        let only_6 = server_of_both([no_4], |question| vec![reply(question, found_6)]);
        assert_eq!(resolve("db.", &[only_6.await]).await, Ok(vec![DB_6.into()]));
        let fails = |question: &[u8]| vec![reply(question, |it| *it.rcode_mut() = RCODE::ServerFailure)];
        let only_4 = server_of_both([|question| vec![reply(question, found)]], fails);
        assert_eq!(resolve("db.", &[only_4.await]).await, Ok(vec![DB]));
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
