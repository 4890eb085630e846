//! Entities of the text before, found again in the next one. Called by `reader`.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::Arc,
};

use super::{Piece, scan::Scanner};

/// Entities of the text before, in its order.
pub(super) struct Known<'a, T> {
    /// What their places are counted in.
    base: &'a [u8],
    pub(super) pieces: &'a [Piece],
    pub(super) entities: &'a [Arc<T>],
    /// The one that is expected next.
    next: usize,
    /// By the hash of their bytes; made when one is not where it is expected.
    by_hash: Option<HashMap<u64, usize>>,
}

/// An element of a list, found in the text.
pub(super) enum Found {
    /// A known one, by its place.
    Known(usize),
    /// To be read.
    New,
}

impl<'a, T> Known<'a, T> {
    pub(super) fn new(base: &'a [u8], pieces: &'a [Piece], entities: &'a [Arc<T>]) -> Self {
        Self {
            base,
            pieces,
            entities,
            next: 0,
            by_hash: None,
        }
    }

    /// Finds the next element of a list, by its place or by its bytes.
    pub(super) fn find(
        &mut self,
        scanner: &mut Scanner<'_>,
        text: &[u8],
        hasher: &RandomState,
    ) -> Option<(Range<usize>, Found)> {
        scanner.peek()?;
        let start = scanner.position();
        // The same as before, or the one before it is gone.
        let candidates = self.next..self.pieces.len().min(self.next + 2);
        for place in candidates {
            if scanner.take_known(self.pieces[place].bytes(self.base)) {
                self.next = place + 1;
                return Some((start..scanner.position(), Found::Known(place)));
            }
        }
        let range = scanner.value()?;
        if self.pieces.is_empty() {
            return Some((range, Found::New));
        }
        let pieces = self.pieces;
        let by_hash = self.by_hash.get_or_insert_with(|| {
            pieces
                .iter()
                .enumerate()
                .map(|(place, piece)| (piece.hash, place))
                .collect()
        });
        let bytes = &text[range.clone()];
        let place = by_hash.get(&hasher.hash_one(bytes));
        match place.filter(|place| pieces[**place].bytes(self.base) == bytes) {
            Some(&place) => {
                self.next = place + 1;
                Some((range, Found::Known(place)))
            }
            None => Some((range, Found::New)),
        }
    }
}

impl<T> Default for Known<'_, T> {
    fn default() -> Self {
        Self::new(&[], &[], &[])
    }
}

impl Piece {
    /// The same at another place.
    pub(super) fn moved(&self, start: usize) -> Self {
        Self {
            start: offset(start),
            ..self.clone()
        }
    }
}

/// A place in a text; longer ones are not taken.
pub(super) fn offset(place: usize) -> u32 {
    u32::try_from(place).expect("longer texts are not taken")
}
