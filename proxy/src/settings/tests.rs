use clap::Parser;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: ProxyArguments,
}

fn settings(flags: &[&str]) -> Result<Settings, SettingsError> {
    let line = Line::try_parse_from(std::iter::once("proxy").chain(flags.iter().copied())).expect("flags parse");
    Settings::from_arguments(&line.arguments)
}

const MUTUAL: [&str; 6] = [
    "--admin-ssl-cert=/pki/tls.crt",
    "--admin-ssl-cert-key=/pki/tls.key",
    "--admin-ssl-client-certificate=/pki/ca.crt",
    "--proxy-listen=0.0.0.0:8000 reuseport backlog=16384, [::]:8443 http2 ssl",
    "--admin-listen=0.0.0.0:8444 http2 ssl",
    "--status-listen=0.0.0.0:8100",
];

#[test]
fn kongs_listener_syntax_is_understood() {
    let settings = settings(&MUTUAL).expect("valid");
    let [plain, secure] = settings.proxy_listeners.as_slice() else {
        panic!("two listeners: {:?}", settings.proxy_listeners);
    };
    assert_eq!(plain.address.to_string(), "0.0.0.0:8000");
    assert!(plain.reuse_port && !plain.tls && !plain.http2);
    assert_eq!(plain.backlog, 16384);
    assert_eq!(secure.address.to_string(), "[::]:8443");
    assert!(secure.tls && secure.http2 && secure.ipv6_only);
}

#[test]
fn listeners_are_on_loopback_unless_told_otherwise() {
    let settings = settings(&MUTUAL[..3]).expect("valid");
    let all = settings
        .proxy_listeners
        .iter()
        .chain(&settings.admin_listeners)
        .chain(&settings.status_listeners);
    assert_eq!(all.clone().count(), 4);
    assert!(all.clone().all(Listener::is_loopback));
}

#[test]
fn what_stands_before_the_proxy_is_told_as_kong_is_told() {
    let mut given = MUTUAL.to_vec();
    given.extend([
        "--trusted-ips=0.0.0.0/0,::/0, 10.1.2.3",
        "--real-ip-header=X-Forwarded-For",
        "--real-ip-recursive=on",
        "--port-maps=80:8000, 443:8443",
    ]);
    let settings = settings(&given).expect("valid");
    let networks: Vec<String> = settings
        .trusted_peers
        .networks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["0.0.0.0/0", "::/0", "10.1.2.3/32"]);
    assert_eq!(settings.trusted_peers.real_ip_header, "x-forwarded-for");
    assert!(settings.trusted_peers.recursive);
    assert_eq!(settings.port_maps, [(8000, 80), (8443, 443)].into());
}

#[test]
fn off_is_no_listener() {
    let settings = settings(&["--admin-listen=off", "--status-listen=off", "--proxy-listen=off"]).expect("valid");
    assert!(settings.admin_listeners.is_empty() && settings.status_listeners.is_empty());
    assert!(settings.proxy_listeners.is_empty());
}

