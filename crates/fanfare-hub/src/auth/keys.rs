use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Uri, uri::Scheme};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    algorithm::Algorithm,
    jwks::{self, Secrets},
    key::{Key, KeyError, Material, check_secret},
    pem,
    redact::Secret,
};
use crate::log::{Answer, BoxError};

/// The longest document with keys that is read, in bytes.
pub const MAX_KEY_BYTES: usize = 256 * 1024;

/// How many keys one source may have. A token that names none is tried with all that fit.
pub const MAX_KEYS: usize = 64;

/// How long a fetch may take.
const FETCH_TIME: Duration = Duration::from_secs(10);

/// Where keys come from that verify tokens, and what they are for.
///
/// It prints without secrets.
///
/// ```
/// use fanfare_hub::auth::{Algorithm, KeySource};
///
/// let secret = KeySource::secret("a secret of thirty-two bytes or more").algorithms([Algorithm::Hs256]);
/// assert!(!format!("{secret:?}").contains("thirty-two"));
/// ```
#[derive(Debug, Clone)]
pub struct KeySource {
    format: Format,
    place: Place,
    algorithms: Option<Vec<Algorithm>>,
    refresh_every: Duration,
    refresh_pause: Duration,
    is_plain_http_allowed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Secret,
    Pem,
    Jwks,
}

#[derive(Clone)]
enum Place {
    Given(Secret),
    File(PathBuf),
    Url(Uri, Arc<dyn Fetch>),
}

/// What gets a document over HTTP. A function of the URI is one.
///
/// The contract:
///
/// - An answer is the whole body of a response with status 200, redirects followed or not. Everything
///   else is an error.
/// - It stops reading behind [`MAX_KEY_BYTES`]; what is longer is refused.
/// - It is called once at a time for each source, in a task of its own, and dropped if there is no
///   answer after 10 seconds.
///
/// ```
/// use fanfare_hub::auth::KeySource;
///
/// let uri = "https://login.example/jwks.json".parse()?;
/// let source = KeySource::jwks_url(uri, |_| async { Ok(r#"{"keys": []}"#.into()) });
/// assert_eq!(source.to_string(), "the JWKS at https://login.example/jwks.json");
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
pub trait Fetch: Send + Sync + 'static {
    /// Gets the document.
    fn fetch(&self, uri: Uri) -> Answer<'static, Result<Bytes, BoxError>>;
}

impl<F, A> Fetch for F
where
    F: Fn(Uri) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Bytes, BoxError>> + Send + 'static,
{
    fn fetch(&self, uri: Uri) -> Answer<'static, Result<Bytes, BoxError>> {
        Box::pin(self(uri))
    }
}

impl KeySource {
    /// A secret that the issuer of tokens and the hub share, of 32 bytes at least. Its bytes are used
    /// as they are: base64 is not decoded.
    pub fn secret(secret: impl AsRef<[u8]>) -> Self {
        Self::new(Format::Secret, Place::given(secret.as_ref()))
    }

