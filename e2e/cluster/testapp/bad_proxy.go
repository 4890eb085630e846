package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Where the chart mounts the certificates of the proxies' Admin API.
const admin = "/etc/silverback/admin/"

// What is read of a configuration by who stops in the middle of it, and for how long it keeps the connection then: longer
// than anybody waits.
const (
	beginning = 4 << 10
	patience  = 10 * time.Minute
)

// badProxy is a proxy that a controller can't be happy with. WAY is what is bad about it:
//
//	foreign   its certificate is its own
//	absent    nothing listens
//	hangs     connections are taken, and nothing is said
//	silent    the same after the TLS handshake
//	half      answers begin, and do not end
//	nonsense  what it says is no HTTP
//	page      it is a web server, with a page for everything
//	error     500 to everything
//	refuses   configurations: 400, and the first route is at fault
//	fails     500 to each configuration
//	body      the beginning of a configuration is read, and no more of it; to all else there is an answer
//	stalls    no answer to a configuration, to all else there is
//	late      one configuration can be held, and is loaded whenever it is let go (late.go)
func badProxy(way string) {
	if way == "absent" {
		time.Sleep(24 * time.Hour)
	}
	listener, err := adminListener(":8444", way)
	fail(err)
	if way == "hangs" {
		for {
			c, err := listener.Accept()
			fail(err)
			go io.Copy(io.Discard, c)
		}
	}
	listener = tls.NewListener(listener, adminTLS(way == "foreign"))
	said := map[string]string{
		"silent":   "",
		"half":     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"nonsense": "220 this is no web server\r\n",
		"page":     "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<html>welcome</html>",
		"error":    "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\nContent-Length: 19\r\n\r\n<html>broken</html>",
	}
	if words, ok := said[way]; ok {
		for {
			c, err := listener.Accept()
			fail(err)
			go func() {
				defer c.Close()
				c.Read(make([]byte, 4096))
				c.Write([]byte(words))
				if way != "nonsense" {
					io.Copy(io.Discard, c) // until the other side has had enough
				}
			}()
		}
	}
	if way == "late" {
		late(listener)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, map[string]any{
			"version": "3.9.1", "tagline": "Welcome to kong", "hostname": "bad", "node_id": "4c2c0a64-3d2b-4e43-9d4f-0d9c7f6f8a01",
			"configuration": map[string]any{"database": "off", "router_flavor": "traditional_compatible"},
			"plugins":       map[string]any{"available_on_server": map[string]any{}},
		})
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, map[string]any{"configuration_hash": strings.Repeat("0", 32), "server": map[string]any{"total_requests": 1}})
	})
	mux.HandleFunc("POST /config", func(w http.ResponseWriter, r *http.Request) {
		if way == "body" {
			stopReading(w, r)
			return
		}
		var config struct {
			Services []struct {
				Routes []struct {
					Name string
					Tags []string
				}
			}
		}
		json.NewDecoder(r.Body).Decode(&config)
		switch way {
		case "stalls":
			<-r.Context().Done()
		case "fails":
			answer(w, 500, map[string]any{"message": "An unexpected error occurred"})
		default:
			flattened := []any{}
			for _, service := range config.Services {
				for _, route := range service.Routes {
					flattened = append(flattened, map[string]any{
						"entity_type": "route", "entity_name": route.Name, "entity_tags": route.Tags,
						"errors": []any{map[string]any{"type": "field", "field": "paths.1", "message": "should start with: /"}},
					})
				}
			}
			answer(w, 400, map[string]any{
				"code": 14, "name": "invalid declarative configuration", "message": "declarative config is invalid: {}",
				"fields": map[string]any{}, "flattened_errors": flattened,
			})
		}
	})
	fail((&http.Server{Handler: mux}).Serve(listener))
}

// adminListener takes connections. Where nobody reads on, the kernel shall not do it instead: it keeps little that was not asked for.
func adminListener(address, way string) (net.Listener, error) {
	var config net.ListenConfig
	if way == "body" {
		config.Control = func(_, _ string, c syscall.RawConn) error {
			var failed error
			err := c.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
			})
			if err != nil {
				return err
			}
			return failed
		}
	}
	return config.Listen(context.Background(), "tcp", address)
}

// stopReading reads the beginning of a body, and then neither reads nor answers. The server would read what is left when the
// handler returns: the connection is taken from it.
func stopReading(w http.ResponseWriter, r *http.Request) {
	n, err := io.ReadFull(r.Body, make([]byte, beginning))
	connection, _, hijackError := w.(http.Hijacker).Hijack()
	fail(hijackError)
	defer connection.Close()
	if err == nil {
		fmt.Println("has read", n, "bytes of", r.ContentLength, "of a configuration, and reads no more")
	}
	time.Sleep(patience)
}

// answer is one of Kong's.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Server", "kong/3.9.1")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	text, err := json.Marshal(body)
	fail(err)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text)
}

// adminTLS wants certificates of the controller, and shows that of the proxies, or one that nobody trusts.
func adminTLS(foreign bool) *tls.Config {
	ca, err := os.ReadFile(admin + "ca.crt")
	fail(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(admin+"tls.crt", admin+"tls.key")
	fail(err)
	if foreign {
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		fail(err)
		pair = selfSigned(leaf.DNSNames...)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

// selfSigned is a certificate for these names that vouches for itself.
func selfSigned(names ...string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	t := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	fail(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
