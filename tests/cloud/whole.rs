//! The main job from nothing to ids in tfvars, then again, then with one file touched.

use crate::account::Account;
use crate::harness::{Call, LocalEc2};
use crate::project::Project;

/// Value of `name` in a tfvars text.
fn value(text: &str, name: &str) -> String {
    let line = text.lines().find(|l| l.trim_start().starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split('"').nth(1).unwrap_or_else(|| panic!("{line} has no string")).to_owned()
}

fn packer_worked(calls: &[Call]) -> bool {
    calls.iter().any(|c| c.agent == "packer")
}

#[test]
fn a_pipeline_is_built_from_nothing_then_not_at_all_then_only_where_a_file_changed() {
    let cloud = LocalEc2::start(false);
    let project = Project::small("whole", &cloud);

    // Planned, not touched.
    project.expect(0, &["validate"]);
    let planned = project.expect(2, &["plan", "--detailed-exitcode"]);
    planned.said("3 to build, 1 to verify").said("web_ami_id");
    let lock = project.read("ovenbird.lock");
    assert!(lock.contains("debian-12-amd64-20261116-2299"), "the newest source AMI is pinned\n{lock}");
    project.commit();
    let plan = project.expect(0, &["plan", "--json"]).json();
    let keys = |plan: &serde_json::Value| -> Vec<(String, String, String)> {
        let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
        let nodes = plan["nodes"].as_array().expect("nodes are a list");
        let mut keys: Vec<_> =
            nodes.iter().map(|n| (text(&n["node"]["stage"]), text(&n["stage_key"]), text(&n["action"]["action"]))).collect();
        keys.sort();
        keys
    };
    let planned = keys(&plan);
    assert_eq!(planned.iter().map(|(s, _, a)| format!("{s} {a}")).collect::<Vec<_>>(), ["api build", "base build", "web build"]);
    project.expect(2, &["emit", "--check"]);
    assert!(!packer_worked(&cloud.calls()), "a plan starts no Packer");
    Account::of(&cloud).nothing();

    // Built.
    project.expect(0, &["build"]).said("verify web");
    let first = Account::of(&cloud).only_sealed_images(&["api", "base", "web"]);
    let [api, base, web] = first.as_slice() else { unreachable!("three images") };
    for (image, (stage, key, _)) in first.iter().zip(&planned) {
        assert_eq!((image.tag("ovenbird:stage"), image.tag("ovenbird:key")), (stage.as_str(), key.as_str()));
        assert_eq!(image.tag("ovenbird:pipeline"), project.name);
        assert_eq!(image.tag("team"), "platform");
        assert_eq!(image.tag("ovenbird:source"), "debian_12");
        assert_eq!(image.tag("ovenbird:git").len(), 40, "{:?}", image.tags);
        assert_eq!(image.tag("ovenbird:dirty"), "", "everything was committed");
        let tools = image.tag("ovenbird:tools");
        let ran = ["ansible-core=2.19.", "packer=1.15.", "packer-plugin-amazon=1.", "packer-plugin-ansible=1.", "python=3.", "jinja2=3."];
        assert!(ran.iter().all(|tool| tools.contains(tool)), "{tools}");
        assert!(!image.tag("ovenbird:run").is_empty() && !image.tag("ovenbird:version").is_empty(), "{:?}", image.tags);
    }
    assert_eq!((web.tag("ovenbird:parent"), web.tag("ovenbird:parent-key")), (base.id.as_str(), base.tag("ovenbird:key")));
    assert_eq!(base.tag("ovenbird:parent-key"), "");
    assert_eq!([api, base, web].map(|image| image.tag("ovenbird:verified").len()), [0, 0, 71], "an instance of it was asked");
    assert_eq!(web.file("/srv/web/index.html"), "Hello from the small site\n", "vars, groups and group_vars reached the play");
    assert_eq!((api.file("/etc/base-mark"), api.file("/etc/api.conf")), ("base\n".to_owned(), "listen = 8080\n".to_owned()));
    let expected = format!("# Written by ovenbird.\nweb_ami_id = \"{}\"\napi_ami_id = \"{}\" # beside the web's\n", web.id, api.id);
    assert_eq!(project.read("terraform/images.auto.tfvars"), expected);
    assert_eq!(project.containers(), Vec::<String>::new());
    assert_eq!(project.dry_run_images().len(), 3, "{:?}", project.dry_run_images());
    assert_eq!(project.scratch_left(), Vec::<std::path::PathBuf>::new());

    // Nothing to do.
    cloud.reset();
    project.expect(0, &["build"]);
    project.expect(0, &["plan", "--detailed-exitcode"]).said("3 to reuse");
    project.expect(0, &["emit", "--check"]);
    assert!(!packer_worked(&cloud.calls()), "{:?}", cloud.calls());
    assert_eq!(project.read("terraform/images.auto.tfvars"), expected);

    // One file of one app.
    let file = "ansible/roles/web/templates/index.html.j2";
    project.edit(file, "from", "again from");
    project.expect(0, &["inputs", "web", "--why", file]).said("web").said("ansible/web.yml");
    project.expect(65, &["inputs", "api", "--why", file]);
    let explained = project.expect(0, &["explain", "web"]);
    explained.said(file).said(&web.id).said("-{{ greeting }} from").said("+{{ greeting }} again from");
    let text = project.expect(2, &["plan", "--detailed-exitcode"]);
    text.said("1 to build, 1 to verify, 2 to reuse").said(&format!("M {file}")).said("1 input changed");
    project.expect(2, &["emit", "--check"]);
    project.expect(0, &["build"]);
    let second = Account::of(&cloud).only_sealed_images(&["api", "base", "web", "web"]);
    assert_eq!((&second[0].id, &second[1].id), (&api.id, &base.id), "the others were used as they are");
    let new = second[2..].iter().find(|i| i.id != web.id).expect("a new image");
    assert_eq!((new.tag("ovenbird:parent"), new.tag("ovenbird:dirty")), (base.id.as_str(), "true"));
    assert_eq!(new.file("/srv/web/index.html"), "Hello again from the small site\n");
    assert_eq!(value(&project.read("terraform/images.auto.tfvars"), "web_ami_id"), new.id);
    assert_eq!(value(&project.read("terraform/images.auto.tfvars"), "api_ami_id"), api.id);
    project.expect(0, &["emit", "--check"]);

    let images = project.expect(0, &["images", "--json"]).json();
    let mut listed: Vec<&str> = images.as_array().expect("a list").iter().filter_map(|i| i["id"].as_str()).collect();
    listed.sort_unstable();
    let mut all: Vec<&str> = second.iter().map(|i| i.id.as_str()).collect();
    all.sort_unstable();
    assert_eq!(listed, all);
}
