//! Tables of the editor of tfvars: what is kept, what is appended, what is refused, and what `inspect` knows beforehand.
//!
//! Invariant: a case is file, values, expected file; nothing of the expected file is computed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use crate::config::pipeline::{Emit, EmitName, EmitValue};
use crate::disk::atomic;
use crate::disk::tfvars::{diff, edit, inspect};
use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::model::problem::{Severity, SourceText};
use crate::plan::known::{EmitNewValue, EmitTarget};

fn id(id: &str) -> EmitNewValue {
    EmitNewValue::Id(id.to_owned())
}

/// `a=ami-1 m={r1:ami-2,r2:ami-3}`
fn values(text: &str) -> BTreeMap<String, EmitNewValue> {
    text.split_whitespace()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            let value = match value.strip_prefix('{') {
                None => id(value),
                Some(map) => {
                    let pairs = map.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once(':'));
                    EmitNewValue::Ids(pairs.map(|(region, id)| (region.to_owned(), id.to_owned())).collect())
                }
            };
            (name.to_owned(), value)
        })
        .collect()
}

#[rustfmt::skip]
const EDITS: &[(&str, &str, &str, &str)] = &[
    // File, before, values, after.
    ("x.tfvars", "", "a=ami-1", "a = \"ami-1\"\n"),
    ("x.tfvars", "", "a=ami-1 long_name=ami-2", "a         = \"ami-1\"\nlong_name = \"ami-2\"\n"),
    ("x.tfvars", "", "m={r1:ami-1,region-2:ami-2}", "m = {\n  \"r1\"       = \"ami-1\"\n  \"region-2\" = \"ami-2\"\n}\n"),
    ("x.tfvars", "", "a=ami-1 m={r1:ami-2}", "a = \"ami-1\"\n\nm = {\n  \"r1\" = \"ami-2\"\n}\n"),
    ("x.tfvars", "a = \"\"\n", "a=ami-1", "a = \"ami-1\"\n"),
    ("x.tfvars", "a = null\n", "a=ami-1", "a = \"ami-1\"\n"),
    ("x.tfvars", "a = \"ami-1\"\n", "a=ami-1", "a = \"ami-1\"\n"),
    ("x.tfvars", "a=\"x\"", "a=ami-1", "a=\"ami-1\""),
    ("x.tfvars", "a   =   \"x\"   # why\n", "a=ami-1", "a   =   \"ami-1\"   # why\n"),
    ("x.tfvars", "# head\n\na  = \"x\" // c\nbb = \"y\" /* d */\n# foot", "a=ami-1", "# head\n\na  = \"ami-1\" // c\nbb = \"y\" /* d */\n# foot"),
    ("x.tfvars", "a = \"x\"\r\nb = 1\r\n", "a=ami-1", "a = \"ami-1\"\r\nb = 1\r\n"),
    ("x.tfvars", "a = \"x\"\r\n", "b=ami-1", "a = \"x\"\r\nb = \"ami-1\"\r\n"),
    ("x.tfvars", "a = \"x\"\nb = <<-EOT\n  a = \"no\"\n  EOT\n", "a=ami-1", "a = \"ami-1\"\nb = <<-EOT\n  a = \"no\"\n  EOT\n"),
    ("x.tfvars", "t = { a = \"no\" }\na = \"x\"\n", "a=ami-1", "t = { a = \"no\" }\na = \"ami-1\"\n"),
    ("x.tfvars", "# a = \"no\"\na = \"x\"\n", "a=ami-1", "# a = \"no\"\na = \"ami-1\"\n"),
    ("x.tfvars", "a = \"\\u00e9 ${\"$\"}\"\nb = \"日本\" # 語\n", "b=ami-1", "a = \"\\u00e9 ${\"$\"}\"\nb = \"ami-1\" # 語\n"),
    ("x.tfvars", "b = \"1\"\na = \"2\"\n", "a=ami-a b=ami-b", "b = \"ami-b\"\na = \"ami-a\"\n"),
    ("x.tfvars", "web_ami_id = \"x\"\n", "api_ami_id=ami-1", "web_ami_id = \"x\"\napi_ami_id = \"ami-1\"\n"),
    ("x.tfvars", "web_ami_id = \"x\"\n", "db=ami-1", "web_ami_id = \"x\"\ndb         = \"ami-1\"\n"),
    ("x.tfvars", "a = \"x\"\n", "much_longer=ami-1", "a = \"x\"\n\nmuch_longer = \"ami-1\"\n"),
    ("x.tfvars", "a = \"x\"", "b=ami-1", "a = \"x\"\nb = \"ami-1\"\n"),
    ("x.tfvars", "a = \"x\"\n# end\n", "b=ami-1", "a = \"x\"\n# end\n\nb = \"ami-1\"\n"),
    ("x.tfvars", "a = \"x\"\n\n", "b=ami-1", "a = \"x\"\n\nb = \"ami-1\"\n"),
    ("x.tfvars", "a = {\n  k = 1\n}\n", "b=ami-1", "a = {\n  k = 1\n}\n\nb = \"ami-1\"\n"),
    ("x.tfvars", "# only a comment\n", "b=ami-1", "# only a comment\n\nb = \"ami-1\"\n"),
    ("x.tfvars", "  \n", "b=ami-1", "  \n\nb = \"ami-1\"\n"),
    ("x.tfvars", "m = { r1 = \"x\", \"r2\" = \"y\" } # c\n", "m={r1:ami-1,r2:ami-2}", "m = { r1 = \"ami-1\", \"r2\" = \"ami-2\" } # c\n"),
    ("x.tfvars", "m = {\n  r1 = \"x\" # old\n}\n", "m={r1:ami-1}", "m = {\n  r1 = \"ami-1\" # old\n}\n"),
    ("x.tfvars", "m = { r1 = \"x\" }\n", "m={r1:ami-1,r2:ami-2}", "m = { \"r1\" = \"ami-1\", \"r2\" = \"ami-2\" }\n"),
    ("x.tfvars", "m = {\r\n  r1 = \"x\"\r\n}\r\n", "m={r2:ami-2}", "m = {\r\n  \"r2\" = \"ami-2\"\r\n}\r\n"),
    ("x.tfvars", "m = {}\n", "m={r1:ami-1}", "m = {\n  \"r1\" = \"ami-1\"\n}\n"),
    ("x.tfvars", "m = null\n", "m={r1:ami-1}", "m = {\n  \"r1\" = \"ami-1\"\n}\n"),
    ("x.tfvars.json", "", "a=ami-1 m={r1:ami-2}", "{\n  \"a\": \"ami-1\",\n  \"m\": {\n    \"r1\": \"ami-2\"\n  }\n}\n"),
    ("x.tfvars.json", "{}", "a=ami-1", "{\n  \"a\": \"ami-1\"\n}"),
    ("x.tfvars.json", "{\n}\n", "a=ami-1", "{\n  \"a\": \"ami-1\"\n}\n"),
    ("x.tfvars.json", "{\"b\":1,\"a\":\"x\"}", "a=ami-1", "{\"b\":1,\"a\":\"ami-1\"}"),
    ("x.tfvars.json", "{\"b\":1}", "a=ami-1 c=ami-2", "{\"b\":1, \"a\":\"ami-1\", \"c\":\"ami-2\"}"),
    ("x.tfvars.json", "{\n\t\"b\": [1, \"}\", {\"a\": \"no\"}],\n\t\"a\" : \"x\"\n}\n", "a=ami-1", "{\n\t\"b\": [1, \"}\", {\"a\": \"no\"}],\n\t\"a\" : \"ami-1\"\n}\n"),
    ("x.tfvars.json", "{\n    \"b\": 1.50\n}\n", "a=ami-1", "{\n    \"b\": 1.50,\n    \"a\": \"ami-1\"\n}\n"),
    ("x.tfvars.json", "{\r\n  \"b\": true\r\n}\r\n", "a=ami-1", "{\r\n  \"b\": true,\r\n  \"a\": \"ami-1\"\r\n}\r\n"),
    ("x.tfvars.json", "{\"\\u0061\": null, \"q\": \"\\\"\\\\\"}", "a=ami-1", "{\"\\u0061\": \"ami-1\", \"q\": \"\\\"\\\\\"}"),
    ("x.tfvars.json", "{\n  \"m\": {\"r2\": \"y\", \"r1\": \"x\"}\n}\n", "m={r1:ami-1,r2:ami-2}", "{\n  \"m\": {\"r2\": \"ami-2\", \"r1\": \"ami-1\"}\n}\n"),
    ("x.tfvars.json", "{\n  \"m\": {}\n}\n", "m={r1:ami-1}", "{\n  \"m\": {\n    \"r1\": \"ami-1\"\n  }\n}\n"),
    ("images.json", "{ \"n\": -1e3 , \"a\": \"\" }\n", "a=ami-1", "{ \"n\": -1e3 , \"a\": \"ami-1\" }\n"),
];

