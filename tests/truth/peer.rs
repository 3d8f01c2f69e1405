//! Peers that do as they please, on ports of their own and on sockets that are called like these. They run in
//! the network namespace of a container, and not in the container: what is in there is to be nobody's but its
//! own and the handshakes'.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};

/// What makes the program one of them.
pub const WORD: &str = "peer";

/// Accepts, and says nothing.
pub const SILENT: u16 = 7001;
/// Accepts, and closes.
pub const CLOSES: u16 = 7002;
/// Accepts, and resets.
pub const RESETS: u16 = 7003;
/// Accepts, ends its own half, and listens.
pub const HALF_CLOSES: u16 = 7004;
/// Says what it is told.
pub const ECHOES: u16 = 7005;
/// Answers `+PONG` to each line, and stays.
pub const ANSWERS: u16 = 7006;
/// Answers `+PONG` at the end of what it is told.
pub const ANSWERS_AT_THE_END: u16 = 7007;
/// Answers `+PONG`, one byte at a time.
pub const DRIBBLES: u16 = 7008;
/// Nobody has it.
pub const NOBODY: u16 = 7009;
/// Nothing arrives there.
pub const DROPPED: u16 = 7010;
/// A router says that there is no way there.
pub const UNREACHABLE: u16 = 7011;
/// What arrives there is answered, and no answer leaves.
pub const NO_WAY_BACK: u16 = 7012;

/// A socket that nobody has any more. No port is like it.
pub const STALE: u16 = 7013;
/// A socket for datagrams. No port is like it either.
pub const DATAGRAMS: u16 = 7014;

/// The file of a peer's socket.
pub fn file(behaviour: u16) -> String {
    format!("{behaviour}.sock")
}

const PONG: &[u8] = b"+PONG\r\n";
/// For how long a connection is held.
const LONGEST: Duration = Duration::from_secs(30);

/// Serves every port, and every socket in `folder`, until its stdin ends, so that it ends with whoever started it.
pub fn run(folder: &Path) {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for port in [
            SILENT,
            CLOSES,
            RESETS,
            HALF_CLOSES,
            ECHOES,
            ANSWERS,
            ANSWERS_AT_THE_END,
            DRIBBLES,
            DROPPED,
            UNREACHABLE,
            NO_WAY_BACK,
        ] {
            let listener = TcpListener::bind(("0.0.0.0", port)).await.unwrap();
            tokio::spawn(serve(listener, port));
        }
        for port in [SILENT, ECHOES, ANSWERS, DROPPED, NO_WAY_BACK] {
            let socket = UdpSocket::bind(("0.0.0.0", port)).await.unwrap();
            tokio::spawn(serve_datagrams(socket, port));
        }
        for behaviour in [SILENT, CLOSES, ECHOES, ANSWERS, ANSWERS_AT_THE_END, DRIBBLES, STALE] {
            let listener = UnixListener::bind(folder.join(file(behaviour))).unwrap();
            if behaviour != STALE {
                tokio::spawn(serve_socket(listener, behaviour));
            }
        }
        let _datagrams = UnixDatagram::bind(folder.join(file(DATAGRAMS))).unwrap();
        println!("up");
        std::future::pending::<()>().await;
    });
}

async fn serve(listener: TcpListener, port: u16) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        match port {
            RESETS => drop(stream.set_zero_linger()),
            _ => drop(tokio::spawn(tokio::time::timeout(LONGEST, talk(stream, port)))),
        }
    }
}

async fn serve_socket(listener: UnixListener, behaviour: u16) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(tokio::time::timeout(LONGEST, talk(stream, behaviour)));
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, behaviour: u16) -> std::io::Result<()> {
    let mut bytes = [0; 1024];
    match behaviour {
        CLOSES => return Ok(()),
        HALF_CLOSES => stream.shutdown().await?,
        _ => {}
    }
    loop {
        let count = stream.read(&mut bytes).await?;
        match (behaviour, count) {
            (ANSWERS_AT_THE_END, 0) => return stream.write_all(PONG).await,
            (_, 0) => return Ok(()),
            (ECHOES, _) => stream.write_all(&bytes[..count]).await?,
            (ANSWERS, _) => stream.write_all(PONG).await?,
            (DRIBBLES, _) => {
                for byte in PONG {
                    stream.write_all(&[*byte]).await?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            _ => {}
        }
    }
}

async fn serve_datagrams(socket: UdpSocket, port: u16) {
    let mut bytes = [0; 2048];
    loop {
        let Ok((count, from)) = socket.recv_from(&mut bytes).await else { continue };
        let _ = match port {
            ECHOES => socket.send_to(&bytes[..count], from).await,
            ANSWERS | NO_WAY_BACK => socket.send_to(PONG, from).await,
            _ => Ok(0),
        };
    }
}
