//! Figures for Prometheus, under the names of Kong's plugin `prometheus`, as far as this proxy has them.

use std::fmt::{self, Write as _};

use hyper::StatusCode;

use super::{Node, node::resident_bytes};
use crate::{
    answer,
    control::{Control, Readiness},
    data::{DataPlane, RouteTraffic},
    server::Answer,
    settings::COMPATIBLE_KONG_VERSION,
};

/// `GET /metrics`.
pub(super) fn answer(node: &Node, control: &Control, data: &DataPlane) -> Answer {
    let mut page = String::new();
    write_node(&mut page, node, control, data).expect("text can be written to");
    write_traffic(&mut page, &data.traffic()).expect("text can be written to");
    answer::text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page)
}

fn write_node(page: &mut String, node: &Node, control: &Control, data: &DataPlane) -> fmt::Result {
    let node_id = node.node_id();
    head(page, "kong_node_info", "gauge", "Kong Node metadata information")?;
    writeln!(
        page,
        "kong_node_info{{node_id=\"{node_id}\",version=\"{COMPATIBLE_KONG_VERSION}\"}} 1"
    )?;
    head(
        page,
        "kong_datastore_reachable",
        "gauge",
        "Datastore reachable from Kong, 0 is unreachable",
    )?;
    writeln!(page, "kong_datastore_reachable 1")?;
    let figures = data.statistics();
    head(
        page,
        "kong_nginx_connections_total",
        "gauge",
        "Number of connections by subsystem",
    )?;
    for (state, count) in [
        ("accepted", figures.connections_accepted),
        ("active", figures.connections_active),
        ("handled", figures.connections_handled),
        ("reading", figures.connections_reading),
        ("total", figures.connections_accepted),
        ("waiting", figures.connections_waiting),
        ("writing", figures.connections_writing),
    ] {
        writeln!(
            page,
            "kong_nginx_connections_total{{node_id=\"{node_id}\",subsystem=\"http\",state=\"{state}\"}} {count}"
        )?;
    }
    head(page, "kong_nginx_requests_total", "gauge", "Number of requests total")?;
    writeln!(
        page,
        "kong_nginx_requests_total{{node_id=\"{node_id}\",subsystem=\"http\"}} {}",
        figures.total_requests
    )?;
    if let Some(resident) = resident_bytes() {
        head(
            page,
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes",
        )?;
        writeln!(page, "process_resident_memory_bytes {resident}")?;
    }
    head(
        page,
        "silverback_proxy_ready",
        "gauge",
        "Whether traffic may be sent here, 1 if so",
    )?;
    let ready = u8::from(control.readiness() == Readiness::Ready);
    writeln!(page, "silverback_proxy_ready {ready}")?;
    head(
        page,
        "silverback_proxy_configuration_info",
        "gauge",
        "Hash of the configuration that runs",
    )?;
    let hash = control.current().hash;
    writeln!(page, "silverback_proxy_configuration_info{{hash=\"{hash}\"}} 1")
}

fn write_traffic(page: &mut String, traffic: &[RouteTraffic]) -> fmt::Result {
    if traffic.is_empty() {
        return Ok(());
    }
    let labels: Vec<String> = traffic
        .iter()
        .map(|route| {
            format!(
                "service=\"{}\",route=\"{}\"",
                Label(&route.service),
                Label(&route.route)
            )
        })
        .collect();
    head(
        page,
        "kong_http_requests_total",
        "counter",
        "HTTP status codes per consumer/service/route in Kong",
    )?;
    for (route, labels) in traffic.iter().zip(&labels) {
        for status in &route.requests {
            let source = if status.from_upstream { "service" } else { "kong" };
            writeln!(
                page,
                "kong_http_requests_total{{{labels},code=\"{}\",source=\"{source}\",workspace=\"default\",\
                 consumer=\"\"}} {}",
                status.code, status.count
            )?;
        }
    }
    head(
        page,
        "kong_bandwidth_bytes",
        "counter",
        "Total bandwidth (ingress/egress) throughput in bytes",
    )?;
    for (route, labels) in traffic.iter().zip(&labels) {
        for (direction, bytes) in [("ingress", route.bytes_received), ("egress", route.bytes_sent)] {
            writeln!(
                page,
                "kong_bandwidth_bytes{{{labels},direction=\"{direction}\",workspace=\"default\",consumer=\"\"}} {bytes}"
            )?;
        }
    }
    latency(
        page,
        "kong_upstream_latency_ms",
        "Latency added by upstream response for each service/route in Kong",
        traffic
            .iter()
            .zip(&labels)
            .map(|(route, labels)| (labels, route.upstream_requests, route.upstream_latency_milliseconds)),
    )?;
    latency(
        page,
        "kong_kong_latency_ms",
        "Latency added by Kong and enabled plugins for each service/route in Kong",
        traffic.iter().zip(&labels).map(|(route, labels)| {
            let count = route.requests.iter().map(|status| status.count).sum();
            (labels, count, route.proxy_latency_milliseconds)
        }),
    )
}

/// A histogram with sum and count alone.
fn latency<'a>(
    page: &mut String,
    name: &str,
    help: &str,
    routes: impl Iterator<Item = (&'a String, u64, u64)>,
) -> fmt::Result {
    head(page, name, "histogram", help)?;
    for (labels, count, sum) in routes {
        writeln!(
            page,
            "{name}_bucket{{{labels},workspace=\"default\",le=\"+Inf\"}} {count}"
        )?;
        writeln!(page, "{name}_count{{{labels},workspace=\"default\"}} {count}")?;
        writeln!(page, "{name}_sum{{{labels},workspace=\"default\"}} {sum}")?;
    }
    Ok(())
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// A label's value, escaped.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => formatter.write_str("\\\\")?,
                '"' => formatter.write_str("\\\"")?,
                '\n' => formatter.write_str("\\n")?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::StatusCount;

    #[test]
    fn traffic_is_told_under_kongs_names() {
        let traffic = RouteTraffic {
            service: "echo".to_owned(),
            route: "a \"b\"".to_owned(),
            requests: vec![StatusCount {
                code: 200,
                from_upstream: true,
                count: 3,
            }],
            bytes_sent: 12,
            upstream_requests: 3,
            upstream_latency_milliseconds: 7,
            ..RouteTraffic::default()
        };
        let mut page = String::new();
        write_traffic(&mut page, &[traffic]).expect("written");
        for line in [
            "kong_http_requests_total{service=\"echo\",route=\"a \\\"b\\\"\",code=\"200\",source=\"service\",\
             workspace=\"default\",consumer=\"\"} 3",
            "kong_bandwidth_bytes{service=\"echo\",route=\"a \\\"b\\\"\",direction=\"egress\",workspace=\"default\",\
             consumer=\"\"} 12",
            "kong_upstream_latency_ms_sum{service=\"echo\",route=\"a \\\"b\\\"\",workspace=\"default\"} 7",
        ] {
            assert!(page.lines().any(|told| told == line), "{line} in\n{page}");
        }
    }
}
