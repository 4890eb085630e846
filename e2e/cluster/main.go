// Command cluster is a real Kubernetes cluster for end-to-end tests, on one
// Linux machine and without a container daemon of its own or any image from
// elsewhere: see README.md.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func fatal(format string, a ...any) {
	fmt.Fprintf(os.Stderr, "cluster: "+format+"\n", a...)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fatal("%v", err)
	}
}

const usage = `usage:
  cluster check                                   name what this machine lacks; nothing is started
  cluster up        --dir DIR [--nodes N] [--api-port P] [--image TAR]... [--arg COMPONENT=FLAG]...
                                                  at once when that very cluster is up already (--replace: no other is in the way)
  cluster down      --dir DIR
  cluster status    --dir DIR
  cluster load      --dir DIR TAR...              import images into every node
  cluster node      --dir DIR NODE ACTION         kill | start | partition | heal | freeze | thaw
  cluster exec      --dir DIR NODE -- CMD...      run CMD in a node's namespaces ("control" is the control plane's)
  cluster forward   --dir DIR [--from NODE] LISTEN TARGET   TCP from this machine's loopback into the cluster
  cluster backends  --dir DIR NODE                where connections that NODE has made were led: PORT ADDRESS PORT BACKEND STATE SECONDS
  cluster image     --name REF --out TAR [--libraries] PATH=LOCAL...   build an image from local files
  cluster kubectl   ...                           (set KUBECONFIG=DIR/kubeconfig)
  cluster etcd | apiserver | kcm | scheduler | proxy | kubelet ...
`

func main() {
	if filepath.Base(os.Args[0]) == "kubectl" { // a link of that name works too
		runComponent("kubectl", os.Args[1:])
	}
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	name, args := os.Args[1], os.Args[2:]
	if runComponent(name, args) {
		return
	}
	switch name {
	case "check":
		commandCheck(args)
	case "up":
		commandUp(args)
	case "supervise":
		supervise(args[0])
	case "ns-init":
		nsInit(args[0])
	case "ns-run":
		nsRun(args[0])
	case "probe-network":
		probeNetwork()
	case "image":
		commandImage(args)
	case "down", "status", "load", "node", "exec", "forward", "backends":
		commandClient(name, args)
	case "help", "--help", "-h":
		fmt.Print(usage)
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}
