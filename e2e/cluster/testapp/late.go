package main

import (
	"crypto/md5"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

var numbered = regexp.MustCompile(`"message":"(\d+)"`)

type load struct {
	Number      int   `json:"number"`
	Millisecond int64 `json:"millisecond"`
}

// late is a Kong that loads what comes, whoever leads. On port 8000 it tells the number of each configuration that it
// has loaded, and is told to hold the next one (/hold) and to load that after all (/release).
func late(admin net.Listener) {
	var mu sync.Mutex
	var wanted, held bool
	release := make(chan struct{}, 1)
	hash := strings.Repeat("0", 32)
	loads := []load{}

	control := http.NewServeMux()
	control.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		answer(w, 200, map[string]any{"held": held, "loads": loads})
	})
	control.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		wanted = true
	})
	control.HandleFunc("/release", func(w http.ResponseWriter, r *http.Request) { release <- struct{}{} })
	go func() { fail(http.ListenAndServe(":8000", control)) }()

	kong := http.NewServeMux()
	kong.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, map[string]any{
			"version": "3.9.1", "tagline": "Welcome to kong", "hostname": "late", "node_id": "4c2c0a64-3d2b-4e43-9d4f-0d9c7f6f8a02",
			"configuration": map[string]any{"database": "off", "router_flavor": "traditional_compatible"},
		})
	})
	kong.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		answer(w, 200, map[string]any{"configuration_hash": hash, "server": map[string]any{"total_requests": 1}})
	})
	kong.HandleFunc("POST /config", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		number := 0
		if found := numbered.FindSubmatch(body); found != nil {
			number, _ = strconv.Atoi(string(found[1]))
		}
		mu.Lock()
		defer mu.Unlock()
		if wanted && number > 0 {
			wanted, held = false, true
			mu.Unlock()
			<-release // whatever becomes of its sender
			mu.Lock()
			held = false
		}
		hash = fmt.Sprintf("%x", md5.Sum(body))
		loads = append(loads, load{number, time.Now().UnixMilli()})
		answer(w, 201, map[string]any{})
	})
	fail((&http.Server{Handler: kong}).Serve(admin))
}
