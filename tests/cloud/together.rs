//! Two runs in one checkout.

use serde_json::json;

use crate::account::Account;
use crate::harness::LocalEc2;
use crate::project::Project;

#[test]
fn a_second_run_waits_for_the_first_and_adopts_what_it_built_or_gives_up_when_asked() {
    let cloud = LocalEc2::start(true);
    let mut project = Project::small("together", &cloud);
    let gate = project.beside("gate");
    project.fake_packer(&json!([{ "until": gate }]));
    let mut first = project.start(&["build", "--no-dry-run", "--json"]);
    first.says("\"task_started\"");
    project.expect(75, &["build", "--no-dry-run", "--no-wait"]).said("held by");
    let mut second = project.start(&["build", "--no-dry-run"]);
    second.says("waiting for");
    assert!(!first.ended() && !second.ended());
    // What is edited while it waits counts: it decides on the checkout as it is when its turn comes.
    project.edit("ovenbird.hcl", "team = \"platform\"", "team = \"crew\"");
    project.touch_beside("gate");
    let (first, second) = (first.end(), second.end());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first}\n{second}");
    let mut runs: Vec<_> = project.packer_runs().into_iter().filter(|(_, kind)| kind == "build").collect();
    runs.sort();
    assert_eq!(runs.iter().map(|(stage, _)| stage.as_str()).collect::<Vec<_>>(), ["api", "base", "web"], "each once");
    let images = Account::of(&cloud).only_sealed_images(&["api", "base", "web"]);
    assert!(images.iter().all(|image| image.tag("team") == "crew"), "{images:?}");
}
