//! A small hub on this machine: files by their paths, each with a manner of answering, and commits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How a file is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// At once, ranges too.
    Whole,
    /// By way of a redirection to another path, as to a content delivery network.
    Redirected,
    /// In ten pieces with pauses.
    Slow,
    /// The connection is cut after half of the bytes.
    Cut,
    /// The bytes are not those of the checksum.
    Changed,
    /// A page with an error, and the status 200 of a file.
    Page,
    /// Access is refused, unless the token is `secret`.
    Private,
    /// No answer.
    Silent,
}

#[derive(Debug, Clone)]
struct Hosted {
    bytes: Vec<u8>,
    answer: Answer,
}

/// The server; it ends with the process.
pub(crate) struct HubServer {
    address: String,
    files: Arc<Mutex<BTreeMap<String, Hosted>>>,
    requests: Arc<Mutex<Vec<String>>>,
    commits: Arc<Mutex<Vec<Value>>>,
}

/// A request, as far as a hub reads it.
struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl HubServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            files: Arc::default(),
            requests: Arc::default(),
            commits: Arc::default(),
        };
        let (address, files) = (server.address.clone(), server.files.clone());
        let (requests, commits) = (server.requests.clone(), server.commits.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = Connection {
                    address: address.clone(),
                    files: files.clone(),
                    requests: requests.clone(),
                    commits: commits.clone(),
                };
                // A client may go away at any time.
                thread::spawn(move || connection.answer(stream?));
            }
        });
        server
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Puts a file at `owner/repo/resolve/revision/path`, or `datasets/owner/...`.
    pub(crate) fn host(&self, path: &str, bytes: &[u8], answer: Answer) {
        let hosted = Hosted {
            bytes: bytes.to_vec(),
            answer,
        };
        self.files.lock().unwrap().insert(path.to_owned(), hosted);
    }

    /// Returns the requests since the last call, such as `GET /a/b`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    /// Returns the lines of every commit.
    pub(crate) fn commits(&self) -> Vec<Value> {
        self.commits.lock().unwrap().clone()
    }
}

struct Connection {
    address: String,
    files: Arc<Mutex<BTreeMap<String, Hosted>>>,
    requests: Arc<Mutex<Vec<String>>>,
    commits: Arc<Mutex<Vec<Value>>>,
}

impl Connection {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(request) = read_request(&stream)? else {
            return Ok(());
        };
        let Request { method, path, .. } = &request;
        self.requests
            .lock()
            .unwrap()
            .push(format!("{method} {path}"));
        if method == "POST" {
            let answer = self.post(&request);
            return send(
                &mut stream,
                "200 OK",
                &[],
                answer.to_string().as_bytes(),
                false,
            );
        }
        let name = path.trim_start_matches('/').replace("%2F", "/");
        let on_network = name.strip_prefix("network/").unwrap_or(&name);
        let hosted = self.files.lock().unwrap().get(on_network).cloned();
        let Some(hosted) = hosted else {
            let headers = ["X-Error-Code: EntryNotFound".to_owned()];
            return send(
                &mut stream,
                "404 Not Found",
                &headers,
                b"not found",
                method == "HEAD",
            );
        };
        self.send_file(&mut stream, &request, &name, &hosted)
    }

    fn send_file(
        &self,
        stream: &mut TcpStream,
        request: &Request,
        name: &str,
        Hosted { bytes, answer }: &Hosted,
    ) -> std::io::Result<()> {
        let is_head = request.method == "HEAD";
        let sum = Sha256::digest(bytes);
        let sum = sum.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let mut headers = vec![
            format!("X-Repo-Commit: {COMMIT}"),
            format!("ETag: \"{sum}\""),
            format!("X-Linked-ETag: \"{sum}\""),
            format!("X-Linked-Size: {}", bytes.len()),
            "Accept-Ranges: bytes".to_owned(),
        ];
        let token = request.headers.get("authorization").map(String::as_str);
        match answer {
            Answer::Silent => {
                thread::sleep(Duration::from_secs(60));
                Ok(())
            }
            Answer::Private if token != Some("Bearer secret") => send(
                stream,
                "401 Unauthorized",
                &[],
                b"{\"error\": \"no\"}",
                is_head,
            ),
            Answer::Redirected if !name.starts_with("network/") => {
                headers.push(format!("Location: {}/network/{name}", self.address));
                send(stream, "302 Found", &headers, b"", is_head)
            }
            Answer::Cut if !is_head => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                stream.write_all(head.as_bytes())?;
                stream.write_all(&bytes[..bytes.len() / 2])
            }
            Answer::Changed if !is_head => {
                let mut other = bytes.clone();
                other[bytes.len() / 2] ^= 1;
                send(stream, "200 OK", &headers, &other, false)
            }
            Answer::Page if !is_head => send(stream, "200 OK", &headers, b"<!DOCTYPE html>", false),
            Answer::Slow if !is_head => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                stream.write_all(head.as_bytes())?;
                for piece in bytes.chunks(bytes.len().div_ceil(10)) {
                    thread::sleep(Duration::from_millis(30));
                    stream.write_all(piece)?;
                    stream.flush()?;
                }
                Ok(())
            }
            _ => match range_of(request, bytes.len()) {
                Some([first, last]) => {
                    headers.push(format!(
                        "Content-Range: bytes {first}-{last}/{}",
                        bytes.len()
                    ));
                    let part = &bytes[first..=last];
                    send(stream, "206 Partial Content", &headers, part, is_head)
                }
                None => send(stream, "200 OK", &headers, bytes, is_head),
            },
        }
    }

    /// Creates repositories, takes every file in the commit itself, and remembers commits.
    fn post(&self, request: &Request) -> Value {
        let lines = request
            .body
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty());
        let lines: Vec<Value> = lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        if request.path.contains("/preupload/") {
            let files = lines[0]["files"].as_array().unwrap().iter();
            let files = files.map(|file| {
                json!({"path": file["path"], "uploadMode": "regular", "shouldIgnore": false})
            });
            return json!({"files": files.collect::<Vec<_>>()});
        }
        if request.path.contains("/commit/") {
            self.commits.lock().unwrap().extend(lines);
            return json!({
                "commitUrl": format!("{}/me/net/commit/{COMMIT}", self.address),
                "commitOid": COMMIT,
            });
        }
        json!({"url": format!("{}/me/net", self.address)})
    }
}

fn read_request(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let len = headers
        .get("content-length")
        .map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok(Some(Request {
        method,
        path,
        headers,
        body,
    }))
}

/// First and last byte that a request asks for.
fn range_of(request: &Request, len: usize) -> Option<[usize; 2]> {
    let range = request.headers.get("range")?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    let last = last.parse().unwrap_or(usize::MAX).min(len - 1);
    Some([first.parse().ok()?, last])
}

fn send(
    stream: &mut TcpStream,
    status: &str,
    headers: &[String],
    body: &[u8],
    is_head: bool,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        let _ = write!(head, "{header}\r\n");
    }
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    if !is_head {
        stream.write_all(body)?;
    }
    Ok(())
}
