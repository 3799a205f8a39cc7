//! Tests of the keys: pinned digests, the table of what moves which key, and the same by generated cases.
//!
//! Invariant: a row of the table is one change of one thing; the pinned digests move only together with `FORMAT` or `RECIPE`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use crate::config::lock::{GalaxyPin, Pins, StagePin};
use crate::config::pipeline::{Pipeline, Recipe, Secret, Tool};
use crate::model::digest::{Digest, StageKey};
use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::model::value::{Reference, Value};
use crate::plan::difference::{Change, difference};
use crate::plan::graph::Graph;
use crate::plan::inputs::{Entry, StageInputs};
use crate::plan::keyed::{Keyed, manifests};
use crate::plan::manifest::{FORMAT, InputManifest, ManifestParent};
use crate::plan::testing::{self, name, node};

/// Everything that keys are made from: `base` from a source, `web` from it; `base` uses a bit of everything.
#[derive(Clone)]
struct World {
    pipeline: Pipeline,
    pins: Pins,
    inputs: BTreeMap<Name, StageInputs>,
    docker: BTreeMap<String, String>,
}

fn world() -> World {
    let mut pipeline = testing::pipeline(&[("base", ""), ("web", "base")]);
    pipeline.tools = BTreeMap::from([(Tool::Packer, "~> 1.15".to_owned()), (Tool::Terraform, "~> 1.11".to_owned())]);
    let secret = Secret { env: "DD_API_KEY".to_owned(), version: "2026-11".to_owned(), span: 0..0 };
    pipeline.secrets = BTreeMap::from([(name("datadog"), secret.clone()), (name("unused"), secret)]);
    let base = &mut pipeline.stages[0];
    base.vars = BTreeMap::from([
        ("consul".to_owned(), string("1.21.0")),
        ("count".to_owned(), Value::Number("2".to_owned())),
        ("key".to_owned(), Value::Ref(Reference::Secret(name("datadog")))),
        ("map".to_owned(), Value::Map(BTreeMap::from([("a".to_owned(), string("1")), ("b".to_owned(), Value::Null)]))),
        ("list".to_owned(), Value::List(vec![string("x"), string("y")])),
        ("parent".to_owned(), Value::Ref(Reference::ParentId)),
    ]);
    base.ansible_arguments = vec!["--skip-tags".to_owned(), "slow".to_owned()];
    base.groups = vec!["web".to_owned(), "all_linux".to_owned()];
    base.image = BTreeMap::from([("volume_size".to_owned(), Value::Number("20".to_owned()))]);
    base.galaxy = vec![PathBuf::from("ansible/requirements.yml")];
    base.verify = Some(PathBuf::from("ansible/verify/base.yml"));
    base.dry_run.skip_tags = vec!["kernel".to_owned()];
    let mut pins = testing::pins();
    let galaxy = GalaxyPin { requirements: Digest::of(b"requirements"), versions: BTreeMap::new(), content: Digest::of(b"installed") };
    pins.galaxy.insert("ansible/requirements.yml".to_owned(), galaxy);
    pins.stages.insert(name("base"), StagePin { generation: 0, freshness: Some("2026-11-16".to_owned()) });
    let mut inputs = testing::inputs(&pipeline);
    let base = inputs.get_mut("base").unwrap();
    base.trees.insert("ansible/requirements.yml".to_owned(), testing::tree(&[("", "requirements")]));
    base.verify_trees.insert("ansible/verify".to_owned(), testing::tree(&[("base.yml", "verify")]));
    base.environment.insert("ANSIBLE_PIPELINING".to_owned(), "1".to_owned());
    World { pipeline, pins, inputs, docker: testing::docker() }
}

/// Manifests that stand in the repository with their keys, as this form writes them (with recipe 1: a raise of that is no other
/// form). Another form without a new number fails here; with one it wants a folder of its own, and the old one stays.
#[test]
fn the_manifests_in_the_repository_are_written_the_same_under_the_same_keys() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/manifests/format-{FORMAT}"));
    let (mut base, mut web) = (world().keyed("base"), world().keyed("web"));
    for manifest in [&mut base.manifest, &mut web.manifest, &mut base.dry_run_manifest] {
        manifest.recipe = 1;
    }
    // A child's manifest has its parent's key in it.
    web.manifest.parent = ManifestParent::Stage(StageKey(base.manifest.key().unwrap()));
    let keys = std::fs::read_to_string(folder.join("keys")).unwrap();
    let all = [("base", &base.manifest), ("web", &web.manifest), ("base-dry-run", &base.dry_run_manifest)];
    assert_eq!(keys.lines().count(), all.len());
    for (name, manifest) in all {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        assert_eq!(serde_json::to_string_pretty(manifest).unwrap() + "\n", text, "{name}");
        let back: InputManifest = serde_json::from_str(&text).unwrap();
        let key = back.key().unwrap().to_string();
        assert_eq!(keys.lines().find_map(|line| line.strip_prefix(&format!("{name} "))), Some(key.as_str()), "{name}");
        assert_eq!(back.format, FORMAT);
    }
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

