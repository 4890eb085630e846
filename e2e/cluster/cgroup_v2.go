package main

// Version 2: one hierarchy, in which a cgroup with controllers enabled for its
// children may hold no process itself (the kernel's "no internal processes"
// rule). Therefore a machine's processes move to the leaf /init of what the
// machine sees as its root, and the kubelet makes /kubepods beside it.
//
// Written from the kernel's Documentation/admin-guide/cgroup-v2.rst; not yet
// run on such a computer: see README.md.

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Controllers that the kubelet refuses to start without, or that runc writes.
var neededControllers = []string{"cpu", "cpuset", "io", "memory", "pids"}

type cgroupV2 struct{}

// base is where the supervisor's cgroup lies: the top of what this process
// sees. Its own cgroup would not do, as it is in there itself.
func (cgroupV2) base() string { return filepath.Join(cgroupRoot, supervisorCgroup()) }

func wordsOf(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	return strings.Fields(string(b)), err
}

func (cgroupV2) missing() (lacks []string) {
	have, err := wordsOf(filepath.Join(cgroupRoot, "cgroup.controllers"))
	if err != nil {
		return []string{err.Error()}
	}
	for _, name := range neededControllers {
		if !slices.Contains(have, name) {
			lacks = append(lacks, fmt.Sprintf("the cgroup v2 controller %q is not available in %s/cgroup.controllers "+
				"(switched off in the kernel, bound to a v1 hierarchy, or not delegated to this container)", name, cgroupRoot))
		}
	}
	// The real root may hold processes and controllers at once; that of a
	// container's cgroup namespace, which has a cgroup.type, may not.
	held, err := wordsOf(filepath.Join(cgroupRoot, "cgroup.procs"))
	if err == nil && len(held) > 0 && exists(cgroupRoot, "cgroup.type") {
		enabled, _ := wordsOf(filepath.Join(cgroupRoot, "cgroup.subtree_control"))
		if len(enabled) == 0 {
			lacks = append(lacks, fmt.Sprintf("%s is the root of a container's cgroup namespace and holds processes, so controllers cannot be enabled below it: "+
				"mkdir %[1]s/init && xargs -rn1 <%[1]s/cgroup.procs >%[1]s/init/cgroup.procs", cgroupRoot))
		}
	}
	return lacks
}

// enable passes the controllers on to the children of a cgroup.
func enable(cgroup string) error {
	for _, name := range neededControllers {
		file := filepath.Join(cgroup, "cgroup.subtree_control")
		if err := os.WriteFile(file, []byte("+"+name), 0o644); err != nil {
			return fmt.Errorf("enable the cgroup controller %q in %s: %w", name, cgroup, err)
		}
	}
	return nil
}

func (c cgroupV2) enter(machine string, pid int) error {
	if err := enable(cgroupRoot); err != nil {
		return err
	}
	if err := makeCgroup(c.base()); err != nil {
		return err
	}
	if err := enable(c.base()); err != nil {
		return err
	}
	dir := filepath.Join(c.base(), machine)
	if err := makeCgroup(dir); err != nil {
		return err
	}
	return writeProcess(dir, pid)
}

func (c cgroupV2) freeze(machine string, frozen bool) error {
	to := "0"
	if frozen {
		to = "1"
	}
	return os.WriteFile(filepath.Join(c.base(), machine, "cgroup.freeze"), []byte(to), 0o644)
}

func (c cgroupV2) tops(machine string) []string {
	return []string{filepath.Join(c.base(), machine)}
}

func (cgroupV2) mounter() func() error { return mountCgroupV2 }

func mountCgroupV2() error {
	if err := unix.Mount("cgroup2", cgroupRoot, "cgroup2", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("mount %s: %w", cgroupRoot, err)
	}
	leaf := filepath.Join(cgroupRoot, "init")
	if err := makeCgroup(leaf); err != nil {
		return err
	}
	if err := writeProcess(leaf, os.Getpid()); err != nil {
		return fmt.Errorf("move to %s: %w", leaf, err)
	}
	return enable(cgroupRoot)
}
