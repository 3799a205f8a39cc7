//! [`Queue`]: which step may start next. Pure: no clock, no process, no await.
//!
//! Must not know what a step does. Invariants: a step starts only when everything that it needs is done; a step that fails takes
//! only its descendants with it; with equal facts the order of starts is always the same.
//!
//! What needs what: a dry run needs the dry run of its parent (its container starts from that image); a build needs its own dry
//! run and the parent's AMI; a verification its own build, and nothing waits for it but the emit at the end. So the dry runs of the
//! apps run while the AMI of their base is being made, and their builds while it is verified. Of the steps that may
//! start, the one with the longest path behind it goes first.

use crate::event::{StepId, StepKind};
use crate::plan::plan::{Action, DryRunAction, Plan, PlannedParent};

/// Seconds that a dry run is taken to last when nobody knows.
pub const DRY_RUN_SECONDS: f64 = 60.0;
/// Seconds that a build is taken to last when nobody knows.
pub const BUILD_SECONDS: f64 = 600.0;
/// Seconds that a verification is taken to last when nobody knows: a boot, the checks, the end of the instance.
pub const VERIFY_SECONDS: f64 = 150.0;
/// Seconds that a change of tags is taken to last.
const RETAG_SECONDS: f64 = 2.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
    /// Failed, cancelled or blocked.
    Lost,
}

#[derive(Debug)]
struct Entry {
    id: StepId,
    needs: Vec<usize>,
    needed_by: Vec<usize>,
    /// Seconds from its start to the end of the longest chain behind it.
    path: f64,
    state: State,
}

/// A step that will not run, and the step that is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// It.
    pub step: StepId,
    /// That failed or was cancelled.
    pub by: StepId,
}

/// How a step left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What needs it may start.
    Done,
    /// It failed.
    Failed,
    /// It was stopped.
    Cancelled,
}

/// Steps of a plan and how far they are.
#[derive(Debug)]
pub struct Queue {
    /// A step's needs stand before it.
    entries: Vec<Entry>,
    keep_going: bool,
    /// First that failed or was cancelled.
    culprit: Option<StepId>,
    closed: bool,
}

impl Queue {
    /// The steps of `plan`. `seconds`: how long a step took last time.
    pub fn new(plan: &Plan, keep_going: bool, seconds: &dyn Fn(&StepId) -> Option<f64>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let find = |entries: &[Entry], id: &StepId| entries.iter().position(|e| e.id == *id);
        for planned in &plan.nodes {
            let step = |kind| StepId { node: planned.node.clone(), kind };
            let of_parent = |kind| match &planned.parent {
                PlannedParent::Node { node } => Some(StepId { node: node.clone(), kind }),
                PlannedParent::Source { .. } => None,
            };
            let mut add = |id: StepId, needs: Vec<Option<StepId>>| {
                let needs: Vec<usize> = needs.iter().flatten().filter_map(|need| find(&entries, need)).collect();
                let index = entries.len();
                for &need in &needs {
                    entries[need].needed_by.push(index);
                }
                entries.push(Entry { id, needs, needed_by: Vec::new(), path: 0.0, state: State::Waiting });
            };
            if planned.dry_run == DryRunAction::Run {
                add(step(StepKind::DryRun), vec![of_parent(StepKind::DryRun)]);
            }
            match planned.action {
                Action::Build => add(step(StepKind::Build), vec![Some(step(StepKind::DryRun)), of_parent(StepKind::Build)]),
                Action::Retag { .. } => add(step(StepKind::Retag), Vec::new()),
                Action::Reuse { .. } | Action::Nothing => {}
            }
            if planned.verification.runs() {
                add(step(StepKind::Verify), vec![Some(step(StepKind::Build))]);
            }
        }
        for index in (0..entries.len()).rev() {
            let id = &entries[index].id;
            let own = seconds(id).unwrap_or(match id.kind {
                StepKind::DryRun => DRY_RUN_SECONDS,
                StepKind::Build => BUILD_SECONDS,
                StepKind::Retag => RETAG_SECONDS,
                StepKind::Verify => VERIFY_SECONDS,
            });
            let behind = entries[index].needed_by.iter().map(|&next| entries[next].path).fold(0.0, f64::max);
            entries[index].path = own + behind;
        }
        Self { entries, keep_going, culprit: None, closed: false }
    }