impl World {
    fn keyed(&self, id: &str) -> Keyed {
        let graph = Graph::new(&self.pipeline);
        manifests(&self.pipeline, &graph, &self.pins, &self.inputs, &self.docker).remove(&node(id)).unwrap()
    }

    fn base(&mut self) -> &mut crate::config::pipeline::Stage {
        self.pipeline.stages.iter_mut().find(|stage| stage.name.as_str() == "base").unwrap()
    }

    fn tree(&mut self, tree: &str) -> &mut crate::plan::inputs::Tree {
        Arc::make_mut(self.inputs.get_mut("base").unwrap().trees.get_mut(tree).unwrap())
    }

    fn role(&mut self) -> &mut crate::plan::inputs::Tree {
        self.tree("ansible/roles/base")
    }
}

#[test]
fn pinned_digests_move_only_with_a_raise_of_format_or_recipe() {
    let keyed = world().keyed("base");
    let web = world().keyed("web");
    let digests = [
        keyed.stage_key.map(|k| k.0),
        keyed.dry_run_key.map(|k| k.0),
        keyed.verify_key,
        keyed.dry_run_verify_key,
        web.stage_key.map(|k| k.0),
        web.dry_run_key.map(|k| k.0),
    ];
    let short = digests.map(|digest| digest.map(|digest| digest.short()).unwrap_or_default());
    assert_eq!(short, ["3cbcb5a9c1e2", "15f614e3764d", "416352fb1364", "4a9cbebb68b0", "e584926dc8fd", "5c4cdb681a19"]);
}

