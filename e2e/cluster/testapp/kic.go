package main

// A stand-in for what Kong Ingress Controller writes: statuses of a class's Ingresses and consumers, as long as its pod holds
// the Lease. Like it, it writes whenever something else stands there.

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"
)

type cluster struct {
	client http.Client
}

type kicObject struct {
	Metadata struct {
		Name, Namespace string
		Generation      int64
		Annotations     map[string]string
	}
	Spec   struct{ IngressClassName, HolderIdentity string }
	Status struct {
		LoadBalancer struct {
			Ingress []map[string]any
		}
		Conditions []map[string]any
	}
}

func kicStatuses(lease, class string) {
	namespace, pod := os.Getenv("POD_NAMESPACE"), os.Getenv("POD_NAME")
	ca, err := os.ReadFile(sa + "ca.crt")
	fail(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	c := cluster{http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
	leases := "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases/" + lease
	for ; ; time.Sleep(500 * time.Millisecond) {
		var held kicObject
		if c.call("GET", leases, nil, &held) != nil || !strings.HasPrefix(held.Spec.HolderIdentity, pod+"_") {
			continue
		}
		for _, kind := range []string{"/apis/networking.k8s.io/v1", "/apis/configuration.konghq.com/v1"} {
			plural := map[bool]string{true: "ingresses", false: "kongconsumers"}[strings.Contains(kind, "networking")]
			var list struct{ Items []kicObject }
			if err := c.call("GET", kind+"/"+plural, nil, &list); err != nil {
				fmt.Println(err)
				continue
			}
			for _, object := range list.Items {
				if object.Spec.IngressClassName != class && object.Metadata.Annotations["kubernetes.io/ingress.class"] != class {
					continue
				}
				if status := object.wanted(); status != nil {
					path := kind + "/namespaces/" + object.Metadata.Namespace + "/" + plural + "/" + object.Metadata.Name + "/status"
					if err := c.call("PATCH", path, map[string]any{"status": status}, nil); err != nil {
						fmt.Println(err)
					}
				}
			}
		}
	}
}

// wanted is the status that is to be written; nil where it stands there.
func (o *kicObject) wanted() map[string]any {
	if o.Spec.IngressClassName != "" {
		addresses := []map[string]any{{"ip": "192.0.2.10"}}
		var found []map[string]any
		for _, a := range o.Status.LoadBalancer.Ingress {
			found = append(found, map[string]any{"ip": a["ip"]})
		}
		if reflect.DeepEqual(found, addresses) {
			return nil
		}
		return map[string]any{"loadBalancer": map[string]any{"ingress": addresses}}
	}
	condition := map[string]any{
		"type": "Programmed", "status": "True", "reason": "Programmed", "message": "Object was successfully configured in Kong.",
		"observedGeneration": o.Metadata.Generation, "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
	}
	conditions := []map[string]any{condition}
	for _, c := range o.Status.Conditions {
		if c["type"] != "Programmed" {
			conditions = append(conditions, c)
			continue
		}
		same := c["observedGeneration"] == float64(o.Metadata.Generation)
		for _, field := range []string{"status", "reason", "message"} {
			same = same && c[field] == condition[field]
		}
		if same {
			return nil
		}
	}
	return map[string]any{"conditions": conditions}
}

func (c *cluster) call(method, path string, body, answer any) error {
	token, err := os.ReadFile(sa + "token")
	if err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, "https://kubernetes.default.svc"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	request.Header.Set("Content-Type", "application/merge-patch+json")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("%s %s: %s %s", method, path, response.Status, said)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
