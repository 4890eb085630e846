#!/bin/bash
# Builds the test bed's programs (cluster, pause, coredns, testapp, monitoring,
# helm, helm4, and kubectl as a link) from Go modules into the cache, and prints the directory
# that holds them. What was built before from the same sources is not built
# again, in whatever clone. Called by the Makefile.
set -euo pipefail
shopt -s inherit_errexit # what fails to build is not kept as built
cd "$(dirname "$0")/../cluster"
CACHE=${SILVERBACK_CACHE:-$HOME/.cache/silverback}
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly"

GO_VERSION=$(go env GOVERSION)
# key DIRECTORY...: a hash of all files there, and of what else decides the result.
key() {
  { echo "$GO_VERSION"; sha256sum ../scripts/cluster-build.sh
    find "$@" -type f -not -name '*.md' -print0 | sort -z | xargs -0 sha256sum; } | sha256sum | cut -c1-16
}
version() { # version MODULE GO.MOD
  sed -n "s,^\(require\)\?[[:space:]]*$1 \(v[0-9.]*\).*,\2,p" "$2" | head -1
}
# into KEY COMMAND...: runs COMMAND with $OUT, a new directory, unless KEY was built.
into() {
  local dir=$CACHE/go/$1; shift
  if [ ! -d "$dir" ]; then
    mkdir -p "$CACHE/go"
    OUT=$(mktemp -d "$CACHE/go/.building-XXXXXX")
    trap 'rm -rf "$OUT"' EXIT
    echo "building ${dir##*/}" >&2
    "$@" >&2
    mv -T "$OUT" "$dir" 2>/dev/null || rm -rf "$OUT" # another build may have been first
  fi
  echo "$dir"
}

build_cluster() {
  # The components say which version they are only if the linker tells them.
  local kubernetes minor flags=""
  kubernetes=$(version k8s.io/kubernetes go.mod) minor=$(echo "$kubernetes" | cut -d. -f2)
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
  done
  go build -trimpath -ldflags="-s -w$flags" -o "$OUT/cluster" .
  go build -trimpath -ldflags="-s -w" -o "$OUT/" ./pause ./testapp ./monitoring
}
build_coredns() { (cd coredns && go build -trimpath -ldflags="-s -w" -o "$OUT/coredns" .); }
build_helm() {
  local helm
  helm=$(version helm.sh/helm/v3 helm/go.mod)
  (cd helm && go build -trimpath -ldflags="-s -w -X helm.sh/helm/v3/internal/version.version=$helm \
    -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$(version k8s.io/client-go go.mod | cut -d. -f2)" \
    -o "$OUT/helm" helm.sh/helm/v3/cmd/helm)
}
build_helm4() {
  (cd helm4 && go build -trimpath -ldflags="-s -w -X helm.sh/helm/v4/internal/version.version=$(version helm.sh/helm/v4 go.mod)" \
    -o "$OUT/helm4" helm.sh/helm/v4/cmd/helm)
}
gather() { ln "$@" "$OUT/"; ln -s cluster "$OUT/kubectl"; }

C=$(key go.mod go.sum ./*.go manifests monitoring pause relay testapp) D=$(key coredns) H=$(key helm) H4=$(key helm4)
CLUSTER=$(into "cluster-$C" build_cluster)
COREDNS=$(into "coredns-$D" build_coredns)
HELM=$(into "helm-$H" build_helm)
HELM4=$(into "helm4-$H4" build_helm4)
into "bin-${C:0:8}${D:0:8}${H:0:8}${H4:0:8}" gather "$CLUSTER"/{cluster,pause,testapp,monitoring} "$COREDNS/coredns" "$HELM/helm" "$HELM4/helm4"
