#!/bin/bash
# The cluster for work by hand: up, down, status. Called by the Makefile.
set -euo pipefail
cd "$(dirname "$0")"
PROGRAMS=$(./cluster-build.sh)
case $1 in
  up)
    images=$(./images.sh)
    "$PROGRAMS/cluster" up --replace --dir "$CLUSTER_DIR" --nodes "$NODES"
    # shellcheck disable=SC2086 # one word per image
    "$PROGRAMS/cluster" load --dir "$CLUSTER_DIR" $images
    cat <<TEXT
Use it by hand:
  export KUBECONFIG=$CLUSTER_DIR/kubeconfig PATH=$PROGRAMS:\$PATH
  kubectl get nodes
  helm install gateway deploy/chart --namespace gateway --create-namespace --wait \\
    --set controller.image.repository=localhost/silverback,controller.image.tag=e2e,controller.image.pullPolicy=Never \\
    --set proxy.image.repository=localhost/silverback-proxy,proxy.image.tag=e2e,proxy.image.pullPolicy=Never,proxy.service.type=ClusterIP
  cluster forward --dir $CLUSTER_DIR 127.0.0.1:8080 \$(kubectl get service -n gateway gateway-kong-proxy -o jsonpath='{.spec.clusterIP}'):80
TEXT
    ;;
  down) "$PROGRAMS/cluster" down --dir "$CLUSTER_DIR" ;;
  status) "$PROGRAMS/cluster" status --dir "$CLUSTER_DIR" ;;
esac
