//! Answers of the proxy's own, in Kong's words and shapes: what no upstream has said.
//!
//! The text is chosen by `Accept` among JSON, HTML, XML and plain text, and gRPC calls get their status as headers.

use std::fmt;

use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode, Version,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue},
};

use super::forward::Body;

/// Why a request is not forwarded, or its forwarding failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request contradicts HTTP.
    BadRequest,
    /// No route matches.
    NoRoute,
    /// The route has no service.
    NoService,
    /// The host of service or target has no address.
    NameResolution,
    /// The upstream has no target that could be used.
    NoPeer,
    /// The upstream could not be reached, or broke off.
    BadGateway,
    /// The upstream took too long.
    GatewayTimeout,
    /// The client took too long.
    RequestTimeout,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// The route is for HTTPS only.
    HttpsRequired,
    /// The route is for gRPC, the request speaks HTTP/1.
    Http2Required,
    /// The route is for gRPC, the request is not.
    NotGrpc,
}

impl Failure {
    /// The status code.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoService | Self::NameResolution | Self::NoPeer => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HttpsRequired | Self::Http2Required => StatusCode::UPGRADE_REQUIRED,
            Self::NotGrpc => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// Kong's sentence.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad request",
            Self::NoRoute => "no Route matched with those values",
            Self::NoService => "no Service found with those values",
            Self::NameResolution => "name resolution failed",
            Self::NoPeer => "failure to get a peer from the ring-balancer",
            Self::BadGateway => "An invalid response was received from the upstream server",
            Self::GatewayTimeout => "The upstream server is timing out",
            Self::RequestTimeout => "Request timeout",
            Self::PayloadTooLarge => "Payload too large",
            Self::HttpsRequired => "Please use HTTPS protocol",
            Self::Http2Required => "Please use HTTP2 protocol",
            Self::NotGrpc => "Non-gRPC request matched gRPC route",
        }
    }

    /// Whether Kong's error pages make this answer: without `Accept` they are plain text, other answers JSON.
    fn is_page(self) -> bool {
        matches!(
            self,
            Self::BadRequest | Self::BadGateway | Self::GatewayTimeout | Self::RequestTimeout | Self::PayloadTooLarge
        )
    }

    /// What the upgrade that is asked for is called, if one is.
    fn upgrade(self) -> Option<&'static str> {
        match self {
            Self::HttpsRequired => Some("TLS/1.2, HTTP/1.1"),
            Self::Http2Required => Some("HTTP/2"),
            _ => None,
        }
    }
}

/// What an answer needs to know of its request.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// In which form it wants to be answered, if it said so.
    form: Option<Form>,
    /// Whether it is a gRPC call over HTTP/2.
    grpc: bool,
}

impl Asked {
    pub(super) fn of(version: Version, headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE);
        let form = headers.get(ACCEPT).or(content_type).map(Form::preferred);
        Self {
            form,
            grpc: version == Version::HTTP_2 && content_type.is_some_and(is_grpc),
        }
    }
}

/// Whether a content type is gRPC's, with any suffix.
pub(super) fn is_grpc(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"application/grpc")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Html,
    Xml,
    Plain,
}

impl Form {
    /// The form that an `Accept` header likes best; JSON when it names none that there is.
    fn preferred(accept: &HeaderValue) -> Self {
        let mut best = (Self::Json, 0.0);
        for range in accept.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let form = match kind.as_str() {
                "application/json" | "*/*" | "application/*" => Self::Json,
                "text/html" => Self::Html,
                "application/xml" => Self::Xml,
                "text/plain" | "text/*" => Self::Plain,
                _ => continue,
            };
            let quality = parts
                .find_map(|parameter| parameter.strip_prefix("q="))
                .and_then(|quality| quality.parse::<f32>().ok())
                .unwrap_or(1.0);
            if quality > best.1 {
                best = (form, quality);
            }
        }
        best.0
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
            Self::Plain => "text/plain; charset=utf-8",
        }
    }

    fn text(self, message: &str, request: impl fmt::Display) -> String {
        match self {
            Self::Json => format!("{{\n  \"message\":\"{message}\",\n  \"request_id\":\"{request}\"\n}}"),
            Self::Html => format!(
                "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  \
                 <body>\n    <h1>Error</h1>\n    <p>{message}.</p>\n    <p>request_id: {request}</p>\n  </body>\n</html>\n"
            ),
            Self::Xml => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>{message}</message>\n  \
                 <requestid>{request}</requestid>\n</error>\n"
            ),
            Self::Plain => format!("{message}\nrequest_id: {request}\n"),
        }
    }
}

