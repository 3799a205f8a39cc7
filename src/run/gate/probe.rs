//! HTTP probes: each asks its URL again and again while the gate waits, and counts good and bad answers in a row.
//!
//! The only place that knows reqwest. Invariants: every request makes a connection of its own (a kept one would go on talking to an
//! instance that gets no new requests any more), goes where the URL says (no proxy, no redirect) and ends in the probe's time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error as _;
use std::path::Path;

use futures_util::future::join_all;
use regex::Regex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, redirect};

use crate::config::gate::Probe;
use crate::model::gate::Why;
use crate::model::traffic::Requests;
use crate::run::gate::{Halt, Seen};

/// Bytes of a body in which the pattern is looked for.
const BODY: usize = 64 * 1024;

/// All probes of a gate.
pub(super) struct Probing<'a> {
    askers: Vec<Asker<'a>>,
}

struct Asker<'a> {
    probe: &'a Probe,
    client: Client,
    body: Option<Regex>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In a row, at the end.
    good: u32,
    bad: u32,
    holds: bool,
    /// What was wrong with the last answer.
    trouble: Option<Trouble>,
    asked: bool,
    counted: BTreeMap<bool, u32>,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    Answer(String),
    Hangs,
    Tls(String),
    Connection(String),
}

impl<'a> Probing<'a> {
    pub(super) fn new(probes: &'a [Probe], root: &Path) -> Result<Self, Halt> {
        let asker = |probe: &'a Probe| {
            let wrong = |why: String| Halt::Probe { probe: probe.name.clone(), why };
            let body = probe.body.as_deref().map(Regex::new).transpose().map_err(|error| wrong(error.to_string()))?;
            Ok(Asker { probe, client: client(probe, root).map_err(wrong)?, body, state: RefCell::default() })
        };
        Ok(Self { askers: probes.iter().map(asker).collect::<Result<_, Halt>>()? })
    }

    /// Asks until it is dropped.
    pub(super) async fn forever(&self) -> Infallible {
        join_all(self.askers.iter().map(Asker::forever)).await;
        std::future::pending().await
    }

    /// Forgets what was answered so far.
    pub(super) fn begin(&self) {
        for asker in &self.askers {
            let mut state = asker.state.borrow_mut();
            (state.good, state.bad, state.holds) = (0, 0, false);
        }
    }

    pub(super) fn seen(&self) -> impl Iterator<Item = Seen> + '_ {
        self.askers.iter().map(Asker::seen)
    }

    /// All answers since the gate began.
    pub(super) fn counted(&self) -> Requests {
        let count =
            |good: bool| -> f64 { self.askers.iter().map(|a| f64::from(a.state.borrow().counted.get(&good).copied().unwrap_or(0))).sum() };
        Requests { all: count(true) + count(false), failed: count(false) }
    }
}

impl Asker<'_> {
    async fn forever(&self) {
        loop {
            let asked = tokio::time::Instant::now();
            let answer = tokio::time::timeout(self.probe.timeout, self.ask()).await.unwrap_or(Err(Trouble::Hangs));
            self.note(answer);
            tokio::time::sleep_until(asked + self.probe.every).await;
        }
    }

    async fn ask(&self) -> Result<(), Trouble> {
        let mut answer = self.client.get(&self.probe.url).send().await.map_err(|error| trouble(&error))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while body.len() < BODY
            && let Some(chunk) = answer.chunk().await.map_err(|error| trouble(&error))?
        {
            body.extend_from_slice(&chunk);
        }
        if status != self.probe.status {
            return Err(Trouble::Answer(format!("status {status}, wanted {}", self.probe.status)));
        }
        body.truncate(BODY);
        let text = String::from_utf8_lossy(&body);
        match &self.body {
            Some(pattern) if !pattern.is_match(&text) => {
                Err(Trouble::Answer(format!("status {status}, but `{pattern}` does not match the body")))
            }
            _ => Ok(()),
        }
    }

    fn note(&self, answer: Result<(), Trouble>) {
        let mut state = self.state.borrow_mut();
        state.asked = true;
        *state.counted.entry(answer.is_ok()).or_default() += 1;
        match answer {
            Ok(()) => (state.good, state.bad, state.trouble) = (state.good.saturating_add(1), 0, None),
            Err(trouble) => (state.good, state.bad, state.trouble) = (0, state.bad.saturating_add(1), Some(trouble)),
        }
        if state.good >= self.probe.in_a_row {
            state.holds = true;
        } else if state.bad >= self.probe.in_a_row {
            state.holds = false;
        }
    }

    fn seen(&self) -> Seen {
        let state = self.state.borrow();
        let (url, wanted) = (&self.probe.url, self.probe.in_a_row);
        let (said, why) = match &state.trouble {
            Some(Trouble::Answer(what) | Trouble::Connection(what)) => (what.clone(), Why::ProbeFailed),
            Some(Trouble::Hangs) => (format!("no answer within {} s", self.probe.timeout.as_secs_f64()), Why::ProbeHangs),
            Some(Trouble::Tls(what)) => (format!("TLS refused: {what}"), Why::ProbeTls),
            None if state.asked => (format!("status {}", self.probe.status), Why::ProbeFailed),
            None => ("not asked yet".to_owned(), Why::ProbeFailed),
        };
        // Good answers beyond the wanted ones are no news.
        let detail = format!("{said} from {url}; {} of {wanted} good in a row", state.good.min(wanted));
        Seen::new(format!("http {}", self.probe.name), state.holds, detail, why)
    }
}

fn client(probe: &Probe, root: &Path) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &probe.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` cannot be sent as a header"))?;
        let value: HeaderValue = value.parse().map_err(|_| format!("the value of header `{name}` cannot be sent"))?;
        headers.insert(name, value);
    }
    let mut builder = Client::builder()
        .user_agent(concat!("ovenbird/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .tls_danger_accept_invalid_certs(probe.insecure);
    if let Some(ca) = &probe.ca {
        let shown = ca.display();
        let pem = std::fs::read(root.join(ca)).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| format!("`{shown}` holds no certificates: {error}"))?;
        if authorities.is_empty() {
            return Err(format!("`{shown}` holds no certificates"));
        }
        builder = builder.tls_certs_only(authorities);
    }
    if let Some(host) = &probe.connect_to {
        builder = builder.dns_resolver(Elsewhere(host.clone()));
    }
    builder.build().map_err(|error| innermost(&error))
}

/// Gives every name the addresses of this one; asked anew for each connection, for a load balancer's addresses change.
#[derive(Debug, Clone)]
struct Elsewhere(String);

impl Resolve for Elsewhere {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            // Port 0 is replaced by the one of the URL.
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn trouble(error: &reqwest::Error) -> Trouble {
    let why = innermost(error);
    let mut chain = std::iter::successors(error.source(), |error| (*error).source());
    // rustls stands behind hyper's own kinds, and its errors say what they are.
    let tls = chain.any(|error| {
        let text = error.to_string().to_lowercase();
        ["certificate", "tls", "handshake", "corrupt message", "alert"].iter().any(|word| text.contains(word))
    });
    match () {
        () if error.is_timeout() => Trouble::Hangs,
        () if tls => Trouble::Tls(why),
        () => Trouble::Connection(why),
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let last = std::iter::successors(Some(error), |error: &&(dyn std::error::Error + 'static)| (*error).source()).last();
    let text = last.map(ToString::to_string).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}