#[test]
fn an_edit_keeps_everything_but_the_values() {
    for (file, before, new, after) in EDITS {
        let old = (!before.is_empty()).then_some(before.as_bytes());
        let edited = edit(Path::new(file), old, &values(new)).unwrap_or_else(|e| panic!("{before:?}: {e}"));
        assert_eq!(String::from_utf8(edited.clone()).unwrap(), *after, "{file} {before:?} {new}");
        let again = edit(Path::new(file), Some(&edited), &values(new)).unwrap();
        assert_eq!(String::from_utf8(again).unwrap(), *after, "a second edit changes nothing: {before:?}");
    }
}

#[rustfmt::skip]
const REFUSED: &[(&str, &[u8], &str, &str)] = &[
    ("x.tfvars", b"a = 1\n", "a=ami-1", "`a` holds a number, which is not replaced"),
    ("x.tfvars", b"a = true\n", "a=ami-1", "`a` holds a bool, which is not replaced"),
    ("x.tfvars", b"a = [\"x\"]\n", "a=ami-1", "`a` holds a list, which is not replaced"),
    ("x.tfvars", b"a = { k = \"x\" }\n", "a=ami-1", "`a` holds a map, and an id would be written"),
    ("x.tfvars", b"a = \"x\"\n", "a={r1:ami-1}", "`a` holds a string, and a map of region to id would be written"),
    ("x.tfvars", b"a = { k = 1 }\n", "a={r1:ami-1}", "`a` holds a map with a key twice or with other things than strings, which is not replaced"),
    ("x.tfvars", b"a = { k = \"x\", \"k\" = \"y\" }\n", "a={k:ami-1}", "`a` holds a map with a key twice or with other things than strings, which is not replaced"),
    ("x.tfvars", b"a = <<EOT\nx\nEOT\n", "a=ami-1", "`a` holds a heredoc, which is not replaced"),
    ("x.tfvars", b"a = \"${b}\"\n", "a=ami-1", "`a` holds a string with an interpolation, which is not replaced"),
    ("x.tfvars", b"a = var.b\n", "a=ami-1", "`a` holds an expression, which is not replaced"),
    ("x.tfvars", b"a = f(\"x\")\n", "a=ami-1", "`a` holds an expression, which is not replaced"),
    ("x.tfvars", b"a = (\"x\")\n", "a=ami-1", "`a` holds an expression, which is not replaced"),
    ("x.tfvars", b"a = \"x\"\na = \"y\"\n", "a=ami-1", "attribute `a` is set twice"),
    ("x.tfvars", b"b = 1\nb = 2\n", "a=ami-1", "attribute `b` is set twice"),
    ("x.tfvars", b"a = \"x\n", "a=ami-1", "string is not closed on its line"),
    ("x.tfvars", b"a = @\n", "a=ami-1", "not HCL: invalid expression; expected `\"`, `[`, `{`, `-`, `!`, `(`, `_`, `<`, letter or digit"),
    ("x.tfvars", b"variable \"a\" {}\n", "a=ami-1", "`variable` is a block, and a tfvars file holds only `name = value`"),
    ("x.tfvars", b"\xef\xbb\xbfa = \"x\"\n", "a=ami-1", "file starts with a byte order mark"),
    ("x.tfvars", b"a = \"\xff\"\n", "a=ami-1", "file is not text: a byte that is not UTF-8 (0xff) at offset 5"),
    ("x.tfvars", b"a = \"\0\"\n", "a=ami-1", "file is not text: a NUL byte (0x00) at offset 5"),
    ("x.tfvars", b"m = {\n  r1 = \"x\" # c\n}\n", "m={r2:ami-1}", "`m` gets other regions, and comments in it would be lost"),
    ("x.tfvars.json", b"{\"a\": 1}", "a=ami-1", "`a` holds a number, which is not replaced"),
    ("x.tfvars.json", b"{\"a\": \"x\", \"a\": \"y\"}", "a=ami-1", "`a` is set twice"),
    ("x.tfvars.json", b"{\"a\": {\"k\": \"x\", \"k\": \"y\"}}", "a={k:ami-1}", "`a` holds a map with a key twice or with other things than strings, which is not replaced"),
    ("x.tfvars.json", b"[]", "a=ami-1", "its top is not an object"),
    ("x.tfvars.json", b"{\"a\": \"x\",}", "a=ami-1", "not JSON: trailing comma"),
    ("x.tfvars.json", b"// c\n{}", "a=ami-1", "not JSON: expected value"),
    ("x.tfvars.json", b"\xef\xbb\xbf{}", "a=ami-1", "file starts with a byte order mark"),
];

