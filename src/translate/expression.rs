//! Kong's expression language: predicates and how they are written (`kic.md` 4.3.8). Pure.

use std::fmt;

/// A comparison, or several of them joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Predicate {
    /// `field operator "value"`
    Compare {
        field: String,
        operator: Operator,
        value: String,
    },
    /// `field == number`
    Number { field: String, value: u16 },
    /// All must hold.
    All(Vec<Predicate>),
    /// One must hold.
    Any(Vec<Predicate>),
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    StartsWith,
    EndsWith,
    Matches,
}

impl Predicate {
    pub(super) fn compare(field: impl Into<String>, operator: Operator, value: impl Into<String>) -> Self {
        Self::Compare {
            field: field.into(),
            operator,
            value: value.into(),
        }
    }

    /// A field that is a number.
    pub(super) fn number(field: impl Into<String>, value: u16) -> Self {
        Self::Number {
            field: field.into(),
            value,
        }
    }

    /// All of them; a single one stands for itself.
    pub(super) fn all(members: Vec<Self>) -> Self {
        Self::join(members, Self::All)
    }

    /// One of them; a single one stands for itself.
    pub(super) fn any(members: Vec<Self>) -> Self {
        Self::join(members, Self::Any)
    }

    fn join(mut members: Vec<Self>, join: impl FnOnce(Vec<Self>) -> Self) -> Self {
        if members.len() == 1 {
            members.remove(0)
        } else {
            join(members)
        }
    }

    /// A header of the request.
    pub(super) fn header(name: &str, operator: Operator, value: impl Into<String>) -> Self {
        let name = name.to_ascii_lowercase().replace('-', "_");
        Self::compare(format!("http.headers.{name}"), operator, value)
    }

    /// A server name in TLS, maybe with a leading wildcard.
    pub(super) fn server_name(name: &str) -> Self {
        match name.strip_prefix('*') {
            Some(suffix) => Self::compare("tls.sni", Operator::EndsWith, suffix),
            None => Self::compare("tls.sni", Operator::Equal, name),
        }
    }

    /// A host, maybe with a leading wildcard.
    pub(super) fn host(host: &str) -> Self {
        match host.strip_prefix('*') {
            Some(suffix) => Self::compare("http.host", Operator::EndsWith, suffix),
            None => match host.strip_suffix(".*") {
                Some(prefix) => Self::compare("http.host", Operator::StartsWith, format!("{prefix}.")),
                None => Self::compare("http.host", Operator::Equal, host),
            },
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (members, joint) = match self {
            Self::Compare { field, operator, value } => {
                let operator = match operator {
                    Operator::Equal => "==",
                    Operator::StartsWith => "^=",
                    Operator::EndsWith => "=^",
                    Operator::Matches => "~",
                };
                write!(formatter, "{field} {operator} \"")?;
                write_escaped(formatter, value)?;
                return formatter.write_str("\"");
            }
            Self::Number { field, value } => return write!(formatter, "{field} == {value}"),
            Self::All(members) => (members, " && "),
            Self::Any(members) => (members, " || "),
        };
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                formatter.write_str(joint)?;
            }
            write!(formatter, "({member})")?;
        }
        Ok(())
    }
}

fn write_escaped(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write;
    text.chars().try_for_each(|character| match character {
        '\\' => formatter.write_str("\\\\"),
        '"' => formatter.write_str("\\\""),
        '\n' => formatter.write_str("\\n"),
        '\r' => formatter.write_str("\\r"),
        '\t' => formatter.write_str("\\t"),
        _ => formatter.write_char(character),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_parentheses_unless_alone() {
        let path = Predicate::compare("http.path", Operator::StartsWith, "/");
        assert_eq!(Predicate::all(vec![path.clone()]).to_string(), r#"http.path ^= "/""#);
        let hosts = Predicate::any(vec![Predicate::host("a.example"), Predicate::host("*.b.example")]);
        assert_eq!(
            Predicate::all(vec![hosts, path]).to_string(),
            r#"((http.host == "a.example") || (http.host =^ ".b.example")) && (http.path ^= "/")"#
        );
    }

    #[test]
    fn text_is_escaped() {
        let predicate = Predicate::compare("http.path", Operator::Matches, "^/\\d\"\n");
        assert_eq!(predicate.to_string(), r#"http.path ~ "^/\\d\"\n""#);
    }
}
