//! The pipeline of `examples/small`: each stage's play under strace, over the very files that are checked in.
//!
//! `make demo` builds it for real; here its modules are only answered. Invariant: a stage that is added to `ovenbird.hcl` fails this
//! until it is traced too.

use std::path::{Path, PathBuf};

use crate::checkout::Checkout;
use crate::figures::conclude;
use crate::judge::{Verdict, judge};
use crate::run;
use crate::small_trees::each;
use crate::tree::Tree;

/// Every file below a folder of the example, by its path in there. What it shares with the repository are links, and files here.
fn add(tree: &mut Tree, example: &Path, folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            add(tree, example, &path);
        } else {
            let name = path.strip_prefix(example).expect("it lies there").to_string_lossy().into_owned();
            tree.file(&name, std::fs::read_to_string(&path).expect("the example is text"));
        }
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/small")
}

fn stage(name: &str, playbook: &str, lines: &[&str]) -> Tree {
    let example = example();
    let text = std::fs::read_to_string(example.join("ovenbird.hcl")).expect("the example is there");
    let block = text.split("\nstage ").find(|block| block.starts_with(&format!("\"{name}\""))).expect("the stage is there");
    assert!(block.contains(&format!("\"{playbook}\"")), "{playbook}\n{block}");
    let mut tree = Tree::parse(&format!("example {name}"), "-- ansible.cfg --\n");
    tree.file("ansible.cfg", std::fs::read_to_string(example.join("ansible.cfg")).expect("it is there"));
    ["ansible", "packer"].iter().for_each(|folder| add(&mut tree, &example, &example.join(folder)));
    playbook.clone_into(&mut tree.playbook);
    tree.stage = lines.iter().map(|line| (*line).to_owned()).collect();
    // nginx and systemd are not this machine's to change; facts are what a real one says.
    tree.stage.push("ansible_arguments = [\"-e\", \"ansible_become=false\"]".to_owned());
    tree
}

#[test]
fn no_path_that_the_example_touches_is_missing_from_its_keys() {
    let stages = [
        stage("base", "ansible/base.yml", &[]),
        stage("web", "ansible/web.yml", &["groups = [\"web\"]", "vars = { nginx_greeting = \"Hello\" }"]),
        stage("web", "ansible/verify/web.yml", &["groups = [\"web\"]"]),
        stage("api", "ansible/api.yml", &["vars = { api_greeting = \"Hello\" }"]),
    ];
    let text = std::fs::read_to_string(example().join("ovenbird.hcl")).expect("the example is there");
    assert_eq!(text.matches("\nstage ").count(), 3, "a stage of the example that is not traced");
    let traced = |tree: &Tree| {
        let checkout = Checkout::of(tree);
        let said = checkout.ask().unwrap_or_else(|problems| panic!("{}: {problems}", tree.name));
        match run::play(&checkout, tree, &said.inputs) {
            Ok(touched) => judge(tree, &touched.below(&checkout.beside("")), &said.key),
            Err(failed) => Verdict { name: tree.name.clone(), failed: Some(failed), ..Verdict::default() },
        }
    };
    conclude("example", &each(&stages, |(): &mut (), tree| traced(tree)));
}
