//! Backends: which port of a Service is meant, and how things are named after it (`kic.md` 4.3.1, 4.7.2). Pure.

use std::fmt;

use crate::model::{
    kong::KongServiceFacade,
    kubernetes::{IntOrString, Metadata, Service, ServicePort},
};

/// A port of a Service that requests go to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backend<'a> {
    pub(super) namespace: &'a str,
    pub(super) service: &'a str,
    pub(super) port: PortSelector<'a>,
    /// Share of the load among several backends; `None` where there are no shares.
    pub(super) weight: Option<u32>,
    /// The KongServiceFacade that stands in front of the Service.
    pub(super) facade: Option<&'a Metadata>,
}

impl<'a> Backend<'a> {
    /// The only backend of its service.
    pub(super) fn new(namespace: &'a str, service: &'a str, port: PortSelector<'a>) -> Self {
        Self {
            namespace,
            service,
            port,
            weight: None,
            facade: None,
        }
    }

    /// The Service behind a facade.
    pub(super) fn behind(facade: &'a KongServiceFacade) -> Self {
        let service = &facade.spec.backend_ref;
        Self {
            facade: Some(&facade.metadata),
            ..Self::new(
                &facade.metadata.namespace,
                &service.name,
                PortSelector::Number(service.port),
            )
        }
    }

    /// Name of the Kong service: `<namespace>.<service>.<port>`, or `<namespace>.<facade>.svc.facade`.
    pub(super) fn service_name(&self) -> String {
        match self.facade {
            Some(facade) => format!("{}.{}", self.namespace, facade_label(facade)),
            None => format!("{}.{}.{}", self.namespace, self.service, self.port),
        }
    }

    /// Name of the upstream, which is the Kong service's host: `<service>.<namespace>.<port>.svc`, or as the service.
    pub(super) fn upstream_name(&self) -> String {
        match self.facade {
            Some(_) => self.service_name(),
            None => format!("{}.{}.{}.svc", self.service, self.namespace, self.port),
        }
    }

    /// Name of the route of an object for a host (empty for any): `<namespace>.<object>.<service>.<host>.<port>`, or
    /// `<namespace>.<object>.<host>.<facade>.svc.facade`.
    pub(super) fn route_name(&self, object: &Metadata, host: &str) -> String {
        let (namespace, name, host) = (&object.namespace, &object.name, host.replace('*', "_"));
        match self.facade {
            Some(facade) => format!("{namespace}.{name}.{host}.{}", facade_label(facade)),
            None => format!("{namespace}.{name}.{}.{host}.{}", self.service, self.port),
        }
    }
}

fn facade_label(facade: &Metadata) -> String {
    format!("{}.svc.facade", facade.name)
}

/// Which port of a Service is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PortSelector<'a> {
    Number(u16),
    Name(&'a str),
    /// The only one.
    Implicit,
}

impl<'a> PortSelector<'a> {
    /// From a number (0 for none) and a name (empty for none); the name goes first.
    pub(super) fn new(number: u16, name: &'a str) -> Self {
        match (number, name) {
            (0, "") => Self::Implicit,
            (number, "") => Self::Number(number),
            (_, name) => Self::Name(name),
        }
    }

    /// Where it stands below a backend.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Number(_) => ".service.port.number",
            Self::Name(_) => ".service.port.name",
            Self::Implicit => ".service.port",
        }
    }

    /// The port of the Service; a name may be the Service port's or that of its target port.
    pub(super) fn find(self, service: &Service) -> Result<FoundPort<'_>, PortFault> {
        let ports = &service.spec.ports;
        if service.spec.type_ == EXTERNAL_NAME {
            return match self {
                Self::Number(number) => Ok(FoundPort {
                    number,
                    service_port: None,
                }),
                Self::Name(_) | Self::Implicit => Err(PortFault::ExternalNameNeedsNumber),
            };
        }
        let found = match self {
            Self::Number(number) => ports.iter().find(|port| port.port == number),
            Self::Name(name) => ports.iter().find(|port| port.name == name).or_else(|| {
                let named = |port: &&ServicePort| matches!(&port.target_port, Some(IntOrString::String(target)) if target == name);
                ports.iter().find(named)
            }),
            Self::Implicit if ports.len() == 1 => ports.first(),
            Self::Implicit => return Err(PortFault::Ambiguous(ports.len())),
        };
        let found = found.ok_or_else(|| match self {
            Self::Name(name) => PortFault::NoName(name.to_owned()),
            Self::Number(number) => PortFault::NoNumber(number),
            Self::Implicit => PortFault::Ambiguous(0),
        })?;
        Ok(FoundPort {
            number: found.port,
            service_port: Some(found),
        })
    }
}

