// bare-client sends the same bytes to all stub proxies of the benchmark over
// connections that it keeps, and does nothing else: what a plain HTTP client
// needs for a change. It is in Go, as the client is that the goals were set by
// (and as Kong Ingress Controller is); the benchmark has one in Rust, too.
//
// It prints the median time of a round and the CPU time of one as a line of
// JSON, both in milliseconds. Called by the program bench.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	directory := flag.String("directory", ".", "the directory with the certificates")
	file := flag.String("body", "", "the file with the bytes to send")
	name := flag.String("server-name", "", "the name that the stubs' certificate bears")
	rounds := flag.Int("rounds", 10, "how many times, beside once to warm up")
	flag.Parse()
	body, err := os.ReadFile(*file)
	check(err)
	client, err := newClient(*directory, *name)
	check(err)

	var times []time.Duration
	var cpu time.Duration
	for round := range *rounds + 1 {
		if round == 1 {
			cpu = used()
		}
		began := time.Now()
		check(send(client, body, flag.Args()))
		if round > 0 {
			times = append(times, time.Since(began))
		}
	}
	cpu = used() - cpu
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	check(json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"milliseconds":     milliseconds(times[len(times)/2]),
		"cpu_milliseconds": milliseconds(cpu) / float64(*rounds),
	}))
}

func newClient(directory, name string) (*http.Client, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(directory, "client.crt"), filepath.Join(directory, "client.key"))
	if err != nil {
		return nil, err
	}
	authorities, err := os.ReadFile(filepath.Join(directory, "proxies-ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("no certificate in proxies-ca.crt")
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: name},
	}}, nil
}

// send gives the bytes to all at the same time, and waits for every answer.
func send(client *http.Client, body []byte, to []string) error {
	outcomes := make(chan error, len(to))
	for _, address := range to {
		go func() { outcomes <- post(client, body, "https://"+address+"/config?check_hash=1") }()
	}
	for range to {
		if err := <-outcomes; err != nil {
			return err
		}
	}
	return nil
}

func post(client *http.Client, body []byte, url string) error {
	answer, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusCreated && answer.StatusCode != http.StatusNotModified {
		return fmt.Errorf("a stub answered %s", answer.Status)
	}
	return nil
}

// used is the process's CPU time so far, in user and kernel mode.
func used() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
