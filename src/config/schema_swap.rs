//! The part of the schema that a `swap` block and its gates are checked against; see [`crate::config::schema`].
//!
//! Must not hold rules that need more than one attribute. Invariant: an attribute that is read is in here.

use crate::config::pipeline::Kind;
use crate::config::schema::{Attribute, Block, block, may, named, need, refers};

/// `swap "NAME"`.
pub static SWAP: Block = Block {
    blocks: &[&TERRAFORM, &BLUE, &GREEN, &GATE],
    ..named(
        "swap",
        &["name"],
        &[
            refers("stage", "stage.NAME", true, "whose AMI"),
            refers("requires", "swap.NAME", false, "swap that this AMI must have been through"),
            need("directory", Kind::String, "Terraform folder"),
            need("tfvars", Kind::String, "tfvars file in it"),
            need("live", Kind::Any, "load balancer in service: its name, or { value, target_group }"),
            need("test", Kind::Any, "load balancer for tests: its name, or { value, target_group }"),
            may("record", Kind::String, "git (default inside a work tree) or none"),
            may("apply", Kind::String, "terraform (default) or external"),
        ],
        "moves traffic from one colour to the other",
    )
};

static TERRAFORM: Block = block(
    "terraform",
    &[may("command", Kind::String, "terraform or tofu"), may("workspace", Kind::String, "workspace")],
    "how Terraform is called",
);

const COLOUR: &[Attribute] = &[
    need("group", Kind::String, "address of the Auto Scaling group"),
    may("variables", Kind::StringMap, "names of the variables: ami_id, min_size, max_size, elb_name"),
];
static BLUE: Block = block("blue", COLOUR, "the blue group");
static GREEN: Block = block("green", COLOUR, "the green group");

/// `gate "STEP"` of a swap.
pub static GATE: Block = Block {
    blocks: &[&HTTP, &ERROR_RATE],
    ..named(
        "gate",
        &["step"],
        &[
            may("codedeploy", Kind::String, "application/deployment group: its last revision must be on every instance"),
            may("command", Kind::StringList, "smoke test: program and arguments"),
            may("timeout", Kind::String, "how long it may take until everything holds: \"15m\" (default)"),
            may("soak", Kind::String, "how long everything must then go on to hold: \"10m\"; default: not at all"),
        ],
        "what must hold before the step counts as done",
    )
};

/// `http "NAME"` of a gate.
pub static HTTP: Block = named(
    "http",
    &["name"],
    &[
        need("url", Kind::String, "what is fetched"),
        may("status", Kind::Number, "wanted status; default 200"),
        may("body", Kind::String, "regular expression that must match in the first 64 KiB of the body"),
        may("in_a_row", Kind::Number, "good answers one after the other; default 3"),
        may("every", Kind::String, "time from one request to the next; default \"2s\""),
        may("timeout", Kind::String, "for the whole answer; default \"5s\""),
        may("headers", Kind::StringMap, "sent with the request"),
        may("connect_to", Kind::String, "host that is connected to instead of the URL's, whose name stays in Host and TLS"),
        may("ca", Kind::String, "PEM file of authorities that are trusted instead of this machine's"),
        may("insecure", Kind::Bool, "take any certificate"),
    ],
    "a probe",
);

/// `error_rate` of a gate.
pub static ERROR_RATE: Block = block(
    "error_rate",
    &[
        need("max", Kind::String, "share of failed requests that is borne: \"0.5%\""),
        may("from", Kind::String, "probe (default: the gate's own http probes) or cloudwatch (the load balancer's 5xx)"),
    ],
    "how many requests may fail during the soak",
);
