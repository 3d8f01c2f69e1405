//! What a side does, on this machine's loopback.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixListener};
use tokio::time::{Instant, timeout};

use super::names::Names;
use super::root::Root;
use super::{Streams, Surroundings, play_in};
use crate::model::handshake::role::{Manner, Role, Transport};
use crate::model::handshake::transcript::{End, Socket, Transcript};
use crate::model::handshake::{FailReason, InconclusiveReason};

/// Far longer than anything here takes that is not meant to take its time.
const BOUND: Duration = Duration::from_secs(20);
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A role that is being played.
struct Side {
    stdin: Option<DuplexStream>,
    stdout: DuplexStream,
    stderr: DuplexStream,
    heard: Transcript,
}

impl Side {
    fn start(role: Role, bound: Duration) -> Self {
        Self::start_with(role, bound, Names::new("", "nameserver 127.0.0.1"))
    }

    fn start_with(role: Role, bound: Duration, names: Names) -> Self {
        Self::start_in(role, bound, Surroundings { names, root: None })
    }

    fn start_in(role: Role, bound: Duration, surroundings: Surroundings) -> Self {
        let (stdin, theirs) = duplex(4096);
        let (stdout, their_stdout) = duplex(4096);
        let (stderr, their_stderr) = duplex(4096);
        let streams = Streams { stdin: theirs, stdout: their_stdout, stderr: their_stderr };
        tokio::spawn(async move { play_in(&role, bound, streams, &surroundings).await });
        Self { stdin: Some(stdin), stdout, stderr, heard: Transcript::default() }
    }

    async fn say(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).await.unwrap();
    }

    async fn hear_until(&mut self, enough: impl Fn(&Transcript) -> bool) {
        while !enough(&self.heard) && self.hear().await {}
        assert!(enough(&self.heard), "{:?}", self.heard);
    }

    async fn hear(&mut self) -> bool {
        let (mut out, mut err) = ([0; 4096], [0; 4096]);
        let more = async {
            tokio::select! {
                Ok(length @ 1..) = self.stdout.read(&mut out) => self.heard.hear_stdout(&out[..length]),
                Ok(length @ 1..) = self.stderr.read(&mut err) => self.heard.hear_stderr(&err[..length]),
                else => return false,
            }
            true
        };
        timeout(BOUND, more).await.unwrap()
    }

    /// How it ended, by itself.
    async fn end(&mut self) -> End {
        while self.hear().await {}
        self.heard.end().unwrap_or_else(|| panic!("{:?}", self.heard))
    }

    async fn ready(&mut self) -> u16 {
        self.hear_until(|heard| heard.ready().is_some()).await;
        self.heard.ready().unwrap()
    }
}

fn client(host: &str, manner: Manner) -> Role {
    Role::Client { transport: Transport::Tcp, host: host.to_owned(), ports: vec![], manner }
}

fn udp_client(manner: Manner) -> Role {
    Role::Client { transport: Transport::Udp, host: HERE.to_string(), ports: vec![], manner }
}

fn listener(transport: Transport, ports: &[u16]) -> Role {
    Role::Listener { transport, ports: ports.to_vec(), asked: None, ipv6: true }
}

/// A client that was told to begin.
async fn begun(role: Role, bound: Duration, line: &str) -> Side {
    let mut side = Side::start(role, bound);
    side.hear_until(Transcript::up).await;
    side.say(line).await;
    side
}

async fn server() -> (TcpListener, u16) {
    let server = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = server.local_addr().unwrap().port();
    (server, port)
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

#[tokio::test]
async fn tokens_go_both_ways_over_either_transport() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let port = free_port().await;
        let mut listener = Side::start(listener(transport, &[port]), BOUND);
        assert_eq!(listener.ready().await, port);
        // Before there is anybody to say it to.
        listener.say("reply\n").await;
        let role =
            Role::Client { transport, host: HERE.to_string(), ports: vec![port], manner: Manner::Talk };
        let mut client = begun(role, BOUND, &format!("{port}\nrequest\n")).await;
        client.hear_until(|heard| heard.stdout() == b"reply\n").await;
        listener.hear_until(|heard| heard.stdout() == b"request\n").await;
        assert_eq!(client.heard.peer(), Some(HERE.into()));
        for side in [&mut client, &mut listener] {
            side.stdin = None;
            assert!(matches!(side.end().await, End::Exit(_)), "{:?}", side.heard);
        }
    }
}

async fn free_port() -> u16 {
    let (server, port) = server().await;
    drop(server);
    port
}

