//! What to say of a proxy: its conditions, with reasons that a person can act on, and the name of its state. Pure.

use std::borrow::Cow;

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;

use super::{
    Condition,
    ConditionStatus::{self, False, True, Unknown},
    ConnectionSecurity, Phase, ProxyReport, TransportFault, TransportFaultKind,
    configuration::{Configuration, Goal, Permission, RestoreReason},
    decision::{Wait, Want},
    state::{Cause, Moment, ProxyState, Rejection},
    step::LAG,
};
use crate::model::{ByteSize, Profile};

/// Status, reason and message of a condition, before it is known since when.
pub(super) struct Judgement(ConditionStatus, Cow<'static, str>, Cow<'static, str>);

/// Judgements of all conditions; `None` leaves one as it is.
pub(super) struct Judgements {
    reachable: Option<Judgement>,
    mutual_tls: Option<Judgement>,
    synced: Option<Judgement>,
    complete: Option<Judgement>,
    ready: Option<Judgement>,
}

/// All conditions of a proxy.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) reachable: Condition,
    pub(super) mutual_tls: Condition,
    pub(super) synced: Condition,
    pub(super) complete: Condition,
    pub(super) ready: Condition,
}

impl Conditions {
    pub(super) fn new(now: Timestamp) -> Self {
        let unknown = Condition {
            status: Unknown,
            reason: NOT_PROBED.into(),
            message: NOT_PROBED_MESSAGE.to_owned(),
            since: now,
        };
        Self {
            reachable: unknown.clone(),
            mutual_tls: unknown.clone(),
            synced: unknown.clone(),
            complete: unknown.clone(),
            ready: unknown,
        }
    }

    pub(super) fn update(&mut self, judged: Judgements, now: Timestamp) {
        for (condition, judgement) in [
            (&mut self.reachable, judged.reachable),
            (&mut self.mutual_tls, judged.mutual_tls),
            (&mut self.synced, judged.synced),
            (&mut self.complete, judged.complete),
            (&mut self.ready, judged.ready),
        ] {
            let Some(Judgement(status, reason, message)) = judgement else {
                continue;
            };
            if condition.status != status {
                condition.since = now;
            }
            condition.status = status;
            condition.reason = reason;
            if condition.message != message {
                condition.message = message.into_owned();
            }
        }
    }
}

const NOT_PROBED: &str = "NotProbed";
const NOT_PROBED_MESSAGE: &str = "no probe has answered yet";

