package main

// A machine's PID 1: first it makes the namespaces fit for use, then it starts
// the machine's services, starts them again when they end, and reaps.

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// nsInit runs as PID 1 of the new namespaces, before they are fit for use.
func nsInit(boot string) {
	runtime.LockOSThread()
	// Wait until the supervisor has made the network and closed the pipe.
	buf := make([]byte, 1)
	os.NewFile(3, "go").Read(buf)

	var m machine
	b, err := os.ReadFile(boot)
	check(err)
	check(json.Unmarshal(b, &m))

	mountCgroups := hostCgroups().mounter()
	must := func(what string, err error) {
		if err != nil {
			fatal("%s: %v", what, err)
		}
	}
	must("unshare cgroup", unix.Unshare(unix.CLONE_NEWCGROUP))
	// Nothing that is mounted here is seen outside, and mounts propagate inside.
	must("make / private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must("make / shared", unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""))
	must("mount /proc", unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, ""))
	must("mount /sys", unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, ""))
	must("cgroups", mountCgroups())
	for _, d := range []string{"run", "var"} {
		must("bind /"+d, unix.Mount(filepath.Join(m.Dir, d), "/"+d, "", unix.MS_BIND|unix.MS_REC, ""))
	}
	must("hostname", unix.Sethostname([]byte(m.Name)))
	for k, v := range m.Sysctls {
		if err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(k, ".", "/"), []byte(v), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "sysctl", k, err)
		}
	}
	// The kubelet demands these settings and would write them, but they are the
	// whole computer's, not a namespace's: show it files that already say so.
	for k, v := range map[string]string{"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000"} {
		file, shown := filepath.Join(m.Dir, "sysctl-"+strings.ReplaceAll(k, "/", "-")), filepath.Join("/proc/sys", k)
		must("write", os.WriteFile(file, []byte(v+"\n"), 0o444))
		must("bind "+shown, unix.Mount(file, shown, "", unix.MS_BIND, ""))
		must("read-only "+shown, unix.Mount("", shown, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	}
	// Only this thread is in the new cgroup namespace: go on as a new program.
	must("exec", unix.Exec("/proc/self/exe", []string{"cluster", "ns-run", boot}, os.Environ()))
}

// nsRun is the machine's init: it starts the services, starts those that end
// again after a second, and reaps.
func nsRun(boot string) {
	var m machine
	b, err := os.ReadFile(boot)
	check(err)
	check(json.Unmarshal(b, &m))
	running := map[int]service{}
	start := func(s service) {
		path, err := exec.LookPath(s.Argv[0])
		if s.Argv[0] == "cluster" {
			path, err = "/proc/self/exe", nil
		}
		check(err)
		log, err := os.OpenFile(filepath.Join(m.LogDir, m.Name+"-"+s.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		check(err)
		defer log.Close()
		null, err := os.Open(os.DevNull)
		check(err)
		defer null.Close()
		p, err := os.StartProcess(path, s.Argv, &os.ProcAttr{Env: os.Environ(), Dir: "/", Files: []*os.File{null, log, log}, Sys: &syscall.SysProcAttr{Setsid: true}})
		check(err)
		running[p.Pid] = s
		fmt.Println(time.Now().Format(time.RFC3339Nano), "started", s.Name, p.Pid)
		p.Release()
	}
	for _, s := range m.Services {
		start(s)
	}
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		if err == unix.EINTR {
			continue
		}
		check(err)
		if s, ok := running[pid]; ok {
			delete(running, pid)
			fmt.Println(time.Now().Format(time.RFC3339Nano), "ended", s.Name, pid, "status", ws.ExitStatus(), "signal", ws.Signal())
			time.Sleep(time.Second)
			start(s)
		}
	}
}
