package main

// TCP from the host's loopback into a machine's network namespace, and what
// became of it there.

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"silverback/e2e/cluster/relay"
)

func listenLoopback(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%s is not a loopback address", addr)
	}
	return net.Listen("tcp", addr)
}

// forward joins each connection to l with one made in the network namespace of
// the process pid, from the same port where that is free, so that who has made
// the one finds the other among its backends.
func forward(l net.Listener, pid int, target string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			client := c.(*net.TCPConn)
			t, err := dialIn(pid, target, client.RemoteAddr().(*net.TCPAddr).Port)
			if err != nil {
				relay.Reset(client) // nobody is there: no end in order
				return
			}
			relay.Join(client, t.(*net.TCPConn))
		}()
	}
}

// backends prints the connections that were made in the network namespace of
// the process pid and are remembered there, a line for each: the port that it
// is from, address and port that it was made to, where that has led, in which
// state it is, and for how many seconds it is remembered yet.
func backends(pid int) error {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer h.Close()
	flows, err := h.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
	if err != nil {
		return err
	}
	for _, f := range flows {
		if f.Forward.Protocol == unix.IPPROTO_TCP {
			fmt.Println(f.Forward.SrcPort, f.Forward.DstIP, f.Forward.DstPort, f.Reverse.SrcIP, stateOf(f), f.TimeOut)
		}
	}
	return nil
}

// tcpStates are the kernel's, by number (nf_conntrack_tcp.h).
var tcpStates = [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}

func stateOf(f *netlink.ConntrackFlow) string {
	if info, ok := f.ProtoInfo.(*netlink.ProtoInfoTCP); ok && int(info.State) < len(tcpStates) {
		return tcpStates[info.State]
	}
	return "-"
}

func dialIn(pid int, target string, port int) (net.Conn, error) {
	type result struct {
		c   net.Conn
		err error
	}
	ch := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := netns.GetFromPid(pid)
		if err == nil {
			err = netns.Set(ns)
			ns.Close()
		}
		if err != nil {
			ch <- result{nil, err}
			return
		}
		d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{Port: port}, Control: shareAddress}
		c, err := d.Dial("tcp", target) // an address, so on this thread
		if isTaken(err) {
			d.LocalAddr = nil
			c, err = d.Dial("tcp", target)
		}
		ch <- result{c, err}
	}()
	r := <-ch
	return r.c, r.err
}

// shareAddress lets a port be used again that a connection before has left.
func shareAddress(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
}

func isTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
