//! Requests to the hub: redirects, the token, what to try again and when.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use ureq::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RANGE, RETRY_AFTER, USER_AGENT,
};
use ureq::http::{Method, Request, Response, Uri};
use ureq::{Agent, Body, Proxy};

use crate::config::HubConfig;
use crate::error::HubError;

const MAX_REDIRECTS: usize = 10;
const AGENT: &str = concat!("fpt-hub/", env!("CARGO_PKG_VERSION"));
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

/// Why one request failed. Addresses are without their query, which may hold a signature.
#[derive(Debug)]
pub(crate) enum Failure {
    Network {
        url: String,
        reason: String,
    },
    Status {
        url: String,
        status: u16,
        code: Option<String>,
        wait: Option<u64>,
    },
    Protocol {
        url: String,
        reason: String,
    },
    RateLimited {
        url: String,
        seconds: u64,
    },
    Short {
        expected: u64,
        found: u64,
    },
}

impl Failure {
    fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Short { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::Protocol { .. } | Self::RateLimited { .. } => false,
        }
    }
}

/// Counts failures and waits between them.
pub(crate) struct Retry<'a> {
    config: &'a HubConfig,
    retries: u32,
    failures: u32,
}

impl<'a> Retry<'a> {
    /// As `config` says, but for the number of retries.
    pub(crate) fn new(config: &'a HubConfig, retries: u32) -> Self {
        Self {
            config,
            retries,
            failures: 0,
        }
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.failures
    }

    pub(crate) fn forget(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt, or gives the failure back when there should be none.
    pub(crate) fn pause(&mut self, failure: Failure) -> Result<(), Failure> {
        self.failures += 1;
        if !failure.is_transient() || self.failures > self.retries {
            return Err(failure);
        }
        let doubled = self
            .config
            .retry_delay
            .saturating_mul(1 << (self.failures - 1).min(16));
        let mut wait = doubled.min(self.config.max_wait);
        if let Failure::Status {
            url,
            wait: Some(seconds),
            ..
        } = failure
        {
            wait = Duration::from_secs(seconds);
            if wait > self.config.max_wait {
                return Err(Failure::RateLimited { url, seconds });
            }
        }
        thread::sleep(wait);
        Ok(())
    }
}

/// What the hub says about a file without sending it.
#[derive(Debug)]
pub(crate) struct FileMeta {
    /// The name of the blob; of large files the SHA-256.
    pub(crate) etag: String,
    pub(crate) size: Option<u64>,
}

pub(crate) struct Reply {
    pub(crate) url: String,
    pub(crate) response: Response<Body>,
    /// The headers of the redirects that led here; the first of a name counts.
    passed: HeaderMap,
}

impl Reply {
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// A header of this reply, or of a redirect that led to it.
    fn linked(&self, name: &HeaderName) -> Option<&str> {
        self.header(name)
            .or_else(|| self.passed.get(name)?.to_str().ok())
    }
}

/// Which redirects are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follow {
    All,
    /// Only those that stay with the hub: what it says about a file is in the one that leaves.
    WithinHub,
}

pub(crate) struct Client {
    agent: Agent,
    endpoint: String,
    hub: Uri,
    authorization: Option<HeaderValue>,
}

