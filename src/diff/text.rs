//! Changes as text for people.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{ChangeKind, Changes, EntityChange, EntityKey, FieldChange, Shown, SourceObject};

/// Longer values are abbreviated, in characters.
const LONGEST_VALUE: usize = 200;

/// `Ingress shop/web`
impl fmt::Display for SourceObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(formatter, "{} {}", self.kind, self.name)
        } else {
            write!(formatter, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// `target 10.0.0.1:80 of upstream web.shop.80.svc`
impl fmt::Display for EntityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(singular(&self.entity_type))?;
        if !self.name.is_empty() {
            write!(formatter, " {}", self.name)?;
        }
        if let Some((parent_type, parent)) = self.parent.as_ref().filter(|(_, parent)| !parent.is_empty()) {
            write!(formatter, " of {} {parent}", singular(parent_type))?;
        }
        Ok(())
    }
}

fn singular(list: &str) -> &str {
    list.strip_suffix('s').unwrap_or(list)
}

/// A paragraph for each object, and a summary.
impl fmt::Display for Changes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for object in &self.objects {
            match &object.object {
                Some(name) => writeln!(formatter, "{name}")?,
                None => writeln!(formatter, "of no object")?,
            }
            for entity in &object.entities {
                write!(formatter, "{entity}")?;
            }
        }
        self.write_summary(formatter)
    }
}

impl Changes {
    fn write_summary(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entities = || self.objects.iter().flat_map(|object| &object.entities);
        let count = |kind: ChangeKind| entities().filter(|entity| entity.change == kind).count();
        if self.is_empty() {
            formatter.write_str("no changes")?;
        } else {
            let objects: BTreeSet<_> = self.objects.iter().map(|object| &object.object).collect();
            write!(
                formatter,
                "{} added, {} changed, {} removed, of {}",
                count(ChangeKind::Added),
                count(ChangeKind::Changed),
                count(ChangeKind::Removed),
                counted(objects.len(), "object")
            )?;
        }
        if self.hidden_secrets > 0 {
            let secrets = counted(self.hidden_secrets, "secret");
            write!(formatter, "; {secrets} not compared, since one side does not show them")?;
        }
        writeln!(formatter)
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A line with its sign, and one for each field.
impl fmt::Display for EntityChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
        };
        writeln!(formatter, "  {sign} {}", self.entity)?;
        for field in &self.fields {
            match self.change {
                ChangeKind::Changed => writeln!(formatter, "      {field}")?,
                // Tags only repeat the object above.
                _ if field.field == "tags" || field.field == "id" => {}
                ChangeKind::Added => writeln!(formatter, "      {}: {}", field.field, field.after)?,
                ChangeKind::Removed => writeln!(formatter, "      {}: {}", field.field, field.before)?,
            }
        }
        Ok(())
    }
}

/// `paths: ["/a"] -> ["/b"]`
impl fmt::Display for FieldChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before == Shown::Secret && self.after == Shown::Secret {
            return write!(formatter, "{}: changed (secret)", self.field);
        }
        write!(formatter, "{}: {} -> {}", self.field, self.before, self.after)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => formatter.write_str("(unset)"),
            Self::Secret => formatter.write_str("(secret)"),
            Self::Value(value) => formatter.write_str(&abbreviated(value)),
        }
    }
}

/// JSON on one line; of a long one the beginning, its length and a digest that tells it from others.
fn abbreviated(value: &Value) -> String {
    let text = value.to_string();
    let length = text.chars().count();
    if length <= LONGEST_VALUE {
        return text;
    }
    let beginning: String = text.chars().take(LONGEST_VALUE / 4).collect();
    let digest = Sha256::digest(&text);
    let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{beginning}… ({length} characters, SHA-256 {digest}…)")
}
