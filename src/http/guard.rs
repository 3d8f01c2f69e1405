//! What every request has to pass, and what every answer carries.

use std::net::{IpAddr, SocketAddr};

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem;

/// How many bytes of body a request may announce. No route reads one.
const MAX_BODY: u64 = 1 << 10;

/// Nothing of ours runs in a browser, loads from elsewhere or belongs into a frame.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Whose requests are answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Audience {
    /// Only this machine's, and so only under names that mean it.
    Loopback,
    /// Whoever can reach the address, under whichever name.
    Anybody,
}

impl Audience {
    /// The audience of a server that listens at `address`.
    pub(super) fn of(address: SocketAddr) -> Self {
        if address.ip().is_loopback() { Self::Loopback } else { Self::Anybody }
    }

    /// The answer to a request that gets no other.
    fn refusal(self, request: &Request) -> Option<Response> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let refusal =
                problem(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here: only GET and HEAD");
            return Some(([(header::ALLOW, "GET, HEAD")], refusal).into_response());
        }
        // What is sent in chunks has no announced size.
        if request.body().size_hint().upper().is_none_or(|size| size > MAX_BODY) {
            return Some(problem(StatusCode::PAYLOAD_TOO_LARGE, "a request here needs no body"));
        }
        if matches!(self, Self::Loopback) && !names_this_machine(request.headers()) {
            let why = "this listens for its own machine only: call it localhost, or by its address";
            return Some(problem(StatusCode::MISDIRECTED_REQUEST, why));
        }
        None
    }
}

/// Passes a request on or refuses it, and puts on the answer what every answer carries.
pub(super) async fn guard(State(audience): State<Audience>, request: Request, next: Next) -> Response {
    let mut response = match audience.refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the request came by a name that nobody else can give to this machine. A page from elsewhere
/// can make its own name mean 127.0.0.1, and read what it then asks for; but the browser tells that name.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => true,
        (Some(host), None) => host.to_str().is_ok_and(is_own),
        (Some(_), Some(_)) => false,
    }
}

fn is_own(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_cannot_be_made_to_mean_this_machine_are_taken() {
        for host in [
            "localhost",
            "LocalHost:9810",
            "127.0.0.1",
            "127.0.0.1:9810",
            "[::1]",
            "[::1]:9810",
            "10.0.0.1:1",
        ] {
            assert!(is_own(host), "{host}");
        }
        for host in [
            "",
            ":9810",
            "evil.example",
            "evil.example:9810",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9810",
            "localhost@evil.example",
            "localhost:evil",
            "localhost:1:2",
        ] {
            assert!(!is_own(host), "{host}");
        }
    }

    #[test]
    fn who_listens_elsewhere_has_names_of_its_own() {
        let audience = |address: &str| Audience::of(address.parse().unwrap());
        assert!(matches!(audience("127.0.0.1:9810"), Audience::Loopback));
        assert!(matches!(audience("[::1]:9810"), Audience::Loopback));
        assert!(matches!(audience("0.0.0.0:9810"), Audience::Anybody));
        assert!(matches!(audience("192.168.1.2:9810"), Audience::Anybody));
    }
}
