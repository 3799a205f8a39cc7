//! Gates of a swap that are wrong: each with its message and the place that it points at; and one that uses everything.

use std::path::PathBuf;
use std::time::Duration;

use ovenbird::config::gate::{Counter, ErrorRate, GateStep};

use crate::pipeline_tree::{GOOD, Tree, refused_with};

/// A swap with this gate.
fn swap(gate: &str) -> String {
    format!(
        "swap \"production\" {{\n  stage     = stage.web\n  directory = \"terraform/live\"\n  tfvars    = \"variables.tfvars\"\n  \
         live      = \"elb-prd\"\n  test      = \"elb-test\"\n  blue {{ group = \"aws_autoscaling_group.blue\" }}\n  \
         green {{ group = \"aws_autoscaling_group.green\" }}\n{gate}\n}}\n"
    )
}

#[test]
fn what_is_wrong_in_a_gate_is_said_with_what_was_wanted() {
    let http = |inner: &str| format!("  gate \"start\" {{\n    http \"health\" {{\n      url = \"http://a/\"\n      {inner}\n    }}\n  }}");
    let url = |url: &str| format!("  gate \"start\" {{\n    http \"health\" {{ url = \"{url}\" }}\n  }}");
    let gate = |inner: &str| format!("  gate \"start\" {{\n    {inner}\n  }}");
    let cases = [
        (gate("timeout = \"15\""), "`timeout` takes a duration, here is `15`"),
        (gate("timeout = 900"), "`timeout` takes a string, here is a number"),
        (gate("soak = \"-5m\""), "`soak` takes a duration, here is `-5m`"),
        (gate("soak = \"0s\""), "`soak` takes a duration, here is `0s`"),
        (gate("sock = \"5m\""), "did you mean `soak`?"),
        (gate("codedeploy = \"app\""), "`app` does not name a deployment group"),
        (gate("codedeploy = \"a/b/c\""), "`a/b/c` does not name a deployment group"),
        (gate("codedeploy = \"/b\""), "`/b` does not name a deployment group"),
        (gate("command = []"), "`command` names no program"),
        (gate("command = [\" \"]"), "`command` names no program"),
        (gate("command = \"./smoke.sh\""), "write `[\"./smoke.sh\"]`"),
        (gate("http \"health\" {}"), "needs `url`"),
        (url("test.example/health"), "`test.example/health` is not a URL"),
        (url("ftp://test.example/"), "`ftp://test.example/` is not a URL"),
        (url("http://"), "`http://` is not a URL"),
        (url("http://a:70000/"), "`http://a:70000/` is not a URL"),
        (url("http://a b/"), "`http://a b/` is not a URL"),
        (http("status = 20"), "`status` takes a status from 100 to 599, here is `20`"),
        (http("status = \"200\""), "write `200`, without quotes"),
        (http("in_a_row = 0"), "`in_a_row` takes a number from 1 to 1000, here is `0`"),
        (http("every = \"fast\""), "`every` takes a duration, here is `fast`"),
        (http("body = \"version (\""), "`body` takes a regular expression, here is `version (`: unclosed group"),
        (http("headers = { \"X Y\" = \"z\" }"), "`X Y` cannot be sent as a header"),
        (http("headers = { X = \"a\\nb\" }"), "`X` cannot be sent as a header"),
        (http("connect_to = \"lb.example:80\""), "`connect_to` takes a host name, here is `lb.example:80`"),
        (http("ca = \"no.pem\""), "there is no file of authorities `no.pem`"),
        (http("insecure = \"true\""), "write `true`, without quotes"),
        (gate("error_rate { max = \"1%\" }"), "`error_rate` counts during the soak, and this gate has none"),
        (gate("soak = \"5m\"\n    error_rate { max = \"1%\" }"), "`error_rate` counts answers of `http` probes, and this gate has none"),
        (
            gate("soak = \"1m\"\n    error_rate {\n      max = \"1%\"\n      from = \"cloudwatch\"\n    }"),
            "`soak` is 60 s: CloudWatch is up to two minutes behind",
        ),
        (gate("soak = \"5m\"\n    error_rate { max = \"1\" }"), "`max` takes a share of requests, here is `1`"),
        (gate("soak = \"5m\"\n    error_rate { max = \"101%\" }"), "`max` takes a share of requests, here is `101%`"),
        (gate("soak = \"5m\"\n    error_rate {\n      max = \"1%\"\n      from = \"datadog\"\n    }"), "`from` does not take `datadog`"),
        ("  gate \"steady\" {}".to_owned(), "`gate` does not take `steady`"),
        ("  gate \"start\" {}\n  gate \"start\" {}".to_owned(), "gate `start`"),
    ];
    for (gate, wanted) in cases {
        let said = refused_with(&swap(&gate));
        assert!(said.contains(wanted), "{gate}\n{said}");
        assert!(said.contains("--> ovenbird.hcl:"), "{said}");
    }
}

#[test]
fn a_password_in_a_url_is_refused_and_not_printed() {
    let said = refused_with(&swap("  gate \"start\" {\n    http \"health\" { url = \"https://me:hunter2@a/\" }\n  }"));
    assert!(said.contains("a `url` with a name or password in it would stand in every log"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_gate_may_use_everything() {
    let gate = r#"
  gate "leave" {
    http "health" {
      url        = "https://shop.example:8443/health?deep=1"
      status     = 204
      body       = "version 2\\.\\d+"
      in_a_row   = 5
      every      = "1s"
      timeout    = "10s"
      headers    = { X-Canary = "yes" }
      connect_to = "elb-test-1.ap-northeast-1.elb.amazonaws.com"
      ca         = "packer/ca.pem"
    }
    codedeploy = "app/web"
    command    = ["./smoke.sh", "--fast"]
    timeout    = "1h30m"
    soak       = "10m"
    error_rate {
      max  = "0.5%"
      from = "cloudwatch"
    }
  }"#;
    let tree = Tree::new();
    tree.write("packer/ca.pem", b"");
    tree.write("ovenbird.hcl", format!("{GOOD}{}", swap(gate)).as_bytes());
    let pipeline = tree.load().unwrap().pipeline;
    let checks = &pipeline.swaps[0].gates[&GateStep::Leave];
    let probe = &checks.probes[0];
    assert_eq!((probe.status, probe.in_a_row, probe.every, probe.timeout), (204, 5, Duration::from_secs(1), Duration::from_secs(10)));
    assert_eq!((probe.body.as_deref(), probe.ca.clone()), (Some(r"version 2\.\d+"), Some(PathBuf::from("packer/ca.pem"))));
    assert_eq!(probe.connect_to.as_deref(), Some("elb-test-1.ap-northeast-1.elb.amazonaws.com"));
    assert_eq!(checks.codedeploy, Some(("app".to_owned(), "web".to_owned())));
    assert_eq!((checks.timeout, checks.soak), (Duration::from_mins(90), Duration::from_mins(10)));
    assert_eq!(checks.error_rate, Some(ErrorRate { max: 0.005, from: Counter::CloudWatch }));
}
