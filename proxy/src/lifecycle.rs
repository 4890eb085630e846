//! From settings to a serving proxy, and back to nothing without breaking a request.
//!
//! Order at the start: addresses are bound first, so that a taken port is told at once; the status listener answers (not
//! ready) while certificates are waited for; then the kept configuration is loaded, and only then traffic is accepted: as
//! long as there is none it waits for a while, since who comes to a proxy that has just ended and started is to find what
//! was there, not nothing. At the end: not ready, then no new connections, then requests under way finish, then what is left is closed in order, then
//! the Admin API and the status listener go.

mod options;
mod pid_file;
mod proxy_certificate;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::pid_file::pid_file;
use self::{pid_file::PidFile, proxy_certificate::ProxyCertificate};
use crate::{
    admin::{AdminApi, Node, StatusApi},
    control::Control,
    data::{DataPlane, Drain},
    identity,
    process::{Wish, Wishes},
    server::{self, Endpoint, Handler, ServerCertificate},
    settings::{Listener, ProxyArguments, Settings, meaningless_variables},
};

/// How often certificate files are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(1);

/// How long connections wait for the first configuration. A controller that is at work brings it sooner.
const FIRST_CONFIGURATION: Duration = Duration::from_secs(5);

/// How long what is left of the traffic may take to end once time is up: WebSockets say why.
const CUT_LIMIT: Duration = Duration::from_millis(1500);

/// How long the Admin API and the status listener may take to end, after traffic has.
const CONTROL_DRAIN: Duration = Duration::from_secs(2);

/// A listener of the settings, bound.
type Bound = (TcpListener, Listener);

/// Runs a proxy until a signal ends it. Returns when it is drained.
///
/// # Errors
/// Settings that can't be used, addresses that can't be bound, certificates that did not come in time, a declarative
/// configuration that is wrong.
pub async fn run(arguments: &ProxyArguments) -> anyhow::Result<()> {
    let settings = Settings::from_arguments(arguments)?;
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let value = value.to_string_lossy().into_owned();
        name.into_string().ok().map(|name| (name, value))
    });
    let meaningless = meaningless_variables(environment);
    if !meaningless.is_empty() {
        tracing::warn!(
            "variables that mean nothing to the embedded proxy are ignored: {}",
            meaningless.join(", ")
        );
    }
    let _pid_file = PidFile::write(&settings.prefix);
    let mut wishes = Wishes::listen(settings.exit_on_stdin_close)?;
    let bound = BoundListeners::bind(&settings)?;
    let stopping = Stopping::default();
    let mut serving = JoinSet::new();
    let _renewal = settings.identity.clone().map(identity::start).transpose()?;
    let starting = start(&settings, bound, &stopping, &mut serving);
    let started = tokio::select! {
        started = starting => Some(started?),
        () = stop_wish(&mut wishes) => None,
    };
    let Some(mut started) = started else {
        tracing::info!("told to stop while starting");
        return Ok(());
    };
    if serve(&mut wishes, &mut started, &mut serving).await? == Wish::Stop {
        tracing::info!("stopped");
        return Ok(());
    }
    let mut traffic = Traffic {
        serving,
        listeners: started.traffic_listeners,
    };
    tokio::select! {
        () = ease_off(&settings, &started, &stopping, &mut traffic) => tracing::info!("drained"),
        () = stop_wish(&mut wishes) => tracing::info!("told to hurry while draining"),
    }
    end(&stopping, traffic).await;
    Ok(())
}

/// Cancelled in this order.
#[derive(Default)]
struct Stopping {
    traffic: Drain,
    control: CancellationToken,
}

/// What serves.
struct Started {
    control: Arc<Control>,
    data: Arc<DataPlane>,
    certificates: Vec<Arc<ServerCertificate>>,
    proxy_certificate: Option<ProxyCertificate>,
    /// Those that were bound: a machine may lack IPv6.
    traffic_listeners: usize,
}

/// Who a serving task belongs to: traffic is drained first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Traffic,
    Control,
}

struct BoundListeners {
    proxy: Vec<Bound>,
    admin: Vec<Bound>,
    status: Vec<Bound>,
}

impl BoundListeners {
    fn bind(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            proxy: bind("KONG_PROXY_LISTEN", "proxy", &settings.proxy_listeners)?,
            admin: bind("KONG_ADMIN_LISTEN", "admin", &settings.admin_listeners)?,
            status: bind("KONG_STATUS_LISTEN", "status", &settings.status_listeners)?,
        })
    }
}

fn bind(setting: &'static str, purpose: &str, listeners: &[Listener]) -> anyhow::Result<Vec<Bound>> {
    let mut bound = Vec::new();
    for listener in listeners {
        if let Some(socket) = server::bind(setting, listener)? {
            let address = socket.local_addr()?;
            tracing::info!(purpose, %address, tls = listener.tls, "listening");
            bound.push((socket, listener.clone()));
        }
    }
    Ok(bound)
}

