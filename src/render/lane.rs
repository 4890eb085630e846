//! The way of one profile from a snapshot to bytes, with all that its proxies refuse on the way. Pure.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Fallback, LastGood, Origin, Rendered, Renderer, Restored};
use crate::{
    model::{Problem, Snapshot},
    translate::{
        GatewayStatuses, Participants, Settings, Translation, Translator,
        fallback::{Isolation, Refusals, restore},
    },
};

/// What is remembered of a profile from one snapshot to the next.
#[derive(Default)]
pub struct Lane {
    whole: Stage,
    reduced: Stage,
    kept: Stage,
    isolation: Isolation,
}

/// What a profile's configuration follows from.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The objects.
    pub snapshot: &'a Arc<Snapshot>,
    /// How they are translated for the profile.
    pub settings: &'a Settings,
    /// What its proxies refused.
    pub refusals: &'a Refusals,
    /// What they accepted last.
    pub last_good: Option<&'a LastGood>,
    /// Whether a refused object stays in force as it was accepted last, rather than be left out
    /// (`--use-last-valid-config-for-fallback`).
    pub keep: bool,
    /// Whether nothing new may be sent: newcomers get what was accepted last.
    pub held: bool,
}

/// A profile's configuration, and what is to be said of it.
pub struct Product {
    /// What its proxies shall run.
    pub rendered: Arc<Rendered>,
    /// How that differs from what the objects ask for.
    pub fallback: Option<Fallback>,
    /// What is wrong with the objects.
    pub problems: Vec<Problem>,
    /// The objects that took part.
    pub objects: Participants,
    /// What can be said of the Gateway API's objects.
    pub gateways: Arc<GatewayStatuses>,
    /// The last second in which it would come out the same; `None` if time does not matter.
    pub valid_until: Option<Timestamp>,
}

impl Product {
    /// It holds no longer than a part of it.
    fn until(&mut self, time: Option<Timestamp>) {
        self.valid_until = self.valid_until.into_iter().chain(time).min();
    }
}

#[derive(Default)]
struct Stage {
    translator: Translator,
    renderer: Renderer,
}

impl Stage {
    fn render(&mut self, snapshot: &Snapshot, settings: &Settings) -> (Translation, Arc<Rendered>) {
        let translation = self.translator.translate(snapshot, settings);
        let rendered = Arc::new(self.renderer.render(&translation));
        (translation, rendered)
    }
}

impl Lane {
    /// Translates and renders.
    pub fn render(&mut self, given: Given<'_>) -> Product {
        let (translation, whole) = self.whole.render(given.snapshot, given.settings);
        let mut product = Product {
            rendered: whole.clone(),
            fallback: None,
            problems: translation.problems,
            objects: translation.objects,
            gateways: translation.gateways,
            valid_until: translation.valid_until,
        };
        let mut sources = given.snapshot.clone();
        let (mut left_out, mut old) = (0, 0);
        match self.reduce(given) {
            Some(reduced) => {
                sources = Arc::new(reduced.snapshot);
                let (translation, rendered) = self.reduced.render(&sources, given.settings);
                product.rendered = rendered;
                product.objects = translation.objects;
                product.until(translation.valid_until);
                product.problems.extend(reduced.problems);
                (left_out, old) = (reduced.left_out, reduced.kept);
            }
            None => self.reduced = Stage::default(),
        }
        let kept = self.keep(given, &mut product);
        let whole = Some(whole).filter(|whole| whole.hash != product.rendered.hash);
        if whole.is_some() || kept.is_some() || left_out + old > 0 {
            product.fallback = Some(Fallback {
                whole,
                sources,
                kept,
                left_out,
                old,
            });
        }
        product
    }

    fn reduce(&mut self, given: Given<'_>) -> Option<crate::translate::fallback::Reduced> {
        if !given.settings.feature_gates.fallback_configuration {
            self.isolation = Isolation::default();
            return None;
        }
        self.isolation.update(given.snapshot, given.refusals);
        let last = given.last_good.map(|good| &*good.sources);
        self.isolation.reduce(given.snapshot, last, given.keep)
    }

    /// What was accepted last, translated again, if it may be needed: when the newest is refused with nobody to blame,
    /// when it may not be sent, and when the bytes at hand are of an earlier run of the controller.
    fn keep(&mut self, given: Given<'_>, product: &mut Product) -> Option<Restored> {
        let newest = product.rendered.hash;
        let good = given.last_good.filter(|good| {
            let is_needed = given.held || good.origin == Origin::Stored || given.refusals.contain(newest);
            is_needed && good.rendered.hash != newest
        });
        let Some(good) = good else {
            self.kept = Stage::default();
            return None;
        };
        let sources = Arc::new(restore(&good.sources, given.snapshot));
        let (translation, rendered) = self.kept.render(&sources, given.settings);
        product.until(translation.valid_until);
        Some(Restored { rendered, sources })
    }
}
