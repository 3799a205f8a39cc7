//! Tags of what a build makes: of everything that a run creates, of the image, of the tools that really made it.
//!
//! Writes none of them; `run/build.rs` does, and the key's tag last. Invariant: ours stand over the user's, and the key is not among
//! them.

use std::collections::BTreeMap;

use crate::config::pipeline::{ParentRef, Recipe};
use crate::inputs::plugins;
use crate::model::artifact::tags;
use crate::model::name::Name;
use crate::plan::plan::PlannedParent;
use crate::run::step::Current;
use crate::tools::ansible_report::Pass;
use crate::tools::versions;

impl Current<'_> {
    /// The source below all its parents.
    pub(super) fn source_name(&self) -> Option<&Name> {
        let mut stage = self.stage;
        loop {
            match &stage.from {
                ParentRef::Source(name) => return Some(name),
                ParentRef::Stage(name) => stage = self.steps.pipeline.stage(name)?,
            }
        }
    }

    /// Tags of everything that the run creates.
    pub(super) fn run_tags(&self) -> BTreeMap<String, String> {
        let node = &self.planned.node;
        let ours = [
            (tags::PIPELINE, self.steps.pipeline.name.to_string()),
            (tags::STAGE, node.stage.to_string()),
            (tags::ARCHITECTURE, node.architecture.to_string()),
            (tags::RUN, self.steps.run.to_string()),
            (tags::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let users = self.steps.pipeline.tags.iter().chain(&self.stage.tags).map(|(name, value)| (name.clone(), value.clone()));
        users.chain(ours.into_iter().map(|(name, value)| (name.to_owned(), value))).collect()
    }

    /// What really ran, by the reports of those who did.
    pub(super) fn tools(&self, pass: &Pass, collections: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let said = [("packer", &self.steps.packer), ("ansible-core", &pass.ansible), ("python", &pass.python), ("jinja2", &pass.jinja)];
        let said = said.into_iter().filter_map(|(name, version)| Some((name.to_owned(), version.clone()?)));
        let (Recipe::Playbook { template, .. } | Recipe::Template { template, .. }) = &self.stage.recipe;
        let required = plugins::required(&self.steps.pipeline.root.join(template));
        let selected = required.iter().filter_map(|plugin| {
            let version = versions::selected(&self.steps.plugins, &plugin.source, &plugin.version)?;
            Some((format!("packer-plugin-{}", plugin.source.rsplit('/').next()?), version.to_owned()))
        });
        said.chain(selected).chain(collections).collect()
    }

    /// Tags of the image: all but the key, which is written last.
    pub(super) fn tags(&self, parent: &str) -> BTreeMap<String, String> {
        let mut all = self.run_tags();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                all.insert(name.to_owned(), value);
            }
        };
        add(tags::PARENT, Some(parent.to_owned()));
        add(tags::SOURCE, self.source_name().map(ToString::to_string));
        add(tags::GIT, self.steps.head.as_ref().map(|head| head.commit.clone()));
        add(tags::DIRTY, self.steps.head.as_ref().filter(|head| head.dirty).map(|_| "true".to_owned()));
        if let PlannedParent::Node { node } = &self.planned.parent {
            let parent = self.steps.plan.nodes.iter().find(|planned| planned.node == *node);
            add(tags::PARENT_KEY, parent.and_then(|parent| parent.stage_key).map(|key| key.to_string()));
        }
        debug_assert!(!all.contains_key(tags::KEY), "the key is written last");
        all
    }
}

/// As the value of a tag: 256 characters at most, and only those that every service takes. Collections go last.
pub(super) fn tools_tag(tools: &BTreeMap<String, String>) -> String {
    const LONGEST: usize = 256;
    let (collections, own): (Vec<_>, Vec<_>) = tools.iter().partition(|(name, _)| name.contains('.'));
    let mut text = String::new();
    for (name, version) in own.into_iter().chain(collections) {
        let word = format!("{}{name}={version}", if text.is_empty() { "" } else { " " });
        if text.len() + word.len() > LONGEST {
            break;
        }
        text.extend(word.chars().map(|c| if c.is_ascii_alphanumeric() || " +-=._:/@".contains(c) { c } else { '_' }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_tools_names_our_own_first_and_fits() {
        let mut tools: BTreeMap<String, String> = [("packer", "1.15.0"), ("community.general", "9.1.0"), ("ansible-core", "2.19.4")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into();
        assert_eq!(tools_tag(&tools), "ansible-core=2.19.4 packer=1.15.0 community.general=9.1.0");
        tools.extend((0..99).map(|n| (format!("many.of_them_{n}"), "1.0.0~β".to_owned())));
        let text = tools_tag(&tools);
        assert!(text.len() <= 256 && text.starts_with("ansible-core=2.19.4 packer=1.15.0 ") && text.is_ascii(), "{text}");
    }
}