/// As in names of entities.
impl fmt::Display for PortSelector<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Name(name) => formatter.write_str(name),
            Self::Implicit => formatter.write_str("implicitPort"),
        }
    }
}

/// The type of Services that stand for a DNS name.
pub(super) const EXTERNAL_NAME: &str = "ExternalName";

/// A port that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundPort<'s> {
    pub(super) number: u16,
    /// `None` for Services of type ExternalName, whose ports need not be listed.
    pub(super) service_port: Option<&'s ServicePort>,
}

/// Why no port was found. Reads on after "Service x".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PortFault {
    #[error("has no port {0}")]
    NoNumber(u16),
    #[error("has no port named {0:?}")]
    NoName(String),
    #[error("has {0} ports, so one must be chosen")]
    Ambiguous(usize),
    #[error("is of type ExternalName, which takes a port by number only")]
    ExternalNameNeedsNumber,
}

impl PortFault {
    /// What to do, with the ports that there are.
    pub(super) fn remedy(&self, service: &Service) -> String {
        if *self == Self::ExternalNameNeedsNumber {
            return "give the port by number".to_owned();
        }
        let ports: Vec<_> = service
            .spec
            .ports
            .iter()
            .take(8)
            .map(|port| match port.name.as_str() {
                "" => port.port.to_string(),
                name => format!("{} ({name})", port.port),
            })
            .collect();
        if ports.is_empty() {
            "add the port to the Service".to_owned()
        } else {
            format!("use a port of the Service: {}", ports.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(ports: &[(u16, &str, Option<&str>)]) -> Service {
        let mut service = Service::default();
        for (port, name, target) in ports {
            service.spec.ports.push(ServicePort {
                name: (*name).to_owned(),
                port: *port,
                target_port: target.map(|target| IntOrString::String(target.to_owned())),
                ..ServicePort::default()
            });
        }
        service
    }

    #[test]
    fn ports_are_found_by_number_name_target_name_or_being_the_only_one() {
        let two = service(&[(80, "http", Some("web")), (443, "https", None)]);
        let find = |service: &Service, selector: PortSelector<'_>| selector.find(service).map(|port| port.number);
        assert_eq!(find(&two, PortSelector::Number(443)), Ok(443));
        assert_eq!(find(&two, PortSelector::Name("http")), Ok(80));
        assert_eq!(find(&two, PortSelector::Name("web")), Ok(80));
        assert_eq!(find(&two, PortSelector::Number(8080)), Err(PortFault::NoNumber(8080)));
        assert_eq!(find(&two, PortSelector::Implicit), Err(PortFault::Ambiguous(2)));
        assert_eq!(find(&service(&[(80, "", None)]), PortSelector::Implicit), Ok(80));
    }

    #[test]
    fn an_external_name_takes_any_number() {
        let mut external = service(&[]);
        EXTERNAL_NAME.clone_into(&mut external.spec.type_);
        assert_eq!(
            PortSelector::Number(8443).find(&external).map(|port| port.number),
            Ok(8443)
        );
        let fault = PortSelector::Name("http").find(&external).map(|port| port.number);
        assert_eq!(fault, Err(PortFault::ExternalNameNeedsNumber));
    }
}