fn say(status: ConditionStatus, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Option<Judgement> {
    Some(Judgement(status, reason.into(), message.into()))
}

/// How a proxy stands to what it shall run: both the name of its state and its condition `Synced` are made of this.
enum Standing<'a> {
    /// It does not answer.
    Unreachable(&'a TransportFault),
    /// It takes no configuration.
    Database,
    /// Nothing is rendered for its profile.
    ProfileNotServed,
    /// Nothing is rendered for it yet.
    NothingDesired,
    /// It runs what it shall, and nothing else is on its way to it.
    Synced(&'a Configuration),
    /// It refused what it shall run.
    Rejected(&'a Rejection),
    /// It was found running this, which it was not given.
    Drifted(ConfigHash),
    /// It has answered that it took something, and does not report yet that it runs that.
    Taken,
    /// None of these.
    Behind,
}

impl<'a> Standing<'a> {
    fn of(state: &'a ProxyState, goal: &'a Goal) -> Self {
        if let Some(fault) = state.unreachable() {
            return Self::Unreachable(fault);
        }
        if state.has_database() {
            return Self::Database;
        }
        if !goal.profile_served {
            return Self::ProfileNotServed;
        }
        let Some(desired) = &goal.desired else {
            return Self::NothingDesired;
        };
        if state.stays_at(desired) {
            return Self::Synced(desired);
        }
        if let Some(rejection) = state.rejection(desired.hash()) {
            return Self::Rejected(rejection);
        }
        match state.drift.found {
            Some(found) => Self::Drifted(found),
            None if state.is_leaving() => Self::Taken,
            None => Self::Behind,
        }
    }
}

/// Judges a proxy by what is known of it: the name of its state, and its conditions.
pub(super) fn judge(state: &ProxyState, goal: &Goal, want: &Want, now: Moment) -> (Phase, Judgements) {
    let standing = Standing::of(state, goal);
    let judgements = Judgements {
        reachable: reachable(state),
        mutual_tls: mutual_tls(state),
        synced: synced(state, &standing, goal, want, now),
        complete: complete(state, goal),
        ready: ready(state),
    };
    (phase(state, &standing, want), judgements)
}

fn reachable(state: &ProxyState) -> Option<Judgement> {
    match (state.unreachable(), &state.report) {
        (Some(fault), _) => say(False, fault.kind.as_str(), fault.message.clone()),
        (None, Some(_)) if state.trouble.is_none() => say(True, "Answering", "its Admin API answers"),
        _ => None,
    }
}

fn mutual_tls(state: &ProxyState) -> Option<Judgement> {
    if let Some(fault) = state.unreachable() {
        return match fault.kind {
            TransportFaultKind::CertificateUntrusted | TransportFaultKind::ClientCertificateRefused => {
                say(False, fault.kind.as_str(), fault.message.clone())
            }
            TransportFaultKind::ConnectionRefused
            | TransportFaultKind::ConnectionFailed
            | TransportFaultKind::Timeout
            | TransportFaultKind::UnexpectedAnswer => None,
        };
    }
    let report = state.report.as_ref()?;
    match report.security {
        ConnectionSecurity::Mutual => say(True, "Verified", "both sides have verified each other's certificate"),
        ConnectionSecurity::ClientCertificateNotRequested => say(
            False,
            "ClientCertificateNotRequested",
            "the proxy does not ask for a client certificate: whoever reaches its Admin API can configure it; set \
             KONG_NGINX_ADMIN_SSL_VERIFY_CLIENT=on and KONG_NGINX_ADMIN_SSL_CLIENT_CERTIFICATE",
        ),
        ConnectionSecurity::NoClientCertificate => say(
            False,
            "NoClientCertificate",
            "the controller has no client certificate: give --kong-admin-tls-client-cert-file and -key-file",
        ),
        ConnectionSecurity::Unverified => say(
            False,
            "VerificationDisabled",
            "the proxy's certificate is not verified, only that it shows the same key as at first \
             (--kong-admin-tls-skip-verify): give the proxy a certificate of the controller's authority, and take the \
             flag away",
        ),
        ConnectionSecurity::Loopback => say(False, "Loopback", "plain HTTP, which does not leave this machine"),
        ConnectionSecurity::Plain => say(
            False,
            "PlainHTTP",
            "plain HTTP: routes, keys and credentials can be read and changed on the way; use https:// in its address",
        ),
    }
}

fn synced(state: &ProxyState, standing: &Standing, goal: &Goal, want: &Want, now: Moment) -> Option<Judgement> {
    if let Standing::Unreachable(fault) = standing {
        return say(False, fault.kind.as_str(), fault.message.clone());
    }
    let report = state.report.as_ref()?;
    match standing {
        Standing::Unreachable(_) | Standing::Taken | Standing::Behind => {}
        Standing::Database => {
            let message = format!(
                "the proxy has a database ({}), and takes no declarative configuration: set KONG_DATABASE=off",
                report.database
            );
            return say(False, "DatabaseMode", message);
        }
        Standing::ProfileNotServed => {
            let message = format!(
                "there are already {} kinds of proxies (router flavour, edition, version): no further one is served",
                Profile::MAX
            );
            return say(False, "TooManyProfiles", message);
        }
        Standing::NothingDesired => {
            if let Permission::Restore(RestoreReason::Hold(why)) = &goal.permission {
                return say(Unknown, "SourceUnavailable", why.to_string());
            }
            return say(
                Unknown,
                "NothingRendered",
                "no configuration has been rendered for its kind of proxy yet",
            );
        }
        Standing::Synced(desired) => {
            let size = desired.rendered.bytes.len() as u64;
            return match nearly_too_large(size, report) {
                Some(warning) => say(True, "Synced", format!("it runs what it shall; {warning}")),
                None => say(True, "Synced", "it runs what it shall"),
            };
        }
        Standing::Rejected(rejection) => return say(False, "ConfigRejected", rejection.message.clone()),
        Standing::Drifted(found) if state.drift.is_foreign_writer() => {
            let pace = match found.is_none() {
                true => "every ten seconds at most",
                false => "once a minute",
            };
            let found = running(*found);
            let message = format!(
                "somebody else keeps configuring this proxy (it was found {found}): find the other controller, or \
                 let the proxy verify client certificates; it is repaired {pace}"
            );
            return say(False, "ForeignWriter", message);
        }
        Standing::Drifted(found) => {
            let message = format!(
                "it was found {}, which is none of this controller's doing; it is being repaired",
                running(*found)
            );
            return say(False, "Drifted", message);
        }
    }
    let is_ignored = matches!(state.back_off.cause, Some(Cause::Ignored));
    if is_ignored || state.behind_since.is_some_and(|since| now.instant >= since + LAG) {
        let (reason, message) = lag(state, goal, want);
        return say(False, reason, message);
    }
    match state.conditions.synced.status {
        // What has lost its configuration is far from what it shall run, however short it takes.
        True if state.is_unconfigured() => say(
            Unknown,
            "Progressing",
            "it has no configuration, and is being given one",
        ),
        True => None,
        status => say(status, "Progressing", "it is being brought to what it shall run"),
    }
}

fn running(found: ConfigHash) -> String {
    if found.is_none() {
        "without any configuration".to_owned()
    } else {
        format!("running {}", found.short())
    }
}

/// What to say of a configuration that uses over 80 % of what the proxy takes.
pub(super) fn nearly_too_large(size: u64, report: &ProxyReport) -> Option<String> {
    let limit = report.body_limit.filter(|limit| size > limit / 5 * 4)?;
    Some(format!(
        "the configuration of {} is close to the {} that it takes: raise its nginx_admin_client_max_body_size \
         (KONG_NGINX_ADMIN_CLIENT_MAX_BODY_SIZE)",
        ByteSize(size),
        ByteSize(limit)
    ))
}

/// Why it is behind.
fn lag(state: &ProxyState, goal: &Goal, want: &Want) -> (&'static str, Cow<'static, str>) {
    let Want::Wait { why, .. } = want else {
        return (
            "Queued",
            "it waits for other pushes (--max-concurrent-pushes, --max-push-bandwidth)".into(),
        );
    };
    match why {
        Wait::PushUnderWay => ("Pushing", "a push is under way and takes long; the proxy's log says what it is doing".into()),
        Wait::Outcome => {
            let earlier = "the replica that led before was still sending it when it gave the Lease back";
            let fault = state.unknown.as_ref().map_or(earlier, |open| open.fault.message.as_str());
            let message = format!("it is not known yet whether the last push was loaded: {fault}");
            ("OutcomeUnknown", message.into())
        }
        Wait::Confirmation => (
            "NotEffective",
            "it has answered that it took what it was sent last, and does not report yet that it runs that".into(),
        ),
        Wait::Answer | Wait::FirstProbe | Wait::Look => ("NotAnswering", "it does not answer a probe".into()),
        Wait::Leadership => (
            "NotLeading",
            "this replica does not lead, and the leader has not brought it there".into(),
        ),
        Wait::Lease => (
            "LeaseUnreachable",
            "the API server is out of reach, so that nobody may change proxies that have a configuration".into(),
        ),
        Wait::Source => match &goal.permission {
            Permission::Restore(RestoreReason::Hold(why)) => ("SourceUnavailable", why.to_string().into()),
            _ => (
                "SourceUnavailable",
                "a source of the configuration is unavailable".into(),
            ),
        },
        Wait::Pause => (
            "Paused",
            "the operator has paused the fleet: silverback resume, or spec.paused of its ProxyFleet, ends that".into(),
        ),
        Wait::BackOff => match &state.back_off.cause {
            Some(Cause::Fault(fault)) => (
                fault.kind.as_str(),
                format!("the last push failed: {}", fault.message).into(),
            ),
            Some(Cause::Busy) => (
                "ProxyBusy",
                "it is still loading an earlier configuration, and asked to wait".into(),
            ),
            Some(Cause::Fenced) => (
                "Fenced",
                "it has been configured by a later leader, and refuses this one: is the clock or the Lease of this \
                 replica behind?"
                    .into(),
            ),
            Some(Cause::Unconfirmed) => (
                "LeaseUnreachable",
                "it has been configured by another leader, and the API server did not say whether this replica leads now; \
                 it is asked again with the next push"
                    .into(),
            ),
            Some(Cause::Ignored) => (
                "NotEffective",
                "it has answered that it took the configuration, and goes on with the one before; it is tried again once a \
                 minute"
                    .into(),
            ),
            None => ("Waiting", "it waits after a failed push".into()),
        },
        Wait::Rest => (
            "Paced",
            "applying configurations costs it so much time that it rests in between (--push-duty)".into(),
        ),
        // These are judged before the lag is.
        Wait::Database | Wait::ProfileNotServed | Wait::Configuration | Wait::Refused | Wait::Drift => {
            ("Waiting", "it waits for a configuration that it can take".into())
        }
    }
}

fn complete(state: &ProxyState, goal: &Goal) -> Option<Judgement> {
    let observed = state.observed?;
    if observed.is_none() {
        return say(Unknown, "Unconfigured", "it has no configuration");
    }
    let known = [&goal.desired, &goal.kept, &goal.last_good].into_iter().flatten();
    let known = known.map(|configuration| (configuration.hash(), &configuration.incomplete));
    let accepted = state.accepted.iter();
    let accepted = accepted.map(|accepted| (accepted.given.hash, &accepted.given.incomplete));
    let (_, incomplete) = known.chain(accepted).find(|(hash, _)| *hash == observed)?;
    match incomplete {
        None => say(True, "Complete", "nothing was left out of what it runs"),
        Some(left_out) => say(False, "ObjectsLeftOut", left_out.to_string()),
    }
}

fn ready(state: &ProxyState) -> Option<Judgement> {
    if let Some(fault) = state.unreachable() {
        return say(False, fault.kind.as_str(), fault.message.clone());
    }
    if state.has_database() {
        return say(
            False,
            "DatabaseMode",
            "it has a database, and takes no declarative configuration",
        );
    }
    if state.observed?.is_none() {
        return say(False, "Unconfigured", "it has no configuration, and knows no route");
    }
    say(True, "Configured", "it serves a configuration that it accepted")
}

/// The name of the state that it is in.
fn phase(state: &ProxyState, standing: &Standing, want: &Want) -> Phase {
    if state.target.terminating {
        return Phase::Terminating;
    }
    if state.in_flight.is_some() {
        return Phase::Pushing;
    }
    if matches!(standing, Standing::Unreachable(_)) {
        return Phase::Unreachable;
    }
    if state.unknown.is_some() {
        return Phase::Unknown;
    }
    let Some(observed) = state.observed else {
        return Phase::Discovered;
    };
    match standing {
        Standing::Synced(_) => Phase::Synced,
        Standing::Rejected(_) => Phase::Rejected,
        Standing::Drifted(_) => Phase::Drifted,
        Standing::Taken => Phase::Pushing,
        _ if observed.is_none() => Phase::Unconfigured,
        _ if matches!(want, Want::Wait { why: Wait::Rest, .. }) => Phase::Paced,
        _ => Phase::Waiting,
    }
}
