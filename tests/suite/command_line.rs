//! The real binary where neither cloud nor Docker is needed: `init`, `validate`, `inputs`, usage, exit codes.
//!
//! Invariant: the environment of these runs is empty but for what a test sets, so nothing of the person who runs them counts.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Runs ovenbird in a folder.
fn ovenbird(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_ovenbird"));
    let output = command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(!self.stdout.contains('\u{1b}') && !self.stderr.contains('\u{1b}'), "no control codes off a terminal: {self:?}");
        self
    }

    #[track_caller]
    fn said(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "it never said `{text}`: {self:#?}");
        self
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, text);
    }
    folder
}

#[expect(clippy::disallowed_methods, reason = "a test's own folder")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// Lines without the spaces that align their values.
fn one_space(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every file with its bytes.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = ignore::WalkBuilder::new(folder).standard_filters(false).build().map(Result::unwrap);
    files.filter(|f| f.path().is_file()).map(|f| (f.path().to_owned(), std::fs::read(f.path()).unwrap())).collect()
}

#[test]
fn init_in_an_empty_folder_makes_a_pipeline_that_is_valid() {
    let folder = folder(&[]);
    let ran = ovenbird(folder.path(), &["init"]).ended(0);
    ran.said("ovenbird.hcl").said("ansible/base.yml").said("packer/image.pkr.hcl").said("ovenbird validate");
    ovenbird(folder.path(), &["validate"]).ended(0).said("is valid: 1 source, 1 stage");
    ovenbird(folder.path(), &["inputs", "base"]).ended(0).said("ansible/base.yml").said("packer");

    let before = snapshot(folder.path());
    ovenbird(folder.path(), &["init"]).ended(65).said("is there already");
    assert_eq!(snapshot(folder.path()), before, "a second init touches nothing");

    // A pipeline file that was written by hand, from the README: what its playbooks run in is what `init` is recommended for.
    std::fs::remove_dir_all(folder.path().join("packer")).unwrap();
    ovenbird(folder.path(), &["validate"]).ended(65).said("no Packer template for this playbook").said("`ovenbird init`");
    ovenbird(folder.path(), &["init"]).ended(0).said("kept   ovenbird.hcl").said("wrote  packer/image.pkr.hcl");
    assert_eq!(snapshot(folder.path()), before);
}

#[test]
fn init_refers_to_templates_playbooks_and_tfvars_that_are_there() {
    let files = [
        ("ansible/base.yml", "- hosts: all\n  roles: [common]\n"),
        ("ansible/roles/common/tasks/main.yml", "- name: Do\n  command: 'true'\n"),
        ("ansible/web.yml", "- name: Web\n  hosts: all\n  tasks:\n    - command: 'true'\n"),
        (
            "packer/legacy.json",
            r#"{"variables": {"base_image": "", "out_name": ""},
                "builders": [{"type": "amazon-ebs", "source_ami": "{{user `base_image`}}", "ami_name": "{{user `out_name`}}"}]}"#,
        ),
        (
            "golden/golden.pkr.hcl",
            "variable \"source_ami\" {}\nvariable \"ami_name\" {}\nsource \"amazon-ebs\" \"golden\" {\n  source_ami = var.source_ami\n  ami_name = var.ami_name\n}\nbuild {\n  sources = [\"source.amazon-ebs.golden\"]\n}\n",
        ),
        ("terraform/prod/variables.tf", "variable \"web_ami_id\" {\n  type = string\n}\n"),
        ("terraform/prod/images.auto.tfvars", "# by hand\nweb_ami_id = \"ami-0123456789abcdef0\"\n"),
    ];
    let folder = folder(&files);
    ovenbird(folder.path(), &["init"]).ended(0).said("found").said("packer/legacy.json").said("terraform/prod/images.auto.tfvars");
    for (path, text) in files {
        assert_eq!(std::fs::read_to_string(folder.path().join(path)).unwrap(), text, "{path} is as it was");
    }
    let pipeline = std::fs::read_to_string(folder.path().join("ovenbird.hcl")).unwrap();
    for part in [
        "from = source.debian_12",
        "playbook = \"ansible/base.yml\"",
        "from = stage.base",
        "playbook = \"ansible/web.yml\"",
        "template = \"packer/legacy.json\"",
        "base_image = parent.id",
        "template = \"golden\"",
        "emit \"terraform/prod/images.auto.tfvars\"",
        "web_ami_id = stage.web.id",
    ] {
        assert!(one_space(&pipeline).contains(part), "`{part}` is not in\n{pipeline}");
    }
    ovenbird(folder.path(), &["validate"]).ended(0).said("is valid: 1 source, 4 stages, 1 emit");
}

#[test]
fn wrong_usage_ends_with_64_and_says_what_is_right() {
    let folder = folder(&[]);
    ovenbird(folder.path(), &["init"]).ended(0);
    ovenbird(folder.path(), &["bild"]).ended(64).said("build");
    ovenbird(folder.path(), &["build", "--fast"]).ended(64).said("--fast");
    ovenbird(folder.path(), &[]).ended(64).said("Usage");
    ovenbird(folder.path(), &["build", "-j", "0"]).ended(64);
    ovenbird(folder.path(), &["inputs", "bse"]).ended(64).said("did you mean `base`?");
    ovenbird(folder.path(), &["validate", "--var", "x"]).ended(64).said("--var name=value");
    assert!(ovenbird(folder.path(), &["--help"]).ended(0).stdout.contains("Exit codes:"));
    assert!(ovenbird(folder.path(), &["--version"]).ended(0).stdout.starts_with("ovenbird "));
    assert!(ovenbird(folder.path(), &["completions", "bash"]).ended(0).stdout.contains("_ovenbird"));
}

