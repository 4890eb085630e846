//! The walk through a text. Called by `incremental`.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::Arc,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    LoadedText, Piece, ServiceParts, ServicePiece,
    facts::{self, Facts},
    known::{Found, Known, offset},
    scan::{Scanner, Separator},
};
use crate::{
    Configuration, Limits, List, Route, Service, ValidationOptions,
    identify::{self, Parent},
    normalize,
    parse::{count_within, entity_count},
    schema::{self, ENTITIES, Entity},
};

/// Levels of the document around an entity of a list, and around a route of a service.
const LEVELS_ABOVE_ENTITY: usize = 2;
const LEVELS_ABOVE_ROUTE: usize = 4;

/// How many bytes of a service tell it from others: its identifier comes first.
const DISTINGUISHING_BYTES: usize = 44;

/// Reads one text. Wherever it gives `None`, the text is not for it.
pub(super) struct Reader<'a> {
    text: &'a [u8],
    limits: &'a Limits,
    options: &'a ValidationOptions,
    hasher: &'a RandomState,
    previous: Option<&'a LoadedText>,
    lists: HashMap<&'static str, Vec<Piece>>,
    services: Vec<ServicePiece>,
    /// Entities of the rest of the document.
    other_entities: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        text: &'a [u8],
        limits: &'a Limits,
        options: &'a ValidationOptions,
        hasher: &'a RandomState,
        previous: Option<&'a LoadedText>,
    ) -> Option<Self> {
        // A value takes a byte, and another one parts it from what follows: there can't be too many.
        let within_limits = text.len() <= limits.bytes && text.len() / 2 < limits.values;
        let reader = Self {
            text,
            limits,
            options,
            hasher,
            previous,
            lists: HashMap::new(),
            services: Vec::new(),
            other_entities: 0,
        };
        (within_limits && u32::try_from(text.len()).is_ok()).then_some(reader)
    }

    /// Reads everything but what concerns several entities.
    pub(super) fn read(&mut self) -> Option<Configuration> {
        let mut scanner = Scanner::new(self.text);
        let mut configuration = Configuration::new();
        let mut rest = Vec::from(b"{");
        let mut keys = HashSet::new();
        scanner.expect(b'{')?;
        loop {
            let key = scanner.key()?;
            if !keys.insert(key) {
                return None;
            }
            let is_list = scanner.peek()? == b'[';
            let entity = ENTITIES.iter().find(|entity| entity.plural.as_bytes() == key);
            if rest.len() > 1 {
                rest.push(b',');
            }
            rest.push(b'"');
            rest.extend_from_slice(key);
            rest.extend_from_slice(b"\":");
            match entity {
                Some(entity) if is_list => {
                    self.list_of(entity, &mut scanner, &mut configuration)?;
                    // Whether there may be such a list is asked with the rest.
                    rest.extend_from_slice(b"[]");
                }
                // Not what one would write: an empty table in place of a list, a field that there is none of.
                _ if !is_list && !key.starts_with(b"_") => return None,
                _ => rest.extend_from_slice(&self.text[scanner.value()?]),
            }
            if scanner.separator(b'}')? == Separator::End {
                break;
            }
        }
        rest.push(b'}');
        if !scanner.is_at_end() {
            return None;
        }
        let rest = self.limits.read_json(&rest).ok()?;
        self.other_entities = entity_count(&rest);
        let rest = Configuration::load(rest, self.options).ok()?;
        configuration.format_version = rest.format_version;
        configuration.comment = rest.comment;
        configuration.ignore = rest.ignore;
        configuration.transform = rest.transform;
        configuration.custom = rest.custom;
        Some(configuration)
    }

    /// Checks what concerns several entities, and gives the pieces.
    #[allow(clippy::type_complexity)]
    pub(super) fn finish(self) -> Option<(HashMap<&'static str, Vec<Piece>>, Vec<ServicePiece>)> {
        let listed = self.lists.values().flatten().map(|piece| &*piece.facts);
        let services = self.services.iter().flat_map(|service| {
            let routes = service.parts.routes.iter().map(|route| &*route.facts);
            std::iter::once(&*service.parts.facts).chain(routes)
        });
        let facts = listed.chain(services);
        let count: usize = facts.clone().map(|facts| facts.count).sum();
        let agree = count + self.other_entities <= self.limits.entities && facts::agree(facts);
        agree.then_some((self.lists, self.services))
    }

    fn list<T: DeserializeOwned>(
        &mut self,
        entity: &'static Entity,
        scanner: &mut Scanner<'_>,
        entities_of: fn(&Configuration) -> &List<T>,
    ) -> Option<List<T>> {
        let mut known = match self.previous {
            Some(previous) => Known::new(
                &previous.text,
                previous.lists.get(entity.plural).map_or(&[], Vec::as_slice),
                entities_of(&previous.configuration),
            ),
            None => Known::default(),
        };
        let mut entities = Vec::with_capacity(known.entities.len());
        let mut pieces = Vec::with_capacity(known.pieces.len());
        elements(scanner, |scanner| {
            let (range, found) = known.find(scanner, self.text, self.hasher)?;
            let (piece, entity) = match found {
                Found::Known(place) => (
                    known.pieces[place].moved(range.start),
                    Arc::clone(&known.entities[place]),
                ),
                Found::New => self.read_entity(entity, range, 0, LEVELS_ABOVE_ENTITY, None)?,
            };
            pieces.push(piece);
            entities.push(entity);
            Some(())
        })?;
        self.lists.insert(entity.plural, pieces);
        Some(entities.into())
    }

    fn services(&mut self, scanner: &mut Scanner<'_>) -> Option<List<Service>> {
        let (old_text, old_pieces, old_services): (&[u8], &[ServicePiece], &[Arc<Service>]) = match self.previous {
            Some(previous) => (&previous.text, &previous.services, &previous.configuration.services),
            None => (&[], &[], &[]),
        };
        let mut services = Vec::with_capacity(old_services.len());
        let mut next = 0;
        elements(scanner, |scanner| {
            scanner.peek()?;
            let start = scanner.position();
            let coming = &self.text[start..];
            let is_coming = |place: &usize| coming.starts_with(old_pieces[*place].bytes(old_text));
            let expected = next..old_pieces.len().min(next + 2);
            let similar = || {
                let beginning = coming.get(..DISTINGUISHING_BYTES).unwrap_or(coming);
                let is_similar = |piece: &ServicePiece| piece.bytes(old_text).starts_with(beginning);
                let after = old_pieces[next..].iter().position(is_similar);
                let after = after.map(|ahead| next + ahead);
                after.or_else(|| old_pieces[..next].iter().position(is_similar))
            };
            let similar = { expected }.find(is_coming).or_else(similar);
            if let Some(place) = similar.filter(is_coming) {
                scanner.take_known(old_pieces[place].bytes(old_text));
                self.services.push(ServicePiece {
                    start: offset(start),
                    parts: Arc::clone(&old_pieces[place].parts),
                });
                services.push(Arc::clone(&old_services[place]));
                next = place + 1;
                return Some(());
            }
            let known = similar.map(|place| {
                let bytes = old_pieces[place].bytes(old_text);
                (bytes, &*old_pieces[place].parts, &old_services[place])
            });
            let (parts, service) = self.service(scanner, known)?;
            self.services.push(ServicePiece {
                start: offset(start),
                parts: Arc::new(parts),
            });
            services.push(Arc::new(service));
            next = similar.map_or(next, |place| place + 1);
            Some(())
        })?;
        Some(services.into())
    }

    /// Reads a service that is new or has changed.
    fn service(
        &mut self,
        scanner: &mut Scanner<'_>,
        known: Option<(&[u8], &ServiceParts, &Arc<Service>)>,
    ) -> Option<(ServiceParts, Service)> {
        let start = scanner.position();
        let bytes = &self.text[start..];
        let mut within_routes = None;
        let mut routes = Vec::new();
        let mut known_routes = match known {
            Some((bytes, parts, service)) => Known::new(bytes, &parts.routes, &service.routes),
            None => Known::default(),
        };
        scanner.expect(b'{')?;
        loop {
            let key = scanner.key()?;
            if key == b"routes" && scanner.peek()? == b'[' {
                if within_routes.is_some() {
                    return None;
                }
                let first = scanner.position() + 1;
                elements(scanner, |scanner| {
                    routes.push(known_routes.find(scanner, self.text, self.hasher)?);
                    Some(())
                })?;
                within_routes = Some(first - start..scanner.position() - 1 - start);
            } else if key == b"routes" {
                return None;
            } else {
                scanner.value()?;
            }
            if scanner.separator(b'}')? == Separator::End {
                break;
            }
        }
        let length = scanner.position() - start;
        let within_routes = within_routes.unwrap_or(length..length);
        let own = (&bytes[..within_routes.start], &bytes[within_routes.end..length]);
        let entity = entity_named("services");
        let (facts, mut service) = match known {
            Some((bytes, parts, service)) if parts.own(bytes) == own => {
                (Arc::clone(&parts.facts), Service::clone(service))
            }
            _ => {
                let (facts, service) = self.read_value(entity, &[own.0, own.1].concat(), LEVELS_ABOVE_ENTITY, None)?;
                (Arc::new(facts.0), service)
            }
        };
        service.routes = Vec::with_capacity(routes.len());
        let parent = service.id.clone()?;
        let mut pieces = Vec::with_capacity(routes.len());
        for (range, found) in routes {
            let (piece, route) = match found {
                Found::Known(place) if !known_routes.pieces[place].is_anonymous => (
                    known_routes.pieces[place].moved(range.start - start),
                    Arc::clone(&known_routes.entities[place]),
                ),
                Found::Known(_) | Found::New => self.read_entity::<Route>(
                    entity_named("routes"),
                    range,
                    start,
                    LEVELS_ABOVE_ROUTE,
                    Some(("service", &parent)),
                )?,
            };
            pieces.push(piece);
            service.routes.push(route);
        }
        let parts = ServiceParts {
            length: offset(length),
            within_routes: offset(within_routes.start)..offset(within_routes.end),
            facts,
            routes: pieces,
        };
        Some((parts, service))
    }

    /// Reads an entity that is new or has changed; its place is counted from `base`.
    fn read_entity<T: DeserializeOwned>(
        &self,
        entity: &'static Entity,
        range: Range<usize>,
        base: usize,
        levels: usize,
        parent: Parent<'_>,
    ) -> Option<(Piece, Arc<T>)> {
        let bytes = &self.text[range.clone()];
        let ((facts, is_anonymous), value) = self.read_value(entity, bytes, levels, parent)?;
        let piece = Piece {
            start: offset(range.start - base),
            length: offset(range.len()),
            hash: self.hasher.hash_one(bytes),
            is_anonymous,
            facts: Arc::new(facts),
        };
        Some((piece, Arc::new(value)))
    }

    /// Does with one entity what [`Configuration::load`] does with all of them.
    fn read_value<T: DeserializeOwned>(
        &self,
        entity: &'static Entity,
        bytes: &[u8],
        levels: usize,
        parent: Parent<'_>,
    ) -> Option<((Facts, bool), T)> {
        let Value::Object(mut object) = self.limits.read_nested(bytes, levels).ok()? else {
            return None;
        };
        let count = 1 + count_within(&object);
        if !schema::accepts(entity, parent.map(|(field, _)| field), &object, self.options) {
            return None;
        }
        normalize::normalize_entity(entity, &mut object);
        if entity.plural == "services" {
            normalize::expand_url(&mut object);
        }
        let is_anonymous = !["id", "name"].iter().any(|field| object.contains_key(*field));
        identify::identify_entity(entity, &mut object, parent, &mut HashSet::new());
        let facts = Facts::of(entity, &object, count, self.hasher);
        let value = serde_json::from_value(Value::Object(object)).ok()?;
        Some(((facts, is_anonymous), value))
    }
}

