//! The report of our callback plugin: one JSON object a line → what a pass did.
//!
//! The plugin owns the format, this file reads it. Invariant: a line that is not understood is passed over (a newer plugin may say
//! more); whether the run came to its end is known from its `stats` line alone, never from silence.

use serde::Deserialize;

use crate::event::TaskStatus;

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Line {
    /// A playbook began.
    Start {
        /// Its path.
        playbook: String,
        /// Version of ansible-core.
        ansible: String,
        /// Version of Python.
        python: String,
        /// Version of Jinja2.
        #[serde(default)]
        jinja: Option<String>,
        /// Is everything that it opens written down.
        #[serde(default)]
        guard: bool,
    },
    /// A play began.
    Play {
        /// Its name.
        name: String,
        /// `hosts` as written.
        hosts: Vec<String>,
    },
    /// The play before matches no host.
    NoHosts,
    /// A task began.
    Task(Task),
    /// A task ended on a host.
    Result(TaskResult),
    /// The end of a playbook.
    Stats {},
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Task {
    /// Name, role first.
    pub task: String,
    /// `/absolute/file.yml:line`; empty for tasks without source.
    pub path: String,
    /// Module.
    pub action: String,
    /// When it began, in nanoseconds of the monotonic clock; 0 in a result.
    #[serde(default)]
    pub at: u64,
    /// Ansible's own, such as gathering facts.
    #[serde(default)]
    pub implicit: bool,
}

/// How it ended on a host.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TaskResult {
    /// Which.
    #[serde(flatten)]
    pub task: Task,
    /// How.
    pub status: TaskStatus,
    /// How long.
    pub seconds: f64,
    /// A failure's message; absent with `no_log`.
    pub msg: Option<String>,
    /// Condition that was false when a task was skipped.
    pub because: Option<String>,
}

/// Reads a line; `None`: not understood.
pub fn parse(line: &str) -> Option<Line> {
    serde_json::from_str(line).ok()
}

/// A task as people find it: name and `file:line` relative to the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Name.
    pub task: String,
    /// `file:line`; empty where there is none.
    pub place: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.place.is_empty() { f.write_str(&self.task) } else { write!(f, "{} ({})", self.task, self.place) }
    }
}

/// What one pass did, summed up while its lines come in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pass {
    /// Playbooks that began.
    pub started: u32,
    /// Playbooks that came to their end.
    pub ended: u32,
    /// Plays that matched no host: name and `hosts`.
    pub no_hosts: Vec<String>,
    /// Tasks of the playbook that were executed, changed or not.
    pub tasks: u32,
    /// Those that changed something.
    pub changed: Vec<Place>,
    /// The one that failed last, with its message.
    pub failed: Option<(Place, Option<String>)>,
    /// Skipped because of a condition about what the machine is: `(task, condition)`.
    pub not_here: Vec<(Place, String)>,
    /// Version of ansible-core.
    pub ansible: Option<String>,
    /// Version of Python.
    pub python: Option<String>,
    /// Version of Jinja2.
    pub jinja: Option<String>,
    /// Playbooks of which nobody wrote down what they opened.
    pub unguarded: u32,
    /// When tasks began, on the clock of the record of opened files.
    pub begun: Vec<(u64, Place)>,
    play: String,
}

/// Words in a condition that is about what the machine is.
const MACHINE_WORDS: [&str; 5] =
    ["packer_builder_type", "packer_build_name", "virtualization_type", "virtualization_role", "ansible_service_mgr"];
/// More than anybody reads; a loop that never ends must not fill the memory.
const KEPT: usize = 200;
/// The same of tasks that began; a file that is opened later is told with the last one.
const KEPT_BEGUN: usize = 20_000;

impl Pass {
    /// Adds a line. `root` is taken off the paths.
    pub fn add(&mut self, line: &Line, root: &str) {
        match line {
            Line::Start { ansible, python, jinja, guard, .. } => {
                self.started += 1;
                self.unguarded += u32::from(!guard);
                self.ansible = Some(ansible.clone());
                self.python = Some(python.clone());
                self.jinja.clone_from(jinja);
            }
            Line::Play { name, hosts } => {
                let hosts = hosts.join(", ");
                self.play = if *name == hosts { format!("`hosts: {hosts}`") } else { format!("`{name}` (`hosts: {hosts}`)") };
            }
            Line::NoHosts => self.no_hosts.push(self.play.clone()),
            Line::Task(task) if self.begun.len() < KEPT_BEGUN => self.begun.push((task.at, place(task, root))),
            Line::Task(_) => {}
            Line::Result(result) => self.result(result, root),
            Line::Stats {} => self.ended += 1,
        }
    }

