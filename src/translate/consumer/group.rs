//! KongConsumerGroups -> consumer groups, named like their objects (`kic.md` 4.9). Pure.

use std::collections::{BTreeMap, HashMap};

use proxy_config_schema as kong;

use crate::{
    model::{
        Edition, Kind, Reason, Snapshot,
        kong::{ControlPlaneRef, KongConsumerGroup},
    },
    translate::{
        annotations,
        class::Class,
        plugin::{Attachments, Target},
        problems::{Owner, Problems},
        state::State,
        tags,
    },
};

/// A group of ours.
pub(super) struct Group<'a> {
    pub(super) owner: Owner<'a>,
    /// Why it is not in the configuration, if so.
    pub(super) left_out: Option<Reason>,
}

impl Group<'_> {
    /// Whether plugins act on its consumers.
    pub(super) fn has_plugins(&self) -> bool {
        let names = self.owner.metadata.annotation(annotations::PLUGINS).unwrap_or_default();
        annotations::list(names).next().is_some()
    }
}

/// Groups by namespace and name.
pub(super) type Groups<'a> = HashMap<(&'a str, &'a str), Group<'a>>;

/// Whether a group is ours.
pub(in crate::translate) fn is_ours(group: &KongConsumerGroup, class: &Class<'_>) -> bool {
    let control_plane = group.spec.control_plane_ref.as_ref();
    class.takes_annotated(&group.metadata) && control_plane.is_none_or(ControlPlaneRef::is_ours)
}

/// Adds the groups of our class.
pub(super) fn translate<'a>(
    snapshot: &'a Snapshot,
    class: &Class<'a>,
    configuration: &mut kong::Configuration,
    attachments: &mut Attachments<'a>,
    state: &mut State<'a>,
) -> Groups<'a> {
    let mut ours: Vec<&KongConsumerGroup> = snapshot.consumer_groups.values().map(AsRef::as_ref).collect();
    ours.retain(|group| is_ours(group, class));
    ours.sort_by_key(|group| {
        (
            group.metadata.creation_timestamp,
            &group.metadata.namespace,
            &group.metadata.name,
        )
    });
    let mut names: BTreeMap<&str, Owner<'a>> = BTreeMap::new();
    let mut groups = Groups::with_capacity(ours.len());
    for group in ours {
        let owner = Owner::new(Kind::KongConsumerGroup, &group.metadata);
        let name: &'a str = &group.metadata.name;
        tags::check(owner, &mut state.problems);
        let winner = names.get(name).copied().filter(|_| !state.settings.raw_objects);
        let left_out = if is_unsupported(state.settings.profile.edition) {
            report_unsupported(owner, &mut state.problems);
            Some(Reason::Unsupported)
        } else if let Some(winner) = winner {
            state.problems.report(
                owner,
                "metadata.name",
                Reason::Conflict,
                format!("{winner} goes first and has the same name, which groups have in Kong; this one is left out"),
                "give one of the two another name",
            );
            Some(Reason::Conflict)
        } else {
            None
        };
        if left_out.is_none() {
            names.insert(name, owner);
            attachments.add(owner, || Target::ConsumerGroup(name.into()));
            state.takes_part(owner);
            let entity = kong::ConsumerGroup {
                id: state
                    .settings
                    .feature_gates
                    .fill_ids
                    .then(|| kong::id::consumer_group(state.settings.workspace(), name).to_string()),
                name: name.to_owned(),
                tags: Some(tags::object_tags(owner)),
                ..kong::ConsumerGroup::default()
            };
            configuration.consumer_groups.push(entity.into());
        }
        groups.insert((&group.metadata.namespace, name), Group { owner, left_out });
    }
    groups
}

/// Whether proxies of that edition know no groups.
pub(in crate::translate) fn is_unsupported(edition: Option<Edition>) -> bool {
    matches!(edition, Some(Edition::OpenSource | Edition::Embedded))
}

/// Says that the proxies know no groups.
pub(in crate::translate) fn report_unsupported(owner: Owner<'_>, problems: &mut Problems) {
    problems.report(
        owner,
        "metadata.name",
        Reason::Unsupported,
        "consumer groups exist in Kong Gateway Enterprise only; the group is left out",
        "attach its plugins to the consumers, or use Kong Gateway Enterprise",
    );
}
