//! Dry runs: for real, in Docker, and without a single call to EC2.

use std::fmt::Write as _;

use crate::harness::LocalEc2;
use crate::project::{Project, docker};

fn steps_started(events: &[serde_json::Value]) -> Vec<String> {
    let started = events.iter().filter(|e| e["event"] == "step_started");
    started.map(|e| e["step"]["node"]["stage"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_dry_run_passes_once_without_a_call_to_ec2_and_a_kept_container_is_converged_in() {
    let cloud = LocalEc2::start(true);
    let mut project = Project::small("dry", &cloud);
    // A machine that has not got the source's image yet, and a registry that has.
    let source = format!("ovenbird/{}/source:1", project.name);
    project.edit("ovenbird.hcl", "ovenbird-base/debian:12", &source);
    project.put_before(
        "docker",
        "#!/bin/sh\n[ \"$1\" = pull ] || exec REAL \"$@\"\nfor image; do :; done\nexec REAL tag ovenbird-base/debian:12 \"$image\"\n",
    );

    let mut started = steps_started(&project.expect(0, &["dry-run", "web", "--keep", "--json"]).events());
    started.sort();
    assert_eq!(started, ["base", "web"], "parents first, and nobody else");
    let kept = project.containers();
    let stages = docker(&["inspect", "--format", "{{index .Config.Labels \"ovenbird.stage\"}}", &kept.join(" ")]);
    assert_eq!(stages, ["web"], "base had to run, and nobody asked for its container");
    docker(&["rm", "--force", "--volumes", &kept[0]]);
    assert_eq!(project.dry_run_images().len(), 3, "the source's, base, web: {:?}", project.dry_run_images());
    assert_eq!(project.scratch_left(), Vec::<std::path::PathBuf>::new());

    let again = project.expect(0, &["dry-run", "web", "--json"]).events();
    assert_eq!(
        steps_started(&again),
        Vec::<String>::new(),
        "the verdicts are remembered, under keys with the id of the image that was fetched"
    );

    let template = "ansible/roles/web/templates/index.html.j2";
    // Nothing changed since it passed: a container is asked for all the same, and starts from what passed.
    let again = project.expect(0, &["dry-run", "web", "--keep", "--json"]).events();
    assert_eq!(steps_started(&again), ["web"]);
    let kept = project.containers();
    let [container] = kept.as_slice() else { panic!("one container is kept: {kept:?}") };
    let page = || docker(&["exec", container, "cat", "/srv/web/index.html"]).join(" ");
    assert_eq!(page(), "Hello from the small site");
    project.edit(template, "from", "once more from");
    project.expect(0, &["dry-run", "web", "--keep"]).said("not recorded as passed");
    assert_eq!(project.containers(), kept, "the same container");
    assert_eq!(page(), "Hello once more from the small site");
    assert_eq!(project.dry_run_images().len(), 3, "a quick look has no image: it was not recorded as passed");

    assert_eq!(cloud.calls().len(), 0, "{:?}", cloud.calls());
}

#[test]
fn a_dry_run_fails_for_what_packer_itself_lets_pass() {
    let cloud = LocalEc2::start(true);
    let project = Project::small("strict", &cloud);
    let playbooks = [
        ("unstable", "all", "- name: Append a line\n      ansible.builtin.shell: echo x >> /srv/lines\n"),
        (
            "exempt",
            "all",
            "- name: Append a line\n      ansible.builtin.shell: echo x >> /srv/lines\n      tags: [molecule-idempotence-notest]\n",
        ),
        ("unproved", "all", "- name: Make a file\n      ansible.builtin.copy: { dest: /srv/made, content: made, mode: '0644' }\n"),
        ("nobody", "databases", "- name: Never here\n      ansible.builtin.command: 'true'\n"),
        ("idle", "all", "- name: Only on Mondays\n      ansible.builtin.command: 'true'\n      when: false\n"),
        (
            "forgetful",
            "all",
            "- name: Write as nobody in particular\n      become: false\n      ansible.builtin.shell: id -un; echo x > /srv/x\n",
        ),
    ];
    let mut pipeline = project.read("ovenbird.hcl").split("stage \"base\"").next().expect("it has a head").to_owned();
    for (name, hosts, task) in playbooks {
        let text = format!("- name: Play {name}\n  hosts: {hosts}\n  become: true\n  gather_facts: false\n  tasks:\n    {task}");
        project.write(&format!("ansible/{name}.yml"), &text);
        let verify = if name == "unproved" { "\n  verify   = \"ansible/verify/unproved.yml\"" } else { "" };
        writeln!(pipeline, "stage \"{name}\" {{\n  from     = source.debian_12\n  playbook = \"ansible/{name}.yml\"{verify}\n}}\n")
            .expect("writing to a String cannot fail");
    }
    project.write(
        "ansible/verify/unproved.yml",
        "- name: Verify\n  hosts: all\n  gather_facts: false\n  tasks:\n    - name: Another file is there\n      ansible.builtin.command: test -f /srv/other\n",
    );
    project.write("ovenbird.hcl", &pipeline);

    let ran = project.expect(1, &["dry-run", "--keep-going", "--json"]);
    let outcome = |stage: &str| {
        let events = ran.events();
        let finished = events.iter().find(|e| e["event"] == "step_finished" && e["step"]["node"]["stage"] == stage);
        finished.unwrap_or_else(|| panic!("{stage} never finished\n{ran}"))["outcome"].clone()
    };
    let failed = |stage: &str, message: &str| {
        let outcome = outcome(stage);
        assert_eq!(outcome["outcome"], "failed", "{stage}: {outcome}");
        assert!(outcome["message"].as_str().is_some_and(|m| m.contains(message)), "{stage}: {outcome}");
        outcome
    };
    let unstable = failed("unstable", "changed something in the second pass");
    assert_eq!(unstable["task"], "Append a line (ansible/unstable.yml:6)", "{unstable}");
    assert_eq!(outcome("exempt")["outcome"], "succeeded", "{}", outcome("exempt"));
    let unproved = failed("unproved", "verify: a task failed");
    assert_eq!(unproved["task"], "Another file is there (ansible/verify/unproved.yml:5)", "{unproved}");
    failed("nobody", "no host matched in play `Play nobody` (`hosts: databases`)");
    failed("idle", "no task was executed");
    let forgetful = failed("forgetful", "a task failed");
    assert!(forgetful["last_lines"].to_string().contains("\\\"stdout\\\": \\\"admin\\\""), "as on EC2, and not as root: {forgetful}");

    assert_eq!(project.containers(), Vec::<String>::new());
    let images = project.dry_run_images();
    assert!(images.len() == 1 && images[0].contains("/exempt:"), "an image has a name only when it passed: {images:?}");
    assert_eq!(cloud.calls().len(), 0, "{:?}", cloud.calls());
}
