package main

// A "machine" (a node, or the control plane) is a set of fresh namespaces:
// network, mount, PID, UTS, IPC and cgroup. Its PID 1 is this binary, which
// starts the machine's services and starts them again when they end. Killing
// that PID 1 is a power failure: the kernel ends every process of the machine,
// and takes down its mounts and network with it.

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

type service struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
}

type machine struct {
	Name     string            `json:"name"`
	Dir      string            `json:"dir"`    // holds var/ and run/, mounted over the host's
	LogDir   string            `json:"logDir"` // one file per service
	Sysctls  map[string]string `json:"sysctls"`
	Services []service         `json:"services"`

	cmd  *exec.Cmd
	done chan struct{}
}

func (m *machine) pid() int {
	if m.cmd == nil {
		return 0
	}
	return m.cmd.Process.Pid
}

// boot starts the machine: wire is called when its namespaces exist and
// nothing runs in them yet.
func (m *machine) boot(wire func(pid int) error) error {
	// /run is lost at a power failure, /var is not.
	if err := os.RemoveAll(filepath.Join(m.Dir, "run")); err != nil {
		return err
	}
	for _, d := range []string{"run/lock", "var/lib", "var/log", "var/tmp", "var/cache"} {
		if err := os.MkdirAll(filepath.Join(m.Dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run", filepath.Join(m.Dir, "var/run")); err != nil && !os.IsExist(err) {
		return err
	}
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	boot := filepath.Join(m.Dir, "boot.json")
	if err := os.WriteFile(boot, b, 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(m.LogDir, 0o755); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	console, err := os.OpenFile(filepath.Join(m.LogDir, m.Name+"-console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer console.Close()
	cmd := exec.Command("/proc/self/exe", "ns-init", boot)
	cmd.Args[0] = "cluster"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL, // the machine never outlives the supervisor
		Setsid:     true,
	}
	started, done := make(chan error), make(chan struct{})
	go func() {
		// Pdeathsig is about the thread that forked, so keep that thread.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(done)
	}()
	if err := <-started; err != nil {
		return err
	}
	m.cmd, m.done = cmd, done
	if err := hostCgroups().enter(m.Name, m.pid()); err != nil {
		m.kill()
		return err
	}
	if err := wire(cmd.Process.Pid); err != nil {
		m.kill()
		return err
	}
	return nil // closing w lets ns-init go on
}

func (m *machine) kill() {
	if m.cmd != nil {
		m.cmd.Process.Kill()
		<-m.done
		m.cmd = nil
	}
}
