//! What Packer templates are found to read.

use super::*;

fn imprecise(inputs: &StageInputs) -> Vec<(&str, &str)> {
    inputs.imprecise.iter().map(|i| (i.taken.as_str(), i.place.as_str())).collect()
}

/// The inputs of each stage of a pipeline of this repository.
fn of_this_repository(file: &str) -> BTreeMap<Name, StageInputs> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let request = LoadRequest {
        file: root.join(file),
        root: Some(root.to_owned()),
        vars: Vec::new(),
        var_files: Vec::new(),
        env_vars: BTreeMap::new(),
        env_present: &|_| true,
        require_secrets: false,
    };
    let loaded = load(&request).unwrap_or_else(|problems| panic!("{:?}", problems.0));
    let all = collect(&loaded.pipeline, &InputContext::default()).unwrap().inputs;
    for (name, inputs) in &all {
        assert!(inputs.imprecise.is_empty(), "{name}: {:?}", inputs.imprecise);
    }
    all
}

#[test]
fn the_small_example_is_read_without_widening() {
    let all = of_this_repository("examples/small/ovenbird.hcl");
    let web = &all[&Name::new("web").unwrap()];
    for name in ["ansible/web.yml", "ansible/roles/nginx", "ansible/group_vars", "packer"] {
        assert!(web.trees.contains_key(&format!("examples/small/{name}")), "{name}: {:?}", web.trees.keys());
    }
    assert!(web.trees.contains_key("ansible.cfg"));
    assert!(!web.trees.keys().any(|name| name.ends_with("ansible/roles/api") || name.ends_with("ansible/api.yml")));
    assert!(web.verify_trees.contains_key("examples/small/ansible/verify/web.yml"));
}

#[test]
fn the_shop_is_read_without_widening() {
    let all = of_this_repository("ovenbird.hcl");
    let has = |stage: &str, role: &str| all[&Name::new(stage).unwrap()].trees.contains_key(&format!("ansible/roles/{role}"));
    for (stage, roles, not) in [
        ("base", &["common", "cloud_init", "consul", "dnsmasq", "consul_template", "image_hygiene", "vendor_binary"][..], "nginx"),
        ("web", &["app", "nginx", "stretcher", "image_hygiene"][..], "dnsmasq"),
        ("api", &["app", "stretcher", "image_hygiene"][..], "nginx"),
        ("consul_server", &["consul", "image_hygiene"][..], "app"),
    ] {
        assert!(!has(stage, not), "{stage} has {not}");
        for role in roles {
            assert!(has(stage, role), "{stage} lacks {role}");
        }
        let verify = format!("ansible/verify/{stage}.yml");
        assert!(all[&Name::new(stage).unwrap()].verify_trees.contains_key(&verify), "{verify}");
    }
}

#[test]
fn the_projects_own_template_counts_with_what_it_reads_elsewhere() {
    let project = Project::new();
    project
        .file("packer/image.pkr.hcl", "build {\n  provisioner \"shell\" { script = \"scripts/a.sh\" }\n  provisioner \"ansible\" {\n    playbook_file = var.playbook_file\n    extra_arguments = var.ansible_arguments\n  }\n}\nvariable \"playbook_file\" {}\n")
        .file("scripts/a.sh", "x");
    let inputs = project.inputs();
    assert!(has(&inputs, "scripts/a.sh") && inputs.imprecise.is_empty(), "{:?}", inputs.imprecise);
    assert!(project.changes(|p| {
        p.file("packer/notes.md", "any byte of the folder");
    }));
}

const HCL: &str = r#"
variable "script" { default = "one" }
variable "image" {}
variable "edition" {}
locals { dir = "${path.root}/scripts" }
source "amazon-ebs" "x" {
  ami_name       = var.image
  user_data_file = "user-data.sh"
}
build {
  sources = ["source.amazon-ebs.x"]
  provisioner "shell" {
    scripts = ["${local.dir}/${var.script}.sh", "${local.dir}/always.sh"]
  }
  provisioner "file" {
    source      = "files/"
    destination = "/srv/files"
  }
  provisioner "shell" {
    inline = [templatefile("${path.root}/t.pkrtpl", { a = 1 })]
  }
  provisioner "ansible" {
    playbook_file   = "${path.root}/play.yml"
    extra_arguments = ["-e", "edition=${var.edition}", "--extra-vars", "@extra.yml"]
  }
  post-processor "manifest" { output = "out.json" }
}
"#;

fn folder() -> Project {
    let project =
        Project::with("template = \"images\"\n  var_files = [\"images/prod.pkrvars.hcl\"]\n  packer_vars = { image = artifact.name }");
    project.file("images/a.pkr.hcl", HCL).file("images/prod.pkrvars.hcl", "script = \"two\"\n").file("images/README.md", "x");
    for name in ["one", "two", "three", "always"] {
        project.file(&format!("images/scripts/{name}.sh"), "x");
    }
    project.file("images/t.pkrtpl", "x").file("files/a", "x").file("extra.yml", "which: b\n").file("user-data.sh", "x");
    project.file("images/play.yml", "- hosts: all\n  roles: [app]\n").file("images/roles/app/tasks/main.yml", "- debug:\n");
    project
}

