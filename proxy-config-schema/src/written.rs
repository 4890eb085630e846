//! A configuration as bytes, written by what it has in common with the one before.
//!
//! Bytes of a list or an entity that is the same allocation as before are copied, of an entity together with those of its
//! neighbours; the rest is written anew. The result is that of [`Configuration::to_bytes`] to the byte. Called by `render`.

use std::{collections::HashMap, ops::Range, sync::Arc};

use bytes::Bytes;
use serde::Serialize;

use crate::{ConfigHash, Configuration, HashedText, List, Route, Service};

/// A configuration, its bytes and its hash.
#[derive(Clone)]
pub struct Written {
    text: HashedText,
    configuration: Configuration,
    lists: HashMap<&'static str, WrittenList>,
    /// Where the routes of each service are, from the beginning of the service.
    routes: Arc<Vec<Places>>,
}

/// Where elements of a list are, in its order.
type Places = Arc<[Range<usize>]>;

/// Where a list is.
#[derive(Clone)]
struct WrittenList {
    /// From its first element to its last one.
    elements: Range<usize>,
    /// From the first one.
    places: Places,
}

impl Written {
    /// Writes a configuration, taking over what is the same allocation in `previous`.
    pub fn new(configuration: &Configuration, previous: Option<&Self>) -> Self {
        let mut writer = Writer {
            previous,
            text: Text::after(previous.map_or(&[], |previous| previous.bytes())),
            lists: HashMap::new(),
            routes: Arc::default(),
        };
        writer.document(configuration);
        let Text { mut bytes, same, .. } = writer.text;
        if previous.is_none() {
            // It grew by doubling.
            bytes.shrink_to_fit();
        }
        let text = match previous {
            Some(previous) => HashedText::after(bytes.into(), &previous.text, same),
            None => HashedText::new(bytes.into(), None),
        };
        Self {
            text,
            configuration: configuration.clone(),
            lists: writer.lists,
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

    fn list<'a, T>(&'a self, name: &str, entities: ListOf<T>) -> Option<Known<'a, T>> {
        let list = self.lists.get(name)?;
        Some(Known {
            start: list.elements.start,
            entities: entities(&self.configuration),
            places: &list.places,
            next: 0,
            by_address: None,
        })
    }
}

struct Writer<'a> {
    previous: Option<&'a Written>,
    text: Text<'a>,
    lists: HashMap<&'static str, WrittenList>,
    routes: Arc<Vec<Places>>,
}

/// One of a configuration's lists.
type ListOf<T> = fn(&Configuration) -> &List<T>;

/// The lists of a document in the order of their declaration.
macro_rules! document {
    ($($list:ident: $write:ident)*) => {
        impl Writer<'_> {
            fn document(&mut self, configuration: &Configuration) {
                let head = Configuration {
                    format_version: configuration.format_version.clone(),
                    comment: configuration.comment.clone(),
                    ignore: configuration.ignore.clone(),
                    transform: configuration.transform,
                    ..Configuration::default()
                };
                let bytes = &mut self.text.bytes;
                write(bytes, &head);
                bytes.pop();
                $(self.$write(stringify!($list), |configuration| &configuration.$list, configuration);)*
                let bytes = &mut self.text.bytes;
                for (name, entities) in &configuration.custom {
                    bytes.push(b',');
                    write(bytes, name);
                    bytes.push(b':');
                    write(bytes, entities);
                }
                bytes.push(b'}');
            }
        }
    };
}

document! {
    certificates: list
    snis: list
    ca_certificates: list
    licenses: list
    vaults: list
    consumer_groups: list
    services: services
    routes: list
    plugins: list
    consumers: list
    consumer_group_consumers: list
    keyauth_credentials: list
    basicauth_credentials: list
    hmacauth_credentials: list
    jwt_secrets: list
    oauth2_credentials: list
    acls: list
    mtls_auth_credentials: list
    upstreams: list
    targets: list
}

impl Writer<'_> {
    fn list<T: Serialize>(&mut self, name: &'static str, entities_of: ListOf<T>, configuration: &Configuration) {
        let entities = entities_of(configuration);
        if entities.is_empty() || self.take_over(name, entities_of, configuration) {
            return;
        }
        let known = self.previous.and_then(|previous| previous.list(name, entities_of));
        let mut known = known.unwrap_or_else(Known::nothing);
        let start = self.text.open(name);
        let mut run = Run::default();
        let mut places = Vec::with_capacity(entities.len());
        for entity in entities {
            let place = match known.find(entity) {
                Some(place) => run.extend(&mut self.text, known.place(place)),
                None => {
                    run.end(&mut self.text);
                    self.text.element(|text| write(&mut text.bytes, entity))
                }
            };
            places.push(place.start - start..place.end - start);
        }
        run.end(&mut self.text);
        self.end(name, start, places.into());
    }

    fn services(&mut self, name: &'static str, services_of: ListOf<Service>, configuration: &Configuration) {
        let services = services_of(configuration);
        if services.is_empty() {
            return;
        }
        if self.take_over(name, services_of, configuration) {
            self.routes = self
                .previous
                .map(|previous| previous.routes.clone())
                .unwrap_or_default();
            return;
        }
        let known = self.previous.and_then(|previous| previous.list(name, services_of));
        let mut known = known.unwrap_or_else(Known::nothing);
        let start = self.text.open(name);
        let mut run = Run::default();
        let mut places = Vec::with_capacity(services.len());
        let mut routes = Vec::with_capacity(services.len());
        for service in services {
            let place = if let Some(place) = known.find(service) {
                let known_routes = self.previous.map(|previous| previous.routes[place].clone());
                routes.push(known_routes.expect("what is known is of the one before"));
                run.extend(&mut self.text, known.place(place))
            } else {
                run.end(&mut self.text);
                let mut known_routes = known.routes_of(service, self.previous);
                let mut own = Vec::with_capacity(service.routes.len());
                let write = |text: &mut Text<'_>| write_service(text, service, &mut known_routes, &mut own);
                let place = self.text.element(write);
                routes.push(own.into());
                place
            };
            places.push(place.start - start..place.end - start);
        }
        run.end(&mut self.text);
        self.end(name, start, places.into());
        self.routes = Arc::new(routes);
    }

    /// Copies a list that is the same as before. False if it is another one.
    fn take_over<T>(&mut self, name: &'static str, entities_of: ListOf<T>, configuration: &Configuration) -> bool {
        let is_same = |previous: &&Written| entities_of(configuration).is_same(entities_of(&previous.configuration));
        let Some(previous) = self.previous.filter(is_same) else {
            return false;
        };
        let list = previous.lists.get(name).expect("a list that is not empty was written");
        let start = self.text.open(name);
        self.text.copy(list.elements.clone());
        self.end(name, start, list.places.clone());
        true
    }

    /// Ends a list that began with its first element at `start`.
    fn end(&mut self, name: &'static str, start: usize, places: Places) {
        let elements = start..self.text.bytes.len();
        self.lists.insert(name, WrittenList { elements, places });
        self.text.bytes.push(b']');
    }
}

