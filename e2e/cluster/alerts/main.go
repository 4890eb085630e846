// Command alerts holds what the chart gives Prometheus, and what the documentation advises, against Prometheus' own parser and
// engine, without a Prometheus:
//
//	helm template … | alerts METRICS.MD TESTS.YAML DASHBOARD.JSON...
//
// Each rule of the PrometheusRules on standard input, each expression of the page's table "What to alert on", and each of Grafana's
// dashboards has to parse, and to ask only for metrics and labels that the page's generated table has. (A unit test holds that table to what the code
// exports.) Then the tests, in the format of `promtool test rules`: which alert fires, and which does not, for given series.
// Each alert needs a test in which it fires and one in which it does not. It must not need anything but its input.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

var language = parser.NewParser(parser.Options{})

// What scraping adds to the labels of every series.
var target = []string{"namespace", "pod", "service", "container", "endpoint", "job", "instance"}

func main() {
	if len(os.Args) < 3 {
		fatal(errors.New("usage: alerts METRICS.MD TESTS.YAML DASHBOARD.JSON... <objects"))
	}
	page, err := os.ReadFile(os.Args[1])
	fatal(err)
	metrics := exported(string(page))
	if len(metrics) == 0 {
		fatal(fmt.Errorf("%s lists no metrics", os.Args[1]))
	}
	rules, faults := rules()
	for _, rule := range rules {
		faults = append(faults, asks(rule.Alert+rule.Record, rule.Expr, metrics)...)
	}
	advised := advice(string(page))
	for _, expression := range advised {
		faults = append(faults, asks(os.Args[1], expression, metrics)...)
	}
	shown := 0
	for _, path := range os.Args[3:] {
		expressions := dashboard(path)
		shown += len(expressions)
		for _, expression := range expressions {
			faults = append(faults, asks(path, expression, metrics)...)
		}
	}
	tests, failed := run(os.Args[2], rules)
	faults = append(faults, failed...)
	for _, fault := range faults {
		fmt.Println(fault)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
	fmt.Printf("%d rules, %d expressions of the documentation, %d of dashboards and %d tests of alerts are good\n",
		len(rules), len(advised), shown, tests)
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// rules gives those of all PrometheusRules on standard input, as Prometheus loads them.
func rules() (rules []rulefmt.Rule, faults []string) {
	decoder := yaml.NewDecoder(os.Stdin)
	for {
		var object struct {
			Kind string
			Spec struct{ Groups []any }
		}
		if err := decoder.Decode(&object); err != nil {
			break // the end; what is no YAML is found by whatever is there too little
		}
		if object.Kind != "PrometheusRule" {
			continue
		}
		text, err := yaml.Marshal(map[string]any{"groups": object.Spec.Groups})
		fatal(err)
		groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, language, slog.New(slog.DiscardHandler))
		for _, err := range errs {
			faults = append(faults, err.Error())
		}
		if len(errs) > 0 {
			continue
		}
		for _, group := range groups.Groups {
			rules = append(rules, group.Rules...)
		}
	}
	if len(rules)+len(faults) == 0 {
		faults = append(faults, "there is no PrometheusRule")
	}
	return rules, faults
}

// exported gives the labels of each series, by name, as the generated table of the page has them.
func exported(page string) map[string][]string {
	metrics := map[string][]string{}
	for line := range strings.Lines(page) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		labels := slices.Clone(target)
		for label := range strings.SplitSeq(cells[3], ",") {
			labels = append(labels, strings.Trim(label, " `"))
		}
		if strings.TrimSpace(cells[2]) == "histogram" {
			metrics[name+"_bucket"] = append(slices.Clone(labels), "le")
			metrics[name+"_sum"], metrics[name+"_count"] = labels, labels
		} else {
			metrics[name] = labels
		}
	}
	return metrics
}

// advice gives the expressions of the page's table "What to alert on".
func advice(page string) (expressions []string) {
	_, table, _ := strings.Cut(page, "## What to alert on")
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 4 && strings.Contains(cells[2], "`") {
			expressions = append(expressions, strings.Trim(cells[2], " `"))
		}
	}
	if len(expressions) == 0 {
		fatal(errors.New("the table \"What to alert on\" is not there"))
	}
	return expressions
}

// Whose values a variable of a dashboard offers.
var offered = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)

// dashboard gives the expressions of one, as Grafana would ask them.
func dashboard(path string) (expressions []string) {
	text, err := os.ReadFile(path)
	fatal(err)
	var file struct {
		Templating struct {
			List []struct{ Type, Query string }
		}
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	fatal(json.Unmarshal(text, &file))
	for _, variable := range file.Templating.List {
		if variable.Type == "query" {
			expressions = append(expressions, offered.ReplaceAllString(variable.Query, "count by ($2) ($1)"))
		}
	}
	for _, panel := range file.Panels {
		for _, target := range panel.Targets {
			expressions = append(expressions, strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
		}
	}
	if len(expressions) == 0 {
		fatal(fmt.Errorf("%s shows nothing", path))
	}
	return expressions
}

// asks gives what is wrong with an expression: it does not parse, or asks for what is not exported.
func asks(where, expression string, metrics map[string][]string) (faults []string) {
	parsed, err := language.ParseExpr(expression)
	if err != nil {
		return []string{fmt.Sprintf("%s: %s: %v", where, expression, err)}
	}
	var known []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		labels, ok := metrics[selector.Name]
		if !ok {
			faults = append(faults, fmt.Sprintf("%s: %s is not exported", where, selector.Name))
			return nil
		}
		known = append(known, labels...)
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name != model.MetricNameLabel && !slices.Contains(labels, matcher.Name) {
				faults = append(faults, fmt.Sprintf("%s: %s has no label %s", where, selector.Name, matcher.Name))
			}
		}
		return nil
	})
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if aggregation, ok := node.(*parser.AggregateExpr); ok && len(faults) == 0 {
			for _, label := range aggregation.Grouping {
				if !slices.Contains(known, label) {
					faults = append(faults, fmt.Sprintf("%s: nothing there has the label %s", where, label))
				}
			}
		}
		return nil
	})
	return faults
}

// duration reads a time as Prometheus writes it.
func duration(text string) time.Duration {
	parsed, err := model.ParseDuration(text)
	fatal(err)
	return time.Duration(parsed)
}
