//! The kinds that are read, and an object of any of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    NamespacedName, ObjectRef,
    kubernetes::{EndpointSlice, Ingress, IngressClass, Metadata, Secret, Service},
};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $group:literal, $version:literal, $plural:literal, $scope:ident;)*) => {
        /// A kind that silverback reads.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind { $($(#[$doc])* $name),* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// API group, empty for the core group.
            pub fn group(self) -> &'static str {
                match self { $(Self::$name => $group),* }
            }

            /// API version.
            pub fn version(self) -> &'static str {
                match self { $(Self::$name => $version),* }
            }

            /// The kind's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// Resource name in URLs.
            pub fn plural(self) -> &'static str {
                match self { $(Self::$name => $plural),* }
            }

            /// Whether objects live in namespaces.
            pub fn is_namespaced(self) -> bool {
                match self { $(Self::$name => kinds!(@scope $scope)),* }
            }
        }

        /// An object of any kind; cheap to clone.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Object { $($(#[$doc])* $name(Arc<$name>)),* }

        impl Object {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name),* }
            }

            /// Its metadata.
            pub fn metadata(&self) -> &Metadata {
                match self { $(Self::$name(object) => &object.metadata),* }
            }

            /// Its metadata, to be changed; the object is copied first if it is shared.
            pub fn metadata_mut(&mut self) -> &mut Metadata {
                match self { $(Self::$name(object) => &mut Arc::make_mut(object).metadata),* }
            }

            /// Reads an object of that kind from JSON.
            ///
            /// # Errors
            /// What serde says of the first field that does not fit.
            pub fn from_json(kind: Kind, value: serde_json::Value) -> Result<Self, serde_json::Error> {
                match kind { $(Kind::$name => serde_json::from_value(value).map(|object| Self::$name(Arc::new(object)))),* }
            }
        }
    };
    (@scope Namespaced) => { true };
    (@scope Cluster) => { false };
}

kinds! {
    /// Routing rules.
    Ingress: "networking.k8s.io", "v1", "ingresses", Namespaced;
    /// Which controller serves an Ingress.
    IngressClass: "networking.k8s.io", "v1", "ingressclasses", Cluster;
    /// Backends.
    Service: "", "v1", "services", Namespaced;
    /// Addresses behind Services.
    EndpointSlice: "discovery.k8s.io", "v1", "endpointslices", Namespaced;
    /// Certificates and keys.
    Secret: "", "v1", "secrets", Namespaced;
}

impl Kind {
    /// The kind of that group and name, whatever the version.
    pub fn find(group: &str, name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.group() == group && kind.name() == name)
    }

    /// `group/version`, or the version alone in the core group.
    pub fn api_version(self) -> String {
        if self.group().is_empty() {
            self.version().to_owned()
        } else {
            format!("{}/{}", self.group(), self.version())
        }
    }

    /// A reference to an object of this kind.
    pub fn object_ref(self, metadata: &Metadata) -> ObjectRef {
        ObjectRef {
            group: self.group().into(),
            version: self.version().into(),
            kind: self.name().into(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
        }
    }
}

impl Object {
    /// Namespace and name.
    pub fn key(&self) -> NamespacedName {
        self.metadata().key()
    }

    /// Its full identity.
    pub fn object_ref(&self) -> ObjectRef {
        self.kind().object_ref(self.metadata())
    }
}
