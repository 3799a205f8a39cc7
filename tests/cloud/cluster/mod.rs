//! Clusters of instances that find each other by Consul, on the local EC2: real consul, dnsmasq, nginx and systemd in every instance.
//!
//! The short form boots one server and one web server from what the dry runs made. With `OVENBIRD_PROOF=1` the images are built by
//! `ovenbird build` and launched by Auto Scaling groups through `terraform apply`, two environments and a second cloud beside them;
//! its figures go to `target/cluster.json`. `OVENBIRD_POINTS=web=IMAGE,api=IMAGE,consul_server=IMAGE` proves every
//! point on Docker images that are there, for who works on one. Needs what `make tools` installs.

mod bad;
mod canary;
pub mod figures;
pub mod http;
pub mod images;
pub mod node;
pub mod plays;
pub mod points;
mod small;
pub mod stage;
mod whole;
