//! Settings: where the hub is, where its files are kept, and what the environment says of both.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::HubError;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// An access token. It is sent to the hub and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token, without surrounding white space; none when nothing remains.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Reads a token file as `hf auth login` writes it; none when there is no such file.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read.
    pub fn read(path: &Path) -> Result<Option<Self>, HubError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::new(&text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HubError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// How to reach the hub and where to keep its files.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// The hub's address.
    pub endpoint: String,
    /// The cache that all programs share, usually `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// The access token, for private and gated models.
    pub token: Option<Token>,
    /// Whether to use nothing but the cache.
    pub offline: bool,
    /// Whether to go through the proxy that the environment names.
    pub env_proxy: bool,
    /// How often a failed request is tried again. Downloads that move on may fail more often.
    pub retries: u32,
    /// How long to wait before the first retry; each further wait is twice as long.
    pub retry_delay: Duration,
    /// The longest wait. A server that asks for a longer one is not waited for.
    pub max_wait: Duration,
    /// How long a server may be silent.
    pub timeout: Duration,
}

impl HubConfig {
    /// The public hub with this cache: no token, no proxy, nothing from the environment.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            cache: cache.into(),
            token: None,
            offline: false,
            env_proxy: false,
            retries: 5,
            retry_delay: Duration::from_secs(1),
            max_wait: Duration::from_secs(120),
            timeout: Duration::from_secs(30),
        }
    }

    /// What the environment says, as for the Python library: `HF_ENDPOINT`; `HF_HUB_CACHE`, or `hub`
    /// in `HF_HOME`, or `~/.cache/huggingface/hub`; `HF_TOKEN`, or the file `HF_TOKEN_PATH`, or
    /// `token` in `HF_HOME`, but none if `HF_HUB_DISABLE_IMPLICIT_TOKEN` is true; `HF_HUB_OFFLINE` or
    /// `TRANSFORMERS_OFFLINE`.
    ///
    /// # Errors
    ///
    /// When there is no home directory and no variable makes up for it, or a token file is unreadable.
    pub fn from_env() -> Result<Self, HubError> {
        let config = Self::from_variables(|name| env::var_os(name), env::home_dir())?;
        Ok(Self {
            env_proxy: true,
            ..config
        })
    }

    /// As [`from_env`](Self::from_env), with the variables and the home directory given.
    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<PathBuf>,
    ) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        let path =
            |name: &str| set(name).map(|value| expand(PathBuf::from(value), home.as_deref()));

        let hf_home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|dir| dir.join("huggingface")))
            .or_else(|| {
                home.as_ref()
                    .map(|dir| dir.join(".cache").join("huggingface"))
            });
        let cache = path("HF_HUB_CACHE")
            .or_else(|| hf_home.as_ref().map(|dir| dir.join("hub")))
            .ok_or_else(|| HubError::Config {
                reason: "there is no home directory; set HF_HOME to where models are kept"
                    .to_owned(),
            })?;

        let is_set = |name: &str| text(name).is_some_and(|value| is_true(&value));
        let token_file = path("HF_TOKEN_PATH").or_else(|| hf_home.map(|dir| dir.join("token")));
        // Whatever the environment names is implicit: nobody gave a token for this very request.
        let token = if is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else {
            match (text("HF_TOKEN").as_deref().and_then(Token::new), token_file) {
                (None, Some(file)) => Token::read(&file)?,
                (token, _) => token,
            }
        };

        let mut config = Self::new(cache);
        if let Some(endpoint) = text("HF_ENDPOINT") {
            config.endpoint = endpoint;
        }
        config.token = token;
        config.offline = text("HF_HUB_OFFLINE")
            .or_else(|| text("TRANSFORMERS_OFFLINE"))
            .is_some_and(|value| is_true(&value));
        Ok(config)
    }
}

fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}

fn expand(path: PathBuf, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)], home: Option<&Path>) -> Result<HubConfig, HubError> {
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| OsString::from(value))
        };
        HubConfig::from_variables(lookup, home.map(Path::to_owned))
    }

    #[test]
    fn defaults() {
        let config = from(&[], Some(Path::new("/home/ann"))).unwrap();
        assert_eq!(config.endpoint, "https://huggingface.co");
        assert_eq!(config.cache, Path::new("/home/ann/.cache/huggingface/hub"));
        assert!(config.token.is_none() && !config.offline);

        let error = from(&[], None).unwrap_err().to_string();
        assert!(error.contains("HF_HOME"), "{error}");
    }

    #[test]
    fn the_cache_follows_the_variables() {
        let home = Some(Path::new("/home/ann"));
        let cache = |variables: &[(&str, &str)]| from(variables, home).unwrap().cache;
        assert_eq!(cache(&[("HF_HOME", "~/hf")]), Path::new("/home/ann/hf/hub"));
        assert_eq!(
            cache(&[("XDG_CACHE_HOME", "/x")]),
            Path::new("/x/huggingface/hub")
        );
        assert_eq!(
            cache(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")]),
            Path::new("/c")
        );
        assert_eq!(
            cache(&[("HF_HOME", ""), ("HF_HUB_CACHE", "")]),
            Path::new("/home/ann/.cache/huggingface/hub")
        );
    }

    #[test]
    fn offline_and_endpoint() {
        let offline = |name, value| {
            from(&[(name, value)], Some(Path::new("/")))
                .unwrap()
                .offline
        };
        assert!(offline("HF_HUB_OFFLINE", "1") && offline("HF_HUB_OFFLINE", "True"));
        assert!(offline("TRANSFORMERS_OFFLINE", "yes"));
        assert!(!offline("HF_HUB_OFFLINE", "0") && !offline("TRANSFORMERS_OFFLINE", ""));
        let config = from(
            &[("HF_ENDPOINT", "http://127.0.0.1:1")],
            Some(Path::new("/")),
        )
        .unwrap();
        assert_eq!(config.endpoint, "http://127.0.0.1:1");
    }

    #[test]
    fn the_token_comes_from_the_variable_then_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let hf_home = dir.path().to_str().unwrap();
        let other = dir.path().join("other");
        fs::write(dir.path().join("token"), "hf_home\n").unwrap();
        fs::write(&other, "hf_other\n").unwrap();
        let other = other.to_str().unwrap();
        let token = |variables: &[(&str, &str)]| {
            from(variables, None)
                .unwrap()
                .token
                .map(|t| t.expose().to_owned())
        };

        assert_eq!(token(&[("HF_HOME", hf_home)]).as_deref(), Some("hf_home"));
        assert_eq!(
            token(&[("HF_HOME", hf_home), ("HF_TOKEN_PATH", other)]).as_deref(),
            Some("hf_other")
        );
        assert_eq!(
            token(&[("HF_HOME", hf_home), ("HF_TOKEN", " hf_env ")]).as_deref(),
            Some("hf_env")
        );
        assert_eq!(token(&[("HF_HOME", "/no/such")]), None);

        let disabled = |value: &str| {
            token(&[
                ("HF_HOME", hf_home),
                ("HF_TOKEN", "hf_env"),
                ("HF_HUB_DISABLE_IMPLICIT_TOKEN", value),
            ])
        };
        assert_eq!(disabled("1"), None);
        assert_eq!(disabled("True"), None);
        assert_eq!(disabled("0").as_deref(), Some("hf_env"));
    }

    #[test]
    fn a_token_is_never_printed() {
        let mut config = HubConfig::new("/cache");
        config.token = Token::new("hf_secret");
        let printed = format!("{config:?} {config:#?}");
        assert!(
            printed.contains("hidden") && !printed.contains("secret"),
            "{printed}"
        );
    }
}
