//! `AdmissionReview` of `admission.k8s.io`, as far as it is used: JSON in, JSON out. Pure.
//!
//! Versions `v1` and `v1beta1` are the same here; an answer has the version of its question.

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Verdict;
use crate::model::{Kind, NamespacedName};

/// The only group that asks, in any of its versions.
const GROUP: &str = "admission.k8s.io";
/// Longest message of a denial, in characters.
const MAX_MESSAGE: usize = 4096;
/// Most warnings of one answer, and the longest, in characters: the API server cuts off at 256 each, 4096 altogether.
const MAX_WARNINGS: usize = 12;
const MAX_WARNING: usize = 250;

/// What the API server asks: may this object be stored?
pub struct Request {
    /// `admission.k8s.io/v1`, for the answer.
    api_version: String,
    /// Identifies the request, for the answer.
    uid: String,
    /// The object's kind, if it is one that is read here.
    pub kind: Option<Kind>,
    /// The name of the kind, whatever it is; for metrics only as far as `kind` is known.
    pub kind_name: String,
    /// Whether an object is made or changed; everything else needs no review.
    pub operation: Operation,
    /// The object's namespace and name; the name is empty as long as the API server has not made one up.
    pub key: NamespacedName,
    /// The object as it would be stored. May hold secrets.
    pub object: Option<Value>,
    /// The object as it is stored now. May hold secrets.
    pub old_object: Option<Value>,
}

/// No object in it: it may be a Secret.
impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("uid", &self.uid)
            .field("kind", &self.kind_name)
            .field("operation", &self.operation)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What is about to happen to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// Something else: it is deleted, or connected to.
    Other,
}

/// A body that is no `AdmissionReview`. Quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON, or has a field of a wrong type.
    #[error("expected an AdmissionReview in JSON (line {line}, column {column})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// It is something else.
    #[error("expected an AdmissionReview of {GROUP} with a request")]
    NoReview,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Option<RawRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequest {
    uid: String,
    kind: GroupVersionKind,
    operation: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    object: Option<Value>,
    #[serde(default)]
    old_object: Option<Value>,
}

#[derive(Deserialize)]
struct GroupVersionKind {
    #[serde(default)]
    group: String,
    kind: String,
}

impl Request {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// When it is no `AdmissionReview` with a request.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let review: Review = serde_json::from_slice(body).map_err(|error| Malformed::Json {
            line: error.line(),
            column: error.column(),
        })?;
        let of_group = review
            .api_version
            .split_once('/')
            .is_some_and(|(group, _)| group == GROUP);
        let request = review.request.filter(|_| of_group && review.kind == "AdmissionReview");
        let request = request.ok_or(Malformed::NoReview)?;
        Ok(Self {
            api_version: review.api_version,
            uid: request.uid,
            kind: Kind::find(&request.kind.group, &request.kind.kind),
            kind_name: request.kind.kind,
            operation: match request.operation.as_str() {
                "CREATE" => Operation::Create,
                "UPDATE" => Operation::Update,
                _ => Operation::Other,
            },
            key: NamespacedName::new(request.namespace.unwrap_or_default(), request.name.unwrap_or_default()),
            object: request.object.filter(|object| !object.is_null()),
            old_object: request.old_object.filter(|object| !object.is_null()),
        })
    }

    /// The answer to it.
    pub fn answer(&self, verdict: &Verdict) -> Value {
        let mut response = json!({ "uid": self.uid, "allowed": verdict.is_allowed() });
        if let Some(message) = verdict.message() {
            response["status"] = json!({ "code": 400, "message": shortened(&message, MAX_MESSAGE) });
        }
        if !verdict.warnings.is_empty() {
            let left_out = verdict.warnings.len().saturating_sub(MAX_WARNINGS);
            let told = verdict.warnings.iter().take(MAX_WARNINGS);
            let mut warnings: Vec<String> = told.map(|warning| shortened(warning, MAX_WARNING)).collect();
            if left_out > 0 {
                warnings.push(format!("and {left_out} more"));
            }
            response["warnings"] = json!(warnings);
        }
        json!({ "apiVersion": self.api_version, "kind": "AdmissionReview", "response": response })
    }
}

/// One line of at most so many characters.
fn shortened(text: &str, length: usize) -> String {
    let line = |text: &str| text.replace(['\n', '\r'], " ");
    match text.char_indices().nth(length) {
        Some(_) => {
            let kept: String = text.chars().take(length - 1).collect();
            line(&kept) + "…"
        }
        None => line(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn review(request: &Value) -> Vec<u8> {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn a_review_is_read_and_answered() {
        let request = Request::parse(&review(&json!({
            "uid": "u1", "kind": {"group": "configuration.konghq.com", "version": "v1", "kind": "KongPlugin"},
            "operation": "UPDATE", "name": "limit", "namespace": "shop",
            "object": {"plugin": "a"}, "oldObject": null,
        })))
        .expect("a review");
        assert_eq!(request.kind, Some(Kind::KongPlugin));
        assert_eq!(request.operation, Operation::Update);
        assert_eq!(request.key.to_string(), "shop/limit");
        assert!(request.object.is_some() && request.old_object.is_none());

        let mut verdict = Verdict::default();
        assert_eq!(
            request.answer(&verdict),
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                   "response": {"uid": "u1", "allowed": true}})
        );
        verdict.deny("plugin failed schema validation: no\nway");
        verdict.warnings = vec!["w".repeat(1000); 20];
        let answer = request.answer(&verdict);
        assert_eq!(
            answer["response"]["status"],
            json!({"code": 400, "message": "plugin failed schema validation: no way"})
        );
        let warnings = answer["response"]["warnings"].as_array().expect("warnings");
        assert_eq!(warnings.len(), MAX_WARNINGS + 1);
        assert_eq!(warnings[MAX_WARNINGS], "and 8 more");
        assert!(
            warnings
                .iter()
                .all(|warning| warning.as_str().expect("text").chars().count() <= 256)
        );
    }

    #[test]
    fn the_answer_has_the_version_of_the_question() {
        let body = json!({
            "apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview",
            "request": {"uid": "u", "kind": {"group": "", "version": "v1", "kind": "Service"}, "operation": "DELETE"},
        });
        let request = Request::parse(body.to_string().as_bytes()).expect("a review");
        assert_eq!(request.operation, Operation::Other);
        let answer = request.answer(&Verdict::default());
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1beta1");
    }

    #[test]
    fn anything_else_is_refused_without_being_quoted() {
        let request = json!({"uid": "u", "kind": {"kind": "Service"}, "operation": "CREATE"});
        for (body, words) in [
            (b"hunter2".to_vec(), "line 1, column 1"),
            (b"{}".to_vec(), "column 2"),
            (review(&Value::Null), "with a request"),
            (
                json!({"apiVersion": "v1", "kind": "AdmissionReview", "request": request})
                    .to_string()
                    .into_bytes(),
                "admission.k8s.io",
            ),
            (review(&json!({"uid": 1})), "JSON"),
        ] {
            let error = Request::parse(&body).expect_err("no review").to_string();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn its_debug_form_shows_no_object() {
        let request = Request::parse(&review(&json!({
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Secret"}, "operation": "CREATE",
            "object": {"data": {"key": "aHVudGVyMg=="}},
        })))
        .expect("a review");
        assert!(!format!("{request:?}").contains("aHVudGVyMg"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_review_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::parse(&body);
        }
    }
}
