//! Bodies of requests: read within bounds, and taken apart by their type.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request,
    body::{Body, Incoming},
    header::CONTENT_TYPE,
};
use serde_json::{Map, Value};

/// How long a client may stall while it sends.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What is read and thrown away of a body over the limit, so that the client is done sending and reads the answer.
const MAX_DISCARDED_BYTES: usize = 64 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// Over the limit.
    TooLarge,
    /// The client stalled or left.
    Lost,
}

/// Reads a body of up to `limit` bytes.
pub(super) async fn read(request: Request<Incoming>, limit: usize) -> Result<Bytes, BodyFault> {
    let mut body = request.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        discard(body).await;
        return Err(BodyFault::TooLarge);
    }
    let mut content = BytesMut::with_capacity(announced);
    loop {
        let frame = tokio::time::timeout(STALL_TIMEOUT, body.frame()).await;
        let frame = match frame.map_err(|_| BodyFault::Lost)? {
            None => return Ok(content.freeze()),
            Some(frame) => frame.map_err(|_| BodyFault::Lost)?,
        };
        let Some(data) = frame.data_ref() else { continue };
        if content.len() + data.len() > limit {
            discard(body).await;
            return Err(BodyFault::TooLarge);
        }
        content.extend_from_slice(data);
    }
}

async fn discard(mut body: Incoming) {
    let discarding = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, Bytes::len);
            if discarded > MAX_DISCARDED_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, discarding).await;
}

/// What was posted to `/config`.
#[derive(Debug, PartialEq)]
pub(super) enum Posted {
    /// `application/json`: an object.
    Object(Map<String, Value>),
    /// `application/json`: anything else.
    OtherJson(Value),
    /// YAML, or JSON that shall be hashed as it is.
    Text(Bytes),
    /// Fields of a form.
    Form(Vec<(String, Bytes)>),
    /// Nothing, and no type.
    Nothing,
}

/// A body that cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Its type is not taken here.
    MediaType,
    /// It claims to be JSON.
    Json,
    /// It claims to be a multipart form.
    Form,
}

/// Takes a body apart as Kong does; media types are matched in lower case only, as there.
pub(super) fn classify(headers: &HeaderMap, body: Bytes) -> Result<Posted, Unreadable> {
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return match body.is_empty() {
            true => Ok(Posted::Nothing),
            false => Err(Unreadable::MediaType),
        };
    };
    let content_type = content_type.to_str().map_err(|_| Unreadable::MediaType)?;
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    match essence.trim() {
        "application/json" => match serde_json::from_slice(&body) {
            Ok(Value::Object(object)) => Ok(Posted::Object(object)),
            Ok(other) => Ok(Posted::OtherJson(other)),
            Err(_) => Err(Unreadable::Json),
        },
        "application/yaml" | "text/yaml" => Ok(Posted::Text(body)),
        "application/x-www-form-urlencoded" => Ok(Posted::Form(
            form_urlencoded::parse(&body)
                .map(|(name, value)| (name.into_owned(), Bytes::from(value.into_owned())))
                .collect(),
        )),
        "multipart/form-data" => boundary(parameters)
            .and_then(|boundary| multipart(&body, boundary))
            .map(Posted::Form)
            .ok_or(Unreadable::Form),
        _ => Err(Unreadable::MediaType),
    }
}

fn boundary(parameters: &str) -> Option<&str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && (1..=70).contains(&value.len())).then_some(value)
    })
}

/// The named parts of a multipart form (RFC 7578).
fn multipart(body: &Bytes, boundary: &str) -> Option<Vec<(String, Bytes)>> {
    let delimiter = format!("--{boundary}");
    let separator = format!("\r\n{delimiter}");
    let mut rest = body.slice(find(body, delimiter.as_bytes())? + delimiter.len()..);
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let head_end = find(&rest, b"\r\n\r\n")?;
        let head = rest.slice(..head_end);
        let content = rest.slice(head_end + 4..);
        let end = find(&content, separator.as_bytes())?;
        if let Some(name) = part_name(std::str::from_utf8(&head).ok()?) {
            parts.push((name.to_owned(), content.slice(..end)));
        }
        rest = content.slice(end + separator.len()..);
    }
    Some(parts)
}

fn part_name(head: &str) -> Option<&str> {
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    disposition.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim() == "name").then(|| value.trim().trim_matches('"'))
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(offset) = haystack[from..].iter().position(|byte| *byte == first) {
        let position = from + offset;
        if haystack[position..].starts_with(needle) {
            return Some(position);
        }
        from = position + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn classified(content_type: Option<&'static str>, body: &'static [u8]) -> Result<Posted, Unreadable> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        classify(&headers, Bytes::from_static(body))
    }

    #[test]
    fn types_are_taken_as_kong_takes_them() {
        let text = |text: &'static str| Ok(Posted::Text(Bytes::from_static(text.as_bytes())));
        assert_eq!(classified(Some("application/yaml"), b"{}"), text("{}"));
        assert_eq!(classified(Some("text/yaml; charset=utf-8"), b"a: 1"), text("a: 1"));
        assert_eq!(classified(Some("text/plain"), b"{}"), Err(Unreadable::MediaType));
        assert_eq!(classified(Some("Application/JSON"), b"{}"), Err(Unreadable::MediaType));
        assert_eq!(classified(None, b"{}"), Err(Unreadable::MediaType));
        assert_eq!(classified(None, b""), Ok(Posted::Nothing));
        assert_eq!(classified(Some("application/json"), b""), Err(Unreadable::Json));
        assert_eq!(
            classified(Some("application/json;charset=utf-8"), b"[1]"),
            Ok(Posted::OtherJson(json!([1])))
        );
    }

    #[test]
    fn forms_give_their_fields() {
        let config = |text: &'static [u8]| Ok(Posted::Form(vec![("config".to_owned(), Bytes::from_static(text))]));
        assert_eq!(
            classified(Some("application/x-www-form-urlencoded"), b"config=a%3A+1"),
            config(b"a: 1")
        );
        assert_eq!(
            classified(
                Some("multipart/form-data; boundary=\"xx\""),
                b"--xx\r\nContent-Disposition: form-data; name=\"config\"; filename=\"kong.yml\"\r\n\
                  Content-Type: application/octet-stream\r\n\r\na: 1\r\nb: --x\r\n\r\n--xx--\r\n",
            ),
            config(b"a: 1\r\nb: --x\r\n")
        );
        for broken in [&b"--xx\r\nname"[..], b"", b"--xx\r\n\r\n", b"--yy--"] {
            assert_eq!(
                classify(
                    &HeaderMap::from_iter([(
                        CONTENT_TYPE,
                        HeaderValue::from_static("multipart/form-data; boundary=xx")
                    )]),
                    Bytes::copy_from_slice(broken),
                ),
                Err(Unreadable::Form),
                "{broken:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_multipart_body_is_parts_or_an_error(body in "(--b|\r\n|name=|;|:|\"|x|Content-Disposition){0,40}") {
            let _ = multipart(&Bytes::from(body), "b");
        }
    }
}
