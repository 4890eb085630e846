//! Answers in the shapes of Kong and of the nginx below it. Pure.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};

use crate::server::Answer;

/// JSON with Kong's content type.
pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
    text(status, "application/json; charset=utf-8", body.to_string())
}

/// `{"message": …}`
pub(crate) fn message(status: StatusCode, message: &str) -> Answer {
    json(status, &json!({ "message": message }))
}

/// Any text.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// What Kong answers to a path that it does not know.
pub(crate) fn not_found() -> Answer {
    message(StatusCode::NOT_FOUND, "Not found")
}

/// What Kong answers to a method that a path does not take.
pub(crate) fn method_not_allowed() -> Answer {
    message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}

/// An error of Kong's database layer: code, name, message.
pub(crate) fn entity_error(status: StatusCode, code: u32, name: &str, message: &str) -> Answer {
    json(status, &json!({ "code": code, "name": name, "message": message }))
}

/// The answer to OPTIONS.
pub(crate) fn options(allowed: &'static str) -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// A body of a type that is not taken.
pub(crate) fn unsupported_media_type() -> Answer {
    html(StatusCode::UNSUPPORTED_MEDIA_TYPE, "415 Unsupported Media Type", None)
}

/// A body over the limit; closes the connection, since the rest of it is not read.
pub(crate) fn too_large() -> Answer {
    let mut answer = html(StatusCode::PAYLOAD_TOO_LARGE, "413 Request Entity Too Large", None);
    close(&mut answer);
    answer
}

/// A client without a certificate.
pub(crate) fn certificate_missing() -> Answer {
    bad_request("No required SSL certificate was sent")
}

/// A client whose certificate is not trusted.
pub(crate) fn certificate_error() -> Answer {
    bad_request("The SSL certificate error")
}

/// A client that speaks plain HTTP to a TLS port.
pub(crate) fn plain_http_to_tls_port() -> Answer {
    bad_request("The plain HTTP request was sent to HTTPS port")
}

/// Makes an answer the last one of an HTTP/1 connection.
pub(crate) fn close(answer: &mut Answer) {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

fn bad_request(reason: &str) -> Answer {
    let mut answer = html(StatusCode::BAD_REQUEST, &format!("400 {reason}"), Some(reason));
    close(&mut answer);
    answer
}

/// An error page of nginx: lines end with CR LF.
fn html(status: StatusCode, title: &str, reason: Option<&str>) -> Answer {
    let heading = match reason {
        Some(reason) => format!("<center><h1>400 Bad Request</h1></center>\r\n<center>{reason}</center>"),
        None => format!("<center><h1>{title}</h1></center>"),
    };
    let page =
        format!("<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n{heading}\r\n</body>\r\n</html>\r\n");
    text(status, "text/html; charset=UTF-8", page)
}