#[test]
fn what_cannot_be_edited_for_certain_is_refused_with_its_place() {
    for (file, before, new, summary) in REFUSED {
        let case = String::from_utf8_lossy(before);
        let error = edit(Path::new(file), Some(before), &values(new)).expect_err(&case);
        assert_eq!(error.problem.summary, *summary, "{case:?}");
        let place = &error.problem.places[0];
        assert!(place.source.text.get(place.span.clone()).is_some(), "{case:?}");
    }
}

/// A Terraform folder `env/` with these files, and what `inspect` says of `env/FILE` for `names` (with `*`: a map).
fn inspected(file: &str, files: &[(&str, &str)], names: &[&str]) -> EmitTarget {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("env")).unwrap();
    for (name, text) in files {
        atomic::write(&root.path().join("env").join(name), text.as_bytes()).unwrap();
    }
    let (stage, architecture) = (Name::new("web").unwrap(), Architecture::X86_64);
    let text = names.join("\n");
    let name = |text: &&str| EmitName {
        name: text.trim_end_matches('*').to_owned(),
        value: match text.strip_suffix('*') {
            Some(_) => EmitValue::Ids { stage: stage.clone(), architecture },
            None => EmitValue::Id { stage: stage.clone(), architecture },
        },
        span: 0..text.len(),
    };
    let emit = Emit { path: PathBuf::from("env").join(file), names: names.iter().map(name).collect(), span: 0..1 };
    inspect(root.path(), &Arc::new(SourceText { path: "ovenbird.hcl".into(), text }), &emit)
}

