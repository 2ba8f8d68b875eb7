//! A hub on the loopback interface: as much of the protocol as a download needs, and the faults
//! that a test asks for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fpt_files::Fingerprint;

/// What its branch `main` stands for.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The only repository it has.
pub const REPOSITORY: &str = "fast/t5-tiny";

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An error, with more headers.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// The connection ends after so many bytes of the body.
    HangUp(usize),
    /// After so many bytes of the body nothing more comes.
    Silence(usize),
    /// The server sends, and announces, fewer bytes than the file has.
    Shorter(usize),
    /// The server sends more bytes than the file has.
    Longer(usize),
    /// The first byte is another.
    Flipped,
    /// The server sends the whole file, whatever was asked for.
    NoRanges,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The header `range`.
    pub range: Option<String>,
    /// The header `authorization`.
    pub authorization: Option<String>,
}

/// A file of the repository.
#[derive(Debug, Clone)]
pub struct File {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether the hub keeps it as a large file: on another host, named by its SHA-256.
    pub large: bool,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, File>,
    token: Option<String>,
    commit: String,
    /// Method and part of a path; the fault; how often it is still to happen.
    faults: Vec<(&'static str, String, Fault, usize)>,
    requests: Vec<Request>,
    elsewhere: String,
    stopped: bool,
}

/// The hub at one address, its store of large files at another.
#[derive(Debug)]
pub struct FakeHub {
    state: Arc<Mutex<State>>,
    hub: SocketAddr,
    store: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl FakeHub {
    /// A hub with these files. It ends with the value.
    #[must_use]
    pub fn new(files: &[(&str, File)]) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, store) = (listen(), listen());
        let addresses = (hub.local_addr().unwrap(), store.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            files: files
                .iter()
                .map(|(name, file)| ((*name).to_owned(), file.clone()))
                .collect(),
            commit: COMMIT.to_owned(),
            elsewhere: format!("http://{}", addresses.1),
            ..State::default()
        }));
        let threads = [hub, store].map(|listener| {
            let state = Arc::clone(&state);
            thread::spawn(move || serve(&listener, &state))
        });
        Self {
            state,
            hub: addresses.0,
            store: addresses.1,
            threads: threads.into(),
        }
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.hub)
    }

    /// Let the same files be those of another commit.
    pub fn commit(&self, commit: &str) {
        self.state.lock().unwrap().commit = commit.to_owned();
    }

    /// Refuse whoever has no such token.
    pub fn require_token(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// The next `times` requests of this method whose path contains `path` fail.
    pub fn fail(&self, method: &'static str, path: &str, fault: Fault, times: usize) {
        self.state
            .lock()
            .unwrap()
            .faults
            .push((method, path.to_owned(), fault, times));
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// Whether a request was one to the store of large files.
    #[must_use]
    pub fn is_store(&self, request: &Request) -> bool {
        request.path.starts_with("/store/")
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.state.lock().unwrap().stopped = true;
        for address in [self.hub, self.store] {
            drop(TcpStream::connect(address));
        }
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// The name of a large file.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Fingerprint::new().bytes(bytes).hex()
}

/// In place of git's SHA-1: as long, and as unlike other contents'.
#[must_use]
pub fn git_hash(bytes: &[u8]) -> String {
    sha256(bytes)[..40].to_owned()
}

fn serve(listener: &TcpListener, state: &Mutex<State>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if state.lock().unwrap().stopped {
            return;
        }
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        if let Some(request) = read_request(&stream) {
            let mut state = state.lock().unwrap();
            state.requests.push(request.clone());
            let reply = answer(&mut state, &request);
            drop(state);
            send(stream, &request, reply);
        }
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let mut request = Request {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        range: None,
        authorization: None,
    };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value.trim().to_owned()),
            "authorization" => request.authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Some(request)
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How much of the body is sent before the connection ends.
    sent: usize,
    /// Whether the connection stays open after that.
    silent: bool,
}

impl Reply {
    fn new(status: u16, headers: &[(&str, &str)], body: Vec<u8>) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            status,
            headers,
            sent: body.len(),
            body,
            silent: false,
        }
    }
}

