package main

// TCP from the host's loopback into a machine's network namespace.

import (
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/vishvananda/netns"

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
// the process pid.
func forward(l net.Listener, pid int, target string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			client := c.(*net.TCPConn)
			t, err := dialIn(pid, target)
			if err != nil {
				relay.Reset(client) // nobody is there: no end in order
				return
			}
			relay.Join(client, t.(*net.TCPConn))
		}()
	}
}

func dialIn(pid int, target string) (net.Conn, error) {
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
		c, err := net.DialTimeout("tcp", target, 10*time.Second) // an address, so on this thread
		ch <- result{c, err}
	}()
	r := <-ch
	return r.c, r.err
}