fn told(target: &EmitTarget) -> Vec<String> {
    let line = |problem: &crate::model::problem::Problem| {
        let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
        let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{severity}: {}{help}", problem.summary)
    };
    target.problems.iter().map(line).collect()
}

const CODE: &str = "variable \"web_ami_id\" {}\nvariable \"web_amis\" {}\n";

#[test]
fn a_good_file_shows_its_present_values() {
    let file = "web_ami_id = \"ami-1\"\nweb_amis = { b = \"ami-3\", a = \"ami-2\" }\n";
    let target = inspected("x.tfvars", &[("v.tf", CODE), ("x.tfvars", file)], &["web_ami_id", "web_amis*"]);
    assert_eq!(told(&target), [""; 0]);
    assert!(target.exists);
    let present: Vec<_> = target.present.iter().map(|(name, text)| format!("{name} {text}")).collect();
    assert_eq!(present, ["web_ami_id ami-1", "web_amis {\"a\":\"ami-2\",\"b\":\"ami-3\"}"]);
    let target = inspected("x.tfvars", &[("v.tf", CODE)], &["web_ami_id"]);
    assert_eq!((told(&target).len(), target.exists, target.present.len()), (0, false, 0));
}

#[test]
fn a_name_that_terraform_does_not_declare_is_refused_with_the_nearest() {
    let target = inspected("x.tfvars", &[("v.tf", CODE)], &["web_ami"]);
    assert_eq!(told(&target), ["error: no variable `web_ami` is declared in `env` (did you mean `web_amis`?)"]);
    let target = inspected("x.auto.tfvars.json", &[("v.tf", CODE)], &["zzz*"]);
    assert_eq!(told(&target), ["error: no variable `zzz` is declared in `env` (declare it: `variable \"zzz\" { type = map(string) }`)"]);
    assert_eq!(told(&inspected("images.json", &[("v.tf", CODE)], &["zzz"])), [""; 0], "a plain JSON file is for whoever reads it");
    let target = inspected("x.tfvars", &[], &["web_ami_id"]);
    assert!(told(&target)[0].starts_with("error: there is no Terraform code in `env` that declares variables"), "{:?}", told(&target));
}

#[test]
fn a_later_file_that_sets_the_same_name_is_told() {
    let later = [("v.tf", CODE), ("z.auto.tfvars", "web_ami_id = \"ami-1\"\n"), ("a.auto.tfvars", "web_ami_id = \"ami-2\"\n")];
    let told_of = |file: &str| told(&inspected(file, &later, &["web_ami_id"]));
    let warning = "warning: `web_ami_id` is set in `env/z.auto.tfvars`, too, which Terraform reads later than `m.auto.tfvars` \
        (remove it from `env/z.auto.tfvars`, or its value stays in force)";
    assert_eq!(told_of("m.auto.tfvars"), [warning]);
    assert_eq!((told_of("terraform.tfvars").len(), told_of("z.auto.tfvars.json").len(), told_of("production.tfvars").len()), (2, 0, 0));
}

