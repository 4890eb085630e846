package main

// The machines' network: their eth0s hang on a bridge in the control plane's
// network namespace. There is no link to the host and no way out.

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

func inNamespace(pid int, f func(h *netlink.Handle) error) error {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	return f(h)
}

func setUp(h *netlink.Handle, name, addr string) (netlink.Link, error) {
	l, err := h.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if addr != "" {
		a, err := netlink.ParseAddr(addr)
		if err != nil {
			return nil, err
		}
		if err := h.AddrAdd(l, a); err != nil {
			return nil, fmt.Errorf("%s %s: %w", name, addr, err)
		}
	}
	return l, h.LinkSetUp(l)
}

func route(h *netlink.Handle, dst, via string) error {
	_, d, err := net.ParseCIDR(dst)
	if err != nil {
		return err
	}
	return h.RouteReplace(&netlink.Route{Dst: d, Gw: net.ParseIP(via)})
}

// wireControl makes the bridge that joins the machines: it lies in the control
// plane's network namespace, whose own address is the bridge's.
func (s *supervisor) wireControl(pid int) error {
	return inNamespace(pid, func(h *netlink.Handle) error {
		if _, err := setUp(h, "lo", ""); err != nil {
			return err
		}
		// With no address of its own the bridge would have that of a port, and
		// change it when a node goes: the others would lose the API server until
		// their neighbour entry has aged.
		mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
		if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "fabric", HardwareAddr: mac}}); err != nil {
			return fmt.Errorf("bridge: %w", err)
		}
		if _, err := setUp(h, "fabric", controlIP+nodeMask); err != nil {
			return err
		}
		for i := 1; i <= s.Nodes; i++ {
			if err := route(h, nodePods(i), nodeIP(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *supervisor) wireNode(name string, pid int) error {
	i := nodeIndex(name)
	err := inNamespace(s.control.pid(), func(h *netlink.Handle) error {
		if old, err := h.LinkByName(name); err == nil {
			h.LinkDel(old) // of a node that has just lost power
		}
		br, err := h.LinkByName("fabric")
		if err != nil {
			return err
		}
		// The pair is made in the two namespaces at once, never in the host's.
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: br.Attrs().Index}, PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
		if err := h.LinkAdd(v); err != nil {
			return fmt.Errorf("veth: %w", err)
		}
		_, err = setUp(h, name, "")
		return err
	})
	if err != nil {
		return err
	}
	return inNamespace(pid, func(h *netlink.Handle) error {
		if _, err := setUp(h, "lo", ""); err != nil {
			return err
		}
		if _, err := setUp(h, "eth0", nodeIP(i)+nodeMask); err != nil {
			return err
		}
		for j := 1; j <= s.Nodes; j++ {
			if j != i {
				if err := route(h, nodePods(j), nodeIP(j)); err != nil {
					return err
				}
			}
		}
		// The Service addresses need a route before kube-proxy can rewrite them.
		return route(h, "0.0.0.0/0", controlIP)
	})
}

// partition takes the node's cable out, or puts it back.
func (s *supervisor) partition(name string, cut bool) error {
	return inNamespace(s.control.pid(), func(h *netlink.Handle) error {
		l, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		if cut {
			return h.LinkSetDown(l)
		}
		return h.LinkSetUp(l)
	})
}
