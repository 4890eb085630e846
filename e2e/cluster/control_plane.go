package main

// The machine that runs etcd, the API server, the controller manager and the
// scheduler.

import (
	"os"
	"path/filepath"
)

func (s *supervisor) controlMachine() *machine {
	p := s.pki.path
	dir := s.path("control")
	check(os.MkdirAll(dir, 0o755))
	server := "https://" + controlIP + ":6443"
	kcmConf := s.pki.kubeconfig(filepath.Join(dir, "kcm.kubeconfig"), server, "kcm", "system:kube-controller-manager")
	schedConf := s.pki.kubeconfig(filepath.Join(dir, "scheduler.kubeconfig"), server, "scheduler", "system:kube-scheduler")
	auditPolicy := filepath.Join(dir, "audit-policy.yaml")
	check(os.WriteFile(auditPolicy, []byte(auditOfServiceAccounts), 0o600))
	return &machine{
		Name: "control", Dir: dir, LogDir: s.path("logs"),
		Sysctls: map[string]string{"net.ipv4.ip_forward": "0", "net.bridge.bridge-nf-call-iptables": "0", "net.bridge.bridge-nf-call-ip6tables": "0"},
		Services: []service{
			{"etcd", s.args("etcd", "--data-dir=/var/lib/etcd")},
			{"apiserver", s.args("apiserver",
				"--etcd-servers=http://127.0.0.1:2379",
				"--advertise-address="+controlIP,
				"--bind-address=0.0.0.0",
				"--secure-port=6443",
				"--tls-cert-file="+p("apiserver.crt"), "--tls-private-key-file="+p("apiserver.key"),
				"--client-ca-file="+p("ca.crt"),
				"--authorization-mode=Node,RBAC",
				"--enable-admission-plugins=NodeRestriction",
				"--allow-privileged=true",
				"--service-cluster-ip-range="+serviceCIDR,
				"--service-account-issuer=https://kubernetes.default.svc."+clusterDomain,
				"--service-account-key-file="+p("sa.pub"), "--service-account-signing-key-file="+p("sa.key"),
				"--kubelet-certificate-authority="+p("ca.crt"),
				"--kubelet-client-certificate="+p("apiserver-kubelet-client.crt"), "--kubelet-client-key="+p("apiserver-kubelet-client.key"),
				"--kubelet-preferred-address-types=InternalIP",
				"--requestheader-client-ca-file="+p("front-proxy-ca.crt"),
				"--requestheader-allowed-names=front-proxy-client",
				"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
				"--proxy-client-cert-file="+p("front-proxy-client.crt"), "--proxy-client-key-file="+p("front-proxy-client.key"),
				// No kube-proxy here: webhooks and aggregated APIs are called at the endpoints.
				"--enable-aggregator-routing=true",
				"--profiling=false",
				"--audit-policy-file="+auditPolicy, "--audit-log-path="+s.path("logs", "audit.log"),
				"--audit-log-maxsize=100", "--audit-log-maxbackup=1",
			)},
			{"kcm", s.args("kcm",
				"--kubeconfig="+kcmConf, "--authentication-kubeconfig="+kcmConf, "--authorization-kubeconfig="+kcmConf,
				"--bind-address=127.0.0.1",
				"--leader-elect=false",
				"--use-service-account-credentials=true",
				"--service-account-private-key-file="+p("sa.key"),
				"--root-ca-file="+p("ca.crt"),
				"--client-ca-file="+p("ca.crt"),
				"--requestheader-client-ca-file="+p("front-proxy-ca.crt"),
				"--cluster-signing-cert-file="+p("ca.crt"), "--cluster-signing-key-file="+p("ca.key"),
				"--allocate-node-cidrs=false",
				"--cluster-cidr="+podCIDR, "--service-cluster-ip-range="+serviceCIDR,
				// 70 controllers share these limits: at the default of 20/s their start takes 5 s.
				"--kube-api-qps=500", "--kube-api-burst=1000",
				// A dead node is noticed sooner than by default (50 s).
				"--node-monitor-period=1s", "--node-monitor-grace-period=12s",
				"--profiling=false",
			)},
			{"scheduler", s.args("scheduler",
				"--kubeconfig="+schedConf, "--authentication-kubeconfig="+schedConf, "--authorization-kubeconfig="+schedConf,
				"--bind-address=127.0.0.1",
				"--leader-elect=false",
				"--kube-api-qps=500", "--kube-api-burst=1000",
				"--profiling=false",
			)},
		},
	}
}

// What programs in pods ask of the API server, one line each: metrics don't tell
// who asked. The controllers of Kubernetes itself are left out.
const auditOfServiceAccounts = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: None
`
