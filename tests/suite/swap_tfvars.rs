//! Forty tfvars that no swap may touch: each is refused with file and line, by name, and nothing is written.
//!
//! Each case is the same good file with one thing spoiled. Invariant: the expected line and words are written out.

use ovenbird::config::pipeline::Swap;
use ovenbird::config::swap_spec::SwapSpec;
use ovenbird::disk::swap_tfvars::read;
use ovenbird::model::name::Name;
use ovenbird::model::problem::Problem;
use ovenbird::model::value::Value;
use ovenbird::plan::swap::stand;
use ovenbird::report::problems;

const GOOD: &str = "\
# Which AMI serves, and where.
blue_ami_id    = \"ami-0123456789abcdef0\"
blue_min_size  = \"2\"
blue_max_size  = \"4\"
blue_elb_name  = \"elb-prd\"
green_ami_id   = \"ami-0123456789abcdef0\"
green_min_size = 0
green_max_size = 0
green_elb_name = \"elb-test\"
";

const MARKER: &str =
    "# ovenbird: green replaces blue (was 2/4), ami-0123456789abcdef0 → ami-0123456789abcdef0, run 20261122t041500-3f9a1c\n";

fn spec() -> SwapSpec {
    let text = |text: &str| Value::String(text.to_owned());
    let settings = [
        ("live", "elb-prd"),
        ("test", "elb-test"),
        ("blue.group", "module.web.aws_autoscaling_group.blue"),
        ("green.group", "module.web.aws_autoscaling_group.green"),
    ];
    let swap = Swap {
        name: Name::new("production").expect("a name"),
        stage: Name::new("web").expect("a name"),
        requires: None,
        directory: "env".into(),
        tfvars: "variables.tfvars".to_owned(),
        settings: settings.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect(),
        gates: std::collections::BTreeMap::default(),
        span: 0..0,
    };
    SwapSpec::of(&swap).expect("it fits together")
}

