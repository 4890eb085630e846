//! Two versions of an entity, field by field.

use proxy_config_schema::REDACTED;
use serde::Serialize;
use serde_json::{Map, Value};

use super::entity::Entity;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// Its path within the entity: `config.redis.host`.
    pub field: String,
    /// What it was.
    pub before: Shown,
    /// What it is.
    pub after: Shown,
}

/// A value as it may be shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Shown {
    /// The field is not set.
    Unset,
    /// Its value, with placeholders for secrets within it.
    Value(Value),
    /// It is, or holds, a secret, and that is what differs.
    Secret,
}

/// Fields that differ, and what could not be told.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) fields: Vec<FieldChange>,
    pub(super) hidden_secrets: usize,
}

/// A value and the same without secrets.
type Pair<'a> = (Option<&'a Value>, Option<&'a Value>);
/// Fields and the same without secrets.
type ObjectPair<'a> = (&'a Map<String, Value>, &'a Map<String, Value>);

/// The fields that differ; of an entity that only one side has, all.
pub(super) fn compare(before: Option<&Entity>, after: Option<&Entity>) -> Compared {
    let empty = Map::new();
    let mut compared = Compared::default();
    compared.objects(
        "",
        (
            before.map_or(&empty, |entity| &entity.fields.raw),
            before.map_or(&empty, |entity| &entity.fields.redacted),
        ),
        (
            after.map_or(&empty, |entity| &entity.fields.raw),
            after.map_or(&empty, |entity| &entity.fields.redacted),
        ),
    );
    compared
}

impl Compared {
    fn objects(&mut self, path: &str, before: ObjectPair<'_>, after: ObjectPair<'_>) {
        let mut names: Vec<&String> = before.0.keys().chain(after.0.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let field = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            self.values(
                &field,
                (before.0.get(name), before.1.get(name)),
                (after.0.get(name), after.1.get(name)),
            );
        }
    }

    fn values(&mut self, path: &str, before: Pair<'_>, after: Pair<'_>) {
        if before.0 == after.0 {
            return;
        }
        let empty = Map::new();
        match (object_of(before), object_of(after)) {
            (Some(before), Some(after)) => return self.objects(path, before, after),
            // Settings that only one side has are told one by one, too.
            (Some(before), None) if after.0.is_none() && !before.0.is_empty() => {
                return self.objects(path, before, (&empty, &empty));
            }
            (None, Some(after)) if before.0.is_none() && !after.0.is_empty() => {
                return self.objects(path, (&empty, &empty), after);
            }
            _ => {}
        }
        let secrets_alone = before.1.is_some() && before.1 == after.1;
        if secrets_alone && (before.0 == before.1 || after.0 == after.1) {
            // One side shows its placeholder only: what stands behind it is unknown.
            self.hidden_secrets += 1;
            return;
        }
        let shown = |(raw, redacted): Pair<'_>| match (raw, redacted) {
            (None, _) | (_, None) => Shown::Unset,
            _ if secrets_alone => Shown::Secret,
            (_, Some(Value::String(text))) if text == REDACTED => Shown::Secret,
            (_, Some(value)) => Shown::Value(value.clone()),
        };
        self.fields.push(FieldChange {
            field: path.to_owned(),
            before: shown(before),
            after: shown(after),
        });
    }
}

fn object_of(pair: Pair<'_>) -> Option<ObjectPair<'_>> {
    Some((pair.0?.as_object()?, pair.1?.as_object()?))
}
