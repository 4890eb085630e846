package main

// `cluster up`: starts a supervisor in the background and waits until its
// cluster is whole. With the same options it does nothing when that is so
// already.

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"time"
)

type options struct {
	Dir     string              `json:"dir"`
	Nodes   int                 `json:"nodes"`
	APIPort int                 `json:"apiPort"`
	Images  []string            `json:"images"`
	Args    map[string][]string `json:"args"` // further flags for a component
	Binary  string              `json:"binary"`
	Replace bool                `json:"-"` // take a cluster with other options down first
	Timeout time.Duration       `json:"-"`
}

func parseOptions(args []string) options {
	o := options{Args: map[string][]string{}}
	fs := flag.NewFlagSet("up", flag.ExitOnError)
	fs.StringVar(&o.Dir, "dir", "", "directory for everything that the cluster writes (on a file system that overlayfs can use)")
	fs.IntVar(&o.Nodes, "nodes", 1, "number of nodes")
	fs.IntVar(&o.APIPort, "api-port", 0, "port on 127.0.0.1 for the API server (0: any free one)")
	fs.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "how long to wait for the cluster")
	fs.BoolVar(&o.Replace, "replace", false, "take down what is there if it is not the very cluster that is asked for, or not well")
	fs.Func("image", "image tar to import into every node (repeatable)", func(s string) error {
		p, err := filepath.Abs(s)
		o.Images = append(o.Images, p)
		return err
	})
	fs.Func("arg", "COMPONENT=FLAG, e.g. kcm=--v=4 (repeatable)", func(s string) error {
		c, f, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("want COMPONENT=FLAG")
		}
		o.Args[c] = append(o.Args[c], f)
		return nil
	})
	fs.Parse(args)
	if o.Dir == "" {
		fatal("--dir is needed")
	}
	if o.Nodes < 1 || o.Nodes > maxNodes {
		fatal("--nodes must be from 1 to %d", maxNodes)
	}
	var err error
	o.Dir, err = filepath.Abs(o.Dir)
	check(err)
	o.Binary, err = os.Executable()
	check(err)
	for _, hidden := range []string{"/var/", "/run/", "/proc/", "/sys/"} {
		if strings.HasPrefix(o.Dir+"/", hidden) {
			fatal("--dir must not lie below %s, which each machine has for itself", hidden)
		}
		if strings.HasPrefix(o.Binary, hidden) {
			fatal("this program lies in %s, which each machine has for itself: put it elsewhere", hidden)
		}
	}
	if len(o.Dir) > 60 {
		fatal("--dir is too long for the unix sockets below it")
	}
	return o
}

func commandUp(args []string) {
	o := parseOptions(args)
	if exists(o.Dir, "state.json") && upAlready(o) {
		return
	}
	check(os.MkdirAll(filepath.Join(o.Dir, "logs"), 0o755))
	if lacks := missing(o.Dir); len(lacks) > 0 {
		fatal("this machine cannot run the cluster; nothing was started:\n  - %s", strings.Join(lacks, "\n  - "))
	}
	// Each cluster begins empty: with new certificates nothing that is left of an earlier one would work.
	for _, d := range []string{"control", "nodes", "pki", "images", "ready"} {
		check(os.RemoveAll(filepath.Join(o.Dir, d)))
	}
	b, err := json.Marshal(o)
	check(err)
	check(os.WriteFile(filepath.Join(o.Dir, "options.json"), b, 0o644))
	logPath := filepath.Join(o.Dir, "logs/supervisor.log")
	log, err := os.Create(logPath)
	check(err)
	cmd := exec.Command(o.Binary, "supervise", o.Dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(cmd.Start())
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	deadline := time.After(o.Timeout)
	end := func(why string) {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		fatal("%s; see %s/logs", why, o.Dir)
	}
	for {
		select {
		case <-ended:
			b, _ := os.ReadFile(logPath)
			fatal("the supervisor ended:\n%s", b)
		case <-deadline:
			end("not ready in time")
		case <-interrupt.Done():
			end("interrupted")
		case <-time.After(50 * time.Millisecond):
			if b, err := os.ReadFile(filepath.Join(o.Dir, "ready")); err == nil {
				os.Stdout.Write(b)
				return
			}
		}
	}
}

// upAlready tells whether the cluster that o asks for is up, and prints what
// its start printed. What is there and is not that cluster ends this program,
// or is taken down (--replace).
func upAlready(o options) bool {
	s := readState(o.Dir)
	if !s.alive() {
		s.clear(o.Dir)
		return false
	}
	var running options
	b, err := os.ReadFile(filepath.Join(o.Dir, "options.json"))
	check(err)
	check(json.Unmarshal(b, &running))
	running.Timeout, running.Replace = o.Timeout, o.Replace
	ready, notReady := os.ReadFile(filepath.Join(o.Dir, "ready"))
	var why string
	switch {
	case !reflect.DeepEqual(o, running):
		why = "has other options or is of another build"
	case notReady != nil:
		why = "is still starting or failed to"
	case !answers(o.Dir, s.API):
		why = "runs, but its API server does not answer"
	default:
		os.Stdout.Write(ready)
		return true
	}
	if !o.Replace {
		fatal("the cluster in %s %s: see %[1]s/logs, or cluster down --dir %[1]s", o.Dir, why)
	}
	fmt.Printf("the cluster in %s %s: taking it down\n", o.Dir, why)
	down(o.Dir)
	return false
}

func answers(dir, api string) bool {
	resp, err := apiClient(filepath.Join(dir, "pki/ca.crt")).Get(api + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