#[test]
fn what_a_post_processor_writes_during_the_run_does_not_count() {
    assert!(!folder().changes(|p| {
        p.file("out.json", "{}").file("images/out.json", "{}");
    }));
}

#[test]
fn a_foreign_folder_of_hcl_counts_with_all_that_it_names() {
    let project = folder();
    let inputs = project.inputs();
    for name in [
        "images/a.pkr.hcl",
        "images/prod.pkrvars.hcl",
        "images/scripts/one.sh",
        "images/scripts/two.sh",
        "images/scripts/always.sh",
        "images/t.pkrtpl",
        "files/a",
        "extra.yml",
        "images/play.yml",
        "images/roles/app/tasks/main.yml",
        "user-data.sh",
    ] {
        assert!(has(&inputs, name), "{name}: {:?}", inputs.imprecise);
    }
    for name in ["images/scripts/three.sh", "images/README.md", "out.json"] {
        assert!(!has(&inputs, name), "{name}");
    }
    assert!(inputs.imprecise.is_empty(), "{:?}", inputs.imprecise);
    assert!(holds_no_machine_path(&inputs, project.dir.path()));
}

#[test]
fn a_file_of_variables_or_a_template_that_appears_changes_the_key() {
    for name in ["images/more.auto.pkrvars.hcl", "images/b.pkr.hcl"] {
        assert!(
            folder().changes(|p| {
                p.file(name, "");
            }),
            "{name}"
        );
    }
    assert!(!folder().changes(|p| {
        p.file("images/packer-manifest.json", "{}");
    }));
}

#[test]
fn mode_bits_count_for_what_packer_uploads() {
    let project = folder();
    project.mode("files/a", 0o644);
    assert!(project.changes(|p| {
        p.mode("files/a", 0o600);
    }));
}

#[test]
fn what_a_template_reads_by_an_unknown_name_widens_to_its_folder_or_to_the_root() {
    let project = folder();
    project.file("images/a.pkr.hcl", HCL.replace("${var.script}.sh", "${var.image}.sh"));
    assert_eq!(imprecise(&project.inputs()), [("images/scripts", "images/a.pkr.hcl:13")]);
    assert!(has(&project.inputs(), "images/scripts/three.sh"));
    project.file("images/a.pkr.hcl", HCL.replace("playbook_file   = \"${path.root}/play.yml\"", "playbook_file = var.image"));
    assert_eq!(imprecise(&project.inputs()), [("the root", "images/a.pkr.hcl:23")]);
}

#[test]
fn what_runs_here_and_what_cannot_be_parsed_takes_the_root() {
    for text in ["build {\n  provisioner \"shell-local\" { inline = [\"make\"] }\n}\n", "data \"external\" \"x\" {}\n", "build {\n"] {
        let project = folder();
        project.file("images/a.pkr.hcl", text);
        assert!(project.inputs().imprecise.iter().any(|i| i.taken == "the root"), "{text}");
    }
}

#[test]
fn a_json_template_counts_with_all_that_it_names() {
    let json = r#"{
      "variables": {"which": "one", "home": "{{env `APP_HOME`}}", "name": ""},
      "builders": [{"type": "amazon-ebs", "ami_name": "{{user `name`}}", "user_data_file": "{{template_dir}}/data.sh"}],
      "provisioners": [
        {"type": "file", "source": "{{template_dir}}/../files/", "destination": "/srv"},
        {"type": "shell", "scripts": ["packer/{{user `which`}}.sh"], "override": {"docker": {"script": "packer/docker.sh"}}},
        {"type": "ansible", "playbook_file": "{{template_dir}}/setup.yml", "extra_arguments": ["--extra-vars", "a={{user `name`}}"]}
      ],
      "post-processors": ["vagrant", [{"type": "manifest", "output": "out.json"}]]
    }"#;
    let mut project = Project::with("template = \"packer/legacy.json\"\n  packer_vars = { name = artifact.name, which = \"two\" }");
    project.environment.insert("APP_HOME".to_owned(), "/x".to_owned());
    project
        .file("packer/legacy.json", json)
        .file("packer/setup.yml", "- hosts: all\n  tasks:\n    - copy: {src: c, dest: /c}\n")
        .file("packer/c", "x");
    for name in ["packer/one.sh", "packer/two.sh", "packer/docker.sh", "packer/data.sh", "files/a", "packer/other.sh"] {
        project.file(name, "x");
    }
    let inputs = project.inputs();
    for name in [
        "packer/legacy.json",
        "packer/one.sh",
        "packer/two.sh",
        "packer/docker.sh",
        "packer/data.sh",
        "files/a",
        "packer/setup.yml",
        "packer/c",
    ] {
        assert!(has(&inputs, name), "{name}: {:?}", inputs.imprecise);
    }
    assert!(!has(&inputs, "packer/other.sh"));
    assert!(inputs.imprecise.is_empty(), "{:?}", inputs.imprecise);
    assert!(inputs.environment.contains_key("APP_HOME"));

    project.file("packer/legacy.json", json.replace("packer/{{user `which`}}.sh", "packer/{{build `ID`}}.sh"));
    assert_eq!(imprecise(&project.inputs())[0].0, "packer");
    project.file("packer/legacy.json", "{");
    assert_eq!(imprecise(&project.inputs()), [("the root", "packer/legacy.json:1")]);
}
