//! Tests of `pins.rs`: what moves, what stays, what is missing. Owns no behaviour.

use super::*;
use crate::plan::testing;

fn world() -> (Pipeline, Pins) {
    let mut pipeline = testing::pipeline(&[("base", ""), ("web", "base")]);
    pipeline.stages[0].freshness_days = Some(7);
    pipeline.stages[0].galaxy = vec!["ansible/requirements.yml".into()];
    let mut pins = testing::pins();
    pins.stages.insert(testing::name("base"), StagePin { generation: 0, freshness: Some("2026-11-16".to_owned()) });
    pins.galaxy.insert("ansible/requirements.yml".to_owned(), galaxy("3.1.0"));
    (pipeline, pins)
}

fn galaxy(version: &str) -> GalaxyPin {
    GalaxyPin {
        requirements: Digest::of(b"requirements"),
        versions: BTreeMap::from([("role nginx".to_owned(), version.to_owned())]),
        content: Digest::of(version.as_bytes()),
    }
}

fn found(id: &str, version: &str) -> Found {
    Found {
        sources: BTreeMap::from([((testing::name("debian"), Architecture::X86_64), (id.to_owned(), "debian-12-x86_64".to_owned()))]),
        galaxy: BTreeMap::from([("ansible/requirements.yml".to_owned(), galaxy(version))]),
    }
}

fn lines(moves: &[Moved]) -> Vec<String> {
    let or = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    moves.iter().map(|m| format!("{} {}: {} → {} ({})", m.entry, m.field, or(&m.old), or(&m.new), m.because)).collect()
}

#[test]
fn nothing_moves_when_nothing_is_newer_and_nothing_is_due() {
    let (pipeline, pins) = world();
    let (next, moves) = moved(&pipeline, &pins, &found("ami-x86_64", "3.1.0"), &Wish::default(), "2026-11-22");
    assert_eq!((next, moves), (pins, Vec::new()), "the day of a pin that holds is not today's");
}

#[test]
fn a_newer_image_a_newer_role_and_a_stage_that_is_due_move() {
    let (pipeline, pins) = world();
    let (next, moves) = moved(&pipeline, &pins, &found("ami-9", "3.2.0"), &Wish::default(), "2026-11-23");
    assert_eq!(
        lines(&moves),
        [
            "source debian x86_64 : ami-x86_64 debian-12-x86_64 → ami-9 debian-12-x86_64 ()",
            "stage base freshness: 2026-11-16 → 2026-11-23 (7 d old, due after 7 d)",
            "galaxy ansible/requirements.yml role nginx: 3.1.0 → 3.2.0 ()",
        ]
    );
    assert_eq!(next.sources[&(testing::name("debian"), Architecture::X86_64)].pinned, "2026-11-23");
    assert_eq!(next.galaxy["ansible/requirements.yml"], galaxy("3.2.0"));
}

#[test]
fn only_what_was_named_moves_and_nothing_is_removed_then() {
    let (mut pipeline, pins) = world();
    pipeline.sources.values_mut().for_each(|source| drop(source.amis.remove(&Architecture::Arm64)));
    let wish = Wish { only: Some(BTreeSet::from([Entry::Galaxy("ansible/requirements.yml".to_owned())])), ..Wish::default() };
    let (next, moves) = moved(&pipeline, &pins, &found("ami-9", "3.2.0"), &wish, "2026-12-24");
    assert_eq!(lines(&moves), ["galaxy ansible/requirements.yml role nginx: 3.1.0 → 3.2.0 ()"]);
    assert_eq!(next.sources, pins.sources);
    assert_eq!(next.stages, pins.stages);
}

#[test]
fn a_rebuild_raises_the_generation_of_that_stage_alone() {
    let (pipeline, pins) = world();
    let wish = Wish { only: Some(BTreeSet::new()), rebuild: BTreeSet::from([testing::name("web")]) };
    let (next, moves) = moved(&pipeline, &pins, &Found::default(), &wish, "2026-12-24");
    assert_eq!(lines(&moves), ["stage web generation: 0 → 1 (rebuild asked for)"]);
    assert_eq!(next.stages[&testing::name("web")].generation, 1);
    let (next, _) = moved(&pipeline, &next, &Found::default(), &wish, "2026-12-24");
    assert_eq!(next.stages[&testing::name("web")].generation, 2);
}