#[tokio::test]
async fn who_knocks_is_let_in_refused_or_cut_off() {
    let (server, port) = server().await;
    let mut knock = begun(client("127.0.0.1", Manner::Knock), BOUND, &format!("{port}\n")).await;
    assert_eq!(knock.end().await, End::Open);
    assert_eq!(knock.heard.peer(), Some(HERE.into()));
    // It said nothing, and left.
    let (mut stream, _) = server.accept().await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    drop(server);
    let mut knock = begun(client("127.0.0.1", Manner::Knock), BOUND, &format!("{port}\n")).await;
    assert_eq!(knock.end().await, End::Failed(FailReason::Refused));
    assert_eq!(knock.heard.peer(), Some(HERE.into()), "where it was refused");
    assert!(knock.heard.complaint().contains("refused"), "{}", knock.heard.complaint());
}

#[tokio::test]
async fn a_full_queue_is_no_answer_in_time() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((HERE, 0).into()).unwrap();
    let server = socket.listen(0).unwrap();
    let port = server.local_addr().unwrap().port();
    // Whoever does not fit into the queue is not answered.
    let mut crowd = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect((HERE, port))).await {
        crowd.push(stream.unwrap());
    }
    let bound = Duration::from_millis(500);
    let mut knock = begun(client("127.0.0.1", Manner::Knock), bound, &format!("{port}\n")).await;
    assert_eq!(knock.end().await, End::Bound(Socket::Connecting));
    assert_eq!(knock.heard.peer(), Some(HERE.into()));
    // Who gives up while it is being tried need not wait for the bound.
    let mut knock = begun(client("127.0.0.1", Manner::Knock), BOUND, &format!("{port}\n")).await;
    let start = Instant::now();
    knock.stdin = None;
    assert_eq!(knock.end().await, End::Bound(Socket::Connecting));
    assert!(start.elapsed() < BOUND / 2, "{:?}", start.elapsed());
}

#[tokio::test]
async fn who_asks_stays_for_the_answer_when_all_is_said() {
    let (server, port) = server().await;
    let mut ask = begun(client("127.0.0.1", Manner::Ask), BOUND, &format!("{port}\nPING\n")).await;
    let (mut stream, _) = server.accept().await.unwrap();
    ask.stdin = None;
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "PING\n", "and then its end");
    stream.write_all(b"+PONG\n").await.unwrap();
    ask.hear_until(|heard| heard.stdout() == b"+PONG\n").await;
    drop(stream);
    assert_eq!(ask.end().await, End::Exit(0));
}

#[tokio::test]
async fn a_server_that_ends_first_may_still_be_told_and_its_answer_is_heard() {
    let (server, port) = server().await;
    let mut ask = begun(client("127.0.0.1", Manner::Ask), BOUND, &format!("{port}\n")).await;
    let (mut stream, _) = server.accept().await.unwrap();
    stream.write_all(b"hello and goodbye\n").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(ask.end().await, End::Exit(0));
    assert_eq!(ask.heard.stdout(), b"hello and goodbye\n");
}

#[tokio::test]
async fn a_silent_server_a_reset_and_one_that_hangs_up_are_told_apart() {
    let (server, port) = server().await;
    let bound = Duration::from_millis(500);
    let line = format!("{port}\nPING\n");
    let mut ask = begun(client("127.0.0.1", Manner::Ask), bound, &line).await;
    let silent = server.accept().await.unwrap();
    assert_eq!(ask.end().await, End::Bound(Socket::Connected));
    assert_eq!(ask.heard.peer(), Some(HERE.into()));
    drop(silent);
    for manner in [Manner::Ask, Manner::Talk] {
        let mut side = begun(client("127.0.0.1", manner), BOUND, &line).await;
        reset(server.accept().await.unwrap().0);
        assert_eq!(side.end().await, End::Failed(FailReason::Reset));
        let mut side = begun(client("127.0.0.1", manner), BOUND, &line).await;
        let (mut stream, _) = server.accept().await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        drop(stream);
        assert_eq!(side.end().await, End::Exit(0));
    }
}