    /// All steps, needs first.
    pub fn steps(&self) -> impl Iterator<Item = &StepId> {
        self.entries.iter().map(|e| &e.id)
    }

    /// The step to start next, marked as running; `None`: wait for one to end.
    pub fn start_next(&mut self, jobs: usize) -> Option<StepId> {
        let running = self.entries.iter().filter(|e| e.state == State::Running).count();
        if self.closed || running >= jobs.max(1) || (self.culprit.is_some() && !self.keep_going) {
            return None;
        }
        let ready = |e: &&Entry| e.state == State::Waiting && e.needs.iter().all(|&need| self.entries[need].state == State::Done);
        // `max_by` would give the last of equals; the plan's order decides between them.
        let best = self.entries.iter().filter(ready).fold(None, |best: Option<&Entry>, e| match best {
            Some(b) if b.path >= e.path => Some(b),
            _ => Some(e),
        })?;
        let id = best.id.clone();
        self.set(&id, State::Running);
        Some(id)
    }

    /// A running step ended; gives the steps that it takes with it.
    pub fn ended(&mut self, step: &StepId, how: Ended) -> Vec<Blocked> {
        if how == Ended::Done {
            self.set(step, State::Done);
            return Vec::new();
        }
        let index = self.set(step, State::Lost);
        self.culprit.get_or_insert_with(|| step.clone());
        let mut blocked = Vec::new();
        let mut reached = vec![index];
        while let Some(at) = reached.pop() {
            for next in self.entries[at].needed_by.clone() {
                if self.entries[next].state == State::Waiting {
                    self.entries[next].state = State::Lost;
                    blocked.push(next);
                    reached.push(next);
                }
            }
        }
        blocked.sort_unstable();
        blocked.into_iter().map(|at| Blocked { step: self.entries[at].id.clone(), by: step.clone() }).collect()
    }

    /// Nothing starts any more (an interrupt).
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// At the end: steps that could have run, but were not started because of a failure or an interrupt.
    pub fn never_started(&mut self) -> Vec<StepId> {
        let waiting: Vec<StepId> = self.entries.iter().filter(|e| e.state == State::Waiting).map(|e| e.id.clone()).collect();
        for id in &waiting {
            self.set(id, State::Lost);
        }
        waiting
    }

    /// The first step that failed or was cancelled.
    pub fn culprit(&self) -> Option<&StepId> {
        self.culprit.as_ref()
    }

    fn set(&mut self, step: &StepId, state: State) -> usize {
        let index = self.entries.iter().position(|e| e.id == *step).expect("only steps of the plan are started");
        self.entries[index].state = state;
        index
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::name::Name;
    use crate::model::node::{Architecture, NodeId};
    use crate::plan::plan::{PlannedNode, Wishes};
    use crate::plan::reason::Reason;
    use crate::plan::verification::VerifyAction;

    pub(in crate::run) fn node(stage: &str) -> NodeId {
        NodeId { stage: Name::new(stage).unwrap(), architecture: Architecture::X86_64 }
    }

    pub(in crate::run) fn dry(stage: &str) -> StepId {
        StepId { node: node(stage), kind: StepKind::DryRun }
    }

    pub(in crate::run) fn build(stage: &str) -> StepId {
        StepId { node: node(stage), kind: StepKind::Build }
    }

    /// `(stage, parent)`; every node is dry-run and built. A parent that is no stage is a source.
    pub(in crate::run) fn plan(stages: &[(&str, &str)]) -> Plan {
        let known = |name: &str| stages.iter().any(|(stage, _)| *stage == name);
        let nodes = stages.iter().map(|(stage, parent)| PlannedNode {
            node: node(stage),
            parent: if known(parent) {
                PlannedParent::Node { node: node(parent) }
            } else {
                PlannedParent::Source { name: (*parent).to_owned(), id: Some("ami-0".to_owned()), docker: Some("debian:12".to_owned()) }
            },
            stage_key: None,
            dry_run_key: None,
            action: Action::Build,
            reason: Reason::FirstBuild,
            dry_run: DryRunAction::Run,
            verification: VerifyAction::None,
            wanted: true,
            verify_key: None,
        });
        Plan {
            format: 1,
            pipeline: "shop".to_owned(),
            region: "eu-west-1".to_owned(),
            sources: Vec::new(),
            nodes: nodes.collect(),
            emits: Vec::new(),
            warnings: Vec::new(),
            wishes: Wishes { stages: Vec::new(), build: true, dry_run: true, again: false, emit: None },
        }
    }

    fn all_startable(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.start_next(99)).map(|id| id.to_string()).collect()
    }

