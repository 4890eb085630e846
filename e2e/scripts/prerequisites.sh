#!/bin/bash
# Sees to it that everything is there that `make test` needs. On Debian, as root, packages that are missing are
# installed, and Go if it is missing or too old; elsewhere what is missing is named. Called by the Makefile.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Command or file, and the Debian 12 package that brings it. What a package only recommends is not installed with it and has a
# line of its own: gcc links nothing without the C library's headers and start files.
needed="
gcc gcc
/usr/include/stdio.h libc6-dev
make make
git git
curl curl
unzip unzip
awk gawk
diff diffutils
/etc/ssl/certs/ca-certificates.crt ca-certificates
containerd containerd
ctr containerd
runc runc
/usr/lib/cni/ptp containernetworking-plugins
nft nftables
iptables iptables
ip iproute2
nsenter util-linux
unshare util-linux
script bsdutils
mount mount
pkill procps
"
there() { case $1 in /*) [ -e "$1" ] ;; *) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] ;; esac; }
lacking() {
  while read -r what package; do
    [ -z "$what" ] || there "$what" || [ -e "${what/#\/usr\/lib\/cni/\/opt\/cni\/bin}" ] || echo "$what $package"
  done <<<"$needed"
}

missing=$(lacking)
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  packages=$(awk '{print $2}' <<<"$missing" | sort -u | tr '\n' ' ')
  echo "installing: $packages"
  log=$(mktemp)
  # Their services need not run; without an init system there are none.
  # shellcheck disable=SC2086 # one word per package
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1 || { tail -20 "$log"; exit 1; }
  rm -f "$log"
  missing=$(lacking)
fi
failed=0
lack() { echo "missing prerequisite: $*" >&2; failed=1; }
if [ -n "$missing" ]; then
  while read -r what package; do lack "$what (Debian: apt-get install $package; elsewhere the package of that name)"; done <<<"$missing"
fi

# Rust: rustup fetches the version of rust-toolchain.toml by itself.
rust=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
command -v cargo >/dev/null || lack "cargo: install Rust $rust by https://rustup.rs"
if command -v cargo >/dev/null; then
  # Without rustup the version is the machine's own matter.
  found=$(rustc --version | awk '{print $2}') || found=
  if [ "$(printf '%s\n' "$rust" "$found" | sort -V | head -1)" != "$rust" ]; then
    lack "rustc $rust, there is ${found:-none}: install it by https://rustup.rs"
  fi
  for component in fmt clippy; do
    cargo $component --version >/dev/null 2>&1 || lack "cargo $component: rustup component add --toolchain $rust rustfmt clippy"
  done
fi

# Go: from 1.21 on it fetches the version of go.mod by itself.
go_minor() { command -v go >/dev/null && GOTOOLCHAIN=local go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p'; }
if [ "$(go_minor || echo 0)" -lt 21 ]; then
  version=1.26.8 sum=30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7
  root=$SILVERBACK_CACHE/tools/go$version
  if [ "$(uname -sm)" = "Linux x86_64" ]; then
    if [ ! -x "$root/bin/go" ]; then
      echo "installing Go $version into $root"
      work=$(mktemp -d)
      curl -sSfL -o "$work/go.zip" "https://proxy.golang.org/golang.org/toolchain/@v/v0.0.1-go$version.linux-amd64.zip"
      echo "$sum  $work/go.zip" | sha256sum --check --quiet
      unzip -q "$work/go.zip" -d "$work"
      chmod +x "$work"/golang.org/toolchain@*/bin/* "$work"/golang.org/toolchain@*/pkg/tool/*/*
      mkdir -p "${root%/*}"
      rm -rf "$root"
      mv "$work"/golang.org/toolchain@* "$root"
      rm -rf "$work"
    fi
    mkdir -p "$SILVERBACK_CACHE/tools/bin"
    ln -sf "$root/bin/go" "$root/bin/gofmt" "$SILVERBACK_CACHE/tools/bin/"
  else
    lack "go: install Go 1.21 or later, https://go.dev/dl"
  fi
fi
[ "$failed" = 0 ] || exit 1

# Debian's kernel has it as a module, which is not counted before it is loaded; what can't be loaded is named below.
grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || true

# What the machine itself must allow: root, capabilities, cgroups, namespaces, nf_tables.
programs=$(e2e/scripts/cluster-build.sh) || { lack "programs of the test bed, for the reason above: Go fetches their modules (go env GOPROXY)"; exit 1; }
lacks=$("$programs/cluster" check) || { while read -r line; do lack "$line"; done <<<"$lacks"; exit 1; }
echo "all prerequisites are there"
