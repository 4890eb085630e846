//! Which objects are ours, by class (`kic.md` 2.2). Pure.

use super::View;
use crate::{
    model::{annotations::INGRESS_CLASS, kong::ControlPlaneRef, kubernetes::Metadata},
    translate,
};

/// Whether an object with that annotation, or without one, is ours.
pub(super) fn takes(metadata: &Metadata, view: View<'_>) -> bool {
    takes_name(metadata.annotation(INGRESS_CLASS).unwrap_or_default(), view)
}

/// Whether an object that names that class is ours; one that names none goes to the default.
pub(super) fn takes_name(name: &str, view: View<'_>) -> bool {
    translate::is_of_class(name, view.class(), view.snapshot)
}

/// Whether an object is ours as far as its control plane goes.
pub(super) fn is_of_our_control_plane(reference: Option<&ControlPlaneRef>) -> bool {
    reference.is_none_or(ControlPlaneRef::is_ours)
}
