package main

// What a machine must have for the cluster. Everything that is missing is
// named, with its remedy, before anything starts.

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Programs that are run, and the Debian 12 packages they come in.
var programs = []struct{ name, debian string }{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"nft", "nftables"},
	{"iptables", "iptables"},
	{"nsenter", "util-linux"},
	{"mount", "mount"},
}

// Capabilities that this program, containerd, runc and the kubelet use, or give to pods.
var capabilities = map[string]int{
	"CAP_CHOWN": unix.CAP_CHOWN, "CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "CAP_FOWNER": unix.CAP_FOWNER,
	"CAP_FSETID": unix.CAP_FSETID, "CAP_KILL": unix.CAP_KILL, "CAP_SETGID": unix.CAP_SETGID, "CAP_SETUID": unix.CAP_SETUID,
	"CAP_SETPCAP": unix.CAP_SETPCAP, "CAP_NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN,
	"CAP_NET_RAW": unix.CAP_NET_RAW, "CAP_SYS_CHROOT": unix.CAP_SYS_CHROOT, "CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE,
	"CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_MKNOD": unix.CAP_MKNOD, "CAP_AUDIT_WRITE": unix.CAP_AUDIT_WRITE,
	"CAP_SETFCAP": unix.CAP_SETFCAP,
}

func commandCheck(args []string) {
	fs := flag.NewFlagSet("check", flag.ExitOnError)
	dir := fs.String("dir", os.TempDir(), "where the cluster's directory would be")
	fs.Parse(args)
	lacks := missing(*dir)
	for _, l := range lacks {
		fmt.Println(l)
	}
	if len(lacks) > 0 {
		os.Exit(1)
	}
}

// missing names all that this machine lacks; dir is an existing directory.
func missing(dir string) (lacks []string) {
	if os.Getuid() != 0 {
		lacks = append(lacks, "root is needed: namespaces, mounts and cgroups are made")
	}
	lacks = append(lacks, missingCapabilities()...)
	lacks = append(lacks, hostCgroups().missing()...)
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			lacks = append(lacks, fmt.Sprintf("%s is not in PATH: apt-get install %s", p.name, p.debian))
		}
	}
	for _, plugin := range []string{"ptp", "host-local", "portmap", "loopback"} {
		if !exists(cniBin(), plugin) {
			lacks = append(lacks, fmt.Sprintf("the network plugin %s is in none of %s: apt-get install containernetworking-plugins", plugin, strings.Join(cniDirectories, ", ")))
		}
	}
	if b, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(b), "\toverlay\n") {
		lacks = append(lacks, "the kernel has no overlay file system: modprobe overlay")
	}
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		lacks = append(lacks, dir+" lies on an overlay file system, on which containerd cannot make another: choose a directory on a disk or a volume")
	}
	if len(lacks) == 0 {
		lacks = missingNetwork()
	}
	return lacks
}

func missingCapabilities() (lacks []string) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return []string{err.Error()}
	}
	for line := range strings.Lines(string(b)) {
		hex, ok := strings.CutPrefix(line, "CapEff:")
		if !ok {
			continue
		}
		effective, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		check(err)
		for name, bit := range capabilities {
			if effective&(1<<bit) == 0 {
				lacks = append(lacks, "the capability "+name+" is missing (in a container: run it privileged)")
			}
		}
	}
	return lacks
}

// missingNetwork tries the kernel's parts in network and mount namespaces that
// go away with the process.
func missingNetwork() []string {
	cmd := exec.Command("/proc/self/exe", "probe-network")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWCGROUP}
	out, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(out)); text != "" {
		return strings.Split(text, "\n")
	}
	if err != nil {
		return []string{"namespaces (network, mount, PID, UTS, IPC, cgroup) cannot be made: " + err.Error()}
	}
	return nil
}

// probeNetwork runs in the new namespaces and prints what fails there.
func probeNetwork() {
	runtime.LockOSThread()
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "probe0"}}); err != nil {
		fmt.Printf("the kernel makes no bridge (modprobe bridge): %v\n", err)
	}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "probe1"}, PeerName: "probe2"}); err != nil {
		fmt.Printf("the kernel makes no veth pair (modprobe veth): %v\n", err)
	}
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(`table ip probe {
	chain postrouting {
		type nat hook postrouting priority 100
		fib daddr type local ct state new masquerade
	}
	chain prerouting {
		type nat hook prerouting priority -100
		tcp dport 1 dnat to numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }
	}
	chain input {
		type filter hook input priority 0
		tcp dport 1 reject
	}
}
`)
	if out, err := nft.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(string(out), "\n")
		fmt.Printf("the kernel lacks a part of nf_tables (nat, masquerade, numgen, fib, reject or ct): %v: %s\n", err, first)
	}
}

var cniDirectories = []string{"/usr/lib/cni", "/opt/cni/bin"}

// cniBin is the directory of the network plugins.
func cniBin() string {
	for _, d := range cniDirectories {
		if exists(d, "ptp") {
			return d
		}
	}
	return filepath.Clean(cniDirectories[0])
}
