package main

// The cluster's addresses and names. All addresses exist only inside the
// machines' network namespaces, so they collide with nothing on the host.

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	controlIP     = "10.89.0.1" // node i has 10.89.0.(10+i)
	nodeMask      = "/24"
	podCIDR       = "10.244.0.0/16" // node i has 10.244.i.0/24
	serviceCIDR   = "10.96.0.0/16"
	apiServiceIP  = "10.96.0.1"
	dnsServiceIP  = "10.96.0.10"
	clusterDomain = "cluster.local"
	pauseImage    = "localhost/pause:1"
	corednsImage  = "localhost/coredns:1"
	maxNodes      = 200
)

func nodeIP(i int) string   { return fmt.Sprintf("10.89.0.%d", 10+i) }
func nodePods(i int) string { return fmt.Sprintf("10.244.%d.0/24", i) }
func nodeName(i int) string { return fmt.Sprintf("node%d", i) }

func nodeIndex(name string) int {
	i, err := strconv.Atoi(strings.TrimPrefix(name, "node"))
	check(err)
	return i
}