impl Client {
    pub(crate) fn new(config: &HubConfig) -> Result<Self, HubError> {
        let endpoint = config.endpoint.trim_end_matches('/').to_owned();
        let hub: Uri = endpoint.parse().map_err(|_| bad_endpoint(&endpoint))?;
        if !matches!(hub.scheme_str(), Some("http" | "https")) || hub.query().is_some() {
            return Err(bad_endpoint(&endpoint));
        }
        let in_the_open = hub.scheme_str() == Some("http") && !is_loopback(&hub);
        let authorization = match &config.token {
            None => None,
            // Nothing is sent then.
            Some(_) if config.offline => None,
            Some(_) if in_the_open => return Err(token_in_the_open(&endpoint)),
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
                    let reason = "the access token has characters that no token has; is it a whole file?".to_owned();
                    HubError::Config { reason }
                })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(if config.env_proxy {
                Proxy::try_from_env()
            } else {
                None
            })
            .timeout_resolve(Some(config.timeout))
            .timeout_connect(Some(config.timeout))
            .timeout_recv_response(Some(config.timeout))
            .timeout_per_read(Some(config.timeout))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            endpoint,
            hub,
            authorization,
        })
    }

    /// The hub's address, without a slash at the end.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn sends_token(&self) -> bool {
        self.authorization.is_some()
    }

    /// A small text.
    pub(crate) fn text(&self, url: &str) -> Result<String, Failure> {
        let Reply { url, response, .. } = self.request(&Method::GET, url, None, Follow::All)?;
        response
            .into_body()
            .read_to_string()
            .map_err(|e| Failure::Network {
                url: shown(&url),
                reason: e.to_string(),
            })
    }

    /// What the hub says about a file.
    pub(crate) fn meta(&self, url: &str) -> Result<FileMeta, Failure> {
        let reply = self.request(&Method::HEAD, url, None, Follow::WithinHub)?;
        let odd = |reason: String| Failure::Protocol {
            url: shown(url),
            reason,
        };
        let etag = reply.linked(&LINKED_ETAG).or_else(|| reply.header(&ETAG));
        let etag = etag.ok_or_else(|| odd("no ETag".to_owned()))?;
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        // It becomes the name of a file.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if etag.is_empty() || etag.starts_with('.') || !etag.chars().all(plain) {
            return Err(odd(format!("the ETag {etag:?}")));
        }
        let size = match reply.linked(&LINKED_SIZE) {
            Some(size) => Some(size),
            None if reply.response.status().is_redirection() => None,
            None => reply.header(&CONTENT_LENGTH),
        };
        let size = size
            .map(str::parse)
            .transpose()
            .map_err(|_| odd("the size is not a number".to_owned()))?;
        Ok(FileMeta {
            etag: etag.to_owned(),
            size,
        })
    }

    /// The bytes of a file from `start`. The server may send all of them.
    pub(crate) fn bytes(&self, url: &str, start: u64) -> Result<Reply, Failure> {
        self.request(&Method::GET, url, (start > 0).then_some(start), Follow::All)
    }

    fn request(
        &self,
        method: &Method,
        url: &str,
        start: Option<u64>,
        follow: Follow,
    ) -> Result<Reply, Failure> {
        let mut url = url.to_owned();
        let mut passed = HeaderMap::new();
        for _ in 0..=MAX_REDIRECTS {
            let odd = |reason: String| Failure::Protocol {
                url: shown(&url),
                reason,
            };
            let here: Uri = url.parse().map_err(|_| odd("not an address".to_owned()))?;
            let response = self.once(method, &here, start)?;
            let status = response.status();
            if status.is_success() {
                return Ok(Reply {
                    url,
                    response,
                    passed,
                });
            }
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(self.refusal(&url, &response));
            }
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| odd("a redirect to nowhere".to_owned()))?;
            let next = join(&here, location)
                .ok_or_else(|| odd("a redirect to what is no address".to_owned()))?;
            if here.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(odd("a redirect away from https".to_owned()));
            }
            if follow == Follow::WithinHub && !same_host(&here, &next) {
                return Ok(Reply {
                    url,
                    response,
                    passed,
                });
            }
            for (name, value) in response.headers() {
                passed.entry(name).or_insert_with(|| value.clone());
            }
            url = next.to_string();
        }
        Err(Failure::Protocol {
            url: shown(&url),
            reason: "too many redirects".to_owned(),
        })
    }

    fn once(
        &self,
        method: &Method,
        url: &Uri,
        start: Option<u64>,
    ) -> Result<Response<Body>, Failure> {
        let shown = || shown(&url.to_string());
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(USER_AGENT, AGENT)
            // Sizes and ranges are those of the files themselves.
            .header(ACCEPT_ENCODING, "identity");
        if let Some(start) = start {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        // The hub redirects to other hosts, which must not see the token.
        if let Some(authorization) = self
            .authorization
            .as_ref()
            .filter(|_| same_host(&self.hub, url))
        {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(()).map_err(|e| Failure::Protocol {
            url: shown(),
            reason: e.to_string(),
        })?;
        self.agent.run(request).map_err(|e| Failure::Network {
            url: shown(),
            reason: e.to_string(),
        })
    }

    fn refusal(&self, url: &str, response: &Response<Body>) -> Failure {
        let header = |name: HeaderName| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        Failure::Status {
            url: shown(url),
            status: response.status().as_u16(),
            code: header(ERROR_CODE).map(str::to_owned),
            wait: header(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()),
        }
    }
}

fn bad_endpoint(endpoint: &str) -> HubError {
    HubError::Config {
        reason: format!(
            "HF_ENDPOINT is {:?}, which is not an address like https://huggingface.co",
            shown(endpoint)
        ),
    }
}

fn token_in_the_open(endpoint: &str) -> HubError {
    HubError::Config {
        reason: format!(
            "the access token would go unencrypted to {:?} (HF_ENDPOINT); use https, or send no token: \
             HF_HUB_DISABLE_IMPLICIT_TOKEN=1",
            shown(endpoint)
        ),
    }
}

/// Whether an address is on this machine.
fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An address as errors show it: without query and without user and password.
pub(crate) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

fn same_host(a: &Uri, b: &Uri) -> bool {
    let authority = |uri: &Uri| uri.authority().map(|a| a.as_str().to_ascii_lowercase());
    a.scheme() == b.scheme() && authority(a) == authority(b)
}

/// Where a redirect leads.
fn join(here: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next()?;
    let scheme = here.scheme_str()?;
    let authority = here.authority()?;
    let next = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let (directory, _) = here.path().rsplit_once('/')?;
        format!("{scheme}://{authority}{directory}/{location}")
    };
    next.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved() {
        let here: Uri = "https://hub.example:8443/a/b/c?d=1".parse().unwrap();
        for (location, expected) in [
            ("http://cdn.example/x?y=1", "http://cdn.example/x?y=1"),
            ("//cdn.example/x", "https://cdn.example/x"),
            ("/x/y?z=1#f", "https://hub.example:8443/x/y?z=1"),
            ("x", "https://hub.example:8443/a/b/x"),
        ] {
            assert_eq!(join(&here, location).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn errors_show_no_secrets_of_an_address() {
        assert_eq!(
            shown("https://ann:pw@cdn.example/x@1/y?X-Signature=s#f"),
            "https://cdn.example/x@1/y"
        );
        assert_eq!(shown("https://hub.example"), "https://hub.example");
    }

    #[test]
    fn a_token_stays_with_scheme_host_and_port() {
        let hub: Uri = "https://hub.example".parse().unwrap();
        assert!(same_host(&hub, &"https://HUB.example/x".parse().unwrap()));
        for other in [
            "http://hub.example",
            "https://cdn.example",
            "https://hub.example:444",
            "https://hub.example.evil.example",
        ] {
            assert!(!same_host(&hub, &other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        for endpoint in ["huggingface.co", "ftp://x", "", "https://x?y=1"] {
            let config = HubConfig {
                endpoint: endpoint.to_owned(),
                ..HubConfig::new("cache")
            };
            let error = Client::new(&config).err().unwrap().to_string();
            assert!(error.contains("HF_ENDPOINT"), "{endpoint}: {error}");
        }
        let mut config = HubConfig::new("cache");
        config.token = crate::Token::new("hf_secret");
        for (endpoint, usable) in [
            ("http://hub.example", false),
            ("http://127.0.0.1.hub.example", false),
            ("http://10.0.0.1:80", false),
            ("HTTP://localhost@hub.example", false),
            ("https://hub.example", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://LocalHost/hub", true),
        ] {
            config.endpoint = endpoint.to_owned();
            let refused = Client::new(&config).err().map(|error| error.to_string());
            assert_eq!(refused.is_none(), usable, "{endpoint}: {refused:?}");
            let said = |text: &str| text.contains("unencrypted") && !text.contains("secret");
            assert!(refused.is_none_or(|text| said(&text)), "{endpoint}");
        }
        // Without a token, or where nothing is sent, there is nothing to hide.
        config.endpoint = "http://hub.example".to_owned();
        config.offline = true;
        assert!(Client::new(&config).is_ok());
        (config.offline, config.token) = (false, None);
        assert!(Client::new(&config).is_ok());

        config.token = crate::Token::new("hf_secret\nsecond line");
        config.endpoint = "https://hub.example".to_owned();
        let error = Client::new(&config).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
