//! What cannot be said by replacing a word in a pipeline file: bytes, links, sizes, what is given from outside, the lock file; and
//! what loads.

use std::path::PathBuf;
use std::time::Duration;

use ovenbird::config::gate::GateStep;
use ovenbird::config::lock_file;
use ovenbird::config::pipeline::{AmiQuery, EmitValue, Recipe, StateLocation};
use ovenbird::model::node::Architecture;
use ovenbird::model::value::{Reference, Value};
use ovenbird::report::problems::render;

use crate::pipeline_tree::{GOOD, Tree};

#[test]
fn a_file_that_is_no_text() {
    let tree = Tree::new();
    tree.write("ovenbird.hcl", b"\x7fELF\x02\x01\x01\0\0\0");
    let binary = tree.refused();
    tree.write("ovenbird.hcl", b"pipeline \"shop\" {\n  region = \"\xe9\"\n}\n");
    insta::assert_snapshot!(binary + &tree.refused(), @r#"
    error: file is not text: a NUL byte (0x00) at offset 7
     --> ovenbird.hcl:1:8
      |
    1 | �ELF����
      |        ^
      |
      = help: HCL is UTF-8 text; is this the right file?

    1 error
    error: file is not text: a byte that is not UTF-8 (0xe9) at offset 30
     --> ovenbird.hcl:2:13
      |
    2 |   region = "�
      |             ^
      |
      = help: HCL is UTF-8 text; is this the right file?

    1 error
    "#);
}

#[test]
fn a_file_of_10_mb_is_refused_by_its_size() {
    let tree = Tree::new();
    tree.write("ovenbird.hcl", &vec![b'\n'; 10 << 20]);
    insta::assert_snapshot!(tree.refused(), @r"
    error: file has 10485760 bytes, at most 1048576 are read
    --> ovenbird.hcl:1:1
     = help: is this the right file?

    1 error
    ");
}

#[test]
fn no_file_at_all() {
    let tree = Tree::new();
    std::fs::remove_file(tree.root().join("ovenbird.hcl")).unwrap();
    insta::assert_snapshot!(tree.refused(), @r"
    error: there is no pipeline file `[ROOT]/ovenbird.hcl`
     |
     = help: `ovenbird init` writes one here; `--file` names another one

    1 error
    ");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let tree = Tree::new();
    std::fs::remove_file(tree.root().join("ansible/web.yml")).unwrap();
    std::os::unix::fs::symlink(outside.path(), tree.root().join("ansible/out")).unwrap();
    std::os::unix::fs::symlink("/etc/hosts", tree.root().join("ansible/web.yml")).unwrap();
    insta::assert_snapshot!(tree.refused(), @r#"
    error: `ansible/web.yml` leads outside the root `[ROOT]` through a symlink
      --> ovenbird.hcl:25:14
       |
    25 |   playbook = "ansible/web.yml"
       |              ^^^^^^^^^^^^^^^^^
       |
       = help: what it points to would not be in the key; copy it into the root

    1 error
    "#);
}

#[test]
fn a_secret_without_a_value_is_a_warning_until_something_runs() {
    let mut tree = Tree::new();
    let text =
        GOOD.replacen("playbook = \"ansible/web.yml\"", "playbook = \"ansible/web.yml\"\n  vars     = { dd_key = secret.datadog }", 1);
    tree.write(
        "ovenbird.hcl",
        format!("{text}\nsecret \"datadog\" {{\n  env     = \"DD_API_KEY\"\n  version = \"2026-11\"\n}}\n").as_bytes(),
    );
    let loaded = tree.load().unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    tree.require_secrets = true;
    insta::assert_snapshot!(tree.refused(), @r#"
    error: secret `datadog` has no value: `DD_API_KEY` is not set
      --> ovenbird.hcl:33:1
       |
    33 | secret "datadog" {
       | ^^^^^^^^^^^^^^^^
       |
       = help: set `DD_API_KEY` in the environment of the build

    1 error
    "#);
    tree.secrets.push("DD_API_KEY".to_owned());
    let web = tree.load().unwrap().pipeline.stages.remove(1);
    assert_eq!(web.vars["dd_key"].references(), [&Reference::Secret("datadog".to_owned().try_into().unwrap())]);
}

#[test]
fn variables_from_outside_win_in_order_and_are_checked() {
    let mut tree = Tree::new();
    let text = GOOD.replacen(
        "playbook = \"ansible/web.yml\"",
        "playbook = \"ansible/web.yml\"\n  vars     = { text = var.text, count = var.count, list = var.list, all = \"${var.text}-${var.count}\" }",
        1,
    );
    let variables = "variable \"text\" {\n}\nvariable \"count\" { default = 1 }\nvariable \"list\" { default = [] }\n";
    tree.write("ovenbird.hcl", format!("{text}\n{variables}").as_bytes());
    tree.write("a.vars", b"text = \"file\"\ncount = 2\nlist = [\"a\"]\n");
    tree.var_files = vec![tree.root().join("a.vars")];
    let vars = |tree: &Tree| tree.load().unwrap().pipeline.stages.remove(1).vars;
    assert_eq!(vars(&tree)["all"], Value::String("file-2".to_owned()));
    tree.env_vars.insert("OVENBIRD_VAR_text".to_owned(), "env".to_owned());
    tree.env_vars.insert("OVENBIRD_VAR_txt".to_owned(), "env".to_owned());
    assert_eq!(vars(&tree)["all"], Value::String("env-2".to_owned()));
    tree.vars = vec![("text".to_owned(), "first".to_owned()), ("text".to_owned(), "5".to_owned()), ("count".to_owned(), "3.50".to_owned())];
    assert_eq!(vars(&tree)["text"], Value::String("5".to_owned()));
    assert_eq!(vars(&tree)["count"], Value::Number("3.5".to_owned()));
    assert_eq!(vars(&tree)["list"], Value::List(vec![Value::String("a".to_owned())]));
    let warnings = tree.load().unwrap().warnings;
    assert_eq!(warnings[0].summary, "`OVENBIRD_VAR_txt` is set, but there is no variable `txt`");

    tree.vars =
        vec![("txt".to_owned(), "x".to_owned()), ("count".to_owned(), "many".to_owned()), ("list".to_owned(), "1\nb = 2".to_owned())];
    tree.write("a.vars", b"text = var.x\ncuont = 2\n");
    insta::assert_snapshot!(tree.refused(), @r#"
    warning: `OVENBIRD_VAR_txt` is set, but there is no variable `txt`
     |
     = help: did you mean `OVENBIRD_VAR_text`?

    error: `var.x` is a reference; values here are literal
     --> [ROOT]/a.vars:1:8
      |
    1 | text = var.x
      |        ^^^^^
      |
      = help: a string is written with quotes

    error: there is no variable `cuont`
     --> [ROOT]/a.vars:2:1
      |
    2 | cuont = 2
      | ^^^^^
      |
      = help: did you mean `count`?

    error: there is no variable `txt`
     --> --var:1:1
      |
    1 | txt=x
      | ^^^
      |
      = help: did you mean `text`?

    error: variable `list` takes a list, as its default is one
     --> --var:1:6
      |
    1 |   list=1
      |  ______^
    2 | | b = 2
      | |_____^
      |
      = help: write it as in the pipeline file: `5`, `true`, `["a", "b"]`

    error: variable `count` takes a number, as its default is one
     --> --var:1:7
      |
    1 | count=many
      |       ^^^^
      |
      = help: write it as in the pipeline file: `5`, `true`, `["a", "b"]`

    5 errors, 1 warning
    "#);
}

#[test]
fn a_lock_file_that_cannot_be_read() {
    let tree = Tree::new();
    let mut said = String::new();
    for lock in [
        "format = 2\nwhatever [\n",
        "format = 1\n\n<<<<<<< HEAD\nstage \"base\" {\n=======\n",
        "format = 1\n\nstage \"base\" {\n  generatoin = 1\n}\n\nsauce \"x\" {\n}\n",
        "format = 1\n\nsource \"debian_12\" \"x86_64\" {\n  region = \"r\"\n  id = \"ami-1\"\n  name = 5\n  pinned = \"yesterday\"\n}\n",
        "format = 1\n\ngalaxy \"r.yml\" {\n  requirements = \"sha256:1\"\n}\n\nstage \"base\" {\n  generation = -1\n}\n",
        "",
    ] {
        tree.write("ovenbird.lock", lock.as_bytes());
        said += &tree.refused();
    }
    insta::assert_snapshot!(said, @r#"
    error: lock file has format 2, this ovenbird reads up to 1
     --> ovenbird.lock:1:1
      |
    1 | format = 2
      | ^^^^^^^^^^ written by a newer ovenbird
      |
      = help: use the ovenbird that wrote it, or a newer one

    1 error
    error: lock file holds an unresolved merge conflict
     --> ovenbird.lock:3:1
      |
    3 | <<<<<<< HEAD
      | ^^^^^^^^^^^^ git's mark
      |
      = help: resolve it, or delete the block and run `ovenbird update`: what is missing is pinned again

    1 error
    error: unknown block `sauce` in the lock file
     --> ovenbird.lock:7:1
      |
    7 | sauce "x" {
      | ^^^^^
      |
      = help: blocks here are `source`, `stage` and `galaxy`

    error: unknown attribute `generatoin` in stage `base`
     --> ovenbird.lock:4:3
      |
    4 |   generatoin = 1
      |   ^^^^^^^^^^
      |
      = help: did you mean `generation`?

    2 errors
    error: `name` takes a string, here is a number
     --> ovenbird.lock:6:10
      |
    6 |   name = 5
      |          ^
      |
      = help: write `"5"`

    error: `yesterday` is not a day
     --> ovenbird.lock:7:12
      |
    7 |   pinned = "yesterday"
      |            ^^^^^^^^^^^
      |
      = help: `2026-11-22`

    2 errors
    error: `generation` takes a whole number, here is `-1`
     --> ovenbird.lock:8:16
      |
    8 |   generation = -1
      |                ^^

    error: galaxy `r.yml` needs `content`
     --> ovenbird.lock:3:1
      |
    3 | galaxy "r.yml" {
      | ^^^^^^^^^^^^^^
      |
      = help: `content`: digest of what was installed

    error: galaxy `r.yml` needs `versions`
     --> ovenbird.lock:3:1
      |
    3 | galaxy "r.yml" {
      | ^^^^^^^^^^^^^^
      |
      = help: `versions`: what was installed

    error: `sha256:1` is not a digest (`sha256:` and 64 hex digits)
     --> ovenbird.lock:4:18
      |
    4 |   requirements = "sha256:1"
      |                  ^^^^^^^^^^

    4 errors
    error: the lock file needs `format`
    --> ovenbird.lock:1:1
     = help: `format`: format of the lock file

    1 error
    "#);
}

#[test]
fn problems_of_both_files_come_together() {
    let tree = Tree::new();
    tree.write("ovenbird.hcl", GOOD.replacen("stage.base", "stage.bass", 1).as_bytes());
    tree.write("ovenbird.lock", b"format = 9\n");
    insta::assert_snapshot!(tree.refused(), @r"
    error: there is no stage `bass`
      --> ovenbird.hcl:24:14
       |
    24 |   from     = stage.bass
       |              ^^^^^^^^^^
       |
       = help: did you mean `stage.base`?

    error: lock file has format 9, this ovenbird reads up to 1
     --> ovenbird.lock:1:1
      |
    1 | format = 9
      | ^^^^^^^^^^ written by a newer ovenbird
      |
      = help: use the ovenbird that wrote it, or a newer one

    2 errors
    ");
}

#[test]
fn a_pipeline_file_may_lie_below_the_root() {
    let tree = Tree::new();
    std::fs::create_dir(tree.root().join(".git")).unwrap();
    let sub = Tree::new();
    for (path, bytes) in sub.files() {
        tree.write(&format!("images/{}", path.strip_prefix(sub.root()).unwrap().display()), &bytes);
    }
    let request = |file: &str| {
        let empty = std::collections::BTreeMap::new();
        ovenbird::config::load::load(&ovenbird::config::load::LoadRequest {
            file: tree.root().join(file),
            root: None,
            vars: vec![],
            var_files: vec![],
            env_vars: empty,
            env_present: &|_| true,
            require_secrets: true,
        })
    };
    let pipeline = request("images/ovenbird.hcl").unwrap().pipeline;
    assert_eq!(pipeline.root, tree.root());
    assert_eq!(pipeline.emits[0].path, PathBuf::from("images/terraform/live/images.auto.tfvars"));
    assert_eq!(pipeline.state, StateLocation::Folder(tree.root().join("images/.ovenbird/state")));
    tree.write("images/ovenbird.hcl", GOOD.replacen("region =", "root = \".\"\n  region =", 1).as_bytes());
    let pipeline = request("images/ovenbird.hcl").unwrap().pipeline;
    assert_eq!(pipeline.root, tree.root().join("images"));
    assert!(matches!(&pipeline.stages[0].recipe, Recipe::Playbook { playbook, template }
        if playbook == &PathBuf::from("ansible/base.yml") && template == &PathBuf::from("packer")));
}

/// The file of the product's description, as far as one tree can hold it.
pub(crate) const EVERYTHING: &str = r#"
pipeline "shop" {
  region  = "ap-northeast-1"
  regions = ["us-west-2", "ap-northeast-1"]
  tags    = { team = "platform" }
  state   = "s3://acme-images/ovenbird"
}

tools {
  packer       = "~> 1.15"
  ansible_core = "~> 2.19.0"
}

builder {
  instance_type = "t3.medium"
  spot          = true
  subnet_tags   = { tier = "build" }
  ssh_interface = "private_ip"
}

variable "consul_version" { default = "1.21.0" }

secret "datadog" {
  env     = "DD_API_KEY"
  version = "2026-11"
}

source "debian_12" {
  ami "x86_64" {
    owners = ["136693071363"]
    name   = "debian-12-amd64-*"
  }
  ami "arm64" {
    ssm_parameter = "/aws/service/debian"
  }
  docker       = "debian:12"
  ssh_username = "admin"
}

stage "web" {
  from          = stage.base
  architectures = ["arm64", "x86_64"]
  playbook      = "ansible/web.yml"
  groups        = ["web"]
  vars          = { consul_version = var.consul_version, dd_key = secret.datadog, port = 8080 }
  verify        = "ansible/web.yml"
  name          = "web-${architecture}-${artifact.name}"
  dry_run {
    skip_tags  = ["kernel"]
    idempotent = false
  }
  image {
    encrypted = true
  }
  builder {
    spot = false
  }
}

stage "base" {
  from      = source.debian_12
  playbook  = "ansible/base.yml"
  galaxy    = ["ansible/requirements.yml"]
  freshness = "7d"
}

stage "legacy" {
  from          = source.debian_12
  architectures = ["x86_64"]
  template      = "legacy/app.json"
  only          = ["amazon-ebs"]
  packer_vars   = { source_ami = parent.id, ami_name = artifact.name }
  var_files     = ["legacy/vars.pkrvars.hcl"]
  inputs        = ["files/**"]
}

emit "terraform/live/images.auto.tfvars" {
  web_ami_id  = stage.web.id
  web_arm_id  = stage.web["arm64"].id
  web_ami_ids = stage.web.ids
}

swap "staging" {
  stage     = stage.web
  directory = "terraform/live"
  tfvars    = "variables.tfvars"
  live      = "elb-stg"
  test      = { value = "elb", target_group = "arn:x" }
  blue { group = "module.web.aws_autoscaling_group.blue" }
  green { group = "module.web.aws_autoscaling_group.green" }
}

swap "production" {
  stage     = stage.web
  requires  = swap.staging
  directory = "terraform/live"
  tfvars    = "variables.tfvars"
  live      = "elb-prd"
  test      = "elb-test"
  terraform {
    command   = "terraform"
    workspace = "production"
  }
  blue { group = "module.web.aws_autoscaling_group.blue" }
  green { group = "module.web.aws_autoscaling_group.green" }
  gate "start" {
    http "health" { url = "http://test.example/health" }
    codedeploy = "app/app"
    command    = ["./smoke.sh"]
    timeout    = "15m"
  }
  gate "leave" { soak = "10m" }
}
"#;

#[test]
fn everything_that_the_description_shows_loads() {
    let mut tree = Tree::new();
    tree.secrets.push("DD_API_KEY".to_owned());
    tree.write("ovenbird.hcl", EVERYTHING.as_bytes());
    let loaded = tree.load().unwrap_or_else(|problems| panic!("{}", render(&problems, false, 110)));
    assert_eq!(loaded.warnings, []);
    assert!(!loaded.lock_existed);
    let pipeline = loaded.pipeline;
    assert_eq!(pipeline.regions, ["us-west-2"]);
    assert_eq!(pipeline.state, StateLocation::S3 { bucket: "acme-images".to_owned(), prefix: "ovenbird".to_owned() });
    let source = pipeline.sources.values().next().unwrap();
    assert_eq!(source.amis[&Architecture::Arm64], AmiQuery::SsmParameter("/aws/service/debian".to_owned()));
    let web = &pipeline.stages[0];
    assert_eq!(web.architectures, [Architecture::X86_64, Architecture::Arm64]);
    assert_eq!(pipeline.stages[1].architectures, [Architecture::X86_64, Architecture::Arm64]);
    assert_eq!(pipeline.stages[1].freshness_days, Some(7));
    assert_eq!(web.builder.values["spot"], Value::Bool(false));
    assert_eq!(web.builder.values["instance_type"], Value::String("t3.medium".to_owned()));
    assert_eq!(web.vars["port"], Value::Number("8080".to_owned()));
    assert!(!web.dry_run.idempotent);
    assert_eq!(
        web.ami_name.as_ref().unwrap().references(),
        [&Reference::Architecture, &Reference::ArtifactName],
        "a name of pieces keeps its references"
    );
    let Recipe::Template { packer_vars, only, dry_run_only, .. } = &pipeline.stages[2].recipe else { panic!("a template") };
    assert_eq!(packer_vars["source_ami"], Value::Ref(Reference::ParentId));
    assert_eq!((only.len(), dry_run_only.len()), (1, 0));
    let emitted: Vec<_> = pipeline.emits[0].names.iter().map(|n| n.value.node().1).collect();
    assert_eq!(emitted, [Architecture::X86_64, Architecture::Arm64, Architecture::X86_64]);
    assert!(matches!(pipeline.emits[0].names[2].value, EmitValue::Ids { .. }));
    let production = &pipeline.swaps[1];
    assert_eq!(production.requires.as_ref().unwrap().as_str(), "staging");
    let start = &production.gates[&GateStep::Start];
    assert_eq!(
        start.probes.iter().map(|probe| (&*probe.name, &*probe.url)).collect::<Vec<_>>(),
        [("health", "http://test.example/health")]
    );
    assert_eq!(production.gates[&GateStep::Leave].soak, Duration::from_mins(10));
}

#[test]
fn the_pipeline_files_of_this_repository_load() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for (file, stages) in [("examples/small/ovenbird.hcl", 3), ("ovenbird.hcl", 4)] {
        let loaded = ovenbird::config::load::load(&ovenbird::config::load::LoadRequest {
            file: root.join(file),
            root: None,
            vars: vec![],
            var_files: vec![],
            env_vars: std::collections::BTreeMap::new(),
            env_present: &|_| false,
            require_secrets: false,
        })
        .unwrap_or_else(|problems| panic!("{}", render(&problems, false, 110)));
        assert_eq!((loaded.pipeline.stages.len(), loaded.warnings), (stages, vec![]), "{file}");
    }
}

#[test]
fn no_tools_block_is_a_warning() {
    let tree = Tree::new();
    tree.write("ovenbird.hcl", GOOD.replacen("tools {\n  packer = \"~> 1.15\"\n}\n", "", 1).as_bytes());
    let warnings = tree.load().unwrap().warnings;
    assert_eq!(warnings[0].summary, "no `tools` block: the versions of Packer and Ansible are not in the key");
}

#[test]
fn a_lock_file_is_read_back() {
    let tree = Tree::new();
    let text = "# Written by ovenbird; commit it. `ovenbird update` moves what is pinned here.\nformat = 1\n\nsource \"debian_12\" \"x86_64\" {\n  region = \"ap-northeast-1\"\n  id     = \"ami-0d3c51df4b4a7ba4f\"\n  name   = \"debian-12-amd64-20261116-2299\"\n  pinned = \"2026-11-16\"\n}\n\nstage \"base\" {\n  freshness  = \"2026-11-22\"\n  generation = 2\n}\n";
    tree.write("ovenbird.lock", text.as_bytes());
    let loaded = tree.load().unwrap();
    assert!(loaded.lock_existed);
    assert_eq!(loaded.pins.stages.values().next().unwrap().generation, 2);
    assert_eq!(lock_file::write(&loaded.pins), text);
}
