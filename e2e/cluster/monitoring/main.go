// Command monitoring holds objects for the Prometheus operator against the
// operator's own definitions, as an API server does that has them, and takes an
// unknown field for a fault. No cluster is needed:
//
//	helm template … | monitoring DIRECTORY-OF-DEFINITIONS KIND...
//
// Each KIND must be among the objects.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	definitions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	streams "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const group = "monitoring.coreos.com"

// A kind in one version.
type kind struct {
	structure *schema.Structural
	validator validation.SchemaValidator
}

func main() {
	if len(os.Args) < 2 {
		fatal(errors.New("usage: monitoring DIRECTORY KIND... <objects"))
	}
	kinds, err := read(os.Args[1])
	fatal(err)
	counts, faults, err := check(os.Stdin, kinds)
	fatal(err)
	for _, wanted := range os.Args[2:] {
		if counts[wanted] == 0 {
			faults = append(faults, "no "+wanted+" is there")
		}
	}
	for _, fault := range faults {
		fmt.Println(fault)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}

// read gives what the definitions of a directory say, by API version and kind.
func read(directory string) (map[string]kind, error) {
	files, err := filepath.Glob(filepath.Join(directory, group+"_*.yaml"))
	if err != nil {
		return nil, err
	}
	kinds := map[string]kind{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var definition definitions.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &definition); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, version := range definition.Spec.Versions {
			var properties apiextensions.JSONSchemaProps
			if err := definitions.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &properties, nil); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			structure, err := schema.NewStructural(&properties)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			validator, _, err := validation.NewSchemaValidator(&properties)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			kinds[group+"/"+version.Name+" "+definition.Spec.Names.Kind] = kind{structure, validator}
		}
	}
	if len(kinds) == 0 {
		return nil, fmt.Errorf("no definitions of %s are in %s", group, directory)
	}
	return kinds, nil
}

// check counts the objects of the group by kind, and names what is wrong with them.
func check(objects io.Reader, kinds map[string]kind) (counts map[string]int, faults []string, err error) {
	counts = map[string]int{}
	documents := streams.NewYAMLReader(bufio.NewReader(objects))
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return counts, faults, nil
		}
		if err != nil {
			return nil, nil, err
		}
		var object map[string]any
		if err := yaml.Unmarshal(text, &object); err != nil {
			return nil, nil, err
		}
		version, _ := object["apiVersion"].(string)
		if !strings.HasPrefix(version, group+"/") {
			continue
		}
		name, _ := object["kind"].(string)
		found, known := kinds[version+" "+name]
		if !known {
			faults = append(faults, "there is no definition of "+version+" "+name)
			continue
		}
		counts[name]++
		for _, fault := range validation.ValidateCustomResource(nil, object, found.validator) {
			faults = append(faults, name+": "+fault.Error())
		}
		options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
		for _, path := range pruning.PruneWithOptions(object, found.structure, true, options) {
			faults = append(faults, name+": there is no field "+path)
		}
	}
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitoring:", err)
		os.Exit(2)
	}
}
