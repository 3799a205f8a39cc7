//! The `gate` blocks of a swap: [`GateChecks`], what a gate asks for beside what the step itself always asks.
//!
//! Parses and checks; asks nobody. Invariant: what leaves here can be carried out as it is: durations are durations, patterns
//! compile, URLs have a scheme and a host and no password.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::context::{At, Cx, Table};
use crate::config::paths::{Places, Wanted};
use crate::config::scope::Allow;
use crate::config::settings::{duration, known_value, one_of};
use crate::model::value::Value;

/// The four steps of a swap, as their gates are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GateStep {
    /// The new colour starts, on test.
    Start,
    /// It joins the old one on live.
    Join,
    /// The old one leaves live.
    Leave,
    /// The old one ends.
    Finish,
}

impl GateStep {
    /// All, in their order.
    pub const ALL: [Self; 4] = [Self::Start, Self::Join, Self::Leave, Self::Finish];

    /// The label of its block.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Finish => "finish",
        }
    }
}

/// `gate "STEP"`.
#[derive(Debug, Clone, PartialEq)]
pub struct GateChecks {
    /// `http` blocks, in the order of the file.
    pub probes: Vec<Probe>,
    /// Application and deployment group.
    pub codedeploy: Option<(String, String)>,
    /// Program and arguments; empty: none.
    pub command: Vec<String>,
    /// Until everything holds.
    pub timeout: Duration,
    /// How long everything must then go on to hold.
    pub soak: Duration,
    /// How many requests may fail meanwhile.
    pub error_rate: Option<ErrorRate>,
}

impl Default for GateChecks {
    /// What a step without a `gate` block gets.
    fn default() -> Self {
        let (probes, command) = (Vec::new(), Vec::new());
        Self { probes, codedeploy: None, command, timeout: TIMEOUT, soak: Duration::ZERO, error_rate: None }
    }
}

/// `http "NAME"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its label.
    pub name: String,
    /// What is fetched; redirects are not followed.
    pub url: String,
    /// Wanted status.
    pub status: u16,
    /// Regular expression that must match in the body.
    pub body: Option<String>,
    /// Good answers one after the other; as many bad ones take it back.
    pub in_a_row: u32,
    /// From one request to the next.
    pub every: Duration,
    /// For the whole answer.
    pub timeout: Duration,
    /// Sent with it.
    pub headers: BTreeMap<String, String>,
    /// Host that is connected to instead.
    pub connect_to: Option<String>,
    /// PEM file of authorities, relative to the root.
    pub ca: Option<PathBuf>,
    /// Take any certificate.
    pub insecure: bool,
}

/// `error_rate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorRate {
    /// Share that is borne, 0 to 1.
    pub max: f64,
    /// Who counts.
    pub from: Counter,
}

/// Who counts failed requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// The gate's own probes.
    Probe,
    /// The load balancer, through `CloudWatch`.
    CloudWatch,
}

const TIMEOUT: Duration = Duration::from_mins(15);
/// `CloudWatch` is a minute or two behind; a shorter soak would be over before the first number.
const CLOUDWATCH_SOAK: Duration = Duration::from_mins(3);

/// Reads the `gate` blocks of a swap.
pub(super) fn gates(cx: &mut Cx, swap: &Table<'_>, places: &Places) -> BTreeMap<GateStep, GateChecks> {
    let mut found = BTreeMap::new();
    for table in cx.blocks(swap, "gate") {
        let label = table.label();
        let names = GateStep::ALL.map(GateStep::as_str);
        one_of(cx, "gate", &At { value: Value::String(label.value.clone()), span: label.span }, &names);
        let checks = gate(cx, &table, places);
        if let Some(step) = GateStep::ALL.into_iter().find(|step| step.as_str() == label.value) {
            found.insert(step, checks);
        }
    }
    found
}

