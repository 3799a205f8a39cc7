//! Every bad pipeline file says what is wrong, where, and what to do; nothing is touched by it. Syntax, references, values.
//!
//! What a person reads is held word for word.

use crate::pipeline_tree::*;

#[test]
fn an_unterminated_string_is_reported_where_it_was_opened() {
    insta::assert_snapshot!(refused("\"ap-northeast-1\"", "\"ap-northeast-1"), @r#"
    error: string is not closed on its line
     --> ovenbird.hcl:2:12
      |
    2 |   region = "ap-northeast-1
      |            ^^^^^^^^^^^^^^^ opened here
      |
      = help: close it with `"`; text of several lines is a heredoc: `<<-EOT` … `EOT`

    1 error
    "#);
}

#[test]
fn an_unclosed_block_is_reported_where_it_was_opened() {
    insta::assert_snapshot!(refused("  web_ami_id = stage.web.id\n}\n", "  web_ami_id = stage.web.id\n"), @r#"
    error: `{` is not closed before the end of the file
      --> ovenbird.hcl:28:42
       |
    28 | emit "terraform/live/images.auto.tfvars" {
       |                                          ^ opened here

    1 error
    "#);
}

#[test]
fn text_that_is_not_hcl() {
    insta::assert_snapshot!(refused_text("pipeline: shop\nregion: x\n") + &refused("region = ", "region: "), @r#"
    error: not HCL: invalid structure; expected `{`, `=`, `"` or identifier
     --> ovenbird.hcl:1:9
      |
    1 | pipeline: shop
      |         ^
      |
      = help: HCL sets a value with `=` and opens a block with `{`

    1 error
    error: not HCL: invalid structure; expected `{`, `=`, `"` or identifier
     --> ovenbird.hcl:2:9
      |
    2 |   region: "ap-northeast-1"
      |         ^
      |
      = help: HCL sets a value with `=` and opens a block with `{`

    1 error
    "#);
}

#[test]
fn an_attribute_twice() {
    insta::assert_snapshot!(refused("  region = \"ap-northeast-1\"\n", "  region = \"ap-northeast-1\"\n  region = \"us-west-2\"\n"), @r#"
    error: attribute `region` is set twice
     --> ovenbird.hcl:3:3
      |
    3 |   region = "us-west-2"
      |   ^^^^^^ second time

    1 error
    "#);
}

#[test]
fn one_file_in_two_emits() {
    insta::assert_snapshot!(refused_with("emit \"./terraform/live/images.auto.tfvars\" {\n  base_ami_id = stage.base.id\n}\n"), @r#"
    error: two `emit` blocks write `terraform/live/images.auto.tfvars`
      --> ovenbird.hcl:32:1
       |
    32 | emit "./terraform/live/images.auto.tfvars" {
       | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ second
       |
      ::: ovenbird.hcl:28:1
       |
    28 | emit "terraform/live/images.auto.tfvars" {
       | ---------------------------------------- first
       |
       = help: put all names into one block: it is written only when all of its stages have their image

    1 error
    "#);
}

#[test]
fn an_emit_into_nowhere() {
    insta::assert_snapshot!(["terraform/lve/images.tfvars", "terraform/live/images.yml", "../images.tfvars", "terraform"].map(|path| refused("terraform/live/images.auto.tfvars", path)).concat(), @r#"
    error: there is no folder `terraform/lve` to write `terraform/lve/images.tfvars` into
      --> ovenbird.hcl:28:6
       |
    28 | emit "terraform/lve/images.tfvars" {
       |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: an `emit` writes into a Terraform folder that is there

    1 error
    error: `terraform/live/images.yml` is not a file that Terraform reads values from
      --> ovenbird.hcl:28:6
       |
    28 | emit "terraform/live/images.yml" {
       |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: `.tfvars`, `.tfvars.json` or `.json`

    1 error
    error: `../images.tfvars` is outside the root `[ROOT]`
      --> ovenbird.hcl:28:6
       |
    28 | emit "../images.tfvars" {
       |      ^^^^^^^^^^^^^^^^^^
       |
       = help: only what is below the root can be in the key; `root = "…"` in the `pipeline` block moves it

    1 error
    error: `terraform` is not a file that Terraform reads values from
      --> ovenbird.hcl:28:6
       |
    28 | emit "terraform" {
       |      ^^^^^^^^^^^
       |
       = help: `.tfvars`, `.tfvars.json` or `.json`

    1 error
    "#);
}

#[test]
fn an_emit_of_something_else() {
    insta::assert_snapshot!(["stage.web", "stage.web.name", "stage.web[\"arm64\"].id", "stage.web[\"mips\"].id", "stage.wbe.id", "\"ami-1\"", "source.debian_12.id"].map(|value| refused("stage.web.id", value)).concat(), @r#"
    error: `stage.web` is not an id
      --> ovenbird.hcl:29:16
       |
    29 |   web_ami_id = stage.web
       |                ^^^^^^^^^
       |
       = help: write `stage.web.id`

    1 error
    error: a stage has no `name`
      --> ovenbird.hcl:29:25
       |
    29 |   web_ami_id = stage.web.name
       |                         ^^^^^
       |
       = help: of a stage there are `id` and `ids` (map of region → id)

    1 error
    error: stage `web` is not built for `arm64`
      --> ovenbird.hcl:29:25
       |
    29 |   web_ami_id = stage.web["arm64"].id
       |                         ^^^^^^^^^
       |
       = help: it is built for `x86_64`

    1 error
    error: `mips` is not an architecture (x86_64 or arm64)
      --> ovenbird.hcl:29:25
       |
    29 |   web_ami_id = stage.web["mips"].id
       |                         ^^^^^^^^

    1 error
    error: there is no stage `wbe`
      --> ovenbird.hcl:29:16
       |
    29 |   web_ami_id = stage.wbe.id
       |                ^^^^^^^^^
       |
       = help: did you mean `stage.web`?

    1 error
    error: this takes a reference: stage.NAME.id, stage.NAME["arm64"].id or stage.NAME.ids
      --> ovenbird.hcl:29:16
       |
    29 |   web_ami_id = "ami-1"
       |                ^^^^^^^
       |
       = help: write stage.NAME.id, stage.NAME["arm64"].id or stage.NAME.ids, without quotes

    1 error
    error: `source.debian_12.id` is not a reference to stage.NAME.id, stage.NAME["arm64"].id or stage.NAME.ids
      --> ovenbird.hcl:29:16
       |
    29 |   web_ami_id = source.debian_12.id
       |                ^^^^^^^^^^^^^^^^^^^

    1 error
    "#);
}

#[test]
fn a_variable_without_a_value() {
    insta::assert_snapshot!(refused_with("variable \"consul_version\" {\n}\n"), @r#"
    error: variable `consul_version` has no value
      --> ovenbird.hcl:32:1
       |
    32 | variable "consul_version" {
       | ^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: give it a `default`, or `--var consul_version=…`, `--var-file FILE`, `OVENBIRD_VAR_consul_version`

    1 error
    "#);
}

#[test]
fn a_variable_or_secret_that_nobody_declares() {
    insta::assert_snapshot!(refused("playbook = \"ansible/web.yml\"", "playbook = \"ansible/web.yml\"\n  vars = { a = var.consul, b = secret.datadog }") + &refused_with("variable \"consul_version\" {\n  default = \"1\"\n}\nstage \"api\" {\n  from     = stage.base\n  playbook = \"ansible/web.yml\"\n  vars     = { a = var.consul_versoin }\n}\n"), @r#"
    error: there is no variable `consul`
      --> ovenbird.hcl:26:19
       |
    26 |   vars = { a = var.consul, b = secret.datadog }
       |                   ^^^^^^^
       |
       = help: declare it: `variable "consul" {}`

    error: there is no secret `datadog`
      --> ovenbird.hcl:26:38
       |
    26 |   vars = { a = var.consul, b = secret.datadog }
       |                                      ^^^^^^^^
       |
       = help: declare it: `secret "datadog" { … }`

    2 errors
    error: there is no variable `consul_versoin`
      --> ovenbird.hcl:38:23
       |
    38 |   vars     = { a = var.consul_versoin }
       |                       ^^^^^^^^^^^^^^^
       |
       = help: did you mean `var.consul_version`?

    1 error
    "#);
}

#[test]
fn values_that_are_not_known_yet_stand_in_few_places() {
    insta::assert_snapshot!(refused("  region = \"ap-northeast-1\"\n", "  region = \"ap-northeast-1\"\n  tags = { ami = parent.id }\n") + &refused("playbook = \"ansible/web.yml\"", "playbook = \"ansible/${x86_64}.yml\""), @r#"
    error: `parent.id` is not known here: it is filled in when a step starts
     --> ovenbird.hcl:3:18
      |
    3 |   tags = { ami = parent.id }
      |                  ^^^^^^^^^
      |
      = help: it can stand in `vars`, `packer_vars` and a stage's `name`

    1 error
    error: unknown reference `x86_64`
      --> ovenbird.hcl:25:25
       |
    25 |   playbook = "ansible/${x86_64}.yml"
       |                         ^^^^^^
       |
       = help: a string is written with quotes: `"x86_64"`

    1 error
    "#);
}

#[test]
fn a_secret_stays_out_of_names() {
    insta::assert_snapshot!(refused_with("secret \"datadog\" {\n  env = \"DD\"\n  version = \"1\"\n}\nstage \"api\" {\n  from     = stage.base\n  playbook = \"ansible/web.yml\"\n  name     = \"x-${secret.datadog}\"\n}\n"), @r#"
    error: `secret.datadog` may not stand here
      --> ovenbird.hcl:39:19
       |
    39 |   name     = "x-${secret.datadog}"
       |                   ^^^^^^^^^^^^^^
       |
       = help: a secret can stand in `vars` and `packer_vars`: from there it reaches the tool in a file of mode 0600

    1 error
    "#);
}

#[test]
fn a_secret_is_named_not_written_down_and_the_message_does_not_show_it() {
    insta::assert_snapshot!(refused_with("secret \"datadog\" {\n  env = \"hunter2!\"\n  version = \"1\"\n  value = \"hunter2!\"\n}\n"), @r"
    error: `env` takes the name of an environment variable
    --> ovenbird.hcl:33:9
     = help: the value itself must not stand in this file

    error: unknown attribute `value` in secret `datadog`
    --> ovenbird.hcl:35:3
     = help: it takes `env` and `version`

    2 errors
    ");
}

#[test]
fn an_architecture_that_the_parent_lacks() {
    insta::assert_snapshot!(refused("from     = stage.base", "from     = stage.base\n  architectures = [\"arm64\"]") + &refused("ami \"x86_64\"", "ami \"amd64\""), @r#"
    error: `stage.base` is not there for `arm64`
      --> ovenbird.hcl:25:20
       |
    25 |   architectures = ["arm64"]
       |                    ^^^^^^^ it has `x86_64`
       |
      ::: ovenbird.hcl:24:14
       |
    24 |   from     = stage.base
       |              ---------- the parent
       |
       = help: add `arm64` to the parent first

    1 error
    error: `amd64` is not an architecture (x86_64 or arm64)
      --> ovenbird.hcl:10:7
       |
    10 |   ami "amd64" {
       |       ^^^^^^^
       |
       = help: EC2 calls it `x86_64`

    1 error
    "#);
}

#[test]
fn tags_that_ec2_or_ovenbird_keep() {
    insta::assert_snapshot!(refused("  region = \"ap-northeast-1\"\n", "  region = \"ap-northeast-1\"\n  tags = {\n    \"aws:x\"        = \"1\"\n    \"ovenbird:key\" = \"1\"\n  }\n"), @r#"
    error: tag key `aws:x` starts with `aws:`
     --> ovenbird.hcl:4:5
      |
    4 |     "aws:x"        = "1"
      |     ^^^^^^^
      |
      = help: EC2 keeps that prefix for itself

    error: tag key `ovenbird:key` starts with `ovenbird:`
     --> ovenbird.hcl:5:5
      |
    5 |     "ovenbird:key" = "1"
      |     ^^^^^^^^^^^^^^
      |
      = help: ovenbird finds images by tags with that prefix and writes them itself

    2 errors
    "#);
}

#[test]
fn what_no_region_duration_or_constraint_is() {
    insta::assert_snapshot!(refused("ap-northeast-1", "ap-northeast-1a") + &refused("~> 1.15", "latest") + &refused("from     = stage.base", "from     = stage.base\n  freshness = \"36h\""), @r#"
    error: `ap-northeast-1a` is not a region
     --> ovenbird.hcl:2:12
      |
    2 |   region = "ap-northeast-1a"
      |            ^^^^^^^^^^^^^^^^^
      |
      = help: that is a zone; its region is `ap-northeast-1`

    1 error
    error: `latest` is not a version constraint (`~> 1.15`, `>= 2.19, < 3`)
     --> ovenbird.hcl:6:12
      |
    6 |   packer = "latest"
      |            ^^^^^^^^

    1 error
    error: `freshness` takes whole days, here is `36h`
      --> ovenbird.hcl:25:15
       |
    25 |   freshness = "36h"
       |               ^^^^^
       |
       = help: `"7d"` or `"2w"`

    1 error
    "#);
}

#[test]
fn a_source_that_cannot_be_found() {
    insta::assert_snapshot!(refused("    owners = [\"136693071363\"]\n", "") + &refused("    owners = [\"136693071363\"]\n", "    id = \"ami-1\"\n") + &refused("    owners = [\"136693071363\"]\n    name   = \"debian-12-amd64-*\"\n", "    id = \"ami-1\"\n"), @r#"
    error: ami `x86_64` needs `owners`
      --> ovenbird.hcl:10:3
       |
    10 |   ami "x86_64" {
       |   ^^^^^^^^^^^^
       |
       = help: without it, anybody's public image of that name would be taken: `owners = ["136693071363"]`

    1 error
    error: ami `x86_64` has both `id` and `name`
      --> ovenbird.hcl:12:5
       |
    12 |     name   = "debian-12-amd64-*"
       |     ^^^^
       |
       = help: one way to find it is enough

    1 error
    error: `ami-1` is not the id of an AMI
      --> ovenbird.hcl:11:10
       |
    11 |     id = "ami-1"
       |          ^^^^^^^
       |
       = help: `ami-` and 8 or 17 hex digits

    1 error
    "#);
}

#[test]
fn a_missing_block_or_attribute() {
    insta::assert_snapshot!(refused_text("stage \"base\" {\n}\n") + &refused("  region = \"ap-northeast-1\"\n", ""), @r#"
    error: stage `base` needs `from`
     --> ovenbird.hcl:1:1
      |
    1 | stage "base" {
      | ^^^^^^^^^^^^
      |
      = help: `from`: what it boots from

    error: there is no `pipeline` block
    --> ovenbird.hcl:1:1
     = help: start with a block `pipeline "NAME"` that sets `region`

    warning: no `tools` block: the versions of Packer and Ansible are not in the key
    --> ovenbird.hcl:1:1
     = help: add a block `tools` with `packer = "~> 1.15"` and `ansible_core = "~> 2.19.0"`

    error: stage `base` has neither `playbook` nor `template`
     --> ovenbird.hcl:1:1
      |
    1 | stage "base" {
      | ^^^^^^^^^^^^
      |
      = help: say what provisions it: `playbook = "ansible/….yml"`, or `template = "packer/…"` for an existing Packer template

    3 errors, 1 warning
    error: pipeline `shop` needs `region`
     --> ovenbird.hcl:1:1
      |
    1 | pipeline "shop" {
      | ^^^^^^^^^^^^^^^
      |
      = help: `region`: where builds run

    1 error
    "#);
}

#[test]
fn labels_are_counted() {
    insta::assert_snapshot!(refused("pipeline \"shop\"", "pipeline") + &refused("stage \"web\"", "stage \"web\" \"x86_64\""), @r#"
    error: `pipeline` takes 1 label, here are 0
     --> ovenbird.hcl:1:1
      |
    1 | pipeline {
      | ^^^^^^^^
      |
      = help: write `pipeline "NAME" { … }`

    1 error
    error: `stage` takes 1 label, here are 2
      --> ovenbird.hcl:23:1
       |
    23 | stage "web" "x86_64" {
       | ^^^^^^^^^^^^^^^^^^^^
       |
       = help: write `stage "NAME" { … }`

    1 error
    "#);
}

#[test]
fn a_swap_is_checked_too() {
    insta::assert_snapshot!(refused_with("swap \"production\" {\n  stage     = stage.wep\n  directory = \"terraform/lives\"\n  tfvars    = \"x/y.tfvars\"\n  live      = 5\n  test      = \"elb-test\"\n  record    = \"gti\"\n  blue { grup = \"g\" }\n  gate \"strat\" { timeout = \"15\" }\n}\n"), @r#"
    error: swap `production` needs a `green` block
      --> ovenbird.hcl:32:1
       |
    32 | swap "production" {
       | ^^^^^^^^^^^^^^^^^
       |
       = help: `green { group = "aws_autoscaling_group.green" }`

    error: there is no stage `wep`
      --> ovenbird.hcl:33:15
       |
    33 |   stage     = stage.wep
       |               ^^^^^^^^^
       |
       = help: did you mean `stage.web`?

    error: there is no Terraform folder `terraform/lives`
      --> ovenbird.hcl:34:15
       |
    34 |   directory = "terraform/lives"
       |               ^^^^^^^^^^^^^^^^^
       |
       = help: did you mean `terraform/live`?

    error: `tfvars` takes the name of a `.tfvars` file in `directory`, here is `x/y.tfvars`
      --> ovenbird.hcl:35:15
       |
    35 |   tfvars    = "x/y.tfvars"
       |               ^^^^^^^^^^^^

    error: `live` takes the name of a load balancer
      --> ovenbird.hcl:36:15
       |
    36 |   live      = 5
       |               ^
       |
       = help: `"elb-prd"`, or `{ value = "…", target_group = "arn:…" }` for an ALB

    error: `record` does not take `gti`
      --> ovenbird.hcl:38:15
       |
    38 |   record    = "gti"
       |               ^^^^^
       |
       = help: did you mean `git`?

    error: unknown attribute `grup` in block `blue`
      --> ovenbird.hcl:39:10
       |
    39 |   blue { grup = "g" }
       |          ^^^^
       |
       = help: did you mean `group`?

    error: `gate` does not take `strat`
      --> ovenbird.hcl:40:8
       |
    40 |   gate "strat" { timeout = "15" }
       |        ^^^^^^^
       |
       = help: did you mean `start`?

    error: `timeout` takes a duration, here is `15`
      --> ovenbird.hcl:40:28
       |
    40 |   gate "strat" { timeout = "15" }
       |                            ^^^^
       |
       = help: `"90s"`, `"15m"`, `"1h30m"`

    9 errors
    "#);
}

#[test]
fn functions_are_not_evaluated() {
    insta::assert_snapshot!(refused("playbook = \"ansible/web.yml\"", "playbook = format(\"%s\", \"x\")"), @r#"
    error: function `format` is not evaluated here
      --> ovenbird.hcl:25:14
       |
    25 |   playbook = format("%s", "x")
       |              ^^^^^^

    1 error
    "#);
}

#[test]
fn everything_at_once_in_the_order_of_the_file() {
    insta::assert_snapshot!(refused_text("pipeline \"my shop\" {\n  regoin = \"x\"\n}\nsource \"s\" {\n}\nstage \"a\" {\n  from = stage.b\n  playbook = \"nope.yml\"\n}\nstage \"b\" {\n  from = stage.a\n  playbook = 5\n}\nemit \"x.txt\" {\n  y = stage.c.id\n}\n"), @r#"
    warning: no `tools` block: the versions of Packer and Ansible are not in the key
     --> ovenbird.hcl:1:1
      |
    1 | pipeline "my shop" {
      | ^^^^^^^^^^^^^^^^^^
      |
      = help: add a block `tools` with `packer = "~> 1.15"` and `ansible_core = "~> 2.19.0"`

    error: `my shop` is not a name: lowercase ASCII letters and digits, single `-` or `_` between them, first a letter
     --> ovenbird.hcl:1:10
      |
    1 | pipeline "my shop" {
      |          ^^^^^^^^^
      |
      = help: names stand in tags, file names, AMI names and Docker repositories

    error: unknown attribute `regoin` in pipeline `my shop`
     --> ovenbird.hcl:2:3
      |
    2 |   regoin = "x"
      |   ^^^^^^
      |
      = help: did you mean `region`?

    error: source `s` needs `ssh_username`
     --> ovenbird.hcl:4:1
      |
    4 | source "s" {
      | ^^^^^^^^^^
      |
      = help: `ssh_username`: user that Packer logs in as

    error: source `s` has no `ami`
     --> ovenbird.hcl:4:1
      |
    4 | source "s" {
      | ^^^^^^^^^^
      |
      = help: say how to find its AMI: `ami "x86_64" { … }` with `owners` and `name`, or `id`, or `ssm_parameter`

    error: stages boot from each other in a circle: a → b → a
      --> ovenbird.hcl:7:10
       |
     7 |   from = stage.b
       |          ^^^^^^^ `a` boots from `b`
       |
      ::: ovenbird.hcl:11:10
       |
    11 |   from = stage.a
       |          ------- `b` boots from `a`
       |
       = help: one of them has to boot from a source

    error: there is no playbook `nope.yml`
     --> ovenbird.hcl:8:14
      |
    8 |   playbook = "nope.yml"
      |              ^^^^^^^^^^

    error: `playbook` takes a string, here is a number
      --> ovenbird.hcl:12:14
       |
    12 |   playbook = 5
       |              ^
       |
       = help: write `"5"`

    error: `x.txt` is not a file that Terraform reads values from
      --> ovenbird.hcl:14:6
       |
    14 | emit "x.txt" {
       |      ^^^^^^^
       |
       = help: `.tfvars`, `.tfvars.json` or `.json`

    error: there is no stage `c`
      --> ovenbird.hcl:15:7
       |
    15 |   y = stage.c.id
       |       ^^^^^^^
       |
       = help: did you mean `stage.a`?

    9 errors, 1 warning
    "#);
}
