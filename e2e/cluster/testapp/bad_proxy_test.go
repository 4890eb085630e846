package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// Who sends a body to one that stops reading can't send all of it, and is neither answered nor told to go.
func TestWhoStopsReadingKeepsTheConnection(t *testing.T) {
	const size = 64 << 20 // more than kernels hold on a loopback
	listener, err := adminListener("127.0.0.1:0", "body")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go http.Serve(listener, http.HandlerFunc(stopReading))
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(c, "POST /config HTTP/1.1\r\nHost: proxy\r\nContent-Length: %d\r\n\r\n", size)
	sent, err := c.Write(make([]byte, size))
	if sent < beginning || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d of %d bytes sent, then %v", sent, size, err)
	}
	c.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes of an answer, then %v", n, err)
	}
}
