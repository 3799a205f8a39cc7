//! The map of the house. No code here.
//!
//! ovenbird turns a tree of Packer templates and Ansible playbooks into machine images and rebuilds only what changed.
//!
//! # One run, in ten lines
//!
//! ```text
//! ovenbird.hcl + ovenbird.lock ──config──▶ Pipeline, Pins ──plan::graph──▶ Graph of nodes (stage × architecture)
//! files on disk ──inputs──▶ StageInputs ──plan::manifest──▶ InputManifest, StageKey, DryRunKey   (pure once the files are read)
//! tfvars ──disk::tfvars::inspect──▶ EmitTarget          not editable is known now, not after forty minutes of building
//! EC2 + Docker + state ──aws, store──▶ Known            one paginated look-up by pipeline tag, before any decision
//! (Graph, keys, Known, EmitTargets, Wishes) ──plan::planner──▶ Plan, each node with an Action and a Reason
//! `plan` prints that value · `plan --json` serialises that value · `build` executes that value
//! run::driver: starts the steps that may start, turns everything that happens into Events, in one order
//! Events ──▶ report (terminal | plain | github | json) and the run record
//! artifacts ──disk::tfvars──▶ tfvars, edited in place
//! ```
//!
//! # Who may import whom
//!
//! `tests/shape.rs` holds this table, line by line as it stands here.
//!
//! ```text
//! model: –
//! syntax: model
//! event: model plan
//! ports: model plan event
//! config: model syntax
//! plan: model config
//! process: model
//! tools: model event plan ports process
//! inputs: model syntax config plan
//! disk: model syntax config plan
//! store: model config plan
//! aws: model plan ports
//! run: model config event plan ports process tools inputs disk store
//! report: model plan event
//! cli: everything
//! main: cli
//! ```
//!
//! # Files on disk
//!
//! ```text
//! ovenbird.hcl                 the pipeline file, the user's
//! ovenbird.lock                pins, written by ovenbird, committed
//! .ovenbird/lock               held by a run; who holds it stands inside
//! .ovenbird/state/             manifests, verdicts, verifications (or s3://…, by `state`)
//! .ovenbird/runs/<id>/         events.jsonl, plan.json, logs/<step>.log; tmp/ while it runs, 0700
//! .ovenbird/galaxy/<digest>/   roles and collections of a requirement file
//! .ovenbird/ansible/           ANSIBLE_HOME of every child
//! ```

pub mod aws;
pub mod cli;
pub mod config;
pub mod disk;
pub mod event;
pub mod inputs;
pub mod model;
pub mod plan;
pub mod ports;
pub mod process;
pub mod report;
pub mod run;
pub mod store;
pub mod syntax;
pub mod tools;