#[tokio::test]
async fn datagrams_are_answered_refused_or_lost() {
    let server = UdpSocket::bind((HERE, 0)).await.unwrap();
    let line = format!("{}\nPING\n", server.local_addr().unwrap().port());
    let mut ask = begun(udp_client(Manner::Ask), BOUND, &line).await;
    let mut bytes = [0; 64];
    let (length, peer) = server.recv_from(&mut bytes).await.unwrap();
    assert_eq!(&bytes[..length], b"PING\n");
    server.send_to(b"PONG\n", peer).await.unwrap();
    ask.hear_until(|heard| heard.stdout() == b"PONG\n").await;
    drop(ask);
    let mut ask = begun(udp_client(Manner::Ask), Duration::from_millis(300), &line).await;
    assert_eq!(ask.end().await, End::Bound(Socket::Connected));
    drop(server);
    let mut ask = begun(udp_client(Manner::Ask), BOUND, &line).await;
    assert_eq!(ask.end().await, End::Failed(FailReason::Refused));
}

#[tokio::test]
async fn a_port_that_somebody_has_is_left_alone() {
    let (theirs, taken) = server().await;
    let mut side = Side::start(listener(Transport::Tcp, &[taken]), BOUND);
    assert_eq!(side.end().await, End::Busy);
    let free = free_port().await;
    let role = Role::Listener {
        transport: Transport::Tcp,
        ports: vec![taken, free],
        asked: Some(taken),
        ipv6: true,
    };
    let mut side = Side::start(role, BOUND);
    assert_eq!(side.ready().await, free);
    assert!(side.heard.held());
    drop(theirs);
    // On the loopback alone nobody else would reach it.
    let theirs = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let taken = theirs.local_addr().unwrap().port();
    let role =
        Role::Listener { transport: Transport::Udp, ports: vec![taken], asked: Some(taken), ipv6: true };
    let mut side = Side::start(role, BOUND);
    assert_eq!(side.end().await, End::Busy);
    assert!(side.heard.held());
    let role = Role::Listener { transport: Transport::Udp, ports: vec![free], asked: Some(free), ipv6: true };
    let mut side = Side::start(role, BOUND);
    assert_eq!(side.ready().await, free);
    assert!(!side.heard.held(), "before it took the port itself");
}

#[tokio::test]
async fn a_listener_serves_one_peer_and_lets_nobody_else_in() {
    let port = free_port().await;
    let mut side = Side::start(listener(Transport::Tcp, &[port]), BOUND);
    side.ready().await;
    let mut first = TcpStream::connect((HERE, port)).await.unwrap();
    first.write_all(b"first\n").await.unwrap();
    side.hear_until(|heard| heard.stdout() == b"first\n").await;
    let second = TcpStream::connect((HERE, port)).await.unwrap_err();
    assert_eq!(second.kind(), io::ErrorKind::ConnectionRefused);
    drop(first);
    assert_eq!(side.end().await, End::Exit(0));
}

#[tokio::test]
async fn a_listener_ends_with_its_stdin_and_with_its_time() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let port = free_port().await;
        let mut side = Side::start(listener(transport, &[port]), BOUND);
        side.ready().await;
        side.stdin = None;
        assert_eq!(side.end().await, End::Bound(Socket::Missing));
        let mut side = Side::start(listener(transport, &[port]), Duration::from_millis(200));
        side.ready().await;
        assert_eq!(side.end().await, End::Bound(Socket::Missing));
    }
}

#[tokio::test]
async fn a_client_that_is_told_no_port_ends() {
    let mut side = Side::start(client("127.0.0.1", Manner::Talk), BOUND);
    side.stdin = None;
    assert_eq!(side.end().await, End::Exit(1));
    let mut side = begun(client("127.0.0.1", Manner::Talk), BOUND, "a lot\n").await;
    assert_eq!(side.end().await, End::Untold(InconclusiveReason::Unexplained));
    let mut side = Side::start(client("127.0.0.1", Manner::Talk), Duration::from_millis(200));
    assert_eq!(side.end().await, End::Bound(Socket::Missing));
}

#[tokio::test]
async fn a_name_of_several_addresses_is_tried_at_each() {
    let (server, port) = server().await;
    let names = Names::new("127.0.0.2 db\n127.0.0.1 db\n", "");
    let mut side = Side::start_with(client("db", Manner::Knock), BOUND, names);
    side.say(&format!("{port}\n")).await;
    assert_eq!(side.end().await, End::Open);
    assert_eq!(side.heard.peer(), Some(HERE.into()));
    drop(server);
}