fn answer(state: &mut State, request: &Request) -> Reply {
    let commit = &state.commit.clone()[..];
    let fault = state.faults.iter_mut().find(|(method, path, _, times)| {
        *times > 0 && *method == request.method && request.path.contains(path.as_str())
    });
    let fault = fault.map(|(_, _, fault, times)| {
        *times -= 1;
        fault.clone()
    });
    if let Some(Fault::Status(status, headers)) = fault {
        return Reply::new(status, headers, b"{\"error\": \"as you asked\"}".to_vec());
    }
    let path = request.path.split('?').next().unwrap();
    if let Some(hash) = path.strip_prefix("/store/") {
        let file = state
            .files
            .values()
            .find(|file| sha256(&file.bytes) == hash)
            .unwrap();
        return content(
            request,
            file.bytes.clone(),
            &[("etag", "\"of-the-store\"")],
            fault,
        );
    }
    let wanted = state.token.as_ref().map(|token| format!("Bearer {token}"));
    if wanted.is_some() && wanted != request.authorization {
        return Reply::new(
            401,
            &[("x-error-code", "RepoNotFound")],
            b"Invalid credentials in Authorization header".to_vec(),
        );
    }
    let api = format!("/api/models/{REPOSITORY}");
    if path == api
        || path == format!("{api}/revision/main")
        || path == format!("{api}/revision/{commit}")
    {
        let siblings: Vec<_> = state
            .files
            .keys()
            .map(|name| serde_json::json!({ "rfilename": name }))
            .collect();
        let info = serde_json::json!({ "id": REPOSITORY, "sha": commit, "siblings": siblings, "tags": [] });
        return Reply::new(
            200,
            &[("content-type", "application/json")],
            info.to_string().into_bytes(),
        );
    }
    if path.starts_with(&format!("{api}/revision/")) {
        return Reply::new(404, &[("x-error-code", "RevisionNotFound")], Vec::new());
    }
    let cached = format!("/api/resolve-cache/models/{REPOSITORY}/{commit}/");
    if let Some(name) = path.strip_prefix(&cached) {
        let bytes = state.files[name].bytes.clone();
        let etag = format!("\"{}\"", git_hash(&bytes));
        return content(
            request,
            bytes,
            &[("etag", &etag), ("x-repo-commit", commit)],
            fault,
        );
    }
    let Some(name) = path.strip_prefix(&format!("/{REPOSITORY}/resolve/{commit}/")) else {
        return Reply::new(404, &[("x-error-code", "RepoNotFound")], Vec::new());
    };
    let Some(file) = state.files.get(name) else {
        return Reply::new(
            404,
            &[("x-error-code", "EntryNotFound"), ("x-repo-commit", commit)],
            Vec::new(),
        );
    };
    redirect(
        file,
        commit,
        &state.elsewhere,
        &format!("{cached}{name}?etag=x"),
    )
}

/// Where the bytes of a file are: those of large ones elsewhere, in the store.
fn redirect(file: &File, commit: &str, elsewhere: &str, cached: &str) -> Reply {
    let mut headers = vec![("x-repo-commit", commit.to_owned())];
    let status = if file.large {
        let hash = sha256(&file.bytes);
        headers.push((
            "location",
            format!("{elsewhere}/store/{hash}?X-Signature=secret"),
        ));
        headers.push(("x-linked-etag", format!("\"{hash}\"")));
        headers.push(("x-linked-size", file.bytes.len().to_string()));
        302
    } else {
        headers.push(("location", cached.to_owned()));
        307
    };
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Reply::new(status, &headers, b"a redirect".to_vec())
}

fn content(
    request: &Request,
    mut bytes: Vec<u8>,
    headers: &[(&str, &str)],
    fault: Option<Fault>,
) -> Reply {
    match fault {
        Some(Fault::Shorter(len)) => bytes.truncate(len),
        Some(Fault::Longer(more)) => bytes.extend(vec![b'+'; more]),
        Some(Fault::Flipped) => bytes[0] ^= 1,
        _ => {}
    }
    let size = bytes.len();
    let ranges = !matches!(fault, Some(Fault::NoRanges));
    let start = request.range.as_ref().filter(|_| ranges).map(|range| {
        range
            .strip_prefix("bytes=")
            .and_then(|range| range.strip_suffix('-'))
            .unwrap()
            .parse::<usize>()
            .unwrap()
    });
    let mut reply = match start {
        Some(start) if start >= size => Reply::new(416, &[], Vec::new()),
        Some(start) => {
            let range = format!("bytes {start}-{}/{size}", size - 1);
            let mut reply = Reply::new(206, headers, bytes.split_off(start));
            reply.headers.push(("content-range".to_owned(), range));
            reply
        }
        None => Reply::new(200, headers, bytes),
    };
    if let Some(Fault::HangUp(sent) | Fault::Silence(sent)) = fault {
        reply.sent = sent.min(reply.sent);
    }
    reply.silent = matches!(fault, Some(Fault::Silence(_)));
    reply
}

fn send(mut stream: TcpStream, request: &Request, reply: Reply) {
    let mut head = format!("HTTP/1.1 {} Status\r\nconnection: close\r\n", reply.status);
    write!(head, "content-length: {}\r\n", reply.body.len()).unwrap();
    for (name, value) in &reply.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    // The client may have what it wants and hang up.
    let mut send = || -> std::io::Result<()> {
        stream.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            stream.write_all(&reply.body[..reply.sent])?;
        }
        if !reply.silent {
            stream.shutdown(Shutdown::Write)?;
        }
        stream.read_to_end(&mut Vec::new())?;
        Ok(())
    };
    drop(send());
}