#[test]
fn the_canonical_text_is_what_it_was() {
    let keyed = testing::keyed(&testing::pipeline(&[("base", "")]));
    let manifest = &keyed[&node("base")].manifest;
    let text = String::from_utf8(crate::plan::canonical::bytes(manifest)).unwrap();
    let trees = text.find(r#","trees":{"#).unwrap();
    let expected = [
        r#"{"ansible_config":null,"architecture":"x86_64","arguments":[],"environment":{},"format":"1","freshness":null,"galaxy":[]"#,
        r#","generation":"0","groups":[],"kind":"stage","parent":{"ami":{"id":"ami-x86_64","name":"debian-12-x86_64"}},"pipeline":"shop""#,
        r#","provision":{"playbook":{"playbook":"ansible/base.yml","template":"packer"}},"recipe":"2","secrets":{},"settings":{"ssh_username":{"string":"admin"}},"stage":"base","tools":{}"#,
    ];
    assert_eq!(text[..trees], expected.concat());
}

type Touch = fn(&mut World);

/// What one change does: `s` stage key, `d` dry-run key, `v` verification key of `base`, `c` stage key of its child.
#[rustfmt::skip]
const TABLE: &[(&str, &str, Touch)] = &[
    // Files.
    ("file edited", "sdvc", |w| { let other = testing::tree(&[("x", "other")])["x"].clone(); w.role().insert("tasks/main.yml".into(), other); }),
    ("file renamed", "sdvc", |w| { let file = w.role().remove("tasks/main.yml").unwrap(); w.role().insert("tasks/other.yml".into(), file); }),
    ("file deleted", "sdvc", |w| { w.role().remove("templates/site.conf.j2"); }),
    ("chmod +x", "sdvc", |w| if let Some(Entry::File { executable, .. }) = w.role().get_mut("tasks/main.yml") { *executable = true; }),
    ("mode where it counts", "sdvc", |w| if let Some(Entry::File { mode, .. }) = w.role().get_mut("tasks/main.yml") { *mode = Some(0o664); }),
    ("empty folder appears", "sdvc", |w| { w.role().insert("files/empty".into(), Entry::EmptyFolder); }),
    ("place is looked at", "sdvc", |w| { w.role().insert("group_vars/web.yml".into(), Entry::Absent); }),
    ("link instead of file", "sdvc", |w| { w.role().insert("tasks/main.yml".into(), Entry::Link { target: "a".into(), content: None, executable: false }); }),
    ("role of the same name elsewhere", "sdvc", |w| { let tree = Arc::new(w.role().clone()); w.inputs.get_mut("base").unwrap().trees.insert("role:base".into(), tree); }),
    ("template body under the same name", "sdvc", |w| { w.tree("packer").clone_from(&testing::tree(&[("image.pkr.hcl", "other")])); }),
    ("verify playbook edited", "v", |w| { w.inputs.get_mut("base").unwrap().verify_trees.insert("ansible/verify".into(), testing::tree(&[("base.yml", "other")])); }),
    ("another verify playbook", "v", |w| w.base().verify = Some("ansible/verify/other.yml".into())),
    ("another playbook", "sdvc", |w| w.base().recipe = Recipe::Playbook { playbook: "ansible/other.yml".into(), template: "packer".into() }),
    ("ansible.cfg comes into force", "sdvc", |w| w.inputs.get_mut("base").unwrap().ansible_config = Some("cfg:ansible.cfg".into())),
    // Values.
    ("variable's value", "sdvc", |w| { w.base().vars.insert("consul".into(), string("1.21.1")); }),
    ("number becomes a string", "sdvc", |w| { w.base().vars.insert("count".into(), string("2")); }),
    ("null becomes absent", "sdvc", |w| { w.base().vars.insert("map".into(), Value::Map(BTreeMap::from([("a".into(), string("1"))]))); }),
    ("list in another order", "sdvc", |w| { w.base().vars.insert("list".into(), Value::List(vec![string("y"), string("x")])); }),
    ("list items joined", "sdvc", |w| { w.base().vars.insert("list".into(), Value::List(vec![string("x\",\"y")])); }),
    ("reference becomes its text", "sdvc", |w| { w.base().vars.insert("parent".into(), string("parent.id")); }),
    ("arguments in another order", "sdvc", |w| w.base().ansible_arguments.reverse()),
    ("arguments joined", "sdvc", |w| w.base().ansible_arguments = vec!["--skip-tags slow".into()]),
    ("groups in another order", "sdvc", |w| w.base().groups.reverse()),
    ("environment", "sdvc", |w| { w.inputs.get_mut("base").unwrap().environment.insert("ANSIBLE_PIPELINING".into(), "0".into()); }),
    ("version of a secret in use", "sdvc", |w| w.pipeline.secrets.get_mut("datadog").unwrap().version = "2026-12".into()),
    ("version of a secret that nobody uses", "", |w| w.pipeline.secrets.get_mut("unused").unwrap().version = "2026-12".into()),
    ("variable that holds a secret", "", |w| w.pipeline.secrets.get_mut("datadog").unwrap().env = "OTHER".into()),
    ("volume size", "svc", |w| { w.base().image.insert("volume_size".into(), Value::Number("30".into())); }),
    ("skipped tags of the dry run", "d", |w| w.base().dry_run.skip_tags.clear()),
    ("idempotence is not asked for", "d", |w| w.base().dry_run.idempotent = false),
    ("ssh user", "sdvc", |w| w.pipeline.sources.get_mut("debian").unwrap().ssh_username = "debian".into()),
    // Pins and tools.
    ("source AMI moved by update", "svc", |w| w.pins.sources.get_mut(&(name("debian"), Architecture::X86_64)).unwrap().id = "ami-2".into()),
    ("source AMI of the other architecture", "", |w| w.pins.sources.get_mut(&(name("debian"), Architecture::Arm64)).unwrap().id = "ami-2".into()),
    ("day of the pin", "", |w| w.pins.sources.get_mut(&(name("debian"), Architecture::X86_64)).unwrap().pinned = "2026-11-17".into()),
    ("Docker image moved", "d", |w| { w.docker.insert("debian:12".into(), "sha256:e1d".into()); }),
    ("generation", "sdvc", |w| w.pins.stages.get_mut("base").unwrap().generation = 1),
    ("freshness", "svc", |w| w.pins.stages.get_mut("base").unwrap().freshness = Some("2026-11-23".into())),
    ("galaxy role upgraded in place", "sdvc", |w| w.pins.galaxy.get_mut("ansible/requirements.yml").unwrap().content = Digest::of(b"newer")),
    ("constraint of packer", "sdvc", |w| { w.pipeline.tools.insert(Tool::Packer, "~> 1.14".into()); }),
    ("constraint of docker", "d", |w| { w.pipeline.tools.insert(Tool::Docker, ">= 20".into()); }),
    ("constraint of terraform", "", |w| { w.pipeline.tools.insert(Tool::Terraform, "~> 1.12".into()); }),
    ("name of the pipeline", "sdvc", |w| w.pipeline.name = name("shop2")),
    // How and where, not what.
    ("copy region", "", |w| w.pipeline.regions.push("us-west-2".into())),
    ("tags", "", |w| { w.pipeline.tags.insert("team".into(), "platform".into()); w.base().tags.insert("a".into(), "b".into()); }),
    ("AMI name", "", |w| w.base().ami_name = Some(string("mine"))),
    ("builder", "", |w| { w.base().builder.values.insert("instance_type".into(), string("m5.large")); }),
    ("place of the checkout", "", |w| { w.pipeline.root = "/elsewhere".into(); w.pipeline.dir = "/elsewhere".into(); w.pipeline.file = "/elsewhere/o.hcl".into(); }),
    ("notes and whys", "", |w| { w.inputs.get_mut("base").unwrap().notes.insert("floating".into()); }),
    ("patterns that matched nothing", "", |w| { w.base().ignore.push("docs/**".into()); w.base().inputs.push("none/**".into()); }),
    ("freshness limit", "", |w| w.base().freshness_days = Some(3)),
    ("a further architecture", "", |w| w.base().architectures = Architecture::ALL.to_vec()),
    ("order of the stages in the file", "", |w| w.pipeline.stages.reverse()),
];

#[test]
fn each_change_moves_the_keys_that_it_should_and_no_others() {
    let before = world();
    let (base, web) = (before.keyed("base"), before.keyed("web"));
    for (case, moves, touch) in TABLE {
        let mut after = before.clone();
        touch(&mut after);
        let (new_base, new_web) = (after.keyed("base"), after.keyed("web"));
        assert!(new_base.stage_key.is_some() && new_base.dry_run_key.is_some(), "{case}");
        let mut moved = String::new();
        let mut note = |what, differs: bool| moved.extend(differs.then_some(what));
        note('s', base.stage_key != new_base.stage_key);
        note('d', base.dry_run_key != new_base.dry_run_key);
        note('v', base.verify_key != new_base.verify_key);
        note('c', web.stage_key != new_web.stage_key);
        assert_eq!(moved, *moves, "{case}");
        // The difference tells of a change exactly when the key moved, and its text never panics.
        let changes = difference(&base.manifest, &new_base.manifest);
        assert_eq!(changes.is_empty(), !moves.contains('s'), "{case}: {changes:?}");
        assert!(changes.iter().all(|change| !change.to_string().is_empty()));
        assert_eq!(difference(&base.dry_run_manifest, &new_base.dry_run_manifest).is_empty(), !moves.contains('d'), "{case}");
    }
}

#[test]
fn the_other_architecture_and_the_other_kind_have_other_keys() {
    let mut world = world();
    world.base().architectures = Architecture::ALL.to_vec();
    let (intel, arm) = (world.keyed("base"), world.keyed("base/arm64"));
    assert_ne!(intel.stage_key, arm.stage_key);
    assert_ne!(intel.dry_run_key, arm.dry_run_key);
    assert_ne!(intel.stage_key.map(|k| k.0), intel.dry_run_key.map(|k| k.0));
}

#[test]
fn what_is_not_pinned_gives_no_key_here_and_below_but_a_dry_run_needs_no_source_ami() {
    let mut world = world();
    world.pins.sources.clear();
    let (base, web) = (world.keyed("base"), world.keyed("web"));
    assert_eq!((base.stage_key, web.stage_key), (None, None));
    assert!(base.dry_run_key.is_some() && web.dry_run_key.is_some());
    assert_eq!(base.missing.iter().map(ToString::to_string).collect::<Vec<_>>(), ["source debian x86_64"]);
    assert_eq!(web.missing, []);

    let mut world = self::world();
    world.pins.sources.values_mut().for_each(|pin| pin.region = "us-west-2".to_owned());
    assert_eq!(world.keyed("base").stage_key, None, "a pin for another region is no pin");

    let mut world = self::world();
    world.tree("ansible/requirements.yml").clone_from(&testing::tree(&[("", "edited")]));
    let base = world.keyed("base");
    assert_eq!((base.stage_key, base.dry_run_key), (None, None), "the galaxy pin is of other bytes of the file");
    assert_eq!(base.missing[0].to_string(), "galaxy ansible/requirements.yml");
}

#[test]
fn a_stage_without_docker_says_why_and_so_do_its_children() {
    let mut world = world();
    world.pipeline.sources.get_mut("debian").unwrap().docker = None;
    assert_eq!(world.keyed("base").not_possible.as_deref(), Some("source `debian` names no `docker` image"));
    assert_eq!(world.keyed("web").not_possible.as_deref(), Some("its parent `base` has no dry run"));
    assert_eq!((world.keyed("web").dry_run_key, world.keyed("web").stage_key.is_some()), (None, true));
}

#[test]
fn a_stored_manifest_reads_back_with_the_same_key_and_holds_no_secret() {
    let manifest = world().keyed("base").manifest;
    let text = serde_json::to_string_pretty(&manifest).unwrap();
    let back: InputManifest = serde_json::from_str(&text).unwrap();
    assert_eq!(back.key(), manifest.key());
    assert!(text.contains(r#""secret.datadog""#) && text.contains(r#""parent.id""#), "{text}");
    assert!(!text.contains("DD_API_KEY") && !text.contains("/root"), "{text}");
}

#[test]
fn a_difference_names_files_and_says_so_when_the_earlier_files_are_not_known() {
    let before = world();
    let mut after = before.clone();
    after.role().remove("templates/site.conf.j2");
    after.role().insert("tasks/extra.yml".to_owned(), testing::tree(&[("x", "y")])["x"].clone());
    after.inputs.get_mut("base").unwrap().trees.insert("ansible/base.yml".to_owned(), testing::tree(&[("", "edited")]));
    after.pins.stages.get_mut("base").unwrap().generation = 3;
    let text = |changes: Vec<Change>| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let (mut old, new) = (before.keyed("base").manifest, after.keyed("base").manifest);
    assert_eq!(
        text(difference(&old, &new)),
        "M ansible/base.yml\nA ansible/roles/base/tasks/extra.yml\nD ansible/roles/base/templates/site.conf.j2\npin generation: 0 → 3"
    );
    old.contents.clear();
    let unknown = "(its earlier files are not known here)";
    let expected = format!("M ansible/base.yml {unknown}\nM ansible/roles/base {unknown}\npin generation: 0 → 3");
    assert_eq!(text(difference(&old, &new)), expected);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (0..1000u32).prop_map(|n| Value::Number(n.to_string())),
        "[a-c\"\\\\,:{}\\[\\]]{0,4}".prop_map(Value::String),
        Just(Value::Ref(Reference::ParentId)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::btree_map("[a-c\",:]{0,3}", inner, 0..3).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_in_which_a_map_is_filled_never_matters(
        entries in prop::collection::btree_map("[a-z\"]{1,4}", any_value(), 1..6).prop_map(|map| map.into_iter().collect::<Vec<_>>()).prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
    ) {
        let (one, other) = entries;
        let text = |entries: &[(String, Value)]| {
            let fields: Vec<String> = entries.iter().map(|(k, v)| format!("{}:{}", serde_json::to_string(k).unwrap(), serde_json::to_string(v).unwrap())).collect();
            format!("{{{}}}", fields.join(","))
        };
        let mut worlds = [world(), world()];
        for (world, entries) in worlds.iter_mut().zip([&one, &other]) {
            world.base().vars = serde_json::from_str(&text(entries)).unwrap();
        }
        prop_assert_eq!(worlds[0].keyed("base").stage_key, worlds[1].keyed("base").stage_key);
    }

    #[test]
    fn two_values_that_differ_never_share_a_key(a in any_value(), b in any_value()) {
        let mut worlds = [world(), world()];
        worlds[0].base().vars.insert("v".to_owned(), a.clone());
        worlds[1].base().vars.insert("v".to_owned(), b.clone());
        prop_assert_eq!(worlds[0].keyed("base").stage_key == worlds[1].keyed("base").stage_key, a == b);
    }

    #[test]
    fn any_two_changes_of_the_table_together_move_what_one_of_them_moves(one in 0..TABLE.len(), two in 0..TABLE.len()) {
        // Some changes are their own way back.
        prop_assume!(one != two);
        let ((_, moves_one, touch_one), (_, moves_two, touch_two)) = (TABLE[one], TABLE[two]);
        let mut after = world();
        touch_one(&mut after);
        touch_two(&mut after);
        let moved = after.keyed("base").stage_key != world().keyed("base").stage_key;
        prop_assert_eq!(moved, moves_one.contains('s') || moves_two.contains('s'));
    }
}
