package main

// What the supervisor tells other commands through files in the cluster's
// directory: options.json, state.json, and `ready` once all of it is up.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// state is DIR/state.json: what is running.
type state struct {
	Supervisor int            `json:"supervisor"`
	Control    int            `json:"control"` // pid of the control plane's init
	Nodes      map[string]int `json:"nodes"`   // pid of each node's init, 0 when powered off
	API        string         `json:"api"`
	Cgroups    []string       `json:"cgroups"`
}

func readState(dir string) state {
	var s state
	b, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if os.IsNotExist(err) {
		fatal("no cluster runs in %s: cluster up --dir %s", dir, dir)
	}
	check(err)
	check(json.Unmarshal(b, &s))
	return s
}

// machine gives the pid of the init of a node, or of the control plane.
func (s state) machine(name string) (int, error) {
	if name == "control" {
		return s.Control, nil
	}
	pid, ok := s.Nodes[name]
	if !ok {
		return 0, fmt.Errorf("no node %q", name)
	}
	if pid == 0 {
		return 0, fmt.Errorf("%s is powered off", name)
	}
	return pid, nil
}

// alive tells whether the supervisor that wrote this state still runs.
func (s state) alive() bool { return syscall.Kill(s.Supervisor, 0) == nil }

// clear removes what a supervisor left behind that was killed: the kernel has
// ended its machines, but not their cgroups and these files.
func (s state) clear(dir string) {
	removeCgroups(s.Cgroups)
	removeStateFiles(dir)
}

func removeStateFiles(dir string) {
	for _, f := range []string{"ready", "control.sock", "state.json"} {
		os.Remove(filepath.Join(dir, f))
	}
}

func exists(path ...string) bool {
	_, err := os.Stat(filepath.Join(path...))
	return err == nil
}
