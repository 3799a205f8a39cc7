//! Templates in other people's style, untouched: built by real Packer, tagged and sealed by us afterwards, or refused.

use crate::account::Account;
use crate::harness::LocalEc2;
use crate::project::Project;

#[test]
fn a_json_template_with_user_variables_is_built_as_it_is_and_sealed() {
    let cloud = LocalEc2::start(false);
    let project = Project::foreign("legacy", "legacy", &cloud);
    let ran = project.expect(0, &["build"]);
    ran.said("appliance: a dry run is not possible: ");
    let images = Account::of(&cloud).only_sealed_images(&["appliance"]);
    assert_eq!((images[0].tag("Owner"), images[0].tag("ovenbird:pipeline")), ("ops", project.name.as_str()), "its tags and ours");
    assert_eq!(images[0].file("/etc/issue.net"), "Authorised use only.\n");
    assert!(images[0].file("/opt/appliance/name").starts_with(&format!("{}-appliance-x86_64-", project.name)));
    assert!(project.read("images.auto.tfvars").contains(&images[0].id));
    project.expect(0, &["plan", "--detailed-exitcode"]).said("1 to reuse");
    project.write("files/banner.txt", "Keep out.\n");
    project.expect(2, &["plan", "--detailed-exitcode"]).said("M files/banner.txt");
}

#[test]
fn a_folder_of_hcl_with_a_var_file_and_two_sources_is_built_as_it_is_and_sealed() {
    let cloud = LocalEc2::start(false);
    let project = Project::foreign("folder", "folder", &cloud);
    project.expect(0, &["build"]);
    let images = Account::of(&cloud).only_sealed_images(&["golden"]);
    assert_eq!(images[0].tag("CostCentre"), "4711");
    assert_eq!(images[0].file("/etc/edition"), "enterprise\n");
    assert!(project.read("images.auto.tfvars").contains(&images[0].id));
    project.expect(0, &["plan", "--detailed-exitcode"]).said("1 to reuse");
}

#[test]
fn a_template_that_picks_its_own_source_ami_gets_no_seal_and_its_image_is_removed() {
    let cloud = LocalEc2::start(false);
    let project = Project::foreign("own_source", "own-source", &cloud);
    let ran = project.expect(1, &["build"]);
    let ami = |name: &str| cloud.source("ap-northeast-1", name);
    let (used, parent) = (ami("debian-12-amd64-20261101-2200"), ami("debian-12-amd64-20261116-2299"));
    ran.said(&format!("was made from {used}, not from the parent {parent}: no seal")).said("was removed");
    Account::of(&cloud).nothing();
}