    /// A file with such a secret. One line break at its end does not belong to it.
    pub fn secret_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Format::Secret, Place::File(path.into()))
    }

    /// Public keys as PEM text: `BEGIN PUBLIC KEY`, once or several times, for RSA, P-256, P-384 and
    /// Ed25519.
    pub fn pem(text: impl AsRef<[u8]>) -> Self {
        Self::new(Format::Pem, Place::given(text.as_ref()))
    }

    /// A file with public keys as PEM text.
    pub fn pem_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Format::Pem, Place::File(path.into()))
    }

    /// A JSON Web Key Set.
    pub fn jwks(text: impl AsRef<[u8]>) -> Self {
        Self::new(Format::Jwks, Place::given(text.as_ref()))
    }

    /// A file with a JSON Web Key Set.
    pub fn jwks_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Format::Jwks, Place::File(path.into()))
    }

    /// A JSON Web Key Set that is fetched. Secrets in it are passed over, because what anybody can
    /// fetch is none.
    pub fn jwks_url(uri: Uri, fetch: impl Fetch) -> Self {
        Self::new(Format::Jwks, Place::Url(uri, Arc::new(fetch)))
    }

    fn new(format: Format, place: Place) -> Self {
        let refresh_every =
            Duration::from_mins(if matches!(place, Place::Url(..)) { 10 } else { 1 });
        Self {
            format,
            place,
            algorithms: None,
            refresh_every,
            refresh_pause: Duration::from_secs(30),
            is_plain_http_allowed: false,
        }
    }

    /// The only algorithms that the keys may be used with. Default: all that a key is fit for.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// How old the keys may get before [`Auth::refresh_due`](super::Auth::refresh_due) reads them
    /// again. Default: 1 minute for files, 10 minutes for URLs.
    pub fn refresh_every(mut self, time: Duration) -> Self {
        self.refresh_every = time;
        self
    }

    /// How much time there is at least between two reads because of tokens that name an unknown key.
    /// Default: 30 seconds.
    pub fn refresh_pause(mut self, time: Duration) -> Self {
        self.refresh_pause = time;
        self
    }

    /// Fetches by plain HTTP if the URL says so. Whoever can change what is on the way can then make
    /// tokens; without this only this machine's own addresses are asked that way.
    pub fn allow_plain_http(mut self) -> Self {
        self.is_plain_http_allowed = true;
        self
    }

    pub(super) fn every(&self) -> Duration {
        self.refresh_every
    }

    pub(super) fn pause(&self) -> Duration {
        self.refresh_pause
    }

    /// Whether its keys can change.
    pub(super) fn is_refreshed(&self) -> bool {
        !matches!(self.place, Place::Given(_))
    }

    /// The keys, if they can be had without waiting for a network: what is given, or in a file.
    pub(super) fn read(&self) -> Result<Option<Vec<Key>>, KeyError> {
        let keys = match &self.place {
            Place::Given(secret) => self.keys(&secret.0)?,
            Place::File(path) => self.keys(&read_file(path)?)?,
            Place::Url(uri, _) if self.is_plain_http_allowed || is_safe(uri) => return Ok(None),
            Place::Url(..) => return Err(KeyError::PlainHttp),
        };
        if keys.is_empty() { Err(KeyError::NoUsableKey) } else { Ok(Some(keys)) }
    }

    /// The keys as they are now. A set without keys is the issuer's word that none is valid.
    pub(super) async fn load(&self) -> Result<Vec<Key>, KeyError> {
        match &self.place {
            Place::Given(secret) => self.keys(&secret.0),
            Place::File(path) => {
                let path = path.clone();
                let read = spawn_blocking(move || read_file(&path)).await;
                self.keys(&read.map_err(|_| KeyError::NoAnswer)??)
            }
            Place::Url(uri, fetch) => {
                let answer = timeout(FETCH_TIME, fetch.fetch(uri.clone())).await;
                self.keys(&answer.map_err(|_| KeyError::NoAnswer)?.map_err(KeyError::Unreadable)?)
            }
        }
    }

    fn keys(&self, document: &[u8]) -> Result<Vec<Key>, KeyError> {
        if document.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong(MAX_KEY_BYTES));
        }
        let keys = match self.format {
            Format::Secret => vec![self.secret_key(document)?],
            Format::Pem => self.pem_keys(document)?,
            Format::Jwks => jwks::keys(document, self.secrets(), self.algorithms.as_deref())?,
        };
        if keys.len() > MAX_KEYS { Err(KeyError::TooMany(MAX_KEYS)) } else { Ok(keys) }
    }

    fn secret_key(&self, document: &[u8]) -> Result<Key, KeyError> {
        let secret = match self.place {
            Place::File(_) => without_line_break(document),
            _ => document,
        };
        let allowed = self.algorithms.as_deref();
        check_secret(secret, allowed)?;
        Key::new(None, Material::Secret(Secret(secret.into())), allowed)
    }

    fn pem_keys(&self, document: &[u8]) -> Result<Vec<Key>, KeyError> {
        let key = |material| Key::new(None, material, self.algorithms.as_deref());
        pem::public_keys(document)?.into_iter().map(key).collect()
    }

    fn secrets(&self) -> Secrets {
        match self.place {
            Place::Url(..) => Secrets::Refused,
            _ => Secrets::Taken,
        }
    }
}

