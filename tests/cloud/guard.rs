//! The guard with the real Packer and Ansible: what a run opens and no key holds.

use crate::account::Account;
use crate::harness::LocalEc2;
use crate::project::Project;

/// One stage, whose playbook reads what no reading of it finds: a filter puts a file's name together, and hides that it opens it.
pub fn with_a_filter_that_opens_a_file(name: &str, cloud: &LocalEc2) -> Project {
    let project = Project::small(name, cloud);
    let head = project.read("ovenbird.hcl").split("stage \"base\"").next().expect("it has a head").to_owned();
    let stage = "stage \"motd\" {\n  from     = source.debian_12\n  playbook = \"ansible/motd.yml\"\n}\n";
    project.write("ovenbird.hcl", &format!("{head}{stage}"));
    project.write(
        "ansible/motd.yml",
        "- name: Motd\n  hosts: all\n  become: true\n  gather_facts: false\n  tasks:\n    - name: Say it\n      ansible.builtin.copy:\n        \
         dest: /etc/motd\n        content: \"{{ 'motd' | site_text }}\"\n        mode: \"0644\"\n",
    );
    project.write(
        "ansible/filter_plugins/site.py",
        "import builtins\nimport os\n\n\ndef site_text(name):\n    read = getattr(builtins, 'op' + 'en')\n    \
         with read(os.path.join(os.getcwd(), 'data', name + '.txt')) as file:\n        \
         return file.read()\n\n\nclass FilterModule:\n    def filters(self):\n        return {'site_text': site_text}\n",
    );
    project.write("data/motd.txt", "welcome\n");
    project
}

#[test]
fn a_run_that_reads_an_undeclared_file_neither_passes_nor_is_sealed_until_it_is_declared() {
    let cloud = LocalEc2::start(false);
    let project = with_a_filter_that_opens_a_file("guard", &cloud);

    let ran = project.expect(1, &["dry-run"]);
    ran.said("`data/motd.txt` was read and is no input of `motd`: the dry run does not count as passed");
    ran.said("Say it (ansible/motd.yml:6)").said("inputs = [\"data/motd.txt\"]");
    assert_eq!(project.dry_run_images(), Vec::<String>::new());

    let ran = project.expect(1, &["build", "--no-dry-run"]);
    ran.said("`data/motd.txt` was read and is no input of `motd`: no seal; ami-").said("was removed");
    Account::of(&cloud).only_sealed_images(&[]);

    project.edit("ovenbird.hcl", "motd.yml\"\n", "motd.yml\"\n  inputs   = [\"data/*.txt\"]\n");
    project.expect(0, &["dry-run"]);
    assert_eq!(project.dry_run_images().len(), 1);
    assert_eq!(project.scratch_left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_ansible_that_keeps_the_guard_out_is_no_proof() {
    let cloud = LocalEc2::start(true);
    let mut project = with_a_filter_that_opens_a_file("isolated", &cloud);
    project.put_before("ansible-playbook", "#!/bin/sh\nunset PYTHONPATH\nexec REAL \"$@\"\n");
    // The developer's shell must neither help nor hinder.
    for (name, value) in [("PYTHONPATH", "/nowhere"), ("PYTHONSAFEPATH", "1"), ("PYTHONNOUSERSITE", "1"), ("PYTHONSTARTUP", "/nowhere")] {
        project.environment.insert(name.to_owned(), value.to_owned());
    }
    project.expect(1, &["dry-run"]).said("nobody saw which files ansible-playbook opened: the dry run does not count as passed");
    assert_eq!(project.dry_run_images(), Vec::<String>::new());
}
