//! What moves in the lock file: [`missing`] (a command cannot go on without it) and [`moved`] (`ovenbird update`).
//!
//! Pure: what EC2 and ansible-galaxy found comes in as [`Found`], the day as text. Decides nothing about images. Invariant: a pin
//! that nobody asked for and that is not due stays as it is, byte for byte, so a diff of the lock file shows only what was meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::config::lock::{GalaxyPin, Pins, SourcePin, StagePin};
use crate::config::pipeline::{AmiQuery, Pipeline};
use crate::model::digest::Digest;
use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::plan::graph::Graph;

/// An entry of the lock file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// A source AMI.
    Source(Name, Architecture),
    /// Freshness and generation of a stage.
    Stage(Name),
    /// A galaxy requirement file, by path relative to the root.
    Galaxy(String),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(name, architecture) => write!(f, "source {name} {architecture}"),
            Self::Stage(name) => write!(f, "stage {name}"),
            Self::Galaxy(file) => write!(f, "galaxy {file}"),
        }
    }
}

/// An entry that is not there, or that no longer says what the pipeline file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub entry: Entry,
    /// Why it does not do, as it reads behind the entry: `is not pinned`.
    pub why: String,
}

/// What was found outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Newest source AMIs: id and name.
    pub sources: BTreeMap<(Name, Architecture), (String, String)>,
    /// What requirement files install now.
    pub galaxy: BTreeMap<String, GalaxyPin>,
}

/// What may move.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Entries that may move; `None`: all, and those that the pipeline no longer has go.
    pub only: Option<BTreeSet<Entry>>,
    /// Stages whose generation is raised.
    pub rebuild: BTreeSet<Name>,
}

/// One thing that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Where.
    pub entry: Entry,
    /// What of the entry: `freshness`, `generation`, `role nginx`, `content`; empty for a source's AMI and a whole entry.
    pub field: String,
    /// Value before; `None`: there was none.
    pub old: Option<String>,
    /// Value now; `None`: it is gone.
    pub new: Option<String>,
    /// Why, where the values do not say it; empty otherwise.
    pub because: String,
}

/// Entries that keys need and that `pins` does not have. `requirements` holds the digests of the requirement files as they are now.
pub fn missing(pipeline: &Pipeline, graph: &Graph, pins: &Pins, requirements: &BTreeMap<String, Digest>) -> Vec<Missing> {
    let used: BTreeSet<(Name, Architecture)> = graph.nodes().iter().map(|n| (graph.source(n).clone(), n.architecture)).collect();
    let sources = used.into_iter().filter_map(|(name, architecture)| {
        let query = pipeline.sources.get(&name)?.amis.get(&architecture)?;
        let why = stale(query, pins.sources.get(&(name.clone(), architecture)), &pipeline.region)?;
        Some(Missing { entry: Entry::Source(name, architecture), why })
    });
    let stages = pipeline.stages.iter().filter(|s| s.freshness_days.is_some()).filter_map(|stage| {
        let pinned = pins.stages.get(&stage.name).is_some_and(|pin| pin.freshness.is_some());
        (!pinned).then(|| Missing { entry: Entry::Stage(stage.name.clone()), why: "has no freshness date".to_owned() })
    });
    let galaxy = requirements.iter().filter_map(|(file, digest)| {
        let why = match pins.galaxy.get(file) {
            None => "is not pinned",
            Some(pin) if pin.requirements != *digest => "has changed since it was pinned",
            Some(_) => return None,
        };
        Some(Missing { entry: Entry::Galaxy(file.clone()), why: why.to_owned() })
    });
    sources.chain(stages).chain(galaxy).collect()
}

