//! The lock file: what moves it, what must not, and galaxy content through a real dry run.

#![expect(clippy::disallowed_types, reason = "a repository is made as a user makes one")]

use std::process::Command;

use serde_json::json;

use crate::harness::{LocalEc2, instant};
use crate::project::Project;

const NEWEST: &str = "debian-12-amd64-20261116-2299";

#[test]
fn update_pins_the_newest_image_and_moves_nothing_that_still_holds() {
    let cloud = instant();
    let project = Project::small("pins", &cloud);
    project.edit("ovenbird.hcl", "playbook = \"ansible/base.yml\"", "playbook = \"ansible/base.yml\"\n  freshness = \"7d\"");

    project.expect(2, &["update", "--check"]).said("2 pins in ovenbird.lock would move");
    assert!(!project.path("ovenbird.lock").exists(), "--check writes nothing");
    project.expect(0, &["update"]).said(NEWEST).said("stage base freshness");
    let lock = project.read("ovenbird.lock");
    project.expect(0, &["update"]).said("nothing in ovenbird.lock is due");
    project.expect(0, &["update", "--check"]);
    assert_eq!(project.read("ovenbird.lock"), lock);

    let id = lock.split('"').find(|word| word.starts_with("ami-")).expect("an id is pinned").to_owned();
    project.edit("ovenbird.lock", &id, "ami-0123456789abcdef0");
    let day = lock.rsplit("freshness").next().and_then(|rest| rest.split('"').nth(1)).expect("a day is pinned");
    project.edit("ovenbird.lock", &format!("freshness = \"{day}\""), "freshness = \"2026-01-01\"");
    project.expect(0, &["update", "base"]).said("2026-01-01 →");
    assert!(project.read("ovenbird.lock").contains("ami-0123456789abcdef0"), "only what was named moves");
    project.expect(0, &["update"]).said(&format!("ami-0123456789abcdef0 {NEWEST} → {id} {NEWEST}"));
    assert_eq!(project.read("ovenbird.lock"), lock);
}

