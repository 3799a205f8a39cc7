//! The state in a bucket, on the S3 that the local EC2's moto brings along.

#![expect(clippy::await_holding_lock, reason = "the lock is the point: one test at a time has the server")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use ovenbird::model::digest::{Digest, DryRunKey, StageKey};
use ovenbird::store::{S3Keys, S3Settings, State, StateError};

use crate::harness;

fn settings(endpoint: &str) -> S3Settings {
    let keys = S3Keys { id: "test".to_owned(), secret: "test".to_owned(), token: None };
    let credentials = move || {
        let keys = keys.clone();
        async move { Ok(keys) }
    };
    S3Settings {
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        credentials: Arc::new(move || Box::pin(credentials())),
    }
}

fn make_bucket(endpoint: &str, bucket: &str) {
    let address = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the local cloud listens");
    // Signed by nobody: moto looks at the scope of the signature only, to tell which service is meant.
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    write!(stream, "PUT /{bucket} HTTP/1.0\r\nHost: {address}\r\nAuthorization: {scope}\r\nContent-Length: 0\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.lines().next().is_some_and(|line| line.contains(" 200 ")), "{answer}");
}

#[tokio::test]
async fn a_bucket_keeps_what_is_put_and_tells_missing_from_unreachable() {
    let ec2 = harness::instant();
    make_bucket(ec2.endpoint(), "acme-images");
    let state = State::s3("acme-images", "ovenbird", settings(ec2.endpoint())).expect("it opens");
    let key = StageKey(Digest::of(b"manifest"));
    assert_eq!(state.manifest_bytes(&key).await.expect("an empty bucket is no error"), None);
    state.put_manifest(&key, b"{\"format\":1}".to_vec()).await.expect("it is written");
    assert_eq!(state.manifest_bytes(&key).await.expect("it is there"), Some(b"{\"format\":1}".to_vec()));
    assert_eq!(state.verdict(&DryRunKey(Digest::of(b"none"))).await.expect("a missing entry is no error"), None);
    let elsewhere = State::s3("acme-images", "other", settings(ec2.endpoint())).expect("it opens");
    assert_eq!(elsewhere.manifest_bytes(&key).await.expect("another prefix is another state"), None);

    let nowhere = State::s3("acme-imgaes", "ovenbird", settings(ec2.endpoint())).expect("it opens");
    let error = nowhere.manifest_bytes(&key).await.expect_err("a bucket that is not there is no empty state");
    assert_eq!(error.to_string(), "state `s3://acme-imgaes/ovenbird` cannot be used: there is no such bucket");
    assert!(matches!(nowhere.put_manifest(&key, b"{}".to_vec()).await, Err(StateError::NoBucket { .. })));

    let closed =
        S3Settings { credentials: Arc::new(|| Box::pin(async { Err("nobody is logged in".to_owned()) })), ..settings(ec2.endpoint()) };
    let closed = State::s3("acme-images", "ovenbird", closed).expect("it opens without asking anybody");
    assert!(matches!(closed.manifest_bytes(&key).await, Err(StateError::Reach { .. })), "not permitted is not missing");
}
