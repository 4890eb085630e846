package main

// A node: a machine that runs containerd, the kubelet and kube-proxy, and what
// can happen to it.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func (s *supervisor) nodeMachine(name string) *machine {
	i := nodeIndex(name)
	dir := s.path("nodes", name)
	check(os.MkdirAll(filepath.Join(dir, "cni"), 0o755))
	p := func(f string) string { return filepath.Join(dir, f) }
	server := "https://" + controlIP + ":6443"
	if !exists(p("kubelet.kubeconfig")) {
		s.pki.kubeconfig(p("kubelet.kubeconfig"), server, name, "system:node:"+name, "system:nodes")
		s.pki.kubeconfig(p("proxy.kubeconfig"), server, name+"-proxy", "system:kube-proxy")
		s.pki.ca.issue(s.pki.path(name+"-serving"), "system:node:"+name, []string{"system:nodes"}, name, nodeIP(i))
	}
	values := map[string]string{
		"PAUSE_IMAGE": pauseImage, "CNI_BIN": cniBin(), "CNI_CONF": p("cni"), "PODS": nodePods(i), "POD_CIDR": podCIDR,
		"CA": s.pki.path("ca.crt"), "CERT": s.pki.path(name + "-serving.crt"), "KEY": s.pki.path(name + "-serving.key"),
		"DOMAIN": clusterDomain, "DNS_IP": dnsServiceIP, "RESOLV_CONF": s.path("resolv.conf"), "NODE": name,
		"OPEN_FILES": strconv.FormatUint(openFiles(), 10), "PROXY_KUBECONFIG": p("proxy.kubeconfig"),
	}
	write := func(file string) string {
		check(os.WriteFile(p(file), []byte(manifest(filepath.Base(file), values)), 0o600))
		return p(file)
	}
	containerdConf, kubeletConf, proxyConf := write("containerd.toml"), write("kubelet.yaml"), write("proxy.yaml")
	write("cni/10-pods.conflist")
	return &machine{
		Name: name, Dir: dir, LogDir: s.path("logs"),
		Sysctls: map[string]string{
			"net.ipv4.ip_forward": "1",
			// Below the node ports, and apart from the ports of the host's clients, which forward takes here as well.
			"net.ipv4.ip_local_port_range": "16384 29999",
			// All clients have one address here, and so a port comes again within
			// minutes. Where a SYN of its former connection was never answered, the
			// kernel would lead the new one to the same pod for 120 s, though that
			// pod is gone.
			"net.netfilter.nf_conntrack_tcp_timeout_syn_sent": "30",
		},
		Services: []service{
			{"containerd", []string{"containerd", "--config", containerdConf}},
			{"kubelet", s.args("kubelet",
				"--config="+kubeletConf,
				"--kubeconfig="+p("kubelet.kubeconfig"),
				"--hostname-override="+name,
				"--node-ip="+nodeIP(i),
				"--node-labels=topology.kubernetes.io/zone=zone"+strconv.Itoa(i),
			)},
			{"proxy", s.args("proxy", "--config="+proxyConf)},
		},
	}
}

// openFiles is the limit that the kubelet may set: raising the hard one would need CAP_SYS_RESOURCE.
func openFiles() uint64 {
	var r unix.Rlimit
	check(unix.Getrlimit(unix.RLIMIT_NOFILE, &r))
	return min(r.Max, 1000000)
}

func importImage(dir, node, tarFile string) error {
	sock := filepath.Join(dir, "nodes", node, "run/containerd/containerd.sock")
	for end := time.Now().Add(10 * time.Second); !exists(sock) && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	var out []byte
	var err error
	for try := 0; try < 3; try++ {
		out, err = exec.Command("ctr", "--address", sock, "--namespace", "k8s.io", "images", "import", tarFile).CombinedOutput()
		if err == nil {
			return nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return fmt.Errorf("import of %s into %s: %v\n%s", tarFile, node, err, out)
}

func (s *supervisor) startNode(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.nodes[name]; m != nil && m.pid() != 0 {
		return fmt.Errorf("%s runs", name)
	}
	m := s.nodeMachine(name)
	s.nodes[name] = m
	return m.boot(func(pid int) error { return s.wireNode(name, pid) })
}

func (s *supervisor) nodeAction(name, action string) error {
	s.mu.Lock()
	m := s.nodes[name]
	s.mu.Unlock()
	if m == nil {
		return fmt.Errorf("no node %q", name)
	}
	switch action {
	case "kill":
		s.mu.Lock()
		m.kill()
		// As after a power failure: were they still there at the next boot, the
		// kubelet would wait 3 s for each container that they once held.
		removeCgroups(hostCgroups().tops(m.Name))
		s.mu.Unlock()
		s.saveState()
		return nil
	case "start":
		defer s.saveState()
		return s.startNode(name)
	case "partition":
		return s.partition(name, true)
	case "heal":
		return s.partition(name, false)
	case "freeze":
		return hostCgroups().freeze(m.Name, true)
	case "thaw":
		return hostCgroups().freeze(m.Name, false)
	}
	return fmt.Errorf("no action %q", action)
}
