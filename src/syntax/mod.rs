//! Text in, trees out: HCL with spans, evaluation that knows `Unknown`, and edits by byte splice.
//!
//! Opens no file and knows nothing of pipelines. Invariant: no input panics; whatever is wrong is a
//! [`Problem`](crate::model::problem::Problem) with a place.

pub mod eval;
pub mod hcl;
pub mod number;
pub mod scan;
pub mod yaml;