/// Why a pin is none for this query; `None`: it is one. A pattern that was edited must not go on meaning the old image.
fn stale(query: &AmiQuery, pin: Option<&SourcePin>, region: &str) -> Option<String> {
    let Some(pin) = pin else { return Some("is not pinned".to_owned()) };
    if pin.region != region {
        return Some(format!("is pinned for region `{}`, the pipeline builds in `{region}`", pin.region));
    }
    match query {
        AmiQuery::Id(id) if *id != pin.id => Some(format!("is pinned as `{}`, the pipeline file says `{id}`", pin.id)),
        AmiQuery::Newest { name: Some(pattern), .. } if !matches(pattern, &pin.name) => {
            Some(format!("is pinned as `{}`, which is not called `{pattern}`", pin.name))
        }
        AmiQuery::Id(_) | AmiQuery::SsmParameter(_) | AmiQuery::Newest { .. } => None,
    }
}

/// EC2's filter patterns: `*` any characters, `?` one, `\` takes the next as it is.
fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Positions in `text` that the pattern read so far can end at.
    let mut ends = BTreeSet::from([0]);
    let mut rest = pattern.chars();
    while let Some(sign) = rest.next() {
        ends = match sign {
            '*' => ends.first().map_or_else(BTreeSet::new, |from| (*from..=text.len()).collect()),
            '?' => ends.into_iter().filter(|at| *at < text.len()).map(|at| at + 1).collect(),
            _ => {
                let literal = if sign == '\\' { rest.next().unwrap_or(sign) } else { sign };
                ends.into_iter().filter(|at| text.get(*at) == Some(&literal)).map(|at| at + 1).collect()
            }
        };
    }
    ends.contains(&text.len())
}

/// The pins after an update, and what moved in the order of the lock file. `today` is `YYYY-MM-DD`.
pub fn moved(pipeline: &Pipeline, pins: &Pins, found: &Found, wish: &Wish, today: &str) -> (Pins, Vec<Moved>) {
    let mut next = Next { pins: pins.clone(), moves: Vec::new() };
    let may = |entry: &Entry| wish.only.as_ref().is_none_or(|only| only.contains(entry));
    for (file, pin) in &found.galaxy {
        if may(&Entry::Galaxy(file.clone())) {
            next.galaxy(file, pin);
        }
    }
    for ((name, architecture), (id, ami)) in &found.sources {
        if may(&Entry::Source(name.clone(), *architecture)) {
            next.source(
                name,
                *architecture,
                SourcePin { region: pipeline.region.clone(), id: id.clone(), name: ami.clone(), pinned: today.to_owned() },
            );
        }
    }
    for stage in &pipeline.stages {
        if let Some(days) = stage.freshness_days.filter(|_| may(&Entry::Stage(stage.name.clone()))) {
            next.freshness(&stage.name, days, today);
        }
        if wish.rebuild.contains(&stage.name) {
            next.generation(&stage.name);
        }
    }
    if wish.only.is_none() {
        next.remove_gone(pipeline);
    }
    next.moves.sort_by(|a, b| (&a.entry, &a.field).cmp(&(&b.entry, &b.field)));
    (next.pins, next.moves)
}

struct Next {
    pins: Pins,
    moves: Vec<Moved>,
}

impl Next {
    fn say(&mut self, entry: &Entry, field: &str, old: Option<String>, new: Option<String>, because: &str) {
        self.moves.push(Moved { entry: entry.clone(), field: field.to_owned(), old, new, because: because.to_owned() });
    }

    fn source(&mut self, name: &Name, architecture: Architecture, pin: SourcePin) {
        let shown = |pin: &SourcePin| format!("{} {}", pin.id, pin.name);
        let key = (name.clone(), architecture);
        let old = self.pins.sources.get(&key);
        // The day is that of the move, so a pin that still holds keeps its own.
        if old.is_some_and(|old| (&old.region, &old.id, &old.name) == (&pin.region, &pin.id, &pin.name)) {
            return;
        }
        let because = match old {
            Some(old) if old.region != pin.region => format!("was for {}", old.region),
            Some(_) | None => String::new(),
        };
        let (old, new) = (old.map(shown), Some(shown(&pin)));
        self.say(&Entry::Source(name.clone(), architecture), "", old, new, &because);
        self.pins.sources.insert(key, pin);
    }