#[test]
fn a_rebuild_that_was_asked_for_reaches_the_children_and_nobody_else() {
    let cloud = instant();
    let project = Project::small("rebuild", &cloud);
    project.expect(0, &["update"]);
    let keys = || -> Vec<String> {
        let plan = project.expect(0, &["plan", "--json"]).json();
        plan["nodes"].as_array().expect("a list").iter().map(|n| n["stage_key"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let before = keys();
    cloud.reset();
    project.expect(0, &["update", "--rebuild", "web"]).said("stage web generation").said("0 → 1");
    assert_eq!(cloud.actions("ovenbird"), Vec::<String>::new(), "who asks for a rebuild alone asks nobody for newer images");
    let after = keys();
    let moved: Vec<bool> = before.iter().zip(&after).map(|(old, new)| old != new).collect();
    assert_eq!(moved, [false, true, false], "base, web, api");
    project.expect(0, &["update", "--rebuild", "base"]);
    assert!(after.iter().zip(&keys()).all(|(old, new)| old != new), "children follow");

    project.expect(64, &["update", "--rebuild", "wep"]).said("did you mean `web`?");
    project.expect(64, &["update", "debin_12"]).said("did you mean `debian_12`?");
}

#[test]
fn a_question_that_fails_leaves_the_lock_file_as_it_was() {
    let cloud = instant();
    let project = Project::small("unmoved", &cloud);
    project.expect(0, &["update"]);
    let lock = project.read("ovenbird.lock");

    cloud.turn(&json!({ "deny": { "action": "DescribeImages", "agent": "ovenbird" } }));
    project.expect(69, &["update"]).said("DescribeImages in ap-northeast-1 failed: UnauthorizedOperation").said("ec2:DescribeImages");
    cloud.reset();
    project.edit("ovenbird.hcl", "debian-12-amd64-*", "debian-99-amd64-*");
    project.expect(65, &["update"]).said("source `debian_12` x86_64").said("debian-99-amd64-*").said("aws ec2 describe-images");
    assert_eq!(project.read("ovenbird.lock"), lock);
}

#[test]
fn what_is_not_pinned_is_added_and_said_or_refused_with_locked() {
    let cloud = instant();
    let project = Project::small("filled", &cloud);
    let refused = project.expect(65, &["plan", "--locked"]);
    refused.said("`--locked` keeps it as it is: source debian_12 x86_64 is not pinned").said("`ovenbird update debian_12`");
    assert!(!project.path("ovenbird.lock").exists());
    project.expect(0, &["plan"]).said(NEWEST).said("1 pin added to ovenbird.lock");
    assert!(project.read("ovenbird.lock").contains(NEWEST));
    project.expect(0, &["plan", "--locked"]);

    // A pattern that was edited must not go on meaning the old image.
    project.edit("ovenbird.hcl", "debian-12-amd64-*", "debian-12-*-20261101-*");
    project.expect(65, &["plan", "--locked"]).said(&format!("is pinned as `{NEWEST}`, which is not called `debian-12-*-20261101-*`"));
    project.expect(0, &["plan"]).said("debian-12-amd64-20261101-2200");
}

#[test]
fn a_role_from_a_repository_is_pinned_provisioned_and_moves_only_by_update() {
    let cloud = LocalEc2::start(true);
    let project = Project::small("galaxy", &cloud);
    let role = project.beside("srv/greeting");
    let commit = |text: &str| {
        let task = format!("- name: Greet\n  ansible.builtin.copy: {{ dest: /srv/greeting, content: {text}, mode: '0644' }}\n");
        project.write("../srv/greeting/tasks/main.yml", &task);
        project.write(
            "../srv/greeting/meta/main.yml",
            "galaxy_info: { author: a, description: d, license: MIT, min_ansible_version: '2.1' }\n",
        );
        let script = "git init -q && git add -A && git -c user.name=t -c user.email=t@localhost commit -qm x";
        let mut git = Command::new("sh");
        assert!(git.args(["-ec", script]).current_dir(&role).env_clear().envs(&project.environment).status().expect("sh starts").success());
    };
    commit("first");
    project.write("ansible/requirements.yml", &format!("roles:\n- {{src: 'git+file://{}', name: greeting}}\n", role.display()));
    project.edit("ansible/base.yml", "roles: [common]", "roles: [common, greeting]");
    project.edit(
        "ovenbird.hcl",
        "playbook = \"ansible/base.yml\"",
        "playbook = \"ansible/base.yml\"\n  galaxy = [\"ansible/requirements.yml\"]",
    );
    project.write(
        "ansible/check.yml",
        "- hosts: all\n  tasks:\n  - ansible.builtin.command: grep -qx first /srv/greeting\n    changed_when: false\n",
    );
    project.edit("ovenbird.hcl", "galaxy = [", "verify = \"ansible/check.yml\"\n  galaxy = [");

    project.expect(65, &["dry-run", "base", "--locked"]).said("galaxy ansible/requirements.yml is not pinned");
    project.expect(0, &["dry-run", "base"]).said("role greeting");
    let steps = |ran: &crate::project::Ran| ran.events().iter().filter(|e| e["event"] == "step_started").count();

    commit("second");
    assert_eq!(steps(&project.expect(0, &["dry-run", "base", "--json"])), 0, "a branch that moved on moves no pin");
    // Another machine: nothing of it is installed, and what is pinned comes back.
    std::fs::remove_dir_all(project.path(".ovenbird/galaxy")).expect("it was installed");
    assert_eq!(steps(&project.expect(0, &["dry-run", "base", "--json", "--again"])), 1, "`first` is verified again");

    project.expect(0, &["update", "ansible/requirements.yml"]).said("role greeting");
    project.expect(1, &["dry-run", "base"]).said("verify");
    assert_eq!(cloud.calls().len(), 0, "{:?}", cloud.calls());
}

#[test]
fn doctor_says_what_is_there_and_what_mends_the_rest() {
    let cloud = instant();
    let mut project = Project::small("doctor", &cloud);
    let facts = |ran: &crate::project::Ran| ran.json()["facts"].as_array().expect("a list").clone();
    let named = |facts: &[serde_json::Value], name: &str| {
        facts.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("no fact about {name}: {facts:?}")).clone()
    };
    let good = facts(&project.expect(0, &["doctor", "--json"]));
    for name in ["pipeline", "packer", "plugin amazon", "ansible-core", "python", "git", "docker", "systemd", "credentials", "EC2", "state"]
    {
        assert_eq!(named(&good, name)["state"], "good", "{name}");
    }

    cloud.turn(&json!({ "deny": { "action": "DescribeImages", "agent": "ovenbird" } }));
    project.edit("ovenbird.hcl", "\"~> 1.15\"", "\"~> 9.0\"");
    let bad = facts(&project.expect(69, &["doctor", "--json"]));
    assert!(named(&bad, "EC2")["mend"].as_str().is_some_and(|mend| mend.contains("ec2:DescribeImages")));
    assert!(named(&bad, "packer")["says"].as_str().is_some_and(|says| says.contains("wants `~> 9.0`")));
    cloud.reset();

    project.expect(0, &["update"]);
    project.expect(69, &["build"]).said("the `tools` block wants `~> 9.0`").said("first on PATH");
    assert!(!cloud.actions("packer").contains(&"RunInstances".to_owned()));

    project.environment.insert("PATH".to_owned(), "/nonexistent".to_owned());
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        project.environment.remove(name);
    }
    let nothing = facts(&project.expect(69, &["doctor", "--json"]));
    for name in ["packer", "ansible-core", "docker", "credentials"] {
        assert_eq!(named(&nothing, name)["state"], "bad", "{name}");
        assert!(named(&nothing, name)["mend"].as_str().is_some_and(|mend| !mend.is_empty()), "{name}");
    }
    std::fs::remove_file(project.path("ovenbird.hcl")).expect("it is there");
    assert_eq!(named(&facts(&project.expect(69, &["doctor", "--json"])), "pipeline")["state"], "warning");
}
