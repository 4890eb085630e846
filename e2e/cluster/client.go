package main

// The commands that speak to a cluster that is up: down, status, load, node,
// exec, forward, backends.

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func commandClient(name string, args []string) {
	fs := flag.NewFlagSet(name, flag.ExitOnError)
	dirFlag := fs.String("dir", "", "cluster directory")
	from := fs.String("from", "node1", "forward: the node to connect from")
	fs.Parse(args)
	if *dirFlag == "" {
		fatal("--dir is needed")
	}
	dir, err := filepath.Abs(*dirFlag)
	check(err)
	rest := fs.Args()
	switch name {
	case "down":
		down(dir)
	case "status":
		readState(dir)
		fmt.Println(control(dir, "GET", "/status"))
	case "load":
		load(dir, rest)
	case "node":
		if len(rest) != 2 {
			fatal("want NODE ACTION")
		}
		fmt.Print(control(dir, "POST", "/node/"+rest[0]+"/"+rest[1]))
	case "exec":
		execIn(dir, rest)
	case "forward":
		if len(rest) != 2 {
			fatal("want LISTEN TARGET")
		}
		pid, err := readState(dir).machine(*from)
		check(err)
		l, err := listenLoopback(rest[0])
		check(err)
		fmt.Println(l.Addr())
		forward(l, pid, rest[1])
	case "backends":
		if len(rest) != 1 {
			fatal("want NODE")
		}
		pid, err := readState(dir).machine(rest[0])
		check(err)
		check(backends(pid))
	}
}

func load(dir string, tars []string) {
	var wg sync.WaitGroup
	for node, pid := range readState(dir).Nodes {
		if pid == 0 {
			continue
		}
		wg.Go(func() {
			for _, tar := range tars {
				check(importImage(dir, node, tar))
			}
		})
	}
	wg.Wait()
}

func execIn(dir string, words []string) {
	if len(words) > 1 && words[1] == "--" {
		words = append(words[:1:1], words[2:]...)
	}
	if len(words) < 2 {
		fatal("want NODE -- CMD")
	}
	pid, err := readState(dir).machine(words[0])
	check(err)
	nsenter, err := exec.LookPath("nsenter")
	check(err)
	argv := []string{"nsenter", "-t", strconv.Itoa(pid), "-n", "-m", "-p", "-u", "-i", "-C", "--"}
	check(syscall.Exec(nsenter, append(argv, words[1:]...), os.Environ()))
}

func down(dir string) {
	s := readState(dir)
	if !s.alive() {
		s.clear(dir)
		return
	}
	fmt.Print(control(dir, "POST", "/shutdown"))
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !exists(dir, "state.json") {
			return
		}
	}
	fatal("the supervisor did not end; see %s/logs/supervisor.log", dir)
}

// control makes one request to the supervisor.
func control(dir, method, path string) string {
	c := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(dir, "control.sock"))
	}}}
	req, err := http.NewRequest(method, "http://cluster"+path, nil)
	check(err)
	resp, err := c.Do(req)
	check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(err)
	if resp.StatusCode != http.StatusOK {
		fatal("%s", b)
	}
	return string(b)
}