fn gate(cx: &mut Cx, table: &Table<'_>, places: &Places) -> GateChecks {
    let mut checks = GateChecks { timeout: time(cx, table, "timeout", TIMEOUT), ..GateChecks::default() };
    checks.soak = time(cx, table, "soak", Duration::ZERO);
    if let Some(found) = cx.string(table, "codedeploy") {
        match found.value.split('/').collect::<Vec<_>>()[..] {
            [application, group] if !application.is_empty() && !group.is_empty() => {
                checks.codedeploy = Some((application.to_owned(), group.to_owned()));
            }
            _ => cx.error(
                found.span,
                format!("`{}` does not name a deployment group", found.value.escape_debug()),
                "",
                Some("`application/deployment-group`".to_owned()),
            ),
        }
    }
    let command = cx.strings(table, "command");
    if table.expr("command").is_some() && command.first().is_none_or(|program| program.value.trim().is_empty()) {
        let span = command.first().map_or_else(|| table.key_span("command"), |program| program.span.clone());
        cx.error(span, "`command` names no program", "", Some("`[\"./smoke.sh\", \"--fast\"]`".to_owned()));
    }
    checks.command = command.into_iter().map(|word| word.value).collect();
    checks.probes = cx.blocks(table, "http").iter().map(|probe| http(cx, probe, places)).collect();
    if let Some(block) = cx.block(table, "error_rate") {
        checks.error_rate = error_rate(cx, &block, &checks);
    }
    checks
}

fn http(cx: &mut Cx, table: &Table<'_>, places: &Places) -> Probe {
    let url = cx.string(table, "url").map(|found| {
        if let Some((why, help)) = wrong_url(&found.value) {
            // A password is not printed with its line.
            let place = if why.contains("password") { found.span.start..found.span.start } else { found.span };
            cx.error(place, why, "", Some(help.to_owned()));
        }
        found.value
    });
    let body = cx.string(table, "body").map(|found| {
        if let Err(error) = regex::Regex::new(&found.value) {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            cx.error(found.span, format!("`body` takes a regular expression, here is `{}`: {why}", found.value.escape_debug()), "", None);
        }
        found.value
    });
    let headers = cx.string_map(table, "headers");
    for (name, At { value, span }) in &headers {
        let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !token || value.chars().any(char::is_control) {
            cx.error(span.clone(), format!("`{}` cannot be sent as a header", name.escape_debug()), "", None);
        }
    }
    let connect_to = cx.string(table, "connect_to").map(|found| {
        if found.value.is_empty() || found.value.contains(['/', ':', '@']) || found.value.contains(char::is_whitespace) {
            let help = "the port is that of `url`".to_owned();
            cx.error(found.span, format!("`connect_to` takes a host name, here is `{}`", found.value.escape_debug()), "", Some(help));
        }
        found.value
    });
    let ca = cx.string(table, "ca").and_then(|found| cx.existing(places, &found, Wanted::File, "file of authorities"));
    Probe {
        name: table.label().value,
        url: url.unwrap_or_default(),
        status: number(cx, table, "status", 200, 100..=599, "a status").try_into().unwrap_or(200),
        body,
        in_a_row: number(cx, table, "in_a_row", 3, 1..=1000, "a number"),
        every: time(cx, table, "every", Duration::from_secs(2)),
        timeout: time(cx, table, "timeout", Duration::from_secs(5)),
        headers: headers.into_iter().map(|(name, found)| (name, found.value)).collect(),
        connect_to,
        ca,
        insecure: cx.bool(table, "insecure").unwrap_or(false),
    }
}

/// What is wrong with a URL, and help.
fn wrong_url(text: &str) -> Option<(String, &'static str)> {
    const FORM: &str = "`http://…` or `https://…`";
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    match authority {
        Some(authority) if authority.contains('@') => {
            Some(("a `url` with a name or password in it would stand in every log".to_owned(), "write it without"))
        }
        Some(authority) if !authority.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if !authority.ends_with(']') => (host, port.parse::<u16>().ok()),
                _ => (authority, Some(0)),
            };
            let number = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let named = |c: char| c.is_alphanumeric() || "-._".contains(c);
            let good = number.map_or(!host.is_empty() && host.chars().all(named), |host| host.parse::<std::net::Ipv6Addr>().is_ok());
            (!good || port.is_none()).then(|| (format!("`{}` is not a URL", text.escape_debug()), FORM))
        }
        _ => Some((format!("`{}` is not a URL", text.escape_debug()), FORM)),
    }
}

