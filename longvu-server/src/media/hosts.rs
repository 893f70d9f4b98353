//! The hosts that URLs may name.

use url::{Host, Url};

use super::config::SetupError;

/// The hosts that are allowed, each with its ports.
#[derive(Debug)]
pub(super) struct Hosts(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    host: Pattern,
    /// That of `http` and that of `https` where none is named.
    port: Option<u16>,
}

#[derive(Debug)]
enum Pattern {
    Host(Host),
    /// Every name that ends with this, a dot in front: `.example.com`.
    Below(String),
}

impl Hosts {
    /// Reads `example.com`, `*.example.com` and addresses, each with `:port` or without.
    pub(super) fn new(rules: &[String]) -> Result<Self, SetupError> {
        rules
            .iter()
            .map(|rule| Rule::new(rule).ok_or_else(|| SetupError::Host(rule.clone())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn allow(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        self.0.iter().any(|rule| rule.allows(&host, url))
    }
}

impl Rule {
    fn new(text: &str) -> Option<Self> {
        let (name, port) = match text.rsplit_once(':') {
            // The colons of an address of IPv6 are inside brackets.
            Some((name, port)) if !port.ends_with(']') => (name, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let host = match name.strip_prefix("*.") {
            Some(name) => match Host::parse(name).ok()? {
                Host::Domain(name) => Pattern::Below(format!(".{}", without_dot(&name))),
                _ => return None,
            },
            None => match Host::parse(name).ok()? {
                Host::Domain(name) if name.contains('*') => return None,
                Host::Domain(name) => Pattern::Host(Host::Domain(without_dot(&name).to_owned())),
                address => Pattern::Host(address),
            },
        };
        Some(Self { host, port })
    }

    fn allows(&self, host: &Host<&str>, url: &Url) -> bool {
        let port = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            // The parser leaves a port out where it is the scheme's own.
            None => url.port().is_none(),
        };
        let host = match (&self.host, host) {
            (Pattern::Below(end), Host::Domain(name)) => {
                let name = without_dot(name);
                name.len() > end.len() && name.ends_with(end.as_str())
            }
            (Pattern::Host(Host::Domain(allowed)), Host::Domain(name)) => allowed == without_dot(name),
            (Pattern::Host(Host::Ipv4(allowed)), Host::Ipv4(address)) => allowed == address,
            (Pattern::Host(Host::Ipv6(allowed)), Host::Ipv6(address)) => allowed == address,
            _ => false,
        };
        host && port
    }
}

/// `example.com.` is `example.com`, said from the root on.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: &str, url: &str) -> bool {
        Hosts::new(&[rule.to_owned()]).unwrap().allow(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_name_is_that_name() {
        for url in
            ["http://example.com/a.mp4", "https://EXAMPLE.com", "https://example.com./", "http://example.com:80/"]
        {
            assert!(allows("Example.com", url), "{url}");
        }
        for url in [
            "http://www.example.com/",
            "http://example.com.evil.net/",
            "http://notexample.com/",
            "http://example.co/",
            "http://example.com:8080/",
            "http://evil.net/example.com",
            "http://evil.net#example.com",
            "http://example.com@evil.net/",
            "http://127.0.0.1/",
            "http://[::1]/",
        ] {
            assert!(!allows("example.com", url), "{url}");
        }
        assert!(allows("bücher.example", "http://xn--bcher-kva.example/"));
    }

    #[test]
    fn a_star_is_every_name_below() {
        for url in ["http://a.example.com/", "https://a.b.example.com/", "https://a.example.com./"] {
            assert!(allows("*.example.com", url), "{url}");
        }
        for url in [
            "http://example.com/",
            "http://aexample.com/",
            "http://a.example.com.evil.net/",
            "http://a.example.com:81/",
        ] {
            assert!(!allows("*.example.com", url), "{url}");
        }
    }

    #[test]
    fn a_port_is_that_port() {
        assert!(allows("example.com:8080", "http://example.com:8080/"));
        assert!(!allows("example.com:8080", "http://example.com/"));
        assert!(allows("example.com:443", "https://example.com/"));
        assert!(!allows("example.com:443", "http://example.com/"));
        assert!(allows("[2001:db8::1]:81", "http://[2001:db8:0::1]:81/"));
    }

    #[test]
    fn an_address_is_that_address_however_it_is_written() {
        for url in ["http://1.2.3.4/", "http://0x01020304/", "http://16909060/", "http://1.2.772/"] {
            assert!(allows("1.2.3.4", url), "{url}");
        }
        assert!(!allows("1.2.3.4", "http://1.2.3.5/"));
    }

    #[test]
    fn what_is_no_host_is_an_error() {
        for rule in [
            "",
            "*",
            "*.",
            "*.1.2.3.4",
            "a*.com",
            "http://example.com",
            "example.com:port",
            "example.com:70000",
            "exa mple",
        ] {
            assert!(Hosts::new(&[rule.to_owned()]).is_err(), "{rule:?}");
        }
    }
}
