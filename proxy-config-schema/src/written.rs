//! A configuration as bytes, written by what it has in common with the one before.
//!
//! Bytes of an entity that is the same allocation as before are copied, together with those of its neighbours; the rest
//! is written anew. The result is that of [`Configuration::to_bytes`] to the byte. Called by `render`.

use std::{collections::HashMap, ops::Range, sync::Arc};

use bytes::Bytes;
use serde::Serialize;

use crate::{ConfigHash, Configuration, HashedText, Route, Service};

/// A configuration, its bytes and its hash.
#[derive(Clone)]
pub struct Written {
    text: HashedText,
    configuration: Configuration,
    /// Where the entities of each list are, in its order.
    places: HashMap<&'static str, Vec<Range<usize>>>,
    /// Where the routes of each service are, from the beginning of the service.
    routes: Vec<Arc<[Range<usize>]>>,
}

impl Written {
    /// Writes a configuration, taking over what is the same allocation in `previous`.
    pub fn new(configuration: &Configuration, previous: Option<&Self>) -> Self {
        let mut writer = Writer {
            previous,
            bytes: Vec::with_capacity(previous.map_or(0, |previous| previous.bytes().len() + 4096)),
            places: HashMap::new(),
            routes: Vec::with_capacity(configuration.services.len()),
        };
        writer.document(configuration);
        if previous.is_none() {
            // It grew by doubling.
            writer.bytes.shrink_to_fit();
        }
        let text = HashedText::new(writer.bytes.into(), previous.map(|previous| &previous.text));
        Self {
            text,
            configuration: configuration.clone(),
            places: writer.places,
            routes: writer.routes,
        }
    }

    /// The body of `POST /config`. Holds secrets.
    pub fn bytes(&self) -> &Bytes {
        self.text.text()
    }

    /// What a proxy reports for these bytes.
    pub fn hash(&self) -> ConfigHash {
        self.text.hash()
    }

    fn list<'a, T>(&'a self, name: &str, entities: fn(&Configuration) -> &Vec<Arc<T>>) -> Known<'a, T> {
        Known {
            base: self.bytes(),
            entities: entities(&self.configuration),
            places: self.places.get(name).map_or(&[], Vec::as_slice),
            next: 0,
            by_address: None,
        }
    }
}

struct Writer<'a> {
    previous: Option<&'a Written>,
    bytes: Vec<u8>,
    places: HashMap<&'static str, Vec<Range<usize>>>,
    routes: Vec<Arc<[Range<usize>]>>,
}

/// The lists of a document in the order of their declaration, services apart.
macro_rules! document {
    ($($list:ident)*) => {
        impl Writer<'_> {
            fn document(&mut self, configuration: &Configuration) {
                let head = Configuration {
                    format_version: configuration.format_version.clone(),
                    comment: configuration.comment.clone(),
                    ignore: configuration.ignore.clone(),
                    transform: configuration.transform,
                    ..Configuration::default()
                };
                write(&mut self.bytes, &head);
                self.bytes.pop();
                self.services(&configuration.services);
                $(self.list(stringify!($list), |configuration| &configuration.$list, configuration);)*
                for (name, entities) in &configuration.custom {
                    self.bytes.push(b',');
                    write(&mut self.bytes, name);
                    self.bytes.push(b':');
                    write(&mut self.bytes, entities);
                }
                self.bytes.push(b'}');
            }
        }
    };
}

document! {
    routes upstreams targets plugins consumers consumer_groups consumer_group_consumers certificates snis
    ca_certificates licenses vaults keyauth_credentials basicauth_credentials hmacauth_credentials jwt_secrets
    oauth2_credentials acls mtls_auth_credentials
}

impl Writer<'_> {
    fn list<T: Serialize>(
        &mut self,
        name: &'static str,
        entities_of: fn(&Configuration) -> &Vec<Arc<T>>,
        configuration: &Configuration,
    ) {
        let entities = entities_of(configuration);
        if entities.is_empty() {
            return;
        }
        let known = self.previous.map(|previous| previous.list(name, entities_of));
        let mut known = known.unwrap_or_else(Known::nothing);
        open(&mut self.bytes, name);
        let mut run = Run::default();
        let mut places = Vec::with_capacity(entities.len());
        for entity in entities {
            match known.find(entity) {
                Some(place) => places.push(run.extend(&mut self.bytes, known.base, known.places[place].clone())),
                None => {
                    run.end(&mut self.bytes, known.base);
                    places.push(element(&mut self.bytes, |bytes| write(bytes, entity)));
                }
            }
        }
        run.end(&mut self.bytes, known.base);
        close(&mut self.bytes);
        self.places.insert(name, places);
    }

    fn services(&mut self, services: &[Arc<Service>]) {
        if services.is_empty() {
            return;
        }
        let known = self
            .previous
            .map(|previous| previous.list("services", |configuration| &configuration.services));
        let mut known = known.unwrap_or_else(Known::nothing);
        open(&mut self.bytes, "services");
        let mut run = Run::default();
        let mut places = Vec::with_capacity(services.len());
        for service in services {
            if let Some(place) = known.find(service) {
                let routes = self.previous.map(|previous| Arc::clone(&previous.routes[place]));
                self.routes.push(routes.expect("what is known is of the one before"));
                places.push(run.extend(&mut self.bytes, known.base, known.places[place].clone()));
                continue;
            }
            run.end(&mut self.bytes, known.base);
            let mut known_routes = known.routes_of(service, self.previous);
            let mut routes = Vec::with_capacity(service.routes.len());
            let place = element(&mut self.bytes, |bytes| {
                write_service(bytes, service, &mut known_routes, &mut routes);
            });
            places.push(place);
            self.routes.push(routes.into());
        }
        run.end(&mut self.bytes, known.base);
        close(&mut self.bytes);
        self.places.insert("services", places);
    }
}

