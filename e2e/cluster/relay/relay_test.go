package relay

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

const limit = 10 * time.Second

// pair gives both ends of a connection over the loopback.
func pair(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{here, there} {
		c.SetDeadline(time.Now().Add(limit))
		t.Cleanup(func() { c.Close() })
	}
	return here.(*net.TCPConn), there.(*net.TCPConn)
}

// joined gives a client and a server with a relay between them, and what is
// closed when it has ended.
func joined(t *testing.T) (client, server *net.TCPConn, ended chan struct{}) {
	client, a := pair(t)
	b, server := pair(t)
	ended = make(chan struct{})
	go func() {
		Join(a, b)
		close(ended)
	}()
	return client, server, ended
}

// says sends a word and reads it at the other end.
func says(t *testing.T, from, to *net.TCPConn, word string) {
	t.Helper()
	if _, err := from.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(word))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != word {
		t.Fatalf("%q arrived as %q: %v", word, got, err)
	}
}

func ends(t *testing.T, ended chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(limit):
		t.Fatal("the relay does not end")
	}
}

func TestAResetOfTheServerIsAResetAtTheClient(t *testing.T) {
	client, server, ended := joined(t)
	says(t, client, server, "request")
	says(t, server, client, "half an ans")
	Reset(server)
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("not a reset: %v", err)
	}
	ends(t, ended)
}

func TestAResetOfTheClientIsAResetAtTheServer(t *testing.T) {
	client, server, ended := joined(t)
	says(t, client, server, "request")
	Reset(client)
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("not a reset: %v", err)
	}
	ends(t, ended)
}

func TestAResetAfterOneSideHasEndedInOrderIsAReset(t *testing.T) {
	client, server, ended := joined(t)
	says(t, client, server, "request")
	client.CloseWrite()
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("not an end: %v", err)
	}
	Reset(server)
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("not a reset: %v", err)
	}
	ends(t, ended)
}

func TestAnEndInOrderIsOneAndTheOtherWayGoesOn(t *testing.T) {
	client, server, ended := joined(t)
	says(t, client, server, "request")
	server.CloseWrite()
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("not an end: %v", err)
	}
	says(t, client, server, "more")
	client.CloseWrite()
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("not an end: %v", err)
	}
	ends(t, ended)
}
