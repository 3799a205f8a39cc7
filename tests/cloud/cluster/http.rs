//! [`get`] and [`Load`]: the app as a client sees it.
//!
//! Must not know instances. Invariant: everything else than a whole answer with status 200 is a failed request of a [`Load`], and
//! each of its threads ends with it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value as Json;

use crate::asking::Asking;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request on a connection of its own: status and body, or what went wrong.
pub fn get(address: &str, path: &str) -> Result<(u16, String), String> {
    let mut stream = TcpStream::connect(address).map_err(|e| format!("connect: {e}"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|e| format!("write: {e}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| format!("read: {e}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no whole answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| format!("no status: {head:?}"))?;
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().to_owned()));
    if length.is_some_and(|n| n != body.len().to_string()) {
        return Err(format!("an answer that was cut: {answer:?}"));
    }
    Ok((status, body.to_owned()))
}

/// The answer of `/` as JSON; none unless it is a whole one with status 200.
pub fn answer(address: &str) -> Option<Json> {
    let (status, body) = get(address, "/").ok()?;
    serde_json::from_str(&body).ok().filter(|_| status == 200)
}

/// What a [`Load`] counted.
#[derive(Debug, Default, Clone)]
pub struct Counted {
    /// Whole answers with status 200, by the release that gave them.
    pub releases: BTreeMap<String, u64>,
    /// All others, each with what was wrong.
    pub failed: Vec<String>,
}

impl Counted {
    /// Whole answers.
    pub fn answered(&self) -> u64 {
        self.releases.values().sum()
    }
}

/// Connections that ask addresses without pause.
pub type Load = Asking<Counted>;

impl Load {
    /// Begins: four threads an address.
    pub fn start(addresses: &[String]) -> Self {
        let turn = |address: &String| {
            let address = address.clone();
            move |counted: &Mutex<Counted>| one(&address, counted)
        };
        Self::begin(Duration::from_millis(25), addresses.iter().flat_map(|a| [a; 4]).map(turn))
    }
}

fn one(address: &str, counted: &Mutex<Counted>) {
    let got = get(address, "/");
    let mut counted = counted.lock().expect("no thread panics");
    match got {
        Ok((200, body)) => match serde_json::from_str::<Json>(&body) {
            Ok(json) => *counted.releases.entry(json["release"].as_str().unwrap_or_default().to_owned()).or_default() += 1,
            Err(_) => counted.failed.push(format!("not JSON: {body}")),
        },
        Ok((status, body)) => counted.failed.push(format!("{status}: {body}")),
        Err(why) => counted.failed.push(why),
    }
}
