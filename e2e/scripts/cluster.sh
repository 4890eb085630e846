#!/bin/bash
# The cluster for work by hand: up, down, status. Called by the Makefile.
set -euo pipefail
cd "$(dirname "$0")"
PROGRAMS=$(./cluster-build.sh)
profile=${PROFILE:-optimized}
case $1 in
  up)
    images=$(./images.sh)
    "$PROGRAMS/cluster" up --replace --dir "$CLUSTER_DIR" --nodes "$NODES"
    # shellcheck disable=SC2086 # one word per image
    "$PROGRAMS/cluster" load --dir "$CLUSTER_DIR" $images
    # No registry is reached from there: the images are those that were loaded.
    cat >"$CLUSTER_DIR/images.yaml" <<YAML
controller:
  image: {repository: localhost/silverback, tag: e2e, pullPolicy: Never}
proxy:
  image: {repository: localhost/silverback-proxy, tag: e2e, pullPolicy: Never}
  service: {type: ClusterIP}
YAML
    cat <<TEXT
Use it by hand:
  export KUBECONFIG=$CLUSTER_DIR/kubeconfig PATH=$PROGRAMS:$CARGO_TARGET_DIR/${profile/dev/debug}:\$PATH
  kubectl get nodes
  helm install silverback deploy/chart --namespace gateway --create-namespace --wait --values $CLUSTER_DIR/images.yaml
  cluster forward --dir $CLUSTER_DIR 127.0.0.1:8080 \$(kubectl get service -n gateway silverback-kong-proxy -o jsonpath='{.spec.clusterIP}'):80
TEXT
    ;;
  down) "$PROGRAMS/cluster" down --dir "$CLUSTER_DIR" ;;
  status) "$PROGRAMS/cluster" status --dir "$CLUSTER_DIR" ;;
esac