    fn freshness(&mut self, stage: &Name, days: u32, today: &str) {
        let pin = self.pins.stages.entry(stage.clone()).or_default();
        let old = pin.freshness.clone();
        if old.as_deref().is_some_and(|old| age(old, today) < i64::from(days)) {
            return;
        }
        pin.freshness = Some(today.to_owned());
        let because = old.as_deref().map_or_else(String::new, |old| format!("{} d old, due after {days} d", age(old, today)));
        self.say(&Entry::Stage(stage.clone()), "freshness", old, Some(today.to_owned()), &because);
    }

    fn generation(&mut self, stage: &Name) {
        let pin = self.pins.stages.entry(stage.clone()).or_default();
        let old = pin.generation;
        pin.generation += 1;
        self.say(&Entry::Stage(stage.clone()), "generation", Some(old.to_string()), Some((old + 1).to_string()), "rebuild asked for");
    }

    fn galaxy(&mut self, file: &str, pin: &GalaxyPin) {
        let entry = Entry::Galaxy(file.to_owned());
        let Some(old) = self.pins.galaxy.insert(file.to_owned(), pin.clone()) else {
            for (name, version) in &pin.versions {
                self.say(&entry, name, None, Some(version.clone()), "");
            }
            if pin.versions.is_empty() {
                self.say(&entry, "", None, Some("installs nothing".to_owned()), "");
            }
            return;
        };
        let names: BTreeSet<&String> = old.versions.keys().chain(pin.versions.keys()).collect();
        let mut versions = false;
        for name in names {
            let (before, now) = (old.versions.get(name), pin.versions.get(name));
            if before != now {
                versions = true;
                self.say(&entry, name, before.cloned(), now.cloned(), "");
            }
        }
        if !versions && old.content != pin.content {
            self.say(&entry, "content", Some(old.content.short()), Some(pin.content.short()), "same versions, other files");
        } else if !versions && old.requirements != pin.requirements {
            self.say(&entry, "requirements", Some(old.requirements.short()), Some(pin.requirements.short()), "installs the same");
        }
    }

    fn remove_gone(&mut self, pipeline: &Pipeline) {
        let declared = |name: &Name, architecture: Architecture| {
            pipeline.sources.get(name).is_some_and(|source| source.amis.contains_key(&architecture))
        };
        let files: BTreeSet<&str> = pipeline.stages.iter().flat_map(|s| &s.galaxy).filter_map(|file| file.to_str()).collect();
        let mut gone = Vec::new();
        self.pins.sources.retain(|(name, architecture), pin| {
            let keep = declared(name, *architecture);
            if !keep {
                gone.push((Entry::Source(name.clone(), *architecture), "", format!("{} {}", pin.id, pin.name)));
            }
            keep
        });
        self.pins.galaxy.retain(|file, pin| {
            let keep = files.contains(file.as_str());
            if !keep {
                gone.push((Entry::Galaxy(file.clone()), "", pin.content.short()));
            }
            keep
        });
        for (name, pin) in &mut self.pins.stages {
            let stage = pipeline.stage(name);
            let entry = Entry::Stage(name.clone());
            if let Some(old) = pin.freshness.take_if(|_| stage.is_none_or(|s| s.freshness_days.is_none())) {
                gone.push((entry.clone(), "freshness", old));
            }
            if stage.is_none() && pin.generation > 0 {
                gone.push((entry, "generation", std::mem::take(&mut pin.generation).to_string()));
            }
        }
        self.pins.stages.retain(|_, pin| *pin != StagePin::default());
        for (entry, field, old) in gone {
            self.say(&entry, field, Some(old), None, "no longer in the pipeline");
        }
    }
}

/// Whole days from `day` to `today`; a day that is none is older than everything, so it is due.
fn age(day: &str, today: &str) -> i64 {
    let date = |text: &str| text.parse::<jiff::civil::Date>().ok();
    match (date(day), date(today)) {
        (Some(day), Some(today)) => today.since((jiff::Unit::Day, day)).map_or(i64::MAX, |span| i64::from(span.get_days())),
        (None, _) | (_, None) => i64::MAX,
    }
}

#[cfg(test)]
#[path = "pins_tests.rs"]
mod tests;