#[test]
fn the_likely_mistakes_end_with_65_name_the_place_and_touch_nothing() {
    let without = folder(&[]);
    ovenbird(without.path(), &["plan"]).ended(65).said("no `ovenbird.hcl`").said("ovenbird init");

    let mistakes = [
        ("playbook = \"ansible/base.yml\"", "playbook = \"ansible/bse.yml\"", "ansible/bse.yml"),
        ("from = source.debian_12", "from = source.debian12", "did you mean `source.debian_12`?"),
        ("playbook = ", "playbok  = ", "did you mean `playbook`?"),
        ("stage \"base\" {", "stage \"base\"", "ovenbird.hcl:"),
        ("region = \"us-east-1\"", "", "region"),
    ];
    for (right, wrong, said) in mistakes {
        let folder = folder(&[]);
        ovenbird(folder.path(), &["init"]).ended(0);
        let file = folder.path().join("ovenbird.hcl");
        let text = one_space(&std::fs::read_to_string(&file).unwrap());
        assert!(text.contains(right), "`{right}` is not in\n{text}");
        write(&file, &text.replacen(right, wrong, 1));
        let before = snapshot(folder.path());
        for command in [&["validate"][..], &["plan"], &["build"], &["dry-run"], &["emit"], &["update"]] {
            ovenbird(folder.path(), command).ended(65).said(said).said("ovenbird.hcl:");
        }
        let json = ovenbird(folder.path(), &["validate", "--json"]).ended(65);
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json["valid"], false, "{json}");
        assert_eq!(json["diagnostics"][0]["range"]["filename"], "ovenbird.hcl", "{json}");
        assert_eq!(snapshot(folder.path()), before, "nothing was touched by `{wrong}`");
    }
}

#[test]
fn what_a_path_is_in_a_key_for_is_told_and_a_path_outside_is_refused() {
    let folder = folder(&[
        ("ansible/base.yml", "- hosts: all\n  roles: [common]\n"),
        ("ansible/roles/common/tasks/main.yml", "- name: Do\n  command: 'true'\n"),
        ("ansible/roles/unused/tasks/main.yml", "- name: Do\n  command: 'true'\n"),
        ("docs/readme.md", "x\n"),
    ]);
    ovenbird(folder.path(), &["init"]).ended(0);
    let why = ovenbird(folder.path(), &["inputs", "base", "--why", "ansible/roles/common/tasks/main.yml"]).ended(0);
    why.said("role common").said("ansible/base.yml:2");
    ovenbird(folder.path(), &["inputs", "base", "--why", "docs/readme.md"]).ended(65).said("is no input of stage `base`");
    let json = ovenbird(folder.path(), &["inputs", "base", "--json"]).ended(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let trees: Vec<&String> = json["trees"].as_object().unwrap().keys().collect();
    assert!(trees.iter().any(|t| t.contains("roles/common")) && !trees.iter().any(|t| t.contains("unused")), "{trees:?}");

    // What the verification reads too is not told a second time.
    write(&folder.path().join("ansible/verify.yml"), "- hosts: all\n  roles: [common]\n");
    let file = folder.path().join("ovenbird.hcl");
    let text = one_space(&std::fs::read_to_string(&file).unwrap());
    let playbook = "playbook = \"ansible/base.yml\"";
    write(&file, &text.replacen(playbook, &format!("{playbook}\n  verify = \"ansible/verify.yml\""), 1));
    let listed = ovenbird(folder.path(), &["inputs", "base"]).ended(0).stdout;
    let (image, alone) = listed.split_once("of the verification alone:").unwrap();
    assert!(image.contains("ansible/roles/common") && !alone.contains("ansible/roles/common"), "{listed}");
    assert!(alone.contains("ansible/verify.yml") && !image.contains("ansible/verify.yml"), "{listed}");
    let why = ovenbird(folder.path(), &["inputs", "base", "--why", "ansible/roles/common/tasks/main.yml"]).ended(0);
    assert_eq!(why.stdout.matches("in `base`").count(), 1, "{why:?}");
}

#[test]
fn the_readme_names_every_variable_of_the_template_and_no_other() {
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let variables = read("packer/variables.pkr.hcl");
    let declared: BTreeSet<&str> = variables.lines().filter_map(|line| line.strip_prefix("variable \"")?.split('"').next()).collect();
    let readme = read("README.md");
    let section = readme.split("| variable | filled with |").nth(1).unwrap();
    let section = section.split("A play that matches no host").next().unwrap();
    let first_cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let below = section.lines().filter(|line| line.starts_with("Two more")).map(|line| line.split(", keep").next().unwrap());
    let named: BTreeSet<&str> = first_cells.chain(below).flat_map(|text| text.split('`').skip(1).step_by(2)).collect();
    assert_eq!(named, declared);
}
