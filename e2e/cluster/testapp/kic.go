package main

// A stand-in for what Kong Ingress Controller writes: statuses of a class's Ingresses, consumers, Gateways and routes, as long
// as its pod holds the Lease. Like it, it writes whenever something else stands there. It writes none of KongPlugins.

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
	Spec struct {
		IngressClassName, HolderIdentity string
		GatewayClassName                 string
		Listeners                        []struct{ Name string }
		ParentRefs                       []map[string]any
	}
	Status struct {
		LoadBalancer struct {
			Ingress []map[string]any
		}
		Conditions, Addresses, Listeners, Parents []map[string]any
	}
}

// The kinds that it writes statuses of.
var kicKinds = []struct{ group, plural string }{
	{"/apis/networking.k8s.io/v1", "ingresses"},
	{"/apis/configuration.konghq.com/v1", "kongconsumers"},
	{"/apis/gateway.networking.k8s.io/v1", "gateways"},
	{"/apis/gateway.networking.k8s.io/v1", "httproutes"},
}

// kicAddress is that of the load balancer, which a test sets by hand.
const kicAddress = "192.0.2.10"

func kicStatuses(lease, class, controller string) {
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
		gateways := map[string]bool{} // those of the class, which come before the routes
		for _, kind := range kicKinds {
			var list struct{ Items []kicObject }
			if err := c.call("GET", kind.group+"/"+kind.plural, nil, &list); err != nil {
				fmt.Println(err)
				continue
			}
			for _, object := range list.Items {
				var status map[string]any
				switch kind.plural {
				case "ingresses":
					if object.Spec.IngressClassName == class {
						status = object.ingressStatus()
					}
				case "kongconsumers":
					if object.Metadata.Annotations["kubernetes.io/ingress.class"] == class {
						status = object.consumerStatus()
					}
				case "gateways":
					if object.Spec.GatewayClassName == class {
						gateways[object.Metadata.Namespace+"/"+object.Metadata.Name] = true
						status = object.gatewayStatus()
					}
				case "httproutes":
					status = object.routeStatus(controller, gateways)
				}
				if status == nil {
					continue
				}
				path := kind.group + "/namespaces/" + object.Metadata.Namespace + "/" + kind.plural + "/" + object.Metadata.Name + "/status"
				if err := c.call("PATCH", path, map[string]any{"status": status}, nil); err != nil {
					fmt.Println(err)
				}
			}
		}
	}
}

// Each of these is the status that is to be written; nil where it stands there.

func (o *kicObject) ingressStatus() map[string]any {
	addresses := []map[string]any{{"ip": kicAddress}}
	var found []map[string]any
	for _, a := range o.Status.LoadBalancer.Ingress {
		found = append(found, map[string]any{"ip": a["ip"]})
	}
	if reflect.DeepEqual(found, addresses) {
		return nil
	}
	return map[string]any{"loadBalancer": map[string]any{"ingress": addresses}}
}

func (o *kicObject) consumerStatus() map[string]any {
	wanted := []map[string]any{o.condition("Programmed", "True", "Programmed", "Object was successfully configured in Kong.")}
	if stand(o.Status.Conditions, wanted) {
		return nil
	}
	return map[string]any{"conditions": beside(o.Status.Conditions, wanted)}
}

func (o *kicObject) gatewayStatus() map[string]any {
	conditions := []map[string]any{
		o.condition("Accepted", "True", "Accepted", "this unmanaged gateway has been picked up by the controller and will be processed"),
		o.condition("Programmed", "True", "Programmed", ""),
	}
	addresses := []map[string]any{{"type": "IPAddress", "value": kicAddress}}
	same := stand(o.Status.Conditions, conditions) && reflect.DeepEqual(o.Status.Addresses, addresses)
	var listeners []map[string]any
	for n, l := range o.Spec.Listeners {
		wanted := []map[string]any{
			o.condition("Accepted", "True", "Accepted", ""),
			o.condition("Conflicted", "False", "NoConflicts", ""),
			o.condition("ResolvedRefs", "True", "ResolvedRefs", ""),
			o.condition("Programmed", "True", "Programmed", ""),
		}
		same = same && n < len(o.Status.Listeners) && stand(conditionsOf(o.Status.Listeners[n]), wanted)
		kinds := []map[string]any{}
		for _, kind := range []string{"HTTPRoute", "GRPCRoute"} {
			kinds = append(kinds, map[string]any{"group": "gateway.networking.k8s.io", "kind": kind})
		}
		listeners = append(listeners, map[string]any{"name": l.Name, "attachedRoutes": 1, "supportedKinds": kinds, "conditions": wanted})
	}
	if same {
		return nil
	}
	return map[string]any{"conditions": beside(o.Status.Conditions, conditions), "addresses": addresses, "listeners": listeners}
}

// routeStatus keeps what others say of their Gateways.
func (o *kicObject) routeStatus(controller string, gateways map[string]bool) map[string]any {
	var parents []map[string]any
	same := true
	for _, parent := range o.Status.Parents {
		if parent["controllerName"] != controller {
			parents = append(parents, parent)
		}
	}
	for _, reference := range o.Spec.ParentRefs {
		if !gateways[o.Metadata.Namespace+"/"+fmt.Sprint(reference["name"])] {
			continue
		}
		wanted := []map[string]any{
			o.condition("Accepted", "True", "Accepted", ""),
			o.condition("ResolvedRefs", "True", "ResolvedRefs", ""),
			o.condition("Programmed", "True", "ConfiguredInGateway", ""),
		}
		stands := false
		for _, parent := range o.Status.Parents {
			of, _ := parent["parentRef"].(map[string]any)
			stands = stands || parent["controllerName"] == controller && of["name"] == reference["name"] && stand(conditionsOf(parent), wanted)
		}
		same = same && stands
		parents = append(parents, map[string]any{"parentRef": reference, "controllerName": controller, "conditions": wanted})
	}
	if same {
		return nil
	}
	return map[string]any{"parents": parents}
}

func (o *kicObject) condition(kind, status, reason, message string) map[string]any {
	return map[string]any{
		"type": kind, "status": status, "reason": reason, "message": message,
		"observedGeneration": float64(o.Metadata.Generation), "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
	}
}

func conditionsOf(entry map[string]any) []map[string]any {
	var conditions []map[string]any
	list, _ := entry["conditions"].([]any)
	for _, c := range list {
		if c, ok := c.(map[string]any); ok {
			conditions = append(conditions, c)
		}
	}
	return conditions
}

// stand tells whether the conditions are among those found, whenever they were written.
func stand(found, wanted []map[string]any) bool {
	for _, w := range wanted {
		stands := false
		for _, c := range found {
			same := true
			for _, field := range []string{"type", "status", "reason", "message", "observedGeneration"} {
				same = same && c[field] == w[field]
			}
			stands = stands || same
		}
		if !stands {
			return false
		}
	}
	return true
}

// beside gives the conditions, and those found of other types.
func beside(found, wanted []map[string]any) []map[string]any {
	all := append([]map[string]any{}, wanted...)
	for _, c := range found {
		other := true
		for _, w := range wanted {
			other = other && c["type"] != w["type"]
		}
		if other {
			all = append(all, c)
		}
	}
	return all
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
