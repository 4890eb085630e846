// Package conformance runs the Gateway API's own conformance suite against a cluster with silverback in it. The suite's
// flags are its own; e2e/scripts/conformance.sh sets them.
package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) { conformance.RunConformance(t) }
