//! The trees of `tests/keys/packer/`: Packer itself runs them under strace, template and plays together.

use std::path::Path;

use ovenbird::config::pipeline::Recipe;

use crate::checkout::Checkout;
use crate::figures::conclude;
use crate::judge::{Verdict, judge};
use crate::run::{program, traced};
use crate::small_trees::{each, trees};
use crate::tree::{Tree, write};

fn built(tree: &Tree) -> Verdict {
    let checkout = Checkout::of(tree);
    let said = checkout.ask().unwrap_or_else(|problems| panic!("{}: {problems}", tree.name));
    let Recipe::Template { template, only, packer_vars, var_files, .. } = &checkout.stage().recipe else {
        panic!("{}: a tree for Packer names its template", tree.name)
    };
    let mut arguments = vec!["build".to_owned(), "-color=false".to_owned(), format!("-only={}", only.join(","))];
    arguments.extend(var_files.iter().map(|file| format!("-var-file={}", file.display())));
    if !packer_vars.is_empty() {
        let values: serde_json::Map<_, _> = packer_vars.keys().map(|name| (name.clone(), "filled".into())).collect();
        let file = checkout.beside("tmp").join("packer.pkrvars.json");
        write(&file, serde_json::Value::from(values).to_string().as_bytes());
        arguments.push(format!("-var-file={}", file.display()));
    }
    arguments.push(Path::new(template).display().to_string());
    let mut environment = checkout.child_environment(&said.inputs);
    // The machine stands here, and the library must not see it.
    environment.insert("ANSIBLE_TRANSPORT".to_owned(), "local".to_owned());
    match traced(&checkout, &program("packer"), &arguments, &environment) {
        Ok(touched) => judge(tree, &touched.below(&checkout.beside("")), &said.key),
        Err(failed) => Verdict { name: tree.name.clone(), failed: Some(failed), ..Verdict::default() },
    }
}

#[test]
fn no_path_that_packer_touches_is_missing_from_the_key() {
    conclude("packer", &each(&trees("packer"), |(): &mut (), tree| built(tree)));
}