fn error_rate(cx: &mut Cx, table: &Table<'_>, checks: &GateChecks) -> Option<ErrorRate> {
    let max = cx.string(table, "max").and_then(|found| {
        let share = found.value.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        let share = share.filter(|share| (0.0..=100.0).contains(share));
        if share.is_none() {
            let text = format!("`max` takes a share of requests, here is `{}`", found.value.escape_debug());
            cx.error(found.span, text, "", Some("`\"0.5%\"`, from 0 % to 100 %".to_owned()));
        }
        share.map(|share| share / 100.0)
    });
    let mut from = Counter::Probe;
    if let Some(found) = cx.value(table, "from", Allow::Literals) {
        one_of(cx, "from", &found, &["probe", "cloudwatch"]);
        if found.value == Value::String("cloudwatch".to_owned()) {
            from = Counter::CloudWatch;
        }
    }
    let problem = match from {
        _ if checks.soak.is_zero() => Some("`error_rate` counts during the soak, and this gate has none".to_owned()),
        Counter::Probe if checks.probes.is_empty() => {
            Some("`error_rate` counts answers of `http` probes, and this gate has none".to_owned())
        }
        Counter::CloudWatch if checks.soak < CLOUDWATCH_SOAK => Some(format!(
            "`soak` is {} s: CloudWatch is up to two minutes behind, so that this is too short to see anything",
            checks.soak.as_secs()
        )),
        Counter::Probe | Counter::CloudWatch => None,
    };
    if let Some(problem) = problem {
        let help = "`soak = \"10m\"` gives time to count".to_owned();
        cx.error(table.head.clone(), problem, "", (from == Counter::CloudWatch || checks.soak.is_zero()).then_some(help));
    }
    Some(ErrorRate { max: max?, from })
}

/// A duration, or the default.
fn time(cx: &mut Cx, table: &Table<'_>, name: &str, default: Duration) -> Duration {
    let Some(found) = cx.string(table, name) else { return default };
    if let Some(seconds) = duration(&found.value) {
        return Duration::from_secs(seconds);
    }
    let help = "`\"90s\"`, `\"15m\"`, `\"1h30m\"`".to_owned();
    cx.error(found.span, format!("`{name}` takes a duration, here is `{}`", found.value.escape_debug()), "", Some(help));
    default
}

/// A whole number in a range, or the default.
fn number(cx: &mut Cx, table: &Table<'_>, name: &str, default: u32, range: std::ops::RangeInclusive<u32>, what: &str) -> u32 {
    let Some(At { value: Value::Number(text), span }) = known_value(cx, table, name) else { return default };
    match text.parse::<u32>() {
        Ok(number) if range.contains(&number) => number,
        _ => {
            let text = format!("`{name}` takes {what} from {} to {}, here is `{text}`", range.start(), range.end());
            cx.error(span, text, "", None);
            default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema_swap as schema;

    #[test]
    fn every_attribute_of_a_probe_is_in_the_schema() {
        for name in ["url", "status", "body", "in_a_row", "every", "timeout", "headers", "connect_to", "ca", "insecure"] {
            assert!(schema::HTTP.kind(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_url_has_a_scheme_and_a_host_and_no_password() {
        for good in ["http://a", "https://a.example:8443/x?y=z#f", "http://127.0.0.2/health", "http://[::1]:80/"] {
            assert_eq!(wrong_url(good), None, "{good}");
        }
        for bad in ["", "a.example", "ftp://a", "http://", "http:///x", "https://a b/", "http://a:port/", "http://a:99999/", "HTTP://a"] {
            assert!(wrong_url(bad).is_some_and(|(why, _)| why.ends_with("is not a URL")), "{bad}");
        }
        let (why, _) = wrong_url("https://me:hunter2@a/").expect("refused");
        assert!(!why.contains("hunter2"), "{why}");
    }
}
