//! The Gateway API -> services, routes, claims on certificates (`kic.md` 4.5-4.7, 6).

mod grants;

pub(super) use self::grants::Grants;
