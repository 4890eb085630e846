// Package relay joins two TCP connections so that each end sees what the other
// one did: an orderly end arrives as one (FIN), a reset as a reset (RST). A load
// that is sent through it can therefore tell the two apart.
package relay

import (
	"io"
	"net"
)

// Join copies both ways until both have ended, and closes both.
func Join(a, b *net.TCPConn) {
	done := make(chan struct{})
	go func() {
		pass(a, b)
		close(done)
	}()
	pass(b, a)
	<-done
	a.Close()
	b.Close()
}

// Reset ends a connection by RST.
func Reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// pass copies until the end. What did not end in order takes both connections
// along: whichever of them it was, the other end shall not take it for an end.
func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		Reset(to)
		Reset(from)
		return
	}
	to.CloseWrite()
}
