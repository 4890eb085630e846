//! What the annotations of a Kubernetes Service say about the Kong service and upstream made from it (`kic.md` 3).

use proxy_config_schema as kong;

use super::{
    Settings,
    annotations::{self, Reader},
    problems::{Owner, Problems, annotation_field},
    service_group::Member,
    syntax,
};
use crate::model::{Edition, Kind, Profile, Reason};

const PROTOCOLS: &[&str] = &[
    "http",
    "https",
    "grpc",
    "grpcs",
    "ws",
    "wss",
    "tls",
    "tcp",
    "tls_passthrough",
];
/// Longest time in milliseconds that Kong takes.
const LONGEST: i64 = 2_147_483_646;

/// Applies the annotations of a Service, and of the facade in front of it, to the entities made from it; but for those
/// that name other objects.
pub(super) fn apply(
    member: &Member<'_>,
    settings: &Settings,
    service: &mut kong::Service,
    upstream: &mut kong::Upstream,
    problems: &mut Problems,
) {
    for owner in member.faces() {
        apply_one(owner, &settings.profile, service, upstream, problems);
    }
    for owner in member.faces() {
        apply_verification(&mut Reader { owner, problems }, settings.raw_objects, service);
    }
}

fn apply_one(
    owner: Owner<'_>,
    profile: &Profile,
    service: &mut kong::Service,
    upstream: &mut kong::Upstream,
    problems: &mut Problems,
) {
    super::tags::check(owner, problems);
    if Reader::is_plain(owner) {
        return;
    }
    let mut reader = Reader { owner, problems };
    if owner.kind == Kind::Service {
        // Acts where targets are made.
        reader.is_true(annotations::SERVICE_UPSTREAM);
    }
    if let Some(protocol) = protocol(&mut reader, profile) {
        service.protocol = Some(protocol.to_owned());
    }
    if let Some(path) = reader.text(annotations::PATH) {
        if syntax::is_service_path(path) {
            service.path = Some(path.to_owned());
        } else {
            let message = format!("{path:?} is not a path in normal form that starts with a slash");
            reader.reject(annotations::PATH, message, "give a path such as /api");
        }
    }
    let times = [
        (annotations::CONNECT_TIMEOUT, &mut service.connect_timeout),
        (annotations::WRITE_TIMEOUT, &mut service.write_timeout),
        (annotations::READ_TIMEOUT, &mut service.read_timeout),
    ];
    for (annotation, time) in times {
        if let Some(milliseconds) = unsigned(&mut reader, annotation, 1, LONGEST) {
            *time = Some(milliseconds);
        }
    }
    if let Some(retries) = unsigned(&mut reader, annotations::RETRIES, 0, 32_767) {
        service.retries = Some(retries);
    }
    if let Some(host) = reader.text(annotations::HOST_HEADER) {
        if syntax::is_destination_with_port(host) {
            upstream.host_header = Some(host.to_owned());
        } else {
            let message = format!("{host:?} is not a host name, with a port or not");
            reader.reject(
                annotations::HOST_HEADER,
                message,
                "give a host name such as shop.example.com",
            );
        }
    }
}

/// The protocol of a Service's annotation as it counts; the default one where there is none that can be used.
pub(super) fn effective_protocol<'a>(member: &Member<'a>, default: &'static str) -> &'a str {
    let protocols = member
        .faces()
        .filter_map(|owner| owner.metadata.annotation(annotations::PROTOCOL));
    let known = protocols.map(str::trim).filter(|protocol| PROTOCOLS.contains(protocol));
    known.last().unwrap_or(default)
}

/// Takes away what Kong refuses with the service's protocol: a path outside of HTTP. Of raw objects only gRPC's, as in Kong
/// Ingress Controller. Where an annotation asks for the path, it is told.
pub(super) fn fit_protocol(
    members: &[Member<'_>],
    raw_objects: bool,
    service: &mut kong::Service,
    problems: &mut Problems,
) {
    let protocol = service.protocol.as_deref().unwrap_or("http");
    let has_path = match protocol {
        "http" | "https" | "ws" | "wss" => true,
        "grpc" | "grpcs" => false,
        _ => raw_objects,
    };
    if has_path {
        return;
    }
    for owner in members.iter().flat_map(Member::faces) {
        let path = Reader { owner, problems }.text(annotations::PATH);
        if path.is_some_and(syntax::is_service_path) {
            problems.report(
                owner,
                annotation_field(annotations::PATH),
                Reason::Ignored,
                format!("requests have no path in front of which it could be put with the protocol {protocol}"),
                format!("remove it, or set {} to http or https", annotations::PROTOCOL),
            );
        }
    }
    service.path = None;
}

fn protocol<'a>(reader: &mut Reader<'a, '_>, profile: &Profile) -> Option<&'a str> {
    if reader.text(annotations::PROTOCOL) == Some("") {
        return None;
    }
    let protocol = reader.word(annotations::PROTOCOL, PROTOCOLS)?;
    if matches!(profile.edition, Some(Edition::OpenSource | Edition::Embedded)) && matches!(protocol, "ws" | "wss") {
        reader.problems.report(
            reader.owner,
            annotation_field(annotations::PROTOCOL),
            Reason::Unsupported,
            format!("the protocol {protocol} needs Kong Gateway Enterprise; the annotation is ignored"),
            "use http or https: they carry WebSockets as well",
        );
        return None;
    }
    Some(protocol)
}

fn unsigned(reader: &mut Reader<'_, '_>, annotation: &str, least: i64, greatest: i64) -> Option<u32> {
    let number = reader.number(annotation, least..=greatest)?;
    Some(u32::try_from(number).expect("the bounds are those of Kong, within 32 bits"))
}

/// Verification of the upstream's certificate. Kong refuses it on services without TLS; of raw objects it is sent all the
/// same, as by Kong Ingress Controller.
fn apply_verification(reader: &mut Reader<'_, '_>, raw_objects: bool, service: &mut kong::Service) {
    let verify = reader.boolean(annotations::TLS_VERIFY);
    let depth = unsigned(reader, annotations::TLS_VERIFY_DEPTH, 0, 64);
    let protocol = service.protocol.as_deref().unwrap_or("http");
    if takes_tls_settings(protocol) || raw_objects {
        service.tls_verify = verify.or(service.tls_verify);
        service.tls_verify_depth = depth.or(service.tls_verify_depth);
        return;
    }
    for (annotation, is_set) in [
        (annotations::TLS_VERIFY, verify.is_some()),
        (annotations::TLS_VERIFY_DEPTH, depth.is_some()),
    ] {
        if is_set {
            let message = format!("Kong verifies no certificates with the protocol {protocol}");
            reader.reject(annotation, message, format!("set {} to https", annotations::PROTOCOL));
        }
    }
}

/// Whether Kong takes settings of TLS with the protocol: not with `grpcs`, though that is TLS.
pub(super) fn takes_tls_settings(protocol: &str) -> bool {
    matches!(protocol, "https" | "tls" | "wss")
}