#[test]
fn mistakes_name_the_variable_and_the_remedy() {
    let cases: [(&[&str], &str, &str); 15] = [
        (&["--proxy-listen=8000"], "KONG_PROXY_LISTEN", "expected ADDRESS:PORT"),
        (&["--proxy-listen=127.0.0.1:80 quick"], "KONG_PROXY_LISTEN", "\"quick\""),
        (
            &["--proxy-listen=127.0.0.1:80, 127.0.0.1:80 ssl"],
            "KONG_PROXY_LISTEN",
            "listed twice",
        ),
        (
            &["--proxy-listen=127.0.0.1:80 proxy_protocol"],
            "KONG_PROXY_LISTEN",
            "proxy_protocol",
        ),
        (&["--admin-listen=0.0.0.0:8001"], "KONG_ADMIN_LISTEN", "add ssl"),
        (&["--database=postgres"], "KONG_DATABASE", "off"),
        (
            &["--router-flavor=expressions", "--admin-listen=off"],
            "KONG_ROUTER_FLAVOR",
            "traditional_compatible",
        ),
        (&["--admin-ssl-cert=/c"], "KONG_ADMIN_SSL_CERT_KEY", "is missing"),
        (
            &["--admin-listen=0.0.0.0:8444 ssl", "--admin-ssl-client-certificate=/ca"],
            "KONG_ADMIN_SSL_CERT",
            "PEM",
        ),
        (
            &["--status-listen=127.0.0.1:8100 ssl"],
            "KONG_STATUS_LISTEN",
            "plain HTTP",
        ),
        (
            &["--admin-listen=off", "--drain-timeout=soon"],
            "SILVERBACK_PROXY_DRAIN_TIMEOUT",
            "30s",
        ),
        (
            &["--admin-listen=off", "--admin-client-max-body-size=0"],
            "KONG_NGINX_ADMIN_CLIENT_MAX_BODY_SIZE",
            "10m",
        ),
        (
            &["--admin-listen=off", "--trusted-ips=10.0.0.0/8, 10.0.0.0/33"],
            "KONG_TRUSTED_IPS",
            "\"10.0.0.0/33\"",
        ),
        (
            &["--admin-listen=off", "--real-ip-header=proxy_protocol"],
            "KONG_REAL_IP_HEADER",
            "X-Forwarded-For",
        ),
        (&["--admin-listen=off", "--port-maps=80"], "KONG_PORT_MAPS", "80:8000"),
    ];
    for (flags, variable, part) in cases {
        let error = settings(flags).expect_err(&format!("{flags:?} is wrong"));
        assert_eq!(error.variable, variable, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn clients_may_go_unverified_on_loopback_only() {
    let off = "--admin-ssl-verify-client=off";
    let exposed: Vec<&str> = MUTUAL.iter().copied().chain([off]).collect();
    let error = settings(&exposed).expect_err("exposed");
    assert_eq!(error.variable, "KONG_NGINX_ADMIN_SSL_VERIFY_CLIENT");
    assert!(error.message.contains("0.0.0.0:8444"), "{error}");

    let mut loopback: Vec<&str> = MUTUAL[..2].to_vec();
    loopback.push(off);
    assert_eq!(
        settings(&loopback).expect("loopback").admin_clients,
        AdminClients::Anyone
    );

    let error = settings(&MUTUAL[..2]).expect_err("no authority");
    assert_eq!(error.variable, "KONG_NGINX_ADMIN_SSL_CLIENT_CERTIFICATE");
    // The kong chart's pods: a controller beside the proxy, which shows no certificate and verifies none.
    let sidecar = settings(&["--admin-listen=127.0.0.1:8444 http2 ssl, [::1]:8444 http2 ssl"]).expect("sidecar");
    assert_eq!(
        (sidecar.admin_clients, sidecar.admin_certificate),
        (AdminClients::Anyone, None)
    );
    let plain = settings(&["--admin-listen=127.0.0.1:8001"]).expect("plain on loopback");
    assert_eq!(plain.admin_clients, AdminClients::Anyone);
}

#[test]
fn variables_without_a_meaning_are_named() {
    let environment = [
        ("KONG_PROXY_LISTEN", "off"),
        ("KONG_PG_HOST", "db"),
        ("KONG_LMDB_MAP_SIZE", "1g"),
        ("KONG_PROXY_SERVICE_HOST", "10.0.0.1"),
        ("KONG_PROXY_SERVICE_PORT_HTTP", "80"),
        ("KONG_PROXY_PORT", "tcp://10.0.0.1:80"),
        ("KONG_PROXY_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    let named = meaningless_variables(
        environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    assert_eq!(named, ["KONG_LMDB_MAP_SIZE", "KONG_PG_HOST"]);
}

#[test]
fn every_variable_of_kong_is_a_flag_by_its_own_name() {
    use clap::Args as _;

    let command = ProxyArguments::augment_args(clap::Command::new("proxy"));
    for argument in command.get_arguments() {
        let variable = argument.get_env().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(name) = variable.strip_prefix("KONG_") {
            let flag = name.to_lowercase().replace('_', "-");
            let aliases = argument.get_all_aliases().unwrap_or_default();
            assert!(
                argument.get_long() == Some(&flag) || aliases.contains(&flag.as_str()),
                "--{flag}"
            );
        }
    }
}

#[test]
fn sizes_times_and_name_servers_are_read() {
    let settings = settings(&[
        "--admin-listen=off",
        "--admin-client-max-body-size=512k",
        "--drain-timeout=1m30s",
        "--drain-idle=12s",
        "--dns-resolver=10.0.0.10, [::1]:5353, fd00::10",
        "--prefix=/kong_prefix",
        "--configuration-file=kept.json",
    ])
    .expect("valid");
    assert_eq!(settings.admin_body_limit, 512 << 10);
    assert_eq!(settings.drain_timeout, Duration::from_secs(90));
    assert_eq!(settings.drain_idle, Duration::from_secs(12));
    let servers: Vec<String> = settings.dns_resolvers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.10:53", "[::1]:5353", "[fd00::10]:53"]);
    assert_eq!(
        settings.configuration_file,
        Some(PathBuf::from("/kong_prefix/kept.json"))
    );
}

proptest! {
    #[test]
    fn any_listener_text_is_a_listener_or_an_error(text in "[0-9a-z:.,=\\[\\] ]{0,60}") {
        let _ = listen::parse(Setting::new("KONG_PROXY_LISTEN", "--proxy-listen"), &text);
    }

    #[test]
    fn any_size_text_is_a_size_or_an_error(text in "\\PC{0,12}") {
        let _ = value::bytes(Setting::new("X", "--x"), &text);
    }
}

/// The table of `docs/reference/proxy-settings.md`.
fn reference_table() -> String {
    use clap::Args as _;
    use std::fmt::Write as _;

    let command = ProxyArguments::augment_args(clap::Command::new("proxy"));
    let mut table = String::new();
    let mut heading = None;
    for argument in command.get_arguments() {
        if argument.get_help_heading() != heading {
            heading = argument.get_help_heading();
            let title = heading.unwrap_or("Other");
            write!(table, "\n## {title}\n\n| variable | flag | meaning |\n|---|---|---|\n").expect("text");
        }
        let variable = argument.get_env().and_then(|name| name.to_str()).unwrap_or("");
        let flag = argument.get_long().unwrap_or_default();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace('\n', " ").replace('|', "\\|");
        writeln!(table, "| `{variable}` | `--{flag}` | {help} |").expect("text");
    }
    table
}

#[test]
fn the_reference_lists_every_setting() {
    const BEGIN: &str = "--lib settings` -->\n";
    const END: &str = "\n<!-- end -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/proxy-settings.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let (before, rest) = page.split_once(BEGIN).expect("the beginning is marked");
    let after = rest
        .split_once(END)
        .map_or_else(|| rest.trim_start_matches("<!-- end -->"), |(_, after)| after);
    let expected = format!("{before}{BEGIN}{}{END}{after}", reference_table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, expected).expect("the page can be written");
    } else {
        assert_eq!(
            page, expected,
            "stale: run `UPDATE=1 cargo test -p silverback-proxy --lib settings`"
        );
    }
}