/// Reads the lists of a document by their names.
macro_rules! lists {
    ($($list:ident)*) => {
        impl Reader<'_> {
            fn list_of(
                &mut self,
                entity: &'static Entity,
                scanner: &mut Scanner<'_>,
                configuration: &mut Configuration,
            ) -> Option<()> {
                match entity.plural {
                    "services" => configuration.services = self.services(scanner)?,
                    $(stringify!($list) => {
                        configuration.$list = self.list(entity, scanner, |configuration| &configuration.$list)?;
                    })*
                    _ => return None,
                }
                Some(())
            }
        }
    };
}

lists! {
    routes upstreams targets plugins consumers consumer_groups consumer_group_consumers certificates snis
    ca_certificates licenses vaults keyauth_credentials basicauth_credentials hmacauth_credentials jwt_secrets
    oauth2_credentials acls mtls_auth_credentials
}

/// Visits the elements of a list, each of which must be passed.
fn elements(scanner: &mut Scanner<'_>, mut visit: impl FnMut(&mut Scanner<'_>) -> Option<()>) -> Option<()> {
    scanner.expect(b'[')?;
    if scanner.take(b']') {
        return Some(());
    }
    loop {
        visit(scanner)?;
        if scanner.separator(b']')? == Separator::End {
            return Some(());
        }
    }
}

fn entity_named(plural: &str) -> &'static Entity {
    let entity = ENTITIES.iter().find(|entity| entity.plural == plural);
    entity.expect("every list has a schema")
}