/// Where the keys come from, in words.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.format) {
            (Place::Given(_), Format::Secret) => f.write_str("the secret"),
            (Place::Given(_), Format::Pem) => f.write_str("the public key"),
            (Place::Given(_), Format::Jwks) => f.write_str("the JWKS"),
            (Place::File(path), Format::Secret) => write!(f, "the secret in {}", path.display()),
            (Place::File(path), Format::Pem) => write!(f, "the public key in {}", path.display()),
            (Place::File(path), Format::Jwks) => write!(f, "the JWKS in {}", path.display()),
            (Place::Url(uri, _), _) => write!(f, "the JWKS at {}", super::redact(&uri.to_string())),
        }
    }
}

impl Place {
    fn given(bytes: &[u8]) -> Self {
        Self::Given(Secret(bytes.into()))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(secret) => secret.fmt(f),
            Self::File(path) => path.fmt(f),
            Self::Url(uri, _) => f.write_str(&super::redact(&uri.to_string())),
        }
    }
}

/// Whether nobody on the way can change what is fetched from there.
fn is_safe(uri: &Uri) -> bool {
    let is_here = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    uri.scheme() == Some(&Scheme::HTTPS) || (uri.scheme() == Some(&Scheme::HTTP) && is_here)
}

/// A file, or a little more than may be read of it.
fn read_file(path: &Path) -> Result<Vec<u8>, KeyError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = vec![];
        File::open(path)?.take(MAX_KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| KeyError::Unreadable(error.into()))
}

fn without_line_break(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing(_: Uri) -> Result<Bytes, BoxError> {
        Ok(Bytes::new())
    }

    #[test]
    fn keys_are_fetched_safely() {
        let outcome = |uri: &str| KeySource::jwks_url(uri.parse().unwrap(), nothing).read();
        for uri in
            ["https://a.example/x", "http://localhost:8080/x", "http://127.0.0.1/", "http://[::1]/"]
        {
            assert!(outcome(uri).is_ok(), "{uri}");
        }
        for uri in
            ["http://a.example/x", "http://localhost.example/", "ftp://localhost/", "/x", "a"]
        {
            assert!(matches!(outcome(uri), Err(KeyError::PlainHttp)), "{uri}");
        }
        let allowed = KeySource::jwks_url("http://a.example/".parse().unwrap(), nothing);
        assert!(allowed.allow_plain_http().read().is_ok());
    }

    #[test]
    fn a_files_line_break_is_not_part_of_its_secret() {
        for (text, expected) in
            [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("", "")]
        {
            assert_eq!(without_line_break(text.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn a_source_prints_where_it_is_and_no_secret() {
        let uri = "https://me:s3cret@a.example/x?access_token=s3cret".parse().unwrap();
        for source in [
            KeySource::secret("s3cret"),
            KeySource::pem("s3cret"),
            KeySource::jwks("s3cret"),
            KeySource::jwks_url(uri, nothing),
        ] {
            let printed = format!("{source} {source:?}");
            assert!(!printed.contains("s3cret") && !printed.contains("115"), "{printed}");
        }
        assert_eq!(KeySource::secret_file("a/b").to_string(), "the secret in a/b");
    }

    #[test]
    fn there_are_bounds() {
        let long = vec![b' '; MAX_KEY_BYTES + 1];
        assert!(matches!(KeySource::jwks(&long).read(), Err(KeyError::TooLong(_))));
        let key = r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
        let set =
            |count| KeySource::jwks(format!(r#"{{"keys":[{}]}}"#, vec![key; count].join(",")));
        assert_eq!(set(MAX_KEYS).read().unwrap().unwrap().len(), MAX_KEYS);
        assert!(matches!(set(MAX_KEYS + 1).read(), Err(KeyError::TooMany(_))));
    }
}
