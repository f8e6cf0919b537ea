//! A web server that misbehaves as told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    /// The first byte of `Range`.
    pub from: Option<usize>,
    pub if_range: Option<String>,
    /// Requests for this path before this one.
    pub before: usize,
}

/// What goes back, byte by byte.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: &'static str,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// `Content-Length`, where it is not the body's; `Some(None)` leaves it out.
    pub stated: Option<Option<usize>>,
    /// Bytes of the body after which the connection is closed.
    pub cut: Option<usize>,
    /// Bytes of the body after which nothing more comes for 5 s, longer than any client should wait; then the rest.
    pub stall: Option<usize>,
    /// Sends pieces of so many bytes, with a pause after each.
    pub drip: Option<(usize, Duration)>,
}

impl Reply {
    pub fn new(status: &'static str, body: &[u8]) -> Self {
        Self { status, headers: Vec::new(), body: body.to_vec(), stated: None, cut: None, stall: None, drip: None }
    }

    pub fn header(mut self, line: impl Into<String>) -> Self {
        self.headers.push(line.into());
        self
    }

    pub fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self
    }

    pub fn stall(mut self, at: usize) -> Self {
        self.stall = Some(at);
        self
    }

    pub fn stated(mut self, length: Option<usize>) -> Self {
        self.stated = Some(length);
        self
    }
}

/// A file as a good server has it.
pub fn serve(request: &Request, bytes: &[u8], etag: &str) -> Reply {
    let same = request.if_range.as_deref().is_none_or(|tag| tag == etag);
    match request.from.filter(|_| same) {
        Some(from) if from >= bytes.len() => Reply::new("416 Range Not Satisfiable", b""),
        Some(from) => Reply::new("206 Partial Content", &bytes[from..]).header(format!(
            "Content-Range: bytes {from}-{}/{}",
            bytes.len() - 1,
            bytes.len()
        )),
        None => Reply::new("200 OK", bytes),
    }
    .header(format!("ETag: {etag}"))
}

/// Runs until the test process ends.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, connections) = (Arc::default(), Arc::<Mutex<usize>>::default());
        let server = Self { url, requests: Arc::clone(&requests), connections: Arc::clone(&connections) };
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming() {
                *connections.lock().unwrap() += 1;
                let (script, requests) = (Arc::clone(&script), Arc::clone(&requests));
                // A client that goes away early is part of the game.
                thread::spawn(move || stream.and_then(|stream| answer(stream, &*script, &requests)));
            }
        });
        server
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

fn answer(stream: TcpStream, script: &dyn Fn(&Request) -> Reply, requests: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let from = headers.get("range").map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
    let request = {
        let mut requests = requests.lock().unwrap();
        let before = requests.iter().filter(|request| request.path == path).count();
        let request = Request { path, from, if_range: headers.get("if-range").cloned(), before };
        requests.push(request.clone());
        request
    };
    send(stream, &script(&request))
}

fn send(mut stream: TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", reply.status);
    if let Some(length) = reply.stated.unwrap_or(Some(reply.body.len())) {
        head += &format!("Content-Length: {length}\r\n");
    }
    head += &reply.headers.iter().map(|line| format!("{line}\r\n")).collect::<String>();
    stream.write_all((head + "\r\n").as_bytes())?;
    let end = reply.cut.or(reply.stall).unwrap_or(usize::MAX).min(reply.body.len());
    let (piece, pause) = reply.drip.unwrap_or((usize::MAX, Duration::ZERO));
    for piece in reply.body[..end].chunks(piece) {
        stream.write_all(piece)?;
        stream.flush()?;
        thread::sleep(pause);
    }
    if reply.stall.is_some() {
        // Ends early where the client goes away.
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let _ = stream.read(&mut [0]);
        stream.write_all(&reply.body[end..])?;
    }
    stream.shutdown(Shutdown::Both)
}