#[test]
fn code_that_cannot_be_read_makes_a_missing_name_a_warning() {
    let target = inspected("x.tfvars", &[("v.tf", CODE), ("w.tf", "variable \"a\" {\n")], &["web_ami_id", "other"]);
    let told = told(&target);
    assert!(told[0].starts_with("warning: no variable `other` is declared in `env`, as far as it can be read"), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn what_an_edit_would_refuse_is_known_beforehand() {
    for (file, before, _, _) in REFUSED {
        let Ok(text) = std::str::from_utf8(before) else { continue };
        let names: &[&str] = if text.starts_with('m') { &["m*"] } else { &["a"] };
        let code = "variable \"a\" {}\nvariable \"m\" {}\n";
        let target = inspected(file, &[("v.tf", code), (file, text)], names);
        let fits = text.contains("a = \"x\"\n") && !text.contains("a = \"y\"") && !text.starts_with('\u{feff}');
        assert_eq!(target.problems.iter().any(|p| p.severity == Severity::Error), !fits, "{text:?}: {:?}", told(&target));
    }
}

#[test]
fn a_folder_that_is_missing_is_a_problem_at_the_emit() {
    let emit = Emit { path: PathBuf::from("no/x.tfvars"), names: Vec::new(), span: 0..0 };
    let root = tempfile::tempdir().unwrap();
    let target = inspect(root.path(), &Arc::new(SourceText { path: "o.hcl".into(), text: String::new() }), &emit);
    assert_eq!(told(&target), ["error: `no/x.tfvars` cannot be written: its folder is missing or not writable"]);
}

#[test]
fn a_diff_shows_the_line() {
    let new = edit(Path::new("env/x.tfvars"), Some(b"a = \"x\"\n"), &values("a=ami-1")).unwrap();
    assert_eq!(
        diff(Path::new("env/x.tfvars"), Some(b"a = \"x\"\n"), &new),
        "--- a/env/x.tfvars\n+++ b/env/x.tfvars\n@@ -1,1 +1,1 @@\n-a = \"x\"\n+a = \"ami-1\"\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Lines of many kinds in any order: whatever passes changes in its own line only, and nothing panics.
    #[test]
    fn other_lines_stay_as_they_are(lines in prop::collection::vec(0..10_usize, 0..12), crlf in any::<bool>(), last in any::<bool>()) {
        const LINES: [&str; 10] = [
            "n = 1", "# a = \"c\"", "", "b   = \"\\u00e9\"  // x", "m = { k = \"v\" }", "h = <<EOT\na = \"no\"\nEOT", "l = [\"a\",\n  1]",
            "t = \"a ${x} $${y}\"", "/* a\n = */", "a = \"ami-0\" # a",
        ];
        let eol = if crlf { "\r\n" } else { "\n" };
        let mut seen = std::collections::BTreeSet::new();
        let chosen: Vec<String> =
            lines.into_iter().filter(|n| seen.insert(*n)).map(|n| LINES[n].replace('\n', eol)).collect();
        let text = chosen.join(eol) + if last { eol } else { "" };
        let new = edit(Path::new("x.tfvars"), Some(text.as_bytes()), &values("a=ami-1")).map(|b| String::from_utf8(b).unwrap());
        let Ok(new) = new else { return Err(TestCaseError::fail(format!("{text:?} is refused: {new:?}"))) };
        if seen.contains(&9) {
            prop_assert_eq!(new, text.replace("\"ami-0\"", "\"ami-1\""));
        } else {
            prop_assert!(new.starts_with(&text) && new.trim_end().ends_with("= \"ami-1\""), "{:?} → {:?}", text, new);
            prop_assert!(!crlf || !text.contains('\n') || !new.replace("\r\n", "").contains('\n'), "{:?}", new);
        }
    }

    #[test]
    fn no_bytes_panic(text in "[a-c=\"{}\\[\\],:# \r\n\\\\$\\u{feff}0-9]{0,40}") {
        for file in ["x.tfvars", "x.tfvars.json"] {
            if let Ok(new) = edit(Path::new(file), Some(text.as_bytes()), &values("a=ami-1 m={r:ami-2}")) {
                let again = edit(Path::new(file), Some(&new), &values("a=ami-1 m={r:ami-2}")).unwrap();
                prop_assert_eq!(again, new);
            }
        }
    }
}
