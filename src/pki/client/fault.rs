//! Failures of requests, sorted into kinds that a person can act on.

use std::{error::Error, io};

use rustls::AlertDescription;

use crate::fleet::{TransportFault, TransportFaultKind};

/// What to look at when something answers, and not as an Admin API does.
pub(crate) const WHO_ANSWERS: &str =
    "is this the address of the Admin API, and nothing in front of it? the log of what answers there says more";

/// Longest title of a page that is quoted, in characters.
const MAX_EXCERPT: usize = 80;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The path can't stand in a request.
    #[error("no path of a request")]
    Path(#[from] hyper::http::uri::InvalidUri),
    /// The host has no address.
    #[error("the name can't be resolved")]
    Resolve(#[source] io::Error),
    /// There is no connection.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// There was none in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The connection was closed before anything was sent.
    #[error("not sent")]
    NotSent(#[source] hyper::Error),
    /// It was sent, at least in part, and nothing came back.
    #[error("no answer")]
    Request(#[source] hyper::Error),
    /// The answer broke off.
    #[error("half an answer")]
    Body(#[source] hyper::Error),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
}

impl AdminError {
    /// Whether there was no connection at all, so that nothing was sent.
    pub fn is_connect(&self) -> bool {
        match self {
            Self::Path(_) | Self::Resolve(_) | Self::Connect(_) | Self::ConnectTimeout => true,
            Self::NotSent(_) | Self::Request(_) | Self::Body(_) | Self::Timeout => false,
        }
    }
}

/// What went wrong. `refusal` is what the verifier said of the proxy's certificate.
pub(super) fn classify(error: &AdminError, address: &str, refusal: Option<&str>) -> TransportFault {
    let fault = |kind, message: String| TransportFault { kind, message };
    if let Some(tls) = find_tls(error) {
        return match tls {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => fault(
                TransportFaultKind::CertificateUntrusted,
                format!("{address}: {}", refusal.map_or_else(|| tls.to_string(), str::to_owned)),
            ),
            rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => fault(
                TransportFaultKind::ClientCertificateRefused,
                format!(
                    "{address}: the proxy refused the controller's certificate ({alert:?}): does it trust its authority?"
                ),
            ),
            rustls::Error::InvalidMessage(_) => fault(
                TransportFaultKind::ConnectionFailed,
                format!("{address} does not speak TLS ({tls}): is this the Admin API's port, and one with ssl?"),
            ),
            other => fault(
                TransportFaultKind::ConnectionFailed,
                format!("{address}: TLS failed: {other}; the proxy's log says more"),
            ),
        };
    }
    let http = match error {
        AdminError::Body(_) => {
            return fault(
                TransportFaultKind::ConnectionFailed,
                format!("{address} broke off in the middle of its answer: look at the proxy's log"),
            );
        }
        AdminError::Resolve(_) => {
            return fault(
                TransportFaultKind::ConnectionFailed,
                format!(
                    "the host of {address} can't be resolved: is it written right, and does the controller's DNS know it?"
                ),
            );
        }
        AdminError::ConnectTimeout => {
            return fault(
                TransportFaultKind::Timeout,
                format!("no connection to {address} in time: is it up, or does something on the way drop packets?"),
            );
        }
        AdminError::Timeout => {
            return fault(
                TransportFaultKind::Timeout,
                format!("no answer from {address} in time: does it hang, or does something on the way drop packets?"),
            );
        }
        AdminError::Path(_) | AdminError::Connect(_) => None,
        AdminError::NotSent(http) | AdminError::Request(http) => Some(http),
    };
    if let Some((kind, message)) = find_io(error).and_then(|kind| classify_io(kind, error.is_connect(), address)) {
        return fault(kind, message);
    }
    if http.is_some_and(hyper::Error::is_parse) {
        return fault(
            TransportFaultKind::UnexpectedAnswer,
            format!("{address} does not speak HTTP: is this the Admin API?"),
        );
    }
    if http.is_some_and(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled()) {
        return fault(TransportFaultKind::ConnectionFailed, closed(address));
    }
    fault(
        TransportFaultKind::ConnectionFailed,
        format!("{address}: {}", chain(error)),
    )
}

/// What the system says of a connection, or of the attempt to make one.
fn classify_io(kind: io::ErrorKind, connecting: bool, address: &str) -> Option<(TransportFaultKind, String)> {
    use io::ErrorKind;
    let failed = TransportFaultKind::ConnectionFailed;
    Some(match kind {
        ErrorKind::ConnectionRefused => (
            TransportFaultKind::ConnectionRefused,
            format!(
                "nothing listens on {address} (connection refused): is the proxy up, and is this its Admin API's port?"
            ),
        ),
        ErrorKind::TimedOut => (
            TransportFaultKind::Timeout,
            format!("no connection to {address} in time: is it up, or does something on the way drop packets?"),
        ),
        ErrorKind::UnexpectedEof if connecting => (
            failed,
            format!("{address} closed the connection during the TLS handshake: does it speak TLS there?"),
        ),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => (failed, closed(address)),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => (
            failed,
            format!("there is no way to {address} in the network: is its node up, and the address right?"),
        ),
        ErrorKind::PermissionDenied => (
            failed,
            format!("the system forbids connections to {address}: a firewall of this machine or a network policy"),
        ),
        _ => return None,
    })
}

fn closed(address: &str) -> String {
    format!("{address} closed the connection without an answer: is it the Admin API, or is the proxy going down?")
}

/// An answer with a status that says that something before Kong's Admin API refused the request; `None` for others.
pub(crate) fn answer_fault(address: &str, status: u16, body: &[u8]) -> Option<TransportFault> {
    let text = String::from_utf8_lossy(body);
    let fault = |kind, message: String| Some(TransportFault { kind, message });
    // nginx completes the handshake and answers 400 in HTML (reference: admin-api.md 29).
    if status == 400 && text.contains("No required SSL certificate was sent") {
        return fault(
            TransportFaultKind::ClientCertificateRefused,
            format!(
                "{address}: the proxy wants a client certificate, and the controller sent none: give \
                 --kong-admin-tls-client-cert-file and -key-file"
            ),
        );
    }
    if status == 400 && text.contains("The SSL certificate error") {
        return fault(
            TransportFaultKind::ClientCertificateRefused,
            format!("{address}: the proxy refused the controller's certificate: does it trust its authority?"),
        );
    }
    if status == 400 && text.contains("plain HTTP request was sent to HTTPS port") {
        return fault(
            TransportFaultKind::ConnectionFailed,
            format!("{address} speaks TLS: use https:// in its address"),
        );
    }
    match status {
        401 | 403 => fault(
            TransportFaultKind::UnexpectedAnswer,
            format!("{address} answered {status}: is --kong-admin-token right?"),
        ),
        404 => fault(
            TransportFaultKind::UnexpectedAnswer,
            format!("{address} answered 404: is this the Admin API, and does the workspace exist?"),
        ),
        _ => None,
    }
}

/// What an answer that is not Kong's looks like. Only the title of a page of HTML is quoted: other bodies may repeat the
/// configuration that was sent.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    let title = text
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"))
        .map(|(title, _)| title);
    match title {
        Some(title) => {
            let line = title.chars().filter(|character| !character.is_control());
            line.take(MAX_EXCERPT).collect()
        }
        None => format!("{} bytes of something else", body.len()),
    }
}

/// All messages of the causes of an error.
fn chain(error: &AdminError) -> String {
    let mut text = String::new();
    for cause in causes(error).skip(1) {
        let message = cause.to_string();
        // Some repeat their source.
        if text.contains(&message) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&message);
    }
    if text.is_empty() { error.to_string() } else { text }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What the system said, below layers that only pass it on.
fn find_io(error: &AdminError) -> Option<io::ErrorKind> {
    causes(error).find_map(|cause| {
        let mut error = cause.downcast_ref::<io::Error>()?;
        while let Some(wrapped) = error.get_ref().and_then(|wrapped| wrapped.downcast_ref::<io::Error>()) {
            error = wrapped;
        }
        Some(error.kind()).filter(|kind| *kind != io::ErrorKind::Other)
    })
}

/// An `io::Error` hides what it wraps from the chain of sources, and layers wrap one into another.
fn find_tls(error: &AdminError) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| {
        let mut cause = cause;
        while let Some(wrapped) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            cause = wrapped;
        }
        cause.downcast_ref()
    })
}

fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure
    )
}
