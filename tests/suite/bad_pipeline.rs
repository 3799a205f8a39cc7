//! Every bad pipeline file says what is wrong, where, and what to do; nothing is touched by it. Files, names and paths.
//!
//! What a person reads is held word for word.

use crate::pipeline_tree::*;

#[test]
fn an_unknown_attribute_is_named_with_the_nearest_one() {
    insta::assert_snapshot!(refused("playbook = \"ansible/web.yml\"", "playbok = \"ansible/web.yml\""), @r#"
    error: unknown attribute `playbok` in stage `web`
      --> ovenbird.hcl:25:3
       |
    25 |   playbok = "ansible/web.yml"
       |   ^^^^^^^
       |
       = help: did you mean `playbook`?

    1 error
    "#);
}

#[test]
fn an_unknown_block_is_named_with_the_nearest_one() {
    insta::assert_snapshot!(refused_with("stge \"x\" {\n}\n"), @r#"
    error: unknown block `stge` in the pipeline file
      --> ovenbird.hcl:32:1
       |
    32 | stge "x" {
       | ^^^^
       |
       = help: did you mean `stage`?

    1 error
    "#);
}

#[test]
fn a_block_is_no_attribute_and_an_attribute_is_no_block() {
    insta::assert_snapshot!(refused("  region = \"ap-northeast-1\"\n", "  region = \"ap-northeast-1\"\n  tags {\n    team = \"x\"\n  }\n") + &refused("tools {", "builder = {\n  spot = true\n}\n\ntools {"), @r"
    error: `tags` is an attribute, not a block
     --> ovenbird.hcl:3:3
      |
    3 |   tags {
      |   ^^^^
      |
      = help: write `tags = …`

    1 error
    error: `builder` is a block, not an attribute
     --> ovenbird.hcl:5:1
      |
    5 | builder = {
      | ^^^^^^^
      |
      = help: write `builder { … }`, without `=`

    1 error
    ");
}

#[test]
fn a_wrong_type_says_what_is_wanted_and_what_is_here() {
    insta::assert_snapshot!(refused("  region = \"ap-northeast-1\"\n", "  region = \"ap-northeast-1\"\n  regions = \"us-west-2\"\n") + &refused_with("builder {\n  spot = \"true\"\n  polling_delay_seconds = 1.5\n  instance_type = 5\n  subnet_tags = { tier = [1] }\n}\n"), @r#"
    error: `regions` takes a list of strings, here is a string
     --> ovenbird.hcl:3:13
      |
    3 |   regions = "us-west-2"
      |             ^^^^^^^^^^^
      |
      = help: write `["us-west-2"]`

    1 error
    error: `spot` takes true or false, here is a string
      --> ovenbird.hcl:33:10
       |
    33 |   spot = "true"
       |          ^^^^^^
       |
       = help: write `true`, without quotes

    error: `polling_delay_seconds` takes a whole number, here is `1.5`
      --> ovenbird.hcl:34:27
       |
    34 |   polling_delay_seconds = 1.5
       |                           ^^^

    error: `instance_type` takes a string, here is a number
      --> ovenbird.hcl:35:19
       |
    35 |   instance_type = 5
       |                   ^
       |
       = help: write `"5"`

    error: `subnet_tags` takes a map of strings, here is a list in the map
      --> ovenbird.hcl:36:17
       |
    36 |   subnet_tags = { tier = [1] }
       |                 ^^^^^^^^^^^^^^

    4 errors
    "#);
}

#[test]
fn a_stage_that_does_not_exist_has_a_nearest_one() {
    insta::assert_snapshot!(refused("from     = stage.base", "from     = stage.bsae"), @r"
    error: there is no stage `bsae`
      --> ovenbird.hcl:24:14
       |
    24 |   from     = stage.bsae
       |              ^^^^^^^^^^
       |
       = help: did you mean `stage.base`?

    1 error
    ");
}

#[test]
fn a_reference_takes_no_quotes() {
    insta::assert_snapshot!(refused("from     = stage.base", "from     = \"base\"") + &refused("from     = stage.base", "from     = base"), @r#"
    error: this takes a reference: source.NAME or stage.NAME
      --> ovenbird.hcl:24:14
       |
    24 |   from     = "base"
       |              ^^^^^^
       |
       = help: a reference has no quotes: `stage.base`

    1 error
    error: `base` is not a reference to source.NAME or stage.NAME
      --> ovenbird.hcl:24:14
       |
    24 |   from     = base
       |              ^^^^
       |
       = help: did you mean `stage.base`?

    1 error
    "#);
}

#[test]
fn a_reference_to_the_wrong_kind_finds_the_right_one() {
    insta::assert_snapshot!(refused("from     = stage.base", "from     = source.base"), @r"
    error: there is no source `base`
      --> ovenbird.hcl:24:14
       |
    24 |   from     = source.base
       |              ^^^^^^^^^^^
       |
       = help: did you mean `stage.base`?

    1 error
    ");
}

#[test]
fn a_reference_with_too_much_behind_it() {
    insta::assert_snapshot!(refused("from     = stage.base", "from     = stage.base.id"), @r"
    error: `id` is one thing too many here
      --> ovenbird.hcl:24:24
       |
    24 |   from     = stage.base.id
       |                        ^^^
       |
       = help: write `stage.base`

    1 error
    ");
}

#[test]
fn a_cycle_is_shown_as_its_path() {
    insta::assert_snapshot!(refused("from     = source.debian_12", "from     = stage.web"), @r"
    error: stages boot from each other in a circle: base → web → base
      --> ovenbird.hcl:19:14
       |
    19 |   from     = stage.web
       |              ^^^^^^^^^ `base` boots from `web`
       |
      ::: ovenbird.hcl:24:14
       |
    24 |   from     = stage.base
       |              ---------- `web` boots from `base`
       |
       = help: one of them has to boot from a source

    1 error
    ");
}

#[test]
fn a_stage_that_boots_from_itself_is_a_cycle() {
    insta::assert_snapshot!(refused("from     = stage.base", "from     = stage.web"), @r"
    error: stages boot from each other in a circle: web → web
      --> ovenbird.hcl:24:14
       |
    24 |   from     = stage.web
       |              ^^^^^^^^^ `web` boots from `web`
       |
       = help: one of them has to boot from a source

    1 error
    ");
}

#[test]
fn two_stages_of_one_name_show_both_places() {
    insta::assert_snapshot!(refused("stage \"web\"", "stage \"base\""), @r#"
    error: stage `base` is declared twice
      --> ovenbird.hcl:23:1
       |
    23 | stage "base" {
       | ^^^^^^^^^^^^ second time
       |
      ::: ovenbird.hcl:18:1
       |
    18 | stage "base" {
       | ------------ first time

    error: there is no stage `web`
      --> ovenbird.hcl:29:16
       |
    29 |   web_ami_id = stage.web.id
       |                ^^^^^^^^^
       |
       = help: declared here: `stage.base`

    2 errors
    "#);
}

#[test]
fn names_that_break_tags_paths_or_ami_names() {
    insta::assert_snapshot!(["../x", "a b", "-web", "ウェブ", "Web"].map(|name| refused_with(&format!("stage \"{name}\" {{\n  from     = stage.base\n  playbook = \"ansible/web.yml\"\n}}\n"))).concat(), @r#"
    error: `../x` is not a name: lowercase ASCII letters and digits, single `-` or `_` between them, first a letter
      --> ovenbird.hcl:32:7
       |
    32 | stage "../x" {
       |       ^^^^^^
       |
       = help: names stand in tags, file names, AMI names and Docker repositories

    1 error
    error: `a b` is not a name: lowercase ASCII letters and digits, single `-` or `_` between them, first a letter
      --> ovenbird.hcl:32:7
       |
    32 | stage "a b" {
       |       ^^^^^
       |
       = help: names stand in tags, file names, AMI names and Docker repositories

    1 error
    error: `-web` is not a name: lowercase ASCII letters and digits, single `-` or `_` between them, first a letter
      --> ovenbird.hcl:32:7
       |
    32 | stage "-web" {
       |       ^^^^^^
       |
       = help: names stand in tags, file names, AMI names and Docker repositories

    1 error
    error: `ウェブ` is not a name: lowercase ASCII letters and digits, single `-` or `_` between them, first a letter
      --> ovenbird.hcl:32:7
       |
    32 | stage "ウェブ" {
       |       ^^^^^^^^
       |
       = help: names stand in tags, file names, AMI names and Docker repositories

    1 error
    error: `Web` is not a name: lowercase ASCII letters and digits, single `-` or `_` between them, first a letter
      --> ovenbird.hcl:32:7
       |
    32 | stage "Web" {
       |       ^^^^^
       |
       = help: names stand in tags, file names, AMI names and Docker repositories

    1 error
    "#);
}

#[test]
fn a_name_of_200_characters() {
    insta::assert_snapshot!(refused("pipeline \"shop\"", &format!("pipeline \"{}\"", "a".repeat(200))), @r#"
    error: name has 200 characters, at most 40 fit into an AMI name
     --> ovenbird.hcl:1:10
      |
    1 | pipeline "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: names stand in tags, file names, AMI names and Docker repositories

    1 error
    "#);
}

#[test]
fn a_missing_playbook_has_a_nearest_one() {
    insta::assert_snapshot!(refused("ansible/web.yml", "ansible/wbe.yml"), @r#"
    error: there is no playbook `ansible/wbe.yml`
      --> ovenbird.hcl:25:14
       |
    25 |   playbook = "ansible/wbe.yml"
       |              ^^^^^^^^^^^^^^^^^
       |
       = help: did you mean `ansible/web.yml`?

    1 error
    "#);
}

#[test]
fn a_playbook_outside_of_the_root() {
    insta::assert_snapshot!(refused("ansible/web.yml", "../web.yml") + &refused("ansible/web.yml", "/etc/passwd"), @r#"
    error: `../web.yml` is outside the root `[ROOT]`
      --> ovenbird.hcl:25:14
       |
    25 |   playbook = "../web.yml"
       |              ^^^^^^^^^^^^
       |
       = help: only what is below the root can be in the key; `root = "…"` in the `pipeline` block moves it

    1 error
    error: `/etc/passwd` is absolute
      --> ovenbird.hcl:25:14
       |
    25 |   playbook = "/etc/passwd"
       |              ^^^^^^^^^^^^^
       |
       = help: paths are relative to the pipeline file's folder

    1 error
    "#);
}

#[test]
fn a_missing_packer_folder_names_init() {
    insta::assert_snapshot!(refused("playbook = \"ansible/web.yml\"", "playbook = \"ansible/web.yml\"\n  packer   = \"pakcer\"") + &refused("playbook = \"ansible/web.yml\"", "playbook = \"ansible/web.yml\"\n  packer   = \"ansible\""), @r#"
    error: no Packer template for this playbook: there is no folder `pakcer`
      --> ovenbird.hcl:26:14
       |
    26 |   packer   = "pakcer"
       |              ^^^^^^^^
       |
       = help: `ovenbird init` writes the folder `packer`; `packer = "…"` picks another one, `template = "…"` an existing template

    1 error
    error: folder `ansible` holds no `*.pkr.hcl`
      --> ovenbird.hcl:26:14
       |
    26 |   packer   = "ansible"
       |              ^^^^^^^^^
       |
       = help: `ovenbird init` writes the folder `packer`; `packer = "…"` picks another one, `template = "…"` an existing template

    1 error
    "#);
}

#[test]
fn a_missing_template() {
    insta::assert_snapshot!(refused("playbook = \"ansible/web.yml\"", "template = \"legacy/ap.json\"") + &refused("playbook = \"ansible/web.yml\"", "template = \"legacy\""), @r#"
    error: there is no Packer template `legacy/ap.json`
      --> ovenbird.hcl:25:14
       |
    25 |   template = "legacy/ap.json"
       |              ^^^^^^^^^^^^^^^^
       |
       = help: did you mean `legacy/app.json`?

    1 error
    error: folder `legacy` holds no `*.pkr.hcl`
      --> ovenbird.hcl:25:14
       |
    25 |   template = "legacy"
       |              ^^^^^^^^
       |
       = help: name the JSON template itself

    1 error
    "#);
}

#[test]
fn playbook_and_template_at_once_or_none() {
    insta::assert_snapshot!(refused("playbook = \"ansible/web.yml\"", "playbook = \"ansible/web.yml\"\n  template = \"legacy/app.json\"") + &refused("  playbook = \"ansible/web.yml\"\n", ""), @r#"
    error: stage `web` has both `playbook` and `template`
      --> ovenbird.hcl:26:3
       |
    26 |   template = "legacy/app.json"
       |   ^^^^^^^^
       |
       = help: `playbook` goes through the project's packer folder; an existing template runs its own

    1 error
    error: stage `web` has neither `playbook` nor `template`
      --> ovenbird.hcl:23:1
       |
    23 | stage "web" {
       | ^^^^^^^^^^^
       |
       = help: say what provisions it: `playbook = "ansible/….yml"`, or `template = "packer/…"` for an existing Packer template

    1 error
    "#);
}

#[test]
fn settings_of_the_other_kind_of_stage() {
    insta::assert_snapshot!(refused("playbook = \"ansible/web.yml\"", "template = \"legacy/app.json\"\n  vars = { a = 1 }") + &refused("playbook = \"ansible/web.yml\"", "playbook = \"ansible/web.yml\"\n  only = [\"x\"]"), @r#"
    error: `vars` has no effect in stage `web`
      --> ovenbird.hcl:26:3
       |
    26 |   vars = { a = 1 }
       |   ^^^^
       |
       = help: `vars` works only with `playbook`; an existing template gets `packer_vars` and `var_files`

    1 error
    error: `only` has no effect in stage `web`
      --> ovenbird.hcl:26:3
       |
    26 |   only = ["x"]
       |   ^^^^
       |
       = help: `only` works only with `template`

    1 error
    "#);
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(refused_text("") + &refused_text("\n \n") + &refused_text("# nothing\n"), @r"
    error: the pipeline file is empty
    --> ovenbird.hcl:1:1
     = help: `ovenbird init` in an empty folder writes a small working pipeline to start from

    1 error
    error: the pipeline file is empty
    --> ovenbird.hcl:1:1
     = help: `ovenbird init` in an empty folder writes a small working pipeline to start from

    1 error
    error: the pipeline file declares nothing
    --> ovenbird.hcl:1:1
     = help: `ovenbird init` in an empty folder writes a small working pipeline to start from

    1 error
    ");
}

#[test]
fn a_byte_order_mark() {
    insta::assert_snapshot!(refused_text(&format!("\u{feff}{GOOD}")), @r#"
    error: file starts with a byte order mark
     --> ovenbird.hcl:1:1
      |
    1 | ﻿pipeline "shop" {
      | ^ these three bytes
      |
      = help: save it as UTF-8 without one: `sed -i '1s/^\xEF\xBB\xBF//' ovenbird.hcl`

    1 error
    "#);
}

#[test]
fn line_ends_of_windows() {
    insta::assert_snapshot!(refused_text(&GOOD.replace('\n', "\r\n")), @r#"
    error: lines end in CR LF
     --> ovenbird.hcl:1:18
      |
    1 | pipeline "shop" {␍
      |                  ^ first one
      |
      = help: the same text must give the same key everywhere: `sed -i 's/\r$//' ovenbird.hcl`, and `*.hcl text eol=lf` in .gitattributes

    1 error
    "#);
}