/// A service whose routes may be known. Its routes and plugins come last, as they are declared.
fn write_service(bytes: &mut Vec<u8>, service: &Service, known: &mut Known<'_, Route>, places: &mut Vec<Range<usize>>) {
    let start = bytes.len();
    let own = Service {
        routes: Vec::new(),
        plugins: Vec::new(),
        ..service.clone()
    };
    write(bytes, &own);
    bytes.pop();
    if !service.routes.is_empty() {
        open(bytes, "routes");
        let mut run = Run::default();
        for route in &service.routes {
            let place = match known.find(route) {
                Some(place) => run.extend(bytes, known.base, known.places[place].clone()),
                None => {
                    run.end(bytes, known.base);
                    element(bytes, |bytes| write(bytes, route))
                }
            };
            places.push(place.start - start..place.end - start);
        }
        run.end(bytes, known.base);
        close(bytes);
    }
    if !service.plugins.is_empty() {
        separate(bytes);
        bytes.extend_from_slice(b"\"plugins\":");
        write(bytes, &service.plugins);
    }
    bytes.push(b'}');
}

/// Entities of the configuration before, in its order.
struct Known<'a, T> {
    /// What places are counted in.
    base: &'a [u8],
    entities: &'a [Arc<T>],
    places: &'a [Range<usize>],
    /// The one that is expected next.
    next: usize,
    by_address: Option<HashMap<usize, usize>>,
}

impl<'a, T> Known<'a, T> {
    fn nothing() -> Self {
        Self {
            base: &[],
            entities: &[],
            places: &[],
            next: 0,
            by_address: None,
        }
    }

    /// The place in the order before of what is the same allocation.
    fn find(&mut self, entity: &Arc<T>) -> Option<usize> {
        let expected = self.next..self.entities.len().min(self.next + 2);
        let mut expected = expected.filter(|place| Arc::ptr_eq(&self.entities[*place], entity));
        let found = expected.next().or_else(|| {
            let entities = self.entities.iter().enumerate();
            let by_address = self
                .by_address
                .get_or_insert_with(|| entities.map(|(place, entity)| (address(entity), place)).collect());
            by_address.get(&address(entity)).copied()
        })?;
        self.next = found + 1;
        Some(found)
    }
}

impl<'a> Known<'a, Service> {
    /// The routes of the service of the same name.
    fn routes_of(&mut self, service: &Service, previous: Option<&'a Written>) -> Known<'a, Route> {
        let is_same = |other: &&Arc<Service>| other.name == service.name && other.id == service.id;
        let (before, after) = self.entities.split_at(self.next.min(self.entities.len()));
        let after_it = after.iter().enumerate().find(|(_, other)| is_same(other));
        let place = match after_it {
            Some((ahead, _)) => Some(before.len() + ahead),
            None => before.iter().position(|other| is_same(&other)),
        };
        let (Some(place), Some(previous)) = (place, previous) else {
            return Known::nothing();
        };
        self.next = place + 1;
        Known {
            base: &self.base[self.places[place].clone()],
            entities: &self.entities[place].routes,
            places: &previous.routes[place],
            next: 0,
            by_address: None,
        }
    }
}

/// Neighbours that are copied at once, with the commas between them.
#[derive(Default)]
struct Run(Range<usize>);

impl Run {
    /// Adds an entity of the bytes before. Gives its place in those that are written.
    fn extend(&mut self, bytes: &mut Vec<u8>, base: &[u8], place: Range<usize>) -> Range<usize> {
        if self.0.is_empty() || self.0.end + 1 != place.start {
            self.end(bytes, base);
            separate(bytes);
            self.0 = place.clone();
        } else {
            self.0.end = place.end;
        }
        let start = bytes.len() + (place.start - self.0.start);
        start..start + place.len()
    }

    fn end(&mut self, bytes: &mut Vec<u8>, base: &[u8]) {
        bytes.extend_from_slice(&base[std::mem::take(&mut self.0)]);
    }
}

/// Writes an element of a list, and tells where it is.
fn element(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    separate(bytes);
    let start = bytes.len();
    write(bytes);
    start..bytes.len()
}

fn open(bytes: &mut Vec<u8>, list: &str) {
    separate(bytes);
    bytes.push(b'"');
    bytes.extend_from_slice(list.as_bytes());
    bytes.extend_from_slice(b"\":[");
}

fn close(bytes: &mut Vec<u8>) {
    bytes.push(b']');
}

/// A comma, unless a list or an object begins here.
fn separate(bytes: &mut Vec<u8>) {
    if !matches!(bytes.last(), None | Some(b'[' | b'{')) {
        bytes.push(b',');
    }
}

fn write<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(bytes, value).expect("entities have string keys only");
}

fn address<T>(entity: &Arc<T>) -> usize {
    Arc::as_ptr(entity).addr()
}