    #[test]
    fn dry_runs_of_the_apps_start_while_the_base_is_being_made() {
        let mut queue = Queue::new(&plan(&[("base", "debian"), ("web", "base"), ("api", "base")]), false, &|_| None);
        assert_eq!(all_startable(&mut queue), ["dry-run base"]);
        assert_eq!(queue.ended(&dry("base"), Ended::Done), []);
        assert_eq!(all_startable(&mut queue), ["build base", "dry-run web", "dry-run api"]);
        queue.ended(&dry("web"), Ended::Done);
        assert_eq!(all_startable(&mut queue), [""; 0]);
        queue.ended(&build("base"), Ended::Done);
        assert_eq!(all_startable(&mut queue), ["build web"], "api's own dry run has not passed");
        queue.ended(&dry("api"), Ended::Done);
        assert_eq!(all_startable(&mut queue), ["build api"]);
    }

    #[test]
    fn the_longest_path_goes_first_and_jobs_bound_what_runs() {
        let stages = [("a", "debian"), ("b", "debian"), ("c", "b"), ("d", "c")];
        let mut queue = Queue::new(&plan(&stages), false, &|_| Some(10.0));
        assert_eq!(queue.start_next(2), Some(dry("b")));
        assert_eq!(queue.start_next(2), Some(dry("a")));
        assert_eq!(queue.start_next(2), None);
        queue.ended(&dry("a"), Ended::Done);
        assert_eq!(queue.start_next(2), Some(build("a")));
    }

    #[test]
    fn a_failure_blocks_its_descendants_and_with_keep_going_nothing_else() {
        let stages = [("base", "debian"), ("web", "base"), ("shop", "web"), ("api", "base")];
        let mut queue = Queue::new(&plan(&stages), true, &|_| None);
        all_startable(&mut queue);
        queue.ended(&dry("base"), Ended::Done);
        all_startable(&mut queue);
        let blocked = queue.ended(&dry("web"), Ended::Failed);
        let names: Vec<String> = blocked.iter().map(|b| b.step.to_string()).collect();
        assert_eq!(names, ["build web", "dry-run shop", "build shop"]);
        assert!(blocked.iter().all(|b| b.by == dry("web")));
        queue.ended(&dry("api"), Ended::Done);
        queue.ended(&build("base"), Ended::Done);
        assert_eq!(all_startable(&mut queue), ["build api"]);
        assert_eq!(queue.never_started(), []);
    }

    #[test]
    fn without_keep_going_nothing_starts_after_a_failure_and_the_rest_is_named() {
        let mut queue = Queue::new(&plan(&[("base", "debian"), ("other", "debian")]), false, &|_| None);
        assert_eq!(queue.start_next(1), Some(dry("base")));
        queue.ended(&dry("base"), Ended::Failed);
        assert_eq!(queue.start_next(1), None);
        assert_eq!(queue.never_started(), [dry("other"), build("other")]);
    }
}
