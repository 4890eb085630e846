//! Loads a text by what it has in common with the one before: an entity whose bytes are the same is the same allocation
//! again, and neither read nor checked anew. Called by the embedded proxy, whose controller sends the whole
//! configuration for every change.
//!
//! A text is taken apart into pieces: the entities of its lists, and of services their own fields and each route. What
//! makes an entity right is a matter of its bytes alone, with three exceptions, which are looked at every time: what is
//! unique, what is referred to (`facts`), and how many entities there are. Whatever is wrong, or written as nobody writes
//! it, is left to [`Configuration::load`]: it tells what is wrong, so that there is one place that does.

mod facts;
mod known;
mod reader;
mod scan;

use std::{collections::HashMap, hash::RandomState, ops::Range, sync::Arc};

use bytes::Bytes;

use crate::{Configuration, Limits, ValidationOptions};
use facts::Facts;
use reader::Reader;

/// A text that passed all checks, and its configuration.
pub struct LoadedText {
    text: Bytes,
    configuration: Arc<Configuration>,
    /// Pieces by list, at the places of their entities in the configuration.
    lists: HashMap<&'static str, Vec<Piece>>,
    services: Vec<ServicePiece>,
    hasher: RandomState,
}

/// The bytes of an entity, and what it has to do with others.
#[derive(Clone)]
struct Piece {
    /// From the beginning of the text, or of the service that the entity is nested in.
    start: u32,
    length: u32,
    /// Of its bytes.
    hash: u64,
    /// Whether its identifier depends on the entity that it is nested in.
    is_anonymous: bool,
    facts: Arc<Facts>,
}

/// The bytes of a service, its routes apart.
struct ServicePiece {
    start: u32,
    parts: Arc<ServiceParts>,
}

struct ServiceParts {
    length: u32,
    /// The elements of its list of routes, from the beginning of the service.
    within_routes: Range<u32>,
    /// Of the service without its routes.
    facts: Arc<Facts>,
    routes: Vec<Piece>,
}

impl LoadedText {
    /// Does what [`Configuration::load`] does with this text, taking over what is the same as in `previous`, which must
    /// have been loaded with the same limits and options.
    ///
    /// `None` if that function is to be asked: then there is an error to be told, or the text is unusual.
    pub fn load(text: Bytes, limits: &Limits, options: &ValidationOptions, previous: Option<&Self>) -> Option<Self> {
        let hasher = previous.map_or_else(RandomState::new, |previous| previous.hasher.clone());
        let mut reader = Reader::new(&text, limits, options, &hasher, previous)?;
        let configuration = reader.read()?;
        let (lists, services) = reader.finish()?;
        Some(Self {
            configuration: Arc::new(configuration),
            lists,
            services,
            hasher,
            text,
        })
    }

    /// What the text says: all fields in their final form, each entity with an identifier.
    pub fn configuration(&self) -> &Arc<Configuration> {
        &self.configuration
    }
}

impl Piece {
    fn bytes<'a>(&self, base: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        &base[start..start + self.length as usize]
    }
}

impl ServicePiece {
    fn bytes<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        &text[start..start + self.parts.length as usize]
    }
}

impl ServiceParts {
    /// The service without its routes, as the bytes before and after them.
    fn own<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let (start, end) = (self.within_routes.start as usize, self.within_routes.end as usize);
        (&bytes[..start], &bytes[end..])
    }
}