/// The answer to a request that failed.
pub(super) fn failure(failure: Failure, asked: &Asked, request: impl fmt::Display) -> Response<Body> {
    let status = failure.status();
    if asked.grpc {
        return grpc(status, failure.message());
    }
    let default = if failure.is_page() { Form::Plain } else { Form::Json };
    let form = asked.form.unwrap_or(default);
    let mut response = with_text(status, form.content_type(), form.text(failure.message(), request));
    if let Some(upgrade) = failure.upgrade() {
        let headers = response.headers_mut();
        headers.insert(hyper::header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(hyper::header::UPGRADE, HeaderValue::from_static(upgrade));
    }
    response
}

/// A redirect to the same URL over HTTPS, with the page that nginx writes (line ends included).
pub(super) fn redirect(status: StatusCode, location: HeaderValue) -> Response<Body> {
    let reason = match status {
        StatusCode::FOUND => "Moved Temporarily",
        _ => status.canonical_reason().unwrap_or_default(),
    };
    let title = format!("{} {reason}", status.as_u16());
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    let mut response = with_text(status, "text/html; charset=UTF-8", page);
    response.headers_mut().insert(hyper::header::LOCATION, location);
    response
}

/// An answer with a text of this type.
pub(super) fn with_text(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    with_body(status, HeaderValue::from_static(content_type), text.into())
}

/// An answer with a body of this type.
pub(super) fn with_body(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Body> {
    let length = body.len();
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// A gRPC answer that consists of headers alone: the status as gRPC counts it, and the message.
pub(super) fn grpc(status: StatusCode, message: &'static str) -> Response<Body> {
    grpc_status(status, grpc_code(status), message)
}

/// A gRPC route that is for TLS only was called without: Kong answers 200 with gRPC's `CANCELLED`.
pub(super) fn grpc_needs_tls() -> Response<Body> {
    grpc_status(StatusCode::OK, 1, "gRPC request matched gRPCs route")
}

/// How a gRPC call ends that outlives the proxy: clients call again, elsewhere.
pub(super) fn grpc_going_away() -> HeaderMap {
    HeaderMap::from_iter([
        (HeaderName::from_static("grpc-status"), HeaderValue::from_static("14")),
        (
            HeaderName::from_static("grpc-message"),
            HeaderValue::from_static("The proxy is going away"),
        ),
    ])
}

fn grpc_status(status: StatusCode, code: u8, message: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from(u16::from(code)),
    );
    headers.insert(
        HeaderName::from_static("grpc-message"),
        HeaderValue::from_static(message),
    );
    response
}

/// gRPC's code for an HTTP status, as Kong maps them.
fn grpc_code(status: StatusCode) -> u8 {
    match status.as_u16() {
        200..=299 => 0,
        400 => 3,
        401 => 16,
        403 => 7,
        404 => 5,
        409 => 10,
        429 => 8,
        499 => 1,
        501 => 12,
        500 => 13,
        503 | 502 => 14,
        504 | 408 => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "f450154aa96f72046b87cb526fad6b1b";

    fn asked(accept: &'static str) -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Asked::of(Version::HTTP_11, &headers)
    }

    fn header(response: &Response<Body>, name: &str) -> String {
        let value = response.headers().get(name).expect("header");
        value.to_str().expect("text").to_owned()
    }

    #[test]
    fn a_missing_route_is_told_in_the_form_that_was_asked_for_with_kongs_lengths() {
        for (accept, content_type, length) in [
            ("application/json", "application/json; charset=utf-8", "103"),
            ("*/*", "application/json; charset=utf-8", "103"),
            ("text/html", "text/html; charset=utf-8", "243"),
            ("text/plain", "text/plain; charset=utf-8", "80"),
            ("image/png", "application/json; charset=utf-8", "103"),
            ("text/html;q=0.4, text/plain;q=0.8", "text/plain; charset=utf-8", "80"),
        ] {
            let response = failure(Failure::NoRoute, &asked(accept), REQUEST);
            assert_eq!(response.status(), 404);
            assert_eq!(header(&response, "content-type"), content_type, "{accept}");
            assert_eq!(header(&response, "content-length"), length, "{accept}");
        }
    }

    #[test]
    fn without_accept_error_pages_are_plain_text_and_others_json() {
        let none = Asked::default();
        let page = failure(Failure::BadGateway, &none, REQUEST);
        assert_eq!(header(&page, "content-type"), "text/plain; charset=utf-8");
        assert_eq!(header(&page, "content-length"), "103");
        let timeout = failure(Failure::GatewayTimeout, &none, REQUEST);
        assert_eq!(header(&timeout, "content-length"), "79");
        let balancer = failure(Failure::NoPeer, &none, REQUEST);
        assert_eq!(header(&balancer, "content-type"), "application/json; charset=utf-8");
        assert_eq!(header(&balancer, "content-length"), "113");
    }

    #[test]
    fn an_https_only_route_asks_for_an_upgrade() {
        let response = failure(Failure::HttpsRequired, &Asked::default(), REQUEST);
        assert_eq!(response.status(), 426);
        assert_eq!(header(&response, "connection"), "Upgrade");
        assert_eq!(header(&response, "upgrade"), "TLS/1.2, HTTP/1.1");
        assert_eq!(header(&response, "content-length"), "94");
    }

    #[test]
    fn a_redirect_has_nginxs_page() {
        let location = HeaderValue::from_static("https://h.example.test/httpsonly/x?y=1");
        let response = redirect(StatusCode::PERMANENT_REDIRECT, location);
        assert_eq!(header(&response, "content-length"), "136");
        assert_eq!(header(&response, "location"), "https://h.example.test/httpsonly/x?y=1");
    }

    #[test]
    fn a_grpc_call_gets_its_status_as_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
        let over_http2 = failure(Failure::NoRoute, &Asked::of(Version::HTTP_2, &headers), REQUEST);
        assert_eq!(header(&over_http2, "grpc-status"), "5");
        assert_eq!(
            header(&over_http2, "grpc-message"),
            "no Route matched with those values"
        );
        let over_http1 = failure(Failure::NoRoute, &Asked::of(Version::HTTP_11, &headers), REQUEST);
        assert_eq!(header(&over_http1, "content-type"), "application/json; charset=utf-8");
    }
}
