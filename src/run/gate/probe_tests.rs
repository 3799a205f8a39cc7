//! Probes against real servers on this machine: good ones, and ones that hang, answer 500, flap or break TLS.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::config::gate::{Counter, ErrorRate, GateChecks, GateStep, Probe};
use crate::model::gate::{FailedGate, Verdict, Why};
use crate::run::gate::Halt;
use crate::run::gate::testing::*;

fn probe(url: String) -> Probe {
    Probe {
        name: "health".to_owned(),
        url,
        status: 200,
        body: None,
        in_a_row: 3,
        every: Duration::from_millis(10),
        timeout: Duration::from_secs(20),
        headers: [].into(),
        connect_to: None,
        ca: None,
        insecure: false,
    }
}

/// A server that answers the n-th connection by `answer`, and `None` by silence. Gives its port; ends with the test's runtime.
async fn server(answer: impl Fn(usize, &str) -> Option<String> + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Rc::new(answer);
    tokio::task::spawn_local(async move {
        for count in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = Rc::clone(&answer);
            tokio::task::spawn_local(async move {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                match answer(count, &String::from_utf8_lossy(&request[..length])) {
                    Some(text) => stream.write_all(text.as_bytes()).await.unwrap_or(()),
                    // Holds the connection and says nothing.
                    None => std::future::pending().await,
                }
            });
        }
    });
    port
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// A gate that waits for this probe alone.
async fn asked(probe: Probe, timeout: Duration, checks: GateChecks) -> Result<Verdict, Halt> {
    let checks = GateChecks { probes: vec![probe], timeout, ..checks };
    Bench::new().run(&gate(GateStep::Start, Vec::new(), checks), &World::new()).await.0
}

async fn passed(probe: Probe, checks: GateChecks) -> Verdict {
    asked(probe, Duration::from_mins(1), checks).await.unwrap()
}

/// What a gate says that gave up; one that had not heard of its server at all gets more time.
async fn refused(probe: Probe) -> FailedGate {
    let mut seconds = 1;
    loop {
        let failed = failure(asked(probe.clone(), Duration::from_secs(seconds), GateChecks::default()).await);
        if !failed.message.contains("not asked yet") || seconds > 60 {
            return failed;
        }
        seconds *= 2;
    }
}

fn local<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

#[test]
fn a_probe_passes_after_enough_good_answers_in_a_row() {
    local(async {
        let count = Rc::new(Cell::new(0));
        let seen = Rc::clone(&count);
        // Good, good, bad, then good: two in a row are not three.
        let port = server(move |n, _| {
            seen.set(n + 1);
            Some(http(if n == 2 { "503 Service Unavailable" } else { "200 OK" }, "ok"))
        })
        .await;
        assert_eq!(passed(probe(format!("http://127.0.0.1:{port}/health")), GateChecks::default()).await, Verdict::Passed);
        assert!(count.get() >= 6, "{}", count.get());
    });
}

