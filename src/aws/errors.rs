//! From the SDKs' errors to [`AwsError`]: operation, region, code, request id, and what a person can do about it.
//!
//! Invariant: a message is one line and carries no secret; EC2's encoded authorization message (600 characters that only an
//! administrator can decode) is cut off.

use std::error::Error;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;

use crate::ports::AwsError;

/// Codes that are ours and not EC2's: no answer in time, no connection, nobody to sign as, an answer that is none.
pub const TIMEOUT: &str = "timeout";
/// See [`TIMEOUT`].
pub const CONNECTION: &str = "connection";
/// See [`TIMEOUT`].
pub const CREDENTIALS: &str = "credentials";
/// See [`TIMEOUT`].
pub const RESPONSE: &str = "response";
/// The question itself is wrong (a source without owners, a parameter that cannot be resolved).
pub const REQUEST: &str = "request";

/// Longest message that is passed on.
const MESSAGE_LEN: usize = 300;

pub(super) fn failed<E>(operation: &'static str, region: &str, error: &SdkError<E>) -> AwsError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    failed_of("ec2", operation, region, error)
}

/// The same for another service than EC2.
pub(super) fn failed_of<E>(service: &'static str, operation: &'static str, region: &str, error: &SdkError<E>) -> AwsError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (code, message) = match error {
        SdkError::ServiceError(service) => {
            (service.err().code().unwrap_or(RESPONSE).to_owned(), service.err().message().unwrap_or_default().to_owned())
        }
        SdkError::TimeoutError(_) => (TIMEOUT.to_owned(), "no answer in time".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => (TIMEOUT.to_owned(), innermost(error)),
        SdkError::DispatchFailure(failure) if failure.is_io() => (CONNECTION.to_owned(), innermost(error)),
        SdkError::ResponseError(_) => (RESPONSE.to_owned(), innermost(error)),
        other => {
            let code = if mentions_credentials(other) { CREDENTIALS } else { REQUEST };
            (code.to_owned(), innermost(error))
        }
    };
    AwsError {
        service,
        operation,
        region: region.to_owned(),
        code,
        message: tidy(&message),
        request_id: error.request_id().map(str::to_owned),
        changed: None,
    }
}

/// An error of our own making about a question that cannot be asked.
pub(super) fn refused(operation: &'static str, region: &str, code: &str, message: impl Into<String>) -> AwsError {
    let (region, code, message) = (region.to_owned(), code.to_owned(), message.into());
    AwsError { service: "ec2", operation, region, code, message, request_id: None, changed: None }
}

/// What to do about it, where we know.
pub fn help(error: &AwsError) -> Option<String> {
    Some(match error.code.as_str() {
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            format!(
                "allow `{}:{}` in {} for the credentials in use (`aws sts get-caller-identity` shows whose they are)",
                error.service, error.operation, error.region
            )
        }
        "AuthFailure" | "InvalidClientTokenId" | "SignatureDoesNotMatch" => {
            "the credentials are not valid; `aws sts get-caller-identity` fails in the same way until they are".to_owned()
        }
        "RequestExpired" | "ExpiredToken" | "ExpiredTokenException" => "the credentials have expired; log in again".to_owned(),
        CREDENTIALS => "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run on an instance with a role; \
                        `ovenbird dry-run` needs none"
            .to_owned(),
        CONNECTION | TIMEOUT => {
            let host = if error.service == "cloudwatch" { "monitoring" } else { error.service };
            format!("is `{host}.{}.amazonaws.com` (or AWS_ENDPOINT_URL, where it is set) reachable from here?", error.region)
        }
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" => {
            "the account's API rate is used up; it was retried for two minutes, try again later".to_owned()
        }
        "OptInRequired" | "InvalidRegion" => format!("is the region `{}` switched on for this account?", error.region),
        _ => return None,
    })
}

/// Does EC2 say that the thing does not exist (any more, or yet)?
pub(super) fn is_not_found(error: &AwsError) -> bool {
    error.code.ends_with(".NotFound") || is_gone(error)
}

/// Does EC2 say that the image existed and was deregistered?
pub(super) fn is_gone(error: &AwsError) -> bool {
    error.code == "InvalidAMIID.Unavailable"
}

/// Does it refuse only because something else still uses the thing?
pub(super) fn is_in_use(error: &AwsError) -> bool {
    matches!(error.code.as_str(), "DependencyViolation" | "InvalidGroup.InUse" | "InvalidSnapshot.InUse" | "VolumeInUse" | "IncorrectState")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn Error + 'static)| (*e).source())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn mentions_credentials(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|e| {
        let text = e.to_string().to_lowercase();
        text.contains("credential") || text.contains("identity")
    })
}

fn tidy(message: &str) -> String {
    let message = message.split("Encoded authorization failure message").next().unwrap_or_default();
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches('.');
    match line.char_indices().nth(MESSAGE_LEN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_without_the_encoded_part() {
        let text = "You are not authorized\n to perform this operation. Encoded authorization failure message: AAAA";
        assert_eq!(tidy(text), "You are not authorized to perform this operation");
        assert_eq!(tidy(&"é".repeat(500)).chars().count(), MESSAGE_LEN + 1);
    }

    #[test]
    fn a_denied_call_names_the_action_to_allow() {
        let error = refused("DeregisterImage", "us-west-2", "UnauthorizedOperation", "no");
        assert!(help(&error).is_some_and(|text| text.contains("`ec2:DeregisterImage` in us-west-2")));
    }
}
