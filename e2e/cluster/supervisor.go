package main

// The supervisor: makes the control plane and the nodes, lets the host's
// loopback reach the API server, and answers other commands on a unix socket.
// It runs until `cluster down`; when it dies, the kernel ends its machines.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

//go:embed manifests
var manifests embed.FS

// manifest gives a file of manifests/ with each ${NAME} replaced.
func manifest(file string, values map[string]string) string {
	b, err := manifests.ReadFile("manifests/" + file)
	check(err)
	return os.Expand(string(b), func(name string) string {
		v, ok := values[name]
		if !ok {
			fatal("manifests/%s: no value for ${%s}", file, name)
		}
		return v
	})
}

type supervisor struct {
	options
	mu       sync.Mutex
	pki      *pki
	control  *machine
	nodes    map[string]*machine
	api      string
	started  time.Time
	phases   []string
	shutdown chan struct{}
}

func (s *supervisor) path(p ...string) string { return filepath.Join(append([]string{s.Dir}, p...)...) }

func (s *supervisor) phase(name string) {
	line := fmt.Sprintf("%-28s %6.2fs", name, time.Since(s.started).Seconds())
	fmt.Println(line)
	s.mu.Lock()
	s.phases = append(s.phases, line)
	s.mu.Unlock()
}

func supervise(dir string) {
	s := &supervisor{nodes: map[string]*machine{}, started: time.Now(), shutdown: make(chan struct{})}
	b, err := os.ReadFile(filepath.Join(dir, "options.json"))
	check(err)
	check(json.Unmarshal(b, &s.options))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		if err := s.up(); err != nil {
			fmt.Println("up:", err)
			stop()
		}
	}()
	select {
	case <-ctx.Done():
	case <-s.shutdown:
	}
	s.mu.Lock()
	for _, m := range s.nodes {
		m.kill()
	}
	if s.control != nil {
		s.control.kill()
	}
	removeCgroups(hostCgroups().tops(""))
	removeStateFiles(s.Dir)
}

func (s *supervisor) up() error {
	images, err := s.ownImages()
	if err != nil {
		return err
	}
	s.pki = newPKI(s.path("pki"))
	// No nameserver: nothing outside the cluster is ever asked.
	if err := os.WriteFile(s.path("resolv.conf"), []byte("# cluster DNS only\n"), 0o644); err != nil {
		return err
	}
	s.phase("certificates and images")

	s.mu.Lock()
	s.control = s.controlMachine()
	err = s.control.boot(s.wireControl)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	l, err := listenLoopback(fmt.Sprintf("127.0.0.1:%d", s.APIPort))
	if err != nil {
		return err
	}
	s.api = "https://" + l.Addr().String()
	go forward(l, s.control.pid(), controlIP+":6443")
	s.pki.kubeconfig(s.path("kubeconfig"), s.api, "admin", "admin", "system:masters")

	for i := 1; i <= s.Nodes; i++ {
		if err := s.startNode(nodeName(i)); err != nil {
			return err
		}
	}
	if err := s.serveControl(); err != nil {
		return err
	}
	s.saveState()
	s.phase("machines booted")

	if err := s.waitAPI(); err != nil {
		return err
	}
	s.phase("API server ready")
	if err := s.importImages(images); err != nil {
		return err
	}
	s.phase("images imported")
	coredns := manifest("coredns.yaml", map[string]string{
		"DNS_IP": dnsServiceIP, "DOMAIN": clusterDomain, "IMAGE": corednsImage, "REPLICAS": strconv.Itoa(min(s.Nodes, 2))})
	if err := s.kubectl(coredns, "apply", "-f", "-"); err != nil {
		return err
	}
	for i := 1; i <= s.Nodes; i++ { // the Node objects may not exist yet
		if err := s.kubectl("", "wait", "--for=create", "node/"+nodeName(i), "--timeout=120s"); err != nil {
			return err
		}
	}
	if err := s.kubectl("", "wait", "--for=condition=Ready", "node", "--all", "--timeout=120s"); err != nil {
		return err
	}
	s.phase("nodes ready")
	if err := s.kubectl("", "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s"); err != nil {
		return err
	}
	s.phase("CoreDNS ready")
	tmp := s.path("ready.tmp")
	if err := os.WriteFile(tmp, []byte(strings.Join(s.phases, "\n")+"\nKUBECONFIG="+s.path("kubeconfig")+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, s.path("ready"))
}

// ownImages builds the images that every node needs, from the binaries next to
// this one, and lists them and those that were asked for.
func (s *supervisor) ownImages() ([]string, error) {
	if err := os.MkdirAll(s.path("images"), 0o755); err != nil {
		return nil, err
	}
	var images []string
	for _, image := range [][2]string{{"pause", pauseImage}, {"coredns", corednsImage}} {
		name, out := image[0], s.path("images", image[0]+".tar")
		spec := imageSpec{Name: image[1], Files: map[string]string{"/" + name: filepath.Join(filepath.Dir(s.Binary), name)}, Entrypoint: []string{"/" + name}}
		if err := buildImage(spec, out); err != nil {
			return nil, err
		}
		images = append(images, out)
	}
	debug.FreeOSMemory() // the layers were held in memory
	return append(images, s.Images...), nil
}

func (s *supervisor) importImages(images []string) error {
	var wg sync.WaitGroup
	errs := make(chan error, s.Nodes)
	for i := 1; i <= s.Nodes; i++ {
		wg.Go(func() {
			for _, image := range images {
				if err := importImage(s.Dir, nodeName(i), image); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func (s *supervisor) kubectl(stdin string, args ...string) error {
	cmd := exec.Command("/proc/self/exe", append([]string{"kubectl", "--kubeconfig", s.path("kubeconfig")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// apiClient trusts the cluster's own authority alone.
func apiClient(caFile string) *http.Client {
	pool := x509.NewCertPool()
	b, err := os.ReadFile(caFile)
	check(err)
	pool.AppendCertsFromPEM(b)
	return &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

func (s *supervisor) waitAPI() error {
	c := apiClient(s.pki.path("ca.crt"))
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		resp, err := c.Get(s.api + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("the API server is not ready")
}

func (s *supervisor) saveState() {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := state{Supervisor: os.Getpid(), Control: s.control.pid(), Nodes: map[string]int{}, API: s.api, Cgroups: hostCgroups().tops("")}
	for n, m := range s.nodes {
		st.Nodes[n] = m.pid()
	}
	b, err := json.MarshalIndent(st, "", "  ")
	check(err)
	check(os.WriteFile(s.path("state.json.tmp"), b, 0o644))
	check(os.Rename(s.path("state.json.tmp"), s.path("state.json")))
}

func (s *supervisor) serveControl() error {
	os.Remove(s.path("control.sock"))
	l, err := net.Listen("unix", s.path("control.sock"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		b, _ := os.ReadFile(s.path("state.json"))
		w.Write(b)
	})
	mux.HandleFunc("POST /shutdown", func(w http.ResponseWriter, r *http.Request) { close(s.shutdown) })
	mux.HandleFunc("POST /node/{name}/{action}", func(w http.ResponseWriter, r *http.Request) {
		if err := s.nodeAction(r.PathValue("name"), r.PathValue("action")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	go http.Serve(l, mux)
	return nil
}

func (s *supervisor) args(component string, args ...string) []string {
	return append(append([]string{"cluster", component}, args...), s.Args[component]...)
}