#[test]
fn wrong_answers_are_told_with_what_was_wanted() {
    local(async {
        let port = server(|_, _| Some(http("500 Internal Server Error", "broken"))).await;
        let url = format!("http://127.0.0.1:{port}/");
        let failed = refused(probe(url.clone())).await;
        assert_eq!(failed.why, Why::ProbeFailed);
        assert_eq!(
            failed.message.split_once(": ").unwrap().1,
            format!("http health: status 500, wanted 200 from {url}; 0 of 3 good in a row")
        );
        // A redirect is an answer like any other.
        let port = server(|_, _| Some("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_owned())).await;
        let failed = refused(probe(format!("http://127.0.0.1:{port}/"))).await;
        assert!(failed.message.contains("status 302, wanted 200"), "{}", failed.message);
        let moved = Probe { status: 302, ..probe(format!("http://127.0.0.1:{port}/")) };
        assert_eq!(passed(moved, GateChecks::default()).await, Verdict::Passed);
    });
}

#[test]
fn the_body_must_match_and_headers_are_sent() {
    local(async {
        let port = server(|_, request| {
            let body = if request.to_lowercase().contains("x-canary: yes") { "version 2.1.7" } else { "version 1" };
            Some(http("200 OK", body))
        })
        .await;
        let wanted = Probe { body: Some(r"version 2\.\d+".to_owned()), ..probe(format!("http://127.0.0.1:{port}/version")) };
        let failed = refused(wanted.clone()).await;
        assert!(failed.message.contains(r"status 200, but `version 2\.\d+` does not match the body"), "{}", failed.message);
        let canary = Probe { headers: [("X-Canary".to_owned(), "yes".to_owned())].into(), ..wanted };
        assert_eq!(passed(canary, GateChecks::default()).await, Verdict::Passed);
    });
}

#[test]
fn a_server_that_hangs_or_is_not_there_is_named() {
    local(async {
        let port = server(|_, _| None).await;
        let failed = refused(Probe { timeout: Duration::from_millis(100), ..probe(format!("http://127.0.0.1:{port}/")) }).await;
        assert_eq!(failed.why, Why::ProbeHangs);
        assert!(failed.message.contains("no answer within 0.1 s"), "{}", failed.message);
        // Half an answer is none.
        let port = server(|n, _| (n < 1_000_000).then(|| "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned())).await;
        let failed = refused(probe(format!("http://127.0.0.1:{port}/"))).await;
        assert_eq!(failed.why, Why::ProbeFailed, "{}", failed.message);
        // A port that nobody has: bound once, and free again.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let failed = refused(probe(format!("http://127.0.0.1:{port}/"))).await;
        assert_eq!(failed.why, Why::ProbeFailed);
        assert!(failed.message.contains("refused"), "{}", failed.message);
    });
}

#[test]
fn tls_that_is_none_or_ends_in_the_middle_is_named() {
    local(async {
        let plain = server(|_, _| Some(http("400 Bad Request", "this is http"))).await;
        let failed = refused(probe(format!("https://127.0.0.1:{plain}/"))).await;
        assert_eq!(failed.why, Why::ProbeTls, "{}", failed.message);
        let closing = server(|_, _| Some(String::new())).await;
        let failed = refused(probe(format!("https://127.0.0.1:{closing}/"))).await;
        assert_eq!(failed.why, Why::ProbeTls, "{}", failed.message);
        assert!(failed.message.contains("TLS refused: "), "{}", failed.message);
    });
}

#[test]
fn another_host_can_be_connected_to_under_the_urls_name() {
    local(async {
        let port = server(|_, request| {
            Some(http(if request.to_lowercase().contains("host: shop.example") { "200 OK" } else { "404 Not Found" }, ""))
        })
        .await;
        let elsewhere = Probe { connect_to: Some("localhost".to_owned()), ..probe(format!("http://shop.example:{port}/")) };
        assert_eq!(passed(elsewhere, GateChecks::default()).await, Verdict::Passed);
    });
}

#[test]
fn failed_answers_are_counted_through_the_soak() {
    local(async {
        // Every fourth answer is bad: never three in a row, so the probe holds, but a quarter fails.
        let port = server(|n, _| Some(http(if n % 4 == 3 { "500 Internal Server Error" } else { "200 OK" }, ""))).await;
        let url = format!("http://127.0.0.1:{port}/");
        let checks = |max: f64| GateChecks {
            soak: Duration::from_secs(2),
            error_rate: Some(ErrorRate { max, from: Counter::Probe }),
            ..GateChecks::default()
        };
        let failed = failure(asked(probe(url.clone()), Duration::from_mins(1), checks(0.05)).await);
        assert_eq!(failed.why, Why::ErrorRate);
        assert!(failed.message.ends_with("counted by the probes; 5 % are borne"), "{}", failed.message);
        assert_eq!(passed(probe(url), checks(0.5)).await, Verdict::Passed);
    });
}

#[test]
fn authorities_that_cannot_be_read_are_an_error_and_no_verdict() {
    local(async {
        let lost = Probe { ca: Some("no/such.pem".into()), ..probe("https://127.0.0.1:1/".to_owned()) };
        let halt = asked(lost, Duration::from_secs(1), GateChecks::default()).await.unwrap_err();
        assert!(halt.to_string().starts_with("probe `health` cannot be asked: `no/such.pem` cannot be read"), "{halt}");
    });
}
