//! [`Client`]: connections that ask a load balancer without pause, and count.
//!
//! What any HTTP client does, no more: a kept connection that the server closed before it answered anything is opened again, once.
//! Everything else than a whole answer with status 200 is a failed request. Invariant: each thread ends with the client.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::asking::Asking;
use crate::swap::proof;

/// Connections of the measure.
pub const CONNECTIONS: usize = 20;
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was counted.
#[derive(Debug, Default, Clone)]
pub struct Counted {
    /// Requests with a whole answer of status 200.
    pub answered: u64,
    /// All others, each with what was wrong.
    pub failed: Vec<String>,
    /// Longest answer.
    pub longest: Duration,
    /// Answers by the AMI that gave them.
    pub amis: BTreeMap<String, u64>,
}

/// A client at work.
pub type Client = Asking<Counted>;

impl Client {
    /// Begins to ask `address` (`127.…:80`).
    pub fn start(address: &str) -> Self {
        // All connections together ask every 2 ms in the proof, every 10 ms beside the other tests. Without a pause it would be a load
        // test of this machine, on whose two cores balancers, instances and Terraform are too.
        let pause = Duration::from_millis(if proof() { 40 } else { 200 });
        Self::begin(pause, (0..CONNECTIONS).map(|_| connection(address.to_owned())))
    }
}

/// What one connection does again and again.
fn connection(address: String) -> impl FnMut(&Mutex<Counted>) + Send {
    let mut kept: Option<BufReader<TcpStream>> = None;
    move |counted| {
        let begun = Instant::now();
        let reused = kept.is_some();
        let mut answer = ask(&address, &mut kept);
        if reused && matches!(&answer, Err((_, true))) {
            answer = ask(&address, &mut kept);
        }
        let took = begun.elapsed();
        let mut counted = counted.lock().expect("no thread panics");
        counted.longest = counted.longest.max(took);
        match answer {
            Ok(ami) => {
                counted.answered += 1;
                *counted.amis.entry(ami).or_default() += 1;
            }
            Err((why, _)) => counted.failed.push(why),
        }
    }
}

/// One request. The error says whether nothing at all came back.
fn ask(address: &str, kept: &mut Option<BufReader<TcpStream>>) -> Result<String, (String, bool)> {
    let mut stream = if let Some(stream) = kept.take() {
        stream
    } else {
        let stream = TcpStream::connect(address).map_err(|e| (format!("connect: {e}"), false))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| (e.to_string(), false))?;
        stream.set_nodelay(true).map_err(|e| (e.to_string(), false))?;
        BufReader::new(stream)
    };
    let request = format!("GET /swap HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).map_err(|e| (format!("write: {e}"), true))?;
    let mut head = String::new();
    let first = stream.read_line(&mut head).map_err(|e| (format!("read: {e}"), head.is_empty()))?;
    if first == 0 {
        return Err(("closed without an answer".to_owned(), true));
    }
    let status = head.trim().to_owned();
    let (mut length, mut close) = (None, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).map_err(|e| (format!("read: {e}"), false))?;
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse::<usize>().ok();
        }
        close |= line.starts_with("connection:") && line.contains("close");
    }
    let mut body = vec![0; length.ok_or(("an answer without a length".to_owned(), false))?];
    stream.read_exact(&mut body).map_err(|e| (format!("read: {e}"), false))?;
    let text = String::from_utf8_lossy(&body).into_owned();
    if !status.contains(" 200 ") {
        return Err((format!("{status}: {text}"), false));
    }
    if !close {
        *kept = Some(stream);
    }
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| (format!("not JSON: {text}"), false))?;
    Ok(json["ami"].as_str().unwrap_or_default().to_owned())
}
