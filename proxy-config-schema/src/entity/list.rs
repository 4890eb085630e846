//! A list of entities that its holders share until one of them changes it.

use std::{
    borrow::Cow,
    fmt,
    ops::{Deref, DerefMut},
    slice,
    sync::Arc,
    vec,
};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// A list of entities. A clone costs nothing; a list that is changed while others hold it is copied, its entities are not.
///
/// Whoever made something of a list knows it again by [`Self::is_same`].
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct List<T>(Arc<Vec<Arc<T>>>);

impl<T> List<T> {
    /// Whether it is the same allocation as another, so that no entity differs.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Deref for List<T> {
    type Target = Vec<Arc<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<T> From<Vec<Arc<T>>> for List<T> {
    fn from(entities: Vec<Arc<T>>) -> Self {
        Self(Arc::new(entities))
    }
}

impl<T> FromIterator<Arc<T>> for List<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(entities: I) -> Self {
        Vec::from_iter(entities).into()
    }
}

impl<T> IntoIterator for List<T> {
    type Item = Arc<T>;
    type IntoIter = vec::IntoIter<Arc<T>>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a Arc<T>;
    type IntoIter = slice::Iter<'a, Arc<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut List<T> {
    type Item = &'a mut Arc<T>;
    type IntoIter = slice::IterMut<'a, Arc<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

/// That of any list.
impl<T: JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        Vec::<T>::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_not_seen_by_others() {
        let one: List<u8> = vec![Arc::new(1)].into();
        let mut other = one.clone();
        assert!(other.is_same(&one));
        other.push(Arc::new(2));
        assert_eq!((one.len(), other.len()), (1, 2));
        assert!(!other.is_same(&one) && Arc::ptr_eq(&one[0], &other[0]));
    }
}
