//! Who may ask.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use data_url::forgiving_base64;
use subtle::Choice;

use crate::{ApiKey, api_error::ApiError};

/// The route that is open to everybody: whoever watches over the server has no key.
const OPEN: &str = "/health";

/// Refuses requests without one of the keys.
pub(crate) async fn check_key(State(keys): State<Arc<[ApiKey]>>, request: Request, next: Next) -> Response {
    if request.uri().path() == OPEN || is_known(&keys, request.headers()) {
        return next.run(request).await;
    }
    let given = request.headers().contains_key(header::AUTHORIZATION);
    let message = if given { "the key is wrong" } else { "a key is needed: `Authorization: Bearer KEY`" };
    let mut response = ApiError::unauthorized(message).into_response();
    if wants_page(request.headers()) {
        // A browser then asks for it by itself, and sends it with what the page fetches.
        let challenge = HeaderValue::from_static("Basic realm=\"longvu: any name, and the key as password\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Whether a request has one of the keys. All of them are compared whatever comes out.
fn is_known(keys: &[ApiKey], headers: &HeaderMap) -> bool {
    let Some(key) = given(headers) else { return false };
    keys.iter().fold(Choice::from(0), |known, candidate| known | candidate.is(&key)).into()
}

/// The key that a request has: a bearer's, or a password.
fn given(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let at = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = (&value[..at], value[at..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let decoded = forgiving_base64::decode_to_vec(rest).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        return Some(decoded[colon + 1..].to_vec());
    }
    None
}

/// Refuses requests that reach a server without keys under a name that is not the machine's own: the page of another
/// host, whose name was made to resolve to this machine, would be let in as this server's page is.
pub(crate) async fn check_host(State(names): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = authority.or_else(|| request.headers().get(header::HOST).map(HeaderValue::as_bytes));
    match host.and_then(|host| std::str::from_utf8(host).ok()) {
        Some(host) if is_own(host, &names) => next.run(request).await,
        _ => {
            let message = "this server answers under the names of this machine only";
            ApiError::new(StatusCode::MISDIRECTED_REQUEST, message).into_response()
        }
    }
}

fn is_own(host: &str, names: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let listed = |own: &String| own.eq_ignore_ascii_case(name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || names.iter().any(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(header: &str) -> bool {
        let keys = [ApiKey::new("first").unwrap(), ApiKey::new("second").unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        is_known(&keys, &headers)
    }

    #[test]
    fn keys_come_as_bearers_or_passwords() {
        // anyone:second, and the same without a colon.
        for good in ["Bearer first", "bearer second", "Basic YW55b25lOnNlY29uZA=="] {
            assert!(known(good), "{good}");
        }
        for bad in
            ["Bearer", "Bearer ", "Bearer firs", "Bearer first2", "first", "Basic YW55b25l", "Basic !", "Bearer FIRST"]
        {
            assert!(!known(bad), "{bad}");
        }
        assert!(!is_known(&[], &HeaderMap::new()));
    }

    #[test]
    fn keys_are_what_clients_can_send() {
        for bad in ["", "two words", "line\n", "schlüssel"] {
            assert!(ApiKey::new(bad).is_none(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", ApiKey::new("secret")), "Some(ApiKey(..))");
    }

    #[test]
    fn only_the_machines_own_names_are_own() {
        let names = ["box.lan".to_owned()];
        for own in ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "127.9.9.9", "BOX.lan:80"] {
            assert!(is_own(own, &names), "{own}");
        }
        for other in ["evil.example:8000", "127.0.0.1.evil.example", "localhost.evil", "192.168.0.2", "[::2]", "", ":"]
        {
            assert!(!is_own(other, &names), "{other}");
        }
    }
}
