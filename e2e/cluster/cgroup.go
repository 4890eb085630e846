package main

// The cgroups that the machines live in: cluster-PID/MACHINE. A machine sees
// its cgroup as the root. Version 1 has one hierarchy per controller, version 2
// (cgroup_v2.go) one for all.

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroups is what differs between the two versions.
type cgroups interface {
	// missing names what the kubelet and runc need and is not there.
	missing() []string
	// enter makes the machine's cgroup and puts the process pid into it.
	enter(machine string, pid int) error
	// freeze stops every process of the machine, or lets them go on.
	freeze(machine string, frozen bool) error
	// tops lists the cgroups of this supervisor, or one of its machines'.
	tops(machine string) []string
	// mounter is called while the host's /sys is seen still; what it returns
	// mounts the hierarchies at cgroupRoot, in fresh mount and cgroup namespaces.
	mounter() func() error
}

func hostCgroups() cgroups {
	var fs unix.Statfs_t
	if unix.Statfs(cgroupRoot, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
		return cgroupV2{}
	}
	return cgroupV1{}
}

// supervisorCgroup is the name of the cgroup that holds all the machines' of
// this supervisor.
func supervisorCgroup() string { return "cluster-" + strconv.Itoa(os.Getpid()) }

// ownCgroups gives /proc/self/cgroup: the path by the controllers' list, which
// is "" for version 2 and "name=..." for a hierarchy without controllers.
func ownCgroups() (map[string]string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 {
			paths[f[1]] = f[2]
		}
	}
	return paths, nil
}

// removeCgroups takes away cgroups, which no process is in any more, and all below them.
func removeCgroups(tops []string) {
	for _, top := range tops {
		var all []string
		filepath.WalkDir(top, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, p)
			}
			return nil
		})
		for i := len(all) - 1; i >= 0; i-- {
			// A process that was just killed leaves its cgroup a little later.
			for try := 0; try < 50 && os.Remove(all[i]) != nil; try++ {
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
}

func writeProcess(cgroup string, pid int) error {
	return os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
}

func makeCgroup(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	return nil
}

// ---- version 1

type cgroupV1 struct{}

// hierarchies lists where each mounted version 1 hierarchy is, and which
// cgroup of it this process is in, by its controllers' list.
func (cgroupV1) hierarchies() (map[string]string, error) {
	own, err := ownCgroups()
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	for controllers, path := range own {
		mount := filepath.Join(cgroupRoot, strings.TrimPrefix(controllers, "name="))
		if controllers == "" || !exists(mount, "cgroup.procs") {
			continue
		}
		dirs[controllers] = filepath.Join(mount, path)
	}
	return dirs, nil
}

func (c cgroupV1) missing() (lacks []string) {
	dirs, err := c.hierarchies()
	if err != nil {
		return []string{err.Error()}
	}
	mounted := map[string]bool{}
	for controllers := range dirs {
		for name := range strings.SplitSeq(controllers, ",") {
			mounted[name] = true
		}
	}
	for _, name := range []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids", "blkio"} {
		if !mounted[name] {
			at := filepath.Join(cgroupRoot, name)
			lacks = append(lacks, fmt.Sprintf("the cgroup v1 hierarchy %q is not mounted at %s: mkdir -p %s && mount -t cgroup -o %s cgroup %s "+
				"(or boot with cgroup v2 mounted at %s)", name, at, at, name, at, cgroupRoot))
		}
	}
	return lacks
}

func (c cgroupV1) enter(machine string, pid int) error {
	dirs, err := c.hierarchies()
	if err != nil {
		return err
	}
	for controllers, dir := range dirs {
		for _, part := range []string{supervisorCgroup(), machine} {
			parent := dir
			dir = filepath.Join(dir, part)
			if err := makeCgroup(dir); err != nil {
				return err
			}
			if !strings.Contains(controllers, "cpuset") {
				continue
			}
			for _, f := range []string{"cpuset.cpus", "cpuset.mems"} { // empty in a new cgroup
				b, err := os.ReadFile(filepath.Join(parent, f))
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, f), b, 0o644)
				}
				if err != nil {
					return err
				}
			}
		}
		if err := writeProcess(dir, pid); err != nil {
			return err
		}
	}
	return nil
}

func (c cgroupV1) freeze(machine string, frozen bool) error {
	dirs, err := c.hierarchies()
	if err != nil {
		return err
	}
	to := "THAWED"
	if frozen {
		to = "FROZEN"
	}
	return os.WriteFile(filepath.Join(dirs["freezer"], supervisorCgroup(), machine, "freezer.state"), []byte(to), 0o644)
}

func (c cgroupV1) tops(machine string) (tops []string) {
	dirs, err := c.hierarchies()
	if err != nil {
		return nil
	}
	for _, dir := range dirs {
		tops = append(tops, filepath.Join(dir, supervisorCgroup(), machine))
	}
	return tops
}

func (c cgroupV1) mounter() func() error {
	dirs, err := c.hierarchies()
	return func() error {
		if err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", cgroupRoot, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", cgroupRoot, err)
		}
		for controllers := range dirs {
			at := filepath.Join(cgroupRoot, strings.TrimPrefix(controllers, "name="))
			if err := os.Mkdir(at, 0o755); err != nil {
				return err
			}
			option := controllers
			if strings.HasPrefix(controllers, "name=") {
				option = "none," + controllers
			}
			if err := unix.Mount("cgroup", at, "cgroup", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, option); err != nil {
				return fmt.Errorf("mount cgroup %s: %w", controllers, err)
			}
		}
		return nil
	}
}