/// A service whose routes may be known. Its routes and plugins come last, as they are declared.
fn write_service(text: &mut Text<'_>, service: &Service, known: &mut Known<'_, Route>, places: &mut Vec<Range<usize>>) {
    let start = text.bytes.len();
    let own = Service {
        routes: Vec::new(),
        plugins: Vec::new(),
        ..service.clone()
    };
    write(&mut text.bytes, &own);
    text.bytes.pop();
    if !service.routes.is_empty() {
        text.open("routes");
        let mut run = Run::default();
        for route in &service.routes {
            let place = match known.find(route) {
                Some(place) => run.extend(text, known.place(place)),
                None => {
                    run.end(text);
                    text.element(|text| write(&mut text.bytes, route))
                }
            };
            places.push(place.start - start..place.end - start);
        }
        run.end(text);
        text.bytes.push(b']');
    }
    if !service.plugins.is_empty() {
        text.separate();
        text.bytes.extend_from_slice(b"\"plugins\":");
        write(&mut text.bytes, &service.plugins);
    }
    text.bytes.push(b'}');
}

/// Entities of the configuration before, in its order.
struct Known<'a, T> {
    /// From where on places are counted.
    start: usize,
    entities: &'a [Arc<T>],
    places: &'a [Range<usize>],
    /// The one that is expected next.
    next: usize,
    by_address: Option<HashMap<usize, usize>>,
}

impl<'a, T> Known<'a, T> {
    fn nothing() -> Self {
        Self {
            start: 0,
            entities: &[],
            places: &[],
            next: 0,
            by_address: None,
        }
    }

    /// Where one of them is in the bytes before.
    fn place(&self, place: usize) -> Range<usize> {
        let Range { start, end } = self.places[place];
        self.start + start..self.start + end
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
            start: self.place(place).start,
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
    fn extend(&mut self, text: &mut Text<'_>, place: Range<usize>) -> Range<usize> {
        if self.0.is_empty() || self.0.end + 1 != place.start {
            self.end(text);
            text.separate();
            self.0 = place.clone();
        } else {
            self.0.end = place.end;
        }
        let start = text.bytes.len() + (place.start - self.0.start);
        start..start + place.len()
    }

    fn end(&mut self, text: &mut Text<'_>) {
        text.copy(std::mem::take(&mut self.0));
    }
}

/// The bytes that are written, and those before.
struct Text<'a> {
    previous: &'a [u8],
    bytes: Vec<u8>,
    /// Up to where the two are known to be the same.
    same: usize,
    /// Whether they are not any more.
    differs: bool,
}

impl<'a> Text<'a> {
    fn after(previous: &'a [u8]) -> Self {
        Self {
            previous,
            bytes: Vec::with_capacity(if previous.is_empty() { 0 } else { previous.len() + 4096 }),
            same: 0,
            differs: false,
        }
    }

    /// Copies bytes of those before. As long as they come to the same place, only what was written between them is compared.
    fn copy(&mut self, place: Range<usize>) {
        if place.is_empty() {
            return;
        }
        if !self.differs {
            let between = self.same..place.start;
            self.differs = self.bytes.len() != place.start || self.bytes[between.clone()] != self.previous[between];
            self.same = if self.differs { self.same } else { place.end };
        }
        self.bytes.extend_from_slice(&self.previous[place]);
    }

    /// Writes an element of a list, and tells where it is.
    fn element(&mut self, write: impl FnOnce(&mut Self)) -> Range<usize> {
        self.separate();
        let start = self.bytes.len();
        write(self);
        start..self.bytes.len()
    }

    /// Begins a list, and tells where its elements go.
    fn open(&mut self, list: &str) -> usize {
        self.separate();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(list.as_bytes());
        self.bytes.extend_from_slice(b"\":[");
        self.bytes.len()
    }

    /// A comma, unless a list or an object begins here.
    fn separate(&mut self) {
        if !matches!(self.bytes.last(), None | Some(b'[' | b'{')) {
            self.bytes.push(b',');
        }
    }
}

fn write<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(bytes, value).expect("entities have string keys only");
}

fn address<T>(entity: &Arc<T>) -> usize {
    Arc::as_ptr(entity).addr()
}
