//! Who gets a certificate. Pure.

use k8s_openapi::api::{authentication::v1::TokenReviewStatus, core::v1::Pod};

use super::AUDIENCE;
use crate::model::{NamespacedName, PodRef};

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Why a proxy gets no certificate. What it says is for the proxy's log, and names nothing that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// This replica does not issue.
    #[error("this replica does not lead: ask again")]
    NotLeading,
    /// The authority is not there yet, or the API server can't be asked.
    #[error("can't issue now: {0}")]
    Unavailable(&'static str),
    /// The signing request can't be used.
    #[error("the signing request can't be used: {0}")]
    Malformed(&'static str),
    /// The challenge is not ours, too old, or was used.
    #[error("the challenge is unknown, too old, or was used before: ask for another one")]
    Challenge,
    /// The API server does not know the token, for our audience.
    #[error("the token is not valid for the audience {AUDIENCE}")]
    Token,
    /// The token belongs to no pod.
    #[error("the token is not bound to a pod: use a projected one")]
    Unbound,
    /// It belongs to another ServiceAccount.
    #[error("the ServiceAccount {0} may not have a proxy's certificate (--proxy-service-account)")]
    Account(String),
    /// The pod does not live.
    #[error("the pod of the token {0}")]
    Pod(&'static str),
    /// The pod is no proxy of the fleet.
    #[error("the pod is in no EndpointSlice of an Admin Service")]
    NotInFleet,
}

/// The pod that a token belongs to, and its ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pod: PodRef,
    account: NamespacedName,
}

/// Whose token it is, by the API server's word.
pub(super) fn holder(review: &TokenReviewStatus, allowed: &[NamespacedName]) -> Result<Holder, Refusal> {
    let audiences = review.audiences.as_deref().unwrap_or_default();
    // A server that knows nothing of audiences names none: then it did not check ours.
    if review.authenticated != Some(true) || !audiences.iter().any(|audience| audience == AUDIENCE) {
        return Err(Refusal::Token);
    }
    let user = review.user.as_ref().ok_or(Refusal::Token)?;
    let name = user.username.as_deref().unwrap_or_default();
    let account = name
        .strip_prefix("system:serviceaccount:")
        .and_then(|name| name.split_once(':'));
    let (namespace, account) = account.ok_or(Refusal::Unbound)?;
    let claim = |key: &str| match user.extra.as_ref()?.get(key)?.as_slice() {
        [value] if !value.is_empty() => Some(value.as_str()),
        _ => None,
    };
    let (Some(pod), Some(uid)) = (claim(POD_NAME), claim(POD_UID)) else {
        return Err(Refusal::Unbound);
    };
    let account = NamespacedName::new(namespace, account);
    if !allowed.contains(&account) {
        return Err(Refusal::Account(account.to_string()));
    }
    Ok(Holder {
        pod: PodRef {
            namespace: namespace.into(),
            name: pod.into(),
            uid: uid.into(),
        },
        account,
    })
}

/// Whether the pod lives, and is the very one of the token.
pub(super) fn lives(holder: &Holder, pod: Option<&Pod>) -> Result<(), Refusal> {
    let pod = pod.ok_or(Refusal::Pod("does not exist"))?;
    if pod.metadata.uid.as_deref() != Some(&*holder.pod.uid) {
        return Err(Refusal::Pod("has been replaced by another one"));
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Err(Refusal::Pod("is being deleted"));
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return Err(Refusal::Pod("has ended"));
    }
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    if account != Some(&*holder.account.name) {
        return Err(Refusal::Pod("has another ServiceAccount"));
    }
    Ok(())
}
