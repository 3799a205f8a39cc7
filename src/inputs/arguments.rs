//! [`Arguments`]: what a task gives its module, in every spelling.
//!
//! Invariant: a parameter that stands in several places (mapping, `args`, `key=value` words) gives all of its values.

use super::jinja;
use crate::syntax::yaml::Node;

/// A module's arguments: a mapping's, `key=value` words', and the text when there is nothing else.
pub(super) struct Arguments<'n> {
    nodes: Vec<&'n Node>,
    pub(super) words: Vec<(Option<String>, String)>,
    pub(super) line: usize,
}

impl<'n> Arguments<'n> {
    pub(super) fn of(value: &'n Node, extra: Option<&'n Node>) -> Self {
        let words = value.text().map(jinja::words).unwrap_or_default();
        Self { nodes: [Some(value), extra].into_iter().flatten().collect(), words, line: value.line }
    }

    /// Every value of a parameter, with its line; not scalars give nothing.
    pub(super) fn get(&self, name: &str) -> Vec<(String, usize)> {
        let nodes = self.nodes.iter().flat_map(|n| n.get_all(name)).flat_map(Node::one_or_many);
        // What is marked as no template is taken as it stands, which no name here can say.
        let raw = |n: &Node, text: &str| n.tag.as_deref() == Some("!unsafe") && jinja::templated(text);
        let nodes = nodes.filter_map(|n| n.text().map(|t| (if raw(n, t) { format!("{}{t}", jinja::RAW) } else { t.to_owned() }, n.line)));
        let words = self.words.iter().filter(|(key, _)| key.as_deref() == Some(name)).map(|(_, v)| (v.clone(), self.line));
        nodes.chain(words).collect()
    }

    /// The mappings that arguments stand in.
    pub(super) fn all(&self) -> impl Iterator<Item = &'n Node> {
        self.nodes.iter().copied()
    }

    /// Every value of a parameter, whatever it is.
    pub(super) fn nodes(&self, name: &'n str) -> impl Iterator<Item = &'n Node> {
        self.all().flat_map(move |node| node.get_all(name))
    }

    /// The one template that all of them are in (`copy: "{{ how }}"`, `args: "{{ how }}"`).
    pub(super) fn template(&self) -> Option<&'n str> {
        let whole =
            |text: &&str| matches!(jinja::pieces(text).as_deref(), None | Some([jinja::Piece::Expression(_)])) && jinja::templated(text);
        self.all().filter_map(Node::text).find(whole)
    }

    /// The words without `key=`, as one text.
    pub(super) fn free(&self) -> String {
        self.words.iter().filter(|(key, _)| key.is_none()).map(|(_, v)| v.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// What a switch says; `None`: nothing, or nothing that is known. Of several that differ, which one wins is not modelled.
    pub(super) fn yes(&self, name: &str) -> Option<bool> {
        let said = self.get(name).into_iter().map(|(value, _)| match value.to_lowercase().as_str() {
            "yes" | "true" | "on" | "1" | "y" | "t" => Some(true),
            "no" | "false" | "off" | "0" | "n" | "f" => Some(false),
            _ => None,
        });
        let mut said = said.collect::<std::collections::BTreeSet<_>>().into_iter();
        let one = said.next().flatten();
        if said.next().is_none() { one } else { None }
    }
}

/// A text of YAML as an argument of Jinja.
pub(super) fn quote(text: &str) -> String {
    match jinja::pieces(text).as_deref() {
        Some([jinja::Piece::Expression(expression)]) => expression.clone(),
        _ if jinja::templated(text) || text.contains('\'') => "unknown_text()".to_owned(),
        _ => format!("'{text}'"),
    }
}
