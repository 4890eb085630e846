//! What HTTPRoute and GRPCRoute have in common: filters, header matches, session persistence.

use super::reference::{BACKEND_OBJECT_REF, DURATION};
use crate::model::schema::{Identity, List, Literal, Range, TEXT, TEXTS, Text, Type, fields};

const TOKEN: &str = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$";
pub(super) const HEADER_NAME: Type = Type::Text(Text::length(1, 256).like(TOKEN));
pub(super) const HEADER_VALUE: Type = Type::Text(Text::length(1, 4096));
pub(super) const PATH: Type = Type::Text(Text::length(0, 1024));

const NAMED: Identity = Identity::Keys(&["name"]);

pub(super) const HEADER_MATCHES: Type = Type::List(&List::of(Type::Object(&HEADER_MATCH)).max(16).identity(NAMED));

fields!(HEADER_MATCH {
    name required: HEADER_NAME,
    type: Type::OneOf(&["Exact", "RegularExpression"]) => Literal::Text("Exact"),
    value required: HEADER_VALUE,
});

fields!(pub(super) HEADER_FILTER {
    add: HEADERS,
    remove: Type::List(&List::of(TEXT).max(16).identity(Identity::Set)),
    set: HEADERS,
});

const HEADERS: Type = Type::List(&List::of(Type::Object(&HEADER)).max(16).identity(NAMED));

fields!(HEADER {
    name required: HEADER_NAME,
    value required: HEADER_VALUE,
});

fields!(pub(super) REQUEST_MIRROR {
    backendRef required: Type::Object(&BACKEND_OBJECT_REF),
    fraction: Type::Object(&FRACTION),
    percent: Type::Integer(Range::ANY.from(0).to(100)),
});

fields!(FRACTION {
    denominator: Type::Integer(Range::ANY.from(1)) => Literal::Integer(100),
    numerator required: Type::Integer(Range::ANY.from(0)),
});

fields!(pub(super) EXTERNAL_AUTH {
    backendRef required: Type::Object(&BACKEND_OBJECT_REF),
    forwardBody: Type::Object(&FORWARD_BODY),
    grpc: Type::Object(&GRPC_AUTH),
    http: Type::Object(&HTTP_AUTH),
    protocol required: Type::OneOf(&["HTTP", "GRPC"]),
});

fields!(FORWARD_BODY {
    maxSize: Type::Integer(Range::ANY.from(0)),
});

fields!(GRPC_AUTH { allowedHeaders: TEXTS });

fields!(HTTP_AUTH {
    allowedHeaders: TEXTS,
    allowedResponseHeaders: TEXTS,
    path: PATH,
});

fields!(pub(super) SESSION_PERSISTENCE {
    absoluteTimeout: DURATION,
    cookie: Type::Object(&COOKIE),
    cookieConfig: Type::Object(&COOKIE_CONFIG),
    header: Type::Object(&SESSION_HEADER),
    idleTimeout: DURATION,
    sessionName: Type::Text(Text::length(0, 128)),
    type: Type::OneOf(&["Cookie", "Header"]) => Literal::Text("Cookie"),
});

const LIFETIME: Type = Type::OneOf(&["Permanent", "Session"]);

fields!(COOKIE {
    lifetimeType: LIFETIME => Literal::Text("Session"),
    name: HEADER_NAME,
    path: PATH => Literal::Text("/"),
});

fields!(COOKIE_CONFIG {
    lifetimeType: LIFETIME => Literal::Text("Session"),
});

fields!(SESSION_HEADER {
    name required: HEADER_NAME,
});