#[test]
fn entries_that_the_pipeline_no_longer_has_go_and_it_is_said() {
    let (mut pipeline, mut pins) = world();
    pins.stages.insert(testing::name("old"), StagePin { generation: 3, freshness: Some("2026-01-01".to_owned()) });
    pipeline.stages[0].galaxy.clear();
    pipeline.stages[0].freshness_days = None;
    pipeline.sources.values_mut().for_each(|source| drop(source.amis.remove(&Architecture::Arm64)));
    let (next, moves) = moved(&pipeline, &pins, &Found::default(), &Wish::default(), "2026-11-22");
    assert_eq!(
        lines(&moves),
        [
            "source debian arm64 : ami-arm64 debian-12-arm64 → - (no longer in the pipeline)",
            "stage base freshness: 2026-11-16 → - (no longer in the pipeline)",
            "stage old freshness: 2026-01-01 → - (no longer in the pipeline)",
            "stage old generation: 3 → - (no longer in the pipeline)",
            &format!("galaxy ansible/requirements.yml : {} → - (no longer in the pipeline)", galaxy("3.1.0").content.short()),
        ]
    );
    assert_eq!((next.stages, next.galaxy, next.sources.len()), (BTreeMap::new(), BTreeMap::new(), 1));
}

#[test]
fn content_that_moved_under_the_same_versions_is_said() {
    let (pipeline, pins) = world();
    let mut found = found("ami-x86_64", "3.1.0");
    found.galaxy.get_mut("ansible/requirements.yml").unwrap().content = Digest::of(b"retagged");
    let (_, moves) = moved(&pipeline, &pins, &found, &Wish::default(), "2026-11-22");
    assert_eq!((moves.len(), moves[0].field.as_str(), moves[0].because.as_str()), (1, "content", "same versions, other files"));
}

#[test]
fn a_pin_that_the_pipeline_file_no_longer_means_is_missing() {
    let (mut pipeline, pins) = world();
    let graph = Graph::new(&pipeline);
    let same = BTreeMap::from([("ansible/requirements.yml".to_owned(), Digest::of(b"requirements"))]);
    assert_eq!(missing(&pipeline, &graph, &pins, &same), []);

    let said = |pipeline: &Pipeline, pins: &Pins, files: &BTreeMap<String, Digest>| -> Vec<String> {
        missing(pipeline, &graph, pins, files).iter().map(|m| format!("{} {}", m.entry, m.why)).collect()
    };
    let edited = BTreeMap::from([("ansible/requirements.yml".to_owned(), Digest::of(b"edited"))]);
    assert_eq!(said(&pipeline, &pins, &edited), ["galaxy ansible/requirements.yml has changed since it was pinned"]);
    assert_eq!(
        said(&pipeline, &Pins::default(), &same),
        ["source debian x86_64 is not pinned", "stage base has no freshness date", "galaxy ansible/requirements.yml is not pinned"],
        "arm64 is declared and no stage needs it"
    );
    let source = pipeline.sources.get_mut("debian").unwrap();
    source.amis.insert(Architecture::X86_64, AmiQuery::Id("ami-2".to_owned()));
    assert_eq!(said(&pipeline, &pins, &same), ["source debian x86_64 is pinned as `ami-x86_64`, the pipeline file says `ami-2`"]);
    let source = pipeline.sources.get_mut("debian").unwrap();
    let newest = AmiQuery::Newest { owners: vec!["1".to_owned()], name: Some("debian-13-*".to_owned()), filters: BTreeMap::new() };
    source.amis.insert(Architecture::X86_64, newest);
    assert_eq!(said(&pipeline, &pins, &same), ["source debian x86_64 is pinned as `debian-12-x86_64`, which is not called `debian-13-*`"]);
    pipeline.region = "us-west-2".to_owned();
    assert_eq!(
        said(&pipeline, &pins, &same),
        ["source debian x86_64 is pinned for region `ap-northeast-1`, the pipeline builds in `us-west-2`"]
    );
}

#[test]
fn patterns_match_as_ec2_matches_them() {
    for (pattern, text, fits) in [
        ("debian-12-*", "debian-12-amd64", true),
        ("debian-12-*", "debian-13-amd64", false),
        ("*-amd64-*", "debian-12-amd64-2026", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*", "", true),
        ("a\\*", "a*", true),
        ("a\\*", "ab", false),
        ("a*b*c", "a-b-b-c", true),
        ("a", "ab", false),
    ] {
        assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
    }
}

#[test]
fn a_day_is_counted_across_months() {
    assert_eq!(age("2026-10-30", "2026-11-02"), 3);
    assert_eq!(age("2026-11-02", "2026-11-02"), 0);
    assert_eq!(age("long ago", "2026-11-02"), i64::MAX);
}