    fn result(&mut self, result: &TaskResult, root: &str) {
        let place = place(&result.task, root);
        let own = !result.task.implicit;
        match result.status {
            TaskStatus::Skipped => {
                let because = result.because.as_deref().unwrap_or_default();
                if MACHINE_WORDS.iter().any(|word| because.contains(word)) && self.not_here.len() < KEPT {
                    self.not_here.push((place, because.to_owned()));
                }
                return;
            }
            TaskStatus::Changed if self.changed.len() < KEPT => self.changed.push(place),
            TaskStatus::Failed | TaskStatus::Unreachable => self.failed = Some((place, result.msg.clone())),
            TaskStatus::Ok | TaskStatus::Changed | TaskStatus::Ignored => {}
        }
        self.tasks += u32::from(own);
    }
}

/// Name and place of a task.
pub fn place(task: &Task, root: &str) -> Place {
    let path = task.path.strip_prefix(root).map_or(task.path.as_str(), |rest| rest.trim_start_matches('/'));
    Place { task: task.task.clone(), place: path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(lines: &[&str]) -> Pass {
        let mut pass = Pass::default();
        for line in lines {
            pass.add(&parse(line).unwrap_or_else(|| panic!("{line}")), "/root");
        }
        pass
    }

    const START: &str = r#"{"event":"start","format":1,"playbook":"/root/web.yml","ansible":"2.19.4","python":"3.11.2"}"#;
    const RESULT: &str = r#"{"event":"result","task":"nginx : install","path":"/root/roles/nginx/tasks/main.yml:3","role":"nginx","action":"apt","tags":[],"handler":false,"implicit":false,"host":"default","status":"changed","changed":true,"seconds":1.2}"#;

    #[test]
    fn a_pass_counts_tasks_and_names_those_that_changed() {
        let gather =
            RESULT.replace("changed\",\"changed\":true", "ok\",\"changed\":false").replace("\"implicit\":false", "\"implicit\":true");
        let pass = pass(&[START, RESULT, &gather, r#"{"event":"stats","hosts":{"default":{"ok":2}}}"#]);
        assert_eq!((pass.started, pass.ended, pass.tasks), (1, 1, 1));
        assert_eq!(pass.changed[0].to_string(), "nginx : install (roles/nginx/tasks/main.yml:3)");
        assert_eq!(pass.ansible.as_deref(), Some("2.19.4"));
    }

    #[test]
    fn a_run_that_does_not_say_that_it_was_watched_was_not() {
        let watched = START.replace("\"python\"", "\"guard\":true,\"jinja\":\"3.1.6\",\"python\"");
        let pass = pass(&[&watched, START]);
        assert_eq!((pass.started, pass.unguarded), (2, 1));
        let pass = pass_of_tasks();
        assert_eq!(pass.begun[0], (5, Place { task: "t".to_owned(), place: "web.yml:3".to_owned() }));
    }

    fn pass_of_tasks() -> Pass {
        pass(&[
            r#"{"event":"task","at":5,"task":"t","path":"/root/web.yml:3","role":null,"action":"apt","tags":[],"handler":false,"implicit":false}"#,
        ])
    }

    #[test]
    fn a_play_without_hosts_is_named() {
        let pass = pass(&[START, r#"{"event":"play","name":"web","hosts":["web"]}"#, r#"{"event":"no_hosts"}"#]);
        assert_eq!(pass.no_hosts, ["`hosts: web`"]);
        assert_eq!(pass.ended, 0, "a report without stats is a run that did not come to its end");
    }

    #[test]
    fn a_failure_keeps_its_message() {
        let failed = RESULT.replace("\"status\":\"changed\"", "\"status\":\"failed\",\"msg\":\"no package\"");
        assert_eq!(pass(&[&failed]).failed.unwrap().1.as_deref(), Some("no package"));
    }

    #[test]
    fn tasks_that_a_container_cannot_show_are_kept_with_their_condition() {
        let skipped = RESULT.replace("\"status\":\"changed\"", "\"status\":\"skipped\",\"because\":\"packer_builder_type != 'docker'\"");
        let pass = pass(&[&skipped, &skipped.replace("packer_builder_type != 'docker'", "x is defined")]);
        assert_eq!(pass.not_here.len(), 1);
        assert_eq!(pass.tasks, 0);
    }

    #[test]
    fn a_line_that_is_not_understood_is_passed_over() {
        assert_eq!(parse(r#"{"event":"news","x":1}"#), None);
        assert_eq!(parse("cut of"), None);
    }
}
