//! Where to connect: a host and a port, in the forms people have them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use rebelay_core::ConfigError;

/// A host and port as the user named them; looked up again for every round of attempts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Box<str>,
    port: u16,
}

impl Endpoint {
    /// The endpoint `host`, a name or an address without brackets, at `port`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into().into_boxed_str(), port }
    }

    /// The name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<(&str, u16)> for Endpoint {
    fn from((host, port): (&str, u16)) -> Self {
        Self::new(host, port)
    }
}

impl From<(String, u16)> for Endpoint {
    fn from((host, port): (String, u16)) -> Self {
        Self::new(host, port)
    }
}

impl From<(IpAddr, u16)> for Endpoint {
    fn from((ip, port): (IpAddr, u16)) -> Self {
        Self::new(ip.to_string(), port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                Self::new(format!("{}%{}", v6.ip(), v6.scope_id()), v6.port())
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => (address.ip(), address.port()).into(),
        }
    }
}

/// From `host:port`, `1.2.3.4:port` or `[::1]:port`.
impl TryFrom<&str> for Endpoint {
    type Error = ConfigError;

    fn try_from(text: &str) -> Result<Self, ConfigError> {
        let refused = || ConfigError {
            field: "endpoint",
            value: format!("{text:?}"),
            allowed: "host:port, with a port from 0 to 65535 and an IPv6 address in brackets"
                .into(),
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bare.unwrap_or(host) {
            "" => Err(refused()),
            host if bare.is_none() && host.contains(':') => Err(refused()),
            host => Ok(Self::new(host, port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_people_write_are_understood() {
        for (text, host, port) in [
            ("localhost:2324", "localhost", 2324),
            ("[::1]:80", "::1", 80),
            ("1.2.3.4:0", "1.2.3.4", 0),
        ] {
            let endpoint = Endpoint::try_from(text);
            assert_eq!(endpoint, Ok(Endpoint::new(host, port)));
            assert_eq!(endpoint.map(|endpoint| endpoint.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_not_an_endpoint_is_named() {
        for text in ["localhost", ":80", "host:port", "host:70000", "::1:80", ""] {
            let error = Endpoint::try_from(text).map_err(|error| error.to_string());
            let expected = format!("endpoint is {text:?}; allowed: host:port, with");
            assert!(error.is_err_and(|error| error.starts_with(&expected)), "{text}");
        }
    }
}
