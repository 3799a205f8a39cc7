//! [`Remembering`]: reads inputs with a memo of the reading before and without one, and holds that both say the same.
//!
//! Invariant: a test that asks twice with a change in between has asked whether the memo saw that change.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ovenbird::config::pipeline::Pipeline;
use ovenbird::inputs::{Collected, InputContext, Memory, collect};
use ovenbird::model::name::Name;
use ovenbird::model::problem::Problems;
use ovenbird::plan::inputs::StageInputs;

/// What the last reading left to be kept.
#[derive(Default)]
pub(crate) struct Remembering(Mutex<Vec<u8>>);

impl Remembering {
    pub(crate) fn collect(&self, pipeline: &Pipeline, context: &InputContext) -> Result<BTreeMap<Name, StageInputs>, Problems> {
        let plain = collect(pipeline, context);
        let memory = Memory { kept: self.0.lock().expect("nothing panics while it is held").clone(), program: "tests".to_owned() };
        match (&plain, collect(pipeline, &InputContext { memory: Some(memory), ..context.clone() })) {
            (Ok(plain), Ok(Collected { inputs, keep })) => {
                assert!(plain.inputs == inputs, "with a memo: {inputs:#?}\n\nwithout: {:#?}", plain.inputs);
                if let Some(kept) = keep {
                    *self.0.lock().expect("nothing panics while it is held") = kept.concat();
                }
            }
            (Err(plain), Err(remembered)) => assert_eq!(format!("{plain:?}"), format!("{remembered:?}")),
            (plain, remembered) => panic!("without a memo {plain:?}\n\nwith one {remembered:?}"),
        }
        plain.map(|read| read.inputs)
    }
    /// While somebody else writes: two readings need not agree.
    #[allow(dead_code, reason = "the traces have no moving trees")]
    pub(crate) fn collect_moving(&self, pipeline: &Pipeline, context: &InputContext) -> Result<BTreeMap<Name, StageInputs>, Problems> {
        let memory = Memory { kept: self.0.lock().expect("nothing panics while it is held").clone(), program: "tests".to_owned() };
        let read = collect(pipeline, &InputContext { memory: Some(memory), ..context.clone() })?;
        if let Some(kept) = read.keep {
            *self.0.lock().expect("nothing panics while it is held") = kept.concat();
        }
        Ok(read.inputs)
    }
}