#[tokio::test]
async fn a_name_with_addresses_of_both_families_is_tried_at_both_ipv6_first() {
    let names = || Names::new("127.0.0.1 db\n::1 db\n", "");
    let (_only_4, port) = server().await;
    let mut side = Side::start_with(client("db", Manner::Knock), BOUND, names());
    side.say(&format!("{port}\n")).await;
    assert_eq!(side.end().await, End::Open);
    assert_eq!(side.heard.peer(), Some(HERE.into()), "it was refused at the first");
    let mut both = Side::start(listener(Transport::Tcp, &[free_port().await]), BOUND);
    let port = both.ready().await;
    let mut side = Side::start_with(client("db", Manner::Knock), BOUND, names());
    side.say(&format!("{port}\n")).await;
    assert_eq!(side.end().await, End::Open);
    assert_eq!(side.heard.peer(), Some(Ipv6Addr::LOCALHOST.into()));
}

#[tokio::test]
async fn a_listener_is_reached_by_either_family() {
    for transport in [Transport::Tcp, Transport::Udp] {
        for host in ["127.0.0.1", "::1"] {
            let mut listener = Side::start(listener(transport, &[free_port().await]), BOUND);
            let port = listener.ready().await;
            let role =
                Role::Client { transport, host: host.to_owned(), ports: vec![port], manner: Manner::Talk };
            let mut client = begun(role, BOUND, &format!("{port}\nrequest\n")).await;
            listener.hear_until(|heard| heard.stdout() == b"request\n").await;
            client.hear_until(Transcript::connected).await;
            assert_eq!(client.heard.peer(), Some(host.parse().unwrap()));
            client.stdin = None;
            client.end().await;
        }
    }
}

#[tokio::test]
async fn a_name_that_nobody_tells_leaves_time_for_the_address() {
    // A nameserver that takes what it is asked, and is silent.
    let silent = UdpSocket::bind((HERE, 0)).await.unwrap();
    let mut names = Names::new("", "");
    names.resolver.nameservers = vec![silent.local_addr().unwrap()];
    let bound = Duration::from_secs(2);
    let mut side = Side::start_with(client("db", Manner::Talk), bound, names);
    let start = Instant::now();
    side.say("80\n").await;
    assert_eq!(side.end().await, End::Failed(FailReason::NameNotResolved));
    let took = start.elapsed();
    assert!(took >= bound / 2 && took < bound, "{took:?}");
    drop(silent);
}

#[tokio::test]
async fn a_unix_socket_answers_or_tells_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.sock");
    let role = |manner| Role::SocketClient { path: path.to_str().unwrap().to_owned(), manner };
    let mut side = begun(role(Manner::Knock), BOUND, "\n").await;
    assert_eq!(side.end().await, End::Failed(FailReason::SocketMissing));
    let server = UnixListener::bind(&path).unwrap();
    let mut side = begun(role(Manner::Ask), BOUND, "\nPING\n").await;
    let (mut stream, _) = server.accept().await.unwrap();
    stream.read_exact(&mut [0; 5]).await.unwrap();
    stream.write_all(b"PONG\n").await.unwrap();
    side.hear_until(|heard| heard.stdout() == b"PONG\n").await;
    drop(stream);
    assert_eq!(side.end().await, End::Exit(0));
    let mut side = begun(role(Manner::Knock), BOUND, "\n").await;
    assert_eq!(side.end().await, End::Open);
    drop(server);
    let mut side = begun(role(Manner::Knock), BOUND, "\n").await;
    assert_eq!(side.end().await, End::Failed(FailReason::Refused), "the file is there, and nobody listens");
}

#[tokio::test]
async fn below_another_root_a_link_leads_to_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("run")).unwrap();
    let _inside = UnixListener::bind(root.join("run/db.sock")).unwrap();
    let outside = folder.path().join("outside.sock");
    let _outside = UnixListener::bind(&outside).unwrap();
    std::os::unix::fs::symlink("/run/db.sock", root.join("link")).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("leak")).unwrap();
    // Longer than the kernel takes the name of a socket.
    let long = format!("/{}run/db.sock", "run/../".repeat(30));
    for (path, end) in [
        ("/run/db.sock", End::Open),
        (&long, End::Open),
        ("/link", End::Open),
        ("/leak", End::Failed(FailReason::SocketMissing)),
        ("/../outside.sock", End::Failed(FailReason::SocketMissing)),
        ("/run", End::Failed(FailReason::Refused)),
    ] {
        let root = Root::whole(std::fs::File::open(&root).unwrap().into());
        let surroundings = Surroundings { names: Names::new("", ""), root: Some(root) };
        let role = Role::SocketClient { path: path.to_owned(), manner: Manner::Knock };
        let mut side = Side::start_in(role, BOUND, surroundings);
        side.say("\n").await;
        assert_eq!(side.end().await, end, "{path}");
    }
}