/// From, to, line, and what is said.
type Case = (&'static str, &'static str, usize, &'static str);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Not values.
    ("\"ami-0123456789abcdef0\"\nblue_min", "var.ami\nblue_min", 2, "`blue_ami_id` holds an expression, and a string is edited"),
    ("\"elb-prd\"", "\"elb-${var.name}\"", 5, "`blue_elb_name` holds a string with an interpolation, and a string is edited"),
    ("\"elb-prd\"", "upper(\"elb-prd\")", 5, "`blue_elb_name` holds an expression, and a string is edited"),
    ("\"elb-prd\"", "null", 5, "`blue_elb_name` holds null, and a string is edited"),
    ("\"elb-prd\"", "[\"elb-prd\"]", 5, "`blue_elb_name` holds a list, and a string is edited"),
    ("\"elb-prd\"", "{ name = \"elb-prd\" }", 5, "`blue_elb_name` holds a map, and a string is edited"),
    ("\"elb-prd\"", "<<EOT\nelb-prd\nEOT", 5, "`blue_elb_name` holds a heredoc, and a string is edited"),
    ("\"elb-prd\"", "<<-EOT\n  elb-prd\n  EOT", 5, "`blue_elb_name` holds a heredoc, and a string is edited"),
    ("\"elb-prd\"", "(\"elb-prd\")", 5, "`blue_elb_name` holds an expression, and a string is edited"),
    ("\"elb-prd\"", "true ? \"elb-prd\" : \"\"", 5, "`blue_elb_name` holds an expression, and a string is edited"),
    ("\"elb-prd\"", "7", 5, "`blue_elb_name` holds a number, and a string is edited"),
    ("= \"2\"", "= true", 3, "`blue_min_size` holds a bool, and a whole number is edited"),
    ("= \"2\"", "= 1 + 1", 3, "`blue_min_size` holds an expression, and a whole number is edited"),
    ("= \"2\"", "= -2", 3, "`blue_min_size` holds a number that is not whole or too large, and a whole number is edited"),
    ("= \"2\"", "= 2.5", 3, "`blue_min_size` holds a number that is not whole or too large, and a whole number is edited"),
    ("= \"2\"", "= \"two\"", 3, "`blue_min_size` holds a string that is no whole number, and a whole number is edited"),
    ("= \"2\"", "= \"02\"", 3, "`blue_min_size` holds a string that is no whole number, and a whole number is edited"),
    ("= \"2\"", "= \"\"", 3, "`blue_min_size` holds a string that is no whole number, and a whole number is edited"),
    ("= \"4\"", "= 99999999999", 4, "`blue_max_size` holds a number that is not whole or too large, and a whole number is edited"),
    // Missing, twice, broken.
    ("green_elb_name = \"elb-test\"\n", "", 1, "`green_elb_name` is not set, and is one of the eight values of swap `production`"),
    ("blue_ami_id    = \"ami-0123456789abcdef0\"\n", "# blue_ami_id = \"ami-0123456789abcdef0\"\n", 1, "`blue_ami_id` is not set, and is one of the eight values of swap `production`"),
    ("green_min_size = 0\n", "green_min_size = 0\ngreen_min_size = 1\n", 8, "attribute `green_min_size` is set twice"),
    ("= \"elb-prd\"", "= \"elb-prd", 5, "string is not closed on its line"),
    ("= \"elb-prd\"", "= ", 5, "not HCL"),
    ("= \"elb-prd\"", ": \"elb-prd\"", 5, "not HCL"),
    ("blue_elb_name  = \"elb-prd\"\n", "blue_elb_name  = \"elb-prd\"\nvariable \"x\" {}\n", 6, "`variable` is a block, and a tfvars file holds only `name = value`"),
    ("# Which", "\u{feff}# Which", 1, "file starts with a byte order mark"),
    ("serves, and where.\n", "serves, and where.\r\n", 1, "file has CR LF line ends"),
    ("\"elb-prd\"", "\"elb\0prd\"", 5, "file is not text: a NUL byte (0x00) at offset"),
    // No state of a swap.
    ("green_elb_name = \"elb-test\"", "green_elb_name = \"elb-prd\"", 8, "green is on `elb-prd` with size 0"),
    ("green_min_size = 0\ngreen_max_size = 0\ngreen_elb_name = \"elb-test\"", "green_min_size = 2\ngreen_max_size = 4\ngreen_elb_name = \"elb-prd\"", 5, "both colours are on `elb-prd`, and no marker says which one is new"),
    ("\"2\"\nblue_max_size  = \"4\"", "\"0\"\nblue_max_size  = \"0\"", 4, "blue is on `elb-prd` with size 0"),
    ("= \"elb-prd\"", "= \"\"", 5, "neither colour is on `elb-prd`: nothing is in service"),
    ("= \"elb-prd\"", "= \"elb-live\"", 5, "blue is on `elb-live`, which is neither `live` nor `test` of this swap nor empty"),
    ("= \"2\"", "= \"5\"", 3, "blue has the minimum 5 above the maximum 4"),
    ("= \"2\"", "= \"0\"", 3, "blue has the sizes 0/4, which is neither on nor off"),
    ("green_max_size = 0", "green_max_size = 2", 7, "green has the sizes 0/2, which is neither on nor off"),
    ("blue_ami_id    = \"ami-0123456789abcdef0\"", "blue_ami_id    = \"\"", 2, "blue runs and has the AMI ``, which is no id"),
    // Markers.
    ("# Which", "# ovenbird: green replaces blue\n# Which", 1, "a comment begins as a marker of ovenbird's and cannot be read as one"),
    ("# Which", "MARKER# Which", 1, "a marker says that green replaces blue, and the values are steady with blue in service"),
    ("# Which", "MARKERMARKER# Which", 1, "there are 2 markers of ovenbird's"),
    ("\"elb-prd\"\n", "\"elb-prd\" MARKER", 5, "a marker says that green replaces blue, and the values are steady with blue in service"),
];

fn refused(text: &str) -> Vec<Problem> {
    let spec = spec();
    match read(&spec, text.as_bytes()) {
        Err(problems) => problems.0,
        Ok(found) => {
            let reasons = stand(&spec, &found.values, found.marker.as_ref(), None).err().unwrap_or_default();
            reasons.iter().map(|reason| found.problem(reason)).collect()
        }
    }
}

#[test]
fn forty_malformed_or_irregular_tfvars_are_refused_with_file_and_line() {
    assert_eq!(refused(GOOD), [], "the good file is good");
    assert!(CASES.len() >= 40, "{}", CASES.len());
    let mut wrong = Vec::new();
    for (from, to, line, wanted) in CASES {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, &to.replace("MARKER", MARKER), 1);
        let problems = refused(&text);
        let Some(first) = problems.first() else {
            wrong.push(format!("{to:?} was not refused"));
            continue;
        };
        // As people read it: file, line, words.
        let shown = problems::render(&ovenbird::model::problem::Problems(problems.clone()), false, 100);
        if !first.summary.starts_with(wanted) || !shown.contains(&format!("env/variables.tfvars:{line}:")) {
            wrong.push(format!("{to:?}, wanted {wanted:?} in line {line}:\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