async fn start(
    settings: &Settings,
    bound: BoundListeners,
    stopping: &Stopping,
    serving: &mut JoinSet<Part>,
) -> anyhow::Result<Started> {
    let deadline = Instant::now() + settings.certificate_wait;
    let node = Arc::new(Node::new(settings));
    let data = DataPlane::new(options::data_plane(settings)?)?;
    let control = Control::new(
        Arc::clone(&data),
        options::validation(settings),
        settings.configuration_file.clone(),
    );
    let status = StatusApi::new(Arc::clone(&control), Arc::clone(&data), Arc::clone(&node));
    for (listener, wanted) in bound.status {
        serve_control(serving, listener, &wanted, None, status.clone(), &stopping.control);
    }
    let admin = AdminApi::new(Arc::clone(&control), Arc::clone(&data), node, settings.admin_body_limit);
    let mut certificates = Vec::new();
    let mut admin_endpoints = Vec::new();
    for (listener, wanted) in bound.admin {
        let certificate = match &settings.admin_certificate {
            Some(files) if wanted.tls => {
                let load = || ServerCertificate::load(files, &settings.admin_clients, wanted.http2);
                let certificate = options::wait_for(deadline, load).await.context(
                    "certificates of the Admin API (KONG_ADMIN_SSL_CERT, KONG_ADMIN_SSL_CERT_KEY, \
                     KONG_NGINX_ADMIN_SSL_CLIENT_CERTIFICATE)",
                )?;
                certificates.push(Arc::new(certificate));
                certificates.last().cloned()
            }
            None if wanted.tls => Some(Arc::new(ServerCertificate::self_signed(wanted.http2)?)),
            _ => None,
        };
        admin_endpoints.push((listener, wanted, certificate));
    }
    let proxy_certificate = match &settings.proxy_certificate {
        None => None,
        Some(files) => {
            let waited = ProxyCertificate::wait(files.clone(), deadline, &data).await;
            Some(waited.context("certificate of the proxy (KONG_SSL_CERT, KONG_SSL_CERT_KEY)")?)
        }
    };
    control.restore(settings.declarative_configuration.clone()).await?;
    let traffic_listeners = bound.proxy.len();
    for (listener, wanted) in bound.proxy {
        let data = Arc::clone(&data);
        let drain = stopping.traffic.clone();
        let control = Arc::clone(&control);
        serving.spawn(async move {
            tokio::select! {
                () = control.configured() => {}
                () = sleep(FIRST_CONFIGURATION) => {}
                () = drain.begun.cancelled() => {}
            }
            match wanted.tls {
                true => data.serve_https(listener, wanted.http2, drain).await,
                false => data.serve_http(listener, drain).await,
            }
            Part::Traffic
        });
    }
    control.set_serving();
    for (listener, wanted, certificate) in admin_endpoints {
        serve_control(
            serving,
            listener,
            &wanted,
            certificate,
            admin.clone(),
            &stopping.control,
        );
    }
    Ok(Started {
        control,
        data,
        certificates,
        proxy_certificate,
        traffic_listeners,
    })
}

fn serve_control(
    serving: &mut JoinSet<Part>,
    listener: TcpListener,
    wanted: &Listener,
    certificate: Option<Arc<ServerCertificate>>,
    handler: Arc<dyn Handler>,
    drain: &CancellationToken,
) {
    let endpoint = Endpoint {
        listener,
        certificate,
        http2: wanted.http2,
    };
    let drain = drain.clone();
    serving.spawn(async move {
        server::serve(endpoint, handler, drain).await;
        Part::Control
    });
}

/// Waits for a wish to stop, looking after certificates meanwhile.
async fn serve(wishes: &mut Wishes, started: &mut Started, serving: &mut JoinSet<Part>) -> anyhow::Result<Wish> {
    let mut look = tokio::time::interval(CERTIFICATE_INTERVAL);
    loop {
        tokio::select! {
            wish = wishes.next() => match wish {
                Wish::Reload => started.reload_certificates(),
                Wish::Drain | Wish::Stop => return Ok(wish),
            },
            _ = look.tick() => started.reload_certificates(),
            Some(ended) = serving.join_next() => bail!("a listener ended by itself: {ended:?}"),
        }
    }
}

impl Started {
    fn reload_certificates(&mut self) {
        for certificate in &self.certificates {
            certificate.reload_if_changed();
        }
        if let Some(certificate) = &mut self.proxy_certificate {
            certificate.reload_if_changed(&self.data);
        }
    }
}

/// Listeners that still serve, and how many of them carry traffic.
struct Traffic {
    serving: JoinSet<Part>,
    listeners: usize,
}

impl Traffic {
    /// Returns when no connection is left.
    async fn ended(&mut self) {
        while self.listeners > 0 {
            match self.serving.join_next().await {
                Some(Ok(Part::Traffic)) => self.listeners -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// Not ready, then no new connections, then requests under way. May be given up at any point.
async fn ease_off(settings: &Settings, started: &Started, stopping: &Stopping, traffic: &mut Traffic) {
    started.control.set_draining();
    tracing::info!(delay = ?settings.drain_delay, timeout = ?settings.drain_timeout, "draining");
    sleep(settings.drain_delay).await;
    stopping.traffic.begun.cancel();
    if timeout(settings.drain_timeout, traffic.ended()).await.is_err() {
        tracing::warn!("requests that did not end in time are cut off");
    }
}

/// Closes what is left.
async fn end(stopping: &Stopping, mut traffic: Traffic) {
    stopping.traffic.begun.cancel();
    stopping.traffic.cut.cancel();
    let _ = timeout(CUT_LIMIT, traffic.ended()).await;
    stopping.control.cancel();
    let control_ended = async { while traffic.serving.join_next().await.is_some_and(|ended| ended.is_ok()) {} };
    let _ = timeout(CONTROL_DRAIN, control_ended).await;
}

/// Ends with the first wish to stop, in whatever way; reloads are for a proxy that serves.
async fn stop_wish(wishes: &mut Wishes) {
    while wishes.next().await == Wish::Reload {}
}
