//! Tables of a swap's tfvars: what is read and spliced, and what is refused with its line.
//!
//! Invariant: expected files are written out, nothing of them is computed.

use proptest::prelude::*;

use crate::disk::swap_tfvars::{Found, read, shadows};
use crate::model::swap::Colour;
use crate::plan::swap::{Marker, State, stand};
use crate::plan::swap_steps::{Goal, back, next};
use crate::plan::swap_tests::spec;

const FILE: &str = "\
# Which AMI serves, and where.
blue_ami_id  = \"ami-00000000000000001\" # since March
blue_min_size = \"2\"
blue_max_size = 4
blue_elb_name = \"elb-prd\"
region = \"ap-northeast-1\"

green_ami_id  = \"ami-00000000000000001\"
green_min_size   = 0   // off
green_max_size = \"0\"
green_elb_name = \"elb-test\"
motd = <<-EOT
  # ovenbird: not a marker
  EOT
/* # ovenbird: neither */
";

const STARTED: &str = "\
# Which AMI serves, and where.
# ovenbird: green replaces blue (was 2/4), ami-00000000000000001 → ami-00000000000000002, run r
blue_ami_id  = \"ami-00000000000000001\" # since March
blue_min_size = \"3\"
blue_max_size = 4
blue_elb_name = \"elb-prd\"
region = \"ap-northeast-1\"

green_ami_id  = \"ami-00000000000000002\"
green_min_size   = 3   // off
green_max_size = \"4\"
green_elb_name = \"elb-test\"
motd = <<-EOT
  # ovenbird: not a marker
  EOT
/* # ovenbird: neither */
";

fn found(text: &str) -> Found {
    read(&spec(), text.as_bytes()).unwrap_or_else(|e| panic!("{:?}", e.0.iter().map(|p| &p.summary).collect::<Vec<_>>()))
}

fn state(found: &Found) -> State {
    stand(&spec(), &found.values, found.marker.as_ref(), None).unwrap()
}

fn forward(text: &str) -> String {
    let found = found(text);
    let goal = Goal { ami: "ami-00000000000000002".to_owned(), serving: 3, run: "r".to_owned() };
    let step = next(&spec(), state(&found), &found.values, found.marker.as_ref(), &goal).unwrap();
    found.splice(&spec(), &step.values, step.marker.as_ref()).unwrap()
}

fn backward(text: &str) -> String {
    let found = found(text);
    let step = back(&spec(), state(&found), &found.values, found.marker.as_ref(), "r").unwrap();
    found.splice(&spec(), &step.values, step.marker.as_ref()).unwrap()
}

#[test]
fn step_1_writes_four_values_two_minimums_and_the_marker_and_no_other_byte() {
    assert_eq!(forward(FILE), STARTED);
    assert_eq!(found(STARTED).marker.unwrap().new, Colour::Green);
}

#[test]
fn the_marker_goes_with_the_last_step_and_with_the_way_back() {
    let left = forward(&forward(STARTED));
    assert!(left.contains("blue_elb_name = \"\"\n") && left.contains("# ovenbird: green replaces blue"), "{left}");
    let steady = forward(&left);
    assert!(!steady.contains("green replaces blue") && steady.contains("green_min_size   = 2   // off\n"), "{steady}");
    // Only the new AMI stays in the idle colour.
    assert_eq!(
        backward(STARTED),
        FILE.replacen("green_ami_id  = \"ami-00000000000000001\"", "green_ami_id  = \"ami-00000000000000002\"", 1)
    );
    assert_eq!(backward(&backward(&backward(&left))), backward(STARTED));
}

#[test]
fn terraform_gets_the_values_in_the_types_of_the_file() {
    let found = found(FILE);
    let json: serde_json::Value = serde_json::from_str(&found.var_file(&found.values)).unwrap();
    assert_eq!((&json["blue_min_size"], &json["blue_max_size"], &json["green_elb_name"]), (&"2".into(), &4.into(), &"elb-test".into()));
    assert_eq!(json.as_object().unwrap().len(), 8);
}

#[test]
fn the_marker_stands_above_the_first_value_wherever_that_is() {
    let text = FILE.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert!(forward(&text).starts_with("# ovenbird: green replaces blue"), "{text}");
    // Without a line end at the end, and the values in another order.
    let mut lines: Vec<&str> = FILE.lines().take(11).collect();
    lines.reverse();
    let text = lines.join("\n");
    let started = forward(&text);
    assert!(started.starts_with("# ovenbird:") && started.ends_with("# Which AMI serves, and where."), "{started}");
    assert_eq!(backward(&started).replace("ami-00000000000000002", "ami-00000000000000001"), text);
}

proptest! {
    #[test]
    fn any_walk_of_steps_reads_back_and_keeps_every_other_byte(steps in proptest::collection::vec(any::<bool>(), 1..12)) {
        let mut text = FILE.to_owned();
        for forwards in steps {
            let at = found(&text);
            if !forwards && matches!(state(&at), State::Steady { .. }) {
                continue;
            }
            let goal = Goal { ami: format!("ami-{:017x}", text.len() + 7), serving: 3, run: "r".to_owned() };
            let step = if forwards {
                next(&spec(), state(&at), &at.values, at.marker.as_ref(), &goal)
            } else {
                back(&spec(), state(&at), &at.values, at.marker.as_ref(), "r")
            };
            let Some(step) = step else { continue };
            text = at.splice(&spec(), &step.values, step.marker.as_ref()).unwrap();
            prop_assert_eq!(state(&found(&text)), step.to);
        }
        let plain = |text: &str| text.lines().filter(|l| !l.contains("_ami_id") && !l.contains("_size") && !l.contains("_elb_name") && !l.starts_with("# ovenbird:")).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(plain(&text), plain(FILE));
    }
}

#[test]
fn a_marker_that_disagrees_is_shown_with_its_line() {
    let found = found(&STARTED.replace("green replaces blue", "blue replaces green"));
    let wrong = stand(&spec(), &found.values, found.marker.as_ref(), None).unwrap_err();
    let problem = found.problem(&wrong[0]);
    let place = &problem.places[0];
    assert_eq!(place.source.line_column(place.span.start), (2, 1), "{}", problem.summary);
    assert_eq!(found.marker.as_ref().map(|m: &Marker| m.new), Some(Colour::Blue));
}

#[test]
fn another_file_that_terraform_reads_by_itself_and_that_sets_a_value_is_named() {
    let root = tempfile::tempdir().unwrap();
    let spec = spec();
    let folder = root.path().join(&spec.directory);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in [("variables.tfvars", FILE), ("z.auto.tfvars", "region = \"eu-west-1\"\ngreen_min_size = 9\n")] {
        std::fs::File::create(folder.join(name)).and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes())).unwrap();
    }
    let found = shadows(root.path(), &spec).unwrap();
    let told: Vec<String> = found.iter().map(|foreign| format!("{}: {} {}", foreign.address, foreign.attribute, foreign.change)).collect();
    assert_eq!(
        told,
        ["env/z.auto.tfvars: green_min_size is set in it, too, and Terraform reads it by itself, unlike `env/variables.tfvars`"]
    );
}
