package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
	"go.yaml.in/yaml/v3"
)

// The part of promtool's format that is used.
type tests struct {
	EvaluationInterval string `yaml:"evaluation_interval"`
	Tests              []test
}

type test struct {
	Name        string
	Interval    string
	InputSeries []struct{ Series, Values string } `yaml:"input_series"`
	AlertTests  []alertTest                       `yaml:"alert_rule_test"`
}

type alertTest struct {
	EvalTime  string `yaml:"eval_time"`
	Alertname string
	Expected  []alert `yaml:"exp_alerts"`
}

type alert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

// run gives how many tests a file has, and what failed of them. Each alert must be there firing and silent.
func run(path string, rules []rulefmt.Rule) (count int, faults []string) {
	text, err := os.ReadFile(path)
	fatal(err)
	var file tests
	fatal(yaml.Unmarshal(text, &file))
	step := duration(file.EvaluationInterval)
	fired, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		series := read(test)
		for _, wanted := range test.AlertTests {
			count++
			at := duration(wanted.EvalTime)
			var got []alert
			for _, rule := range rules {
				if rule.Alert == wanted.Alertname {
					got = append(got, firing(rule, series, step, at)...)
				}
			}
			(map[bool]map[string]bool{true: fired, false: silent})[len(wanted.Expected) > 0][wanted.Alertname] = true
			if difference := compare(wanted.Expected, got); difference != "" {
				faults = append(faults, fmt.Sprintf("%s: %s after %s: %s", test.Name, wanted.Alertname, wanted.EvalTime, difference))
			}
		}
	}
	for _, rule := range rules {
		if rule.Alert != "" && !(fired[rule.Alert] && silent[rule.Alert]) {
			faults = append(faults, fmt.Sprintf("%s: %s needs a test in which it fires, and one in which it does not", path, rule.Alert))
		}
	}
	return count, faults
}

// compare says how what fires is not what was expected.
func compare(wanted, got []alert) string {
	same := func(one, other alert) bool {
		return maps.Equal(one.Labels, other.Labels) && maps.Equal(one.Annotations, other.Annotations)
	}
	for _, one := range wanted {
		if !slices.ContainsFunc(got, func(other alert) bool { return same(one, other) }) {
			return fmt.Sprintf("%v does not fire, but %v", one, got)
		}
	}
	if len(got) != len(wanted) {
		return fmt.Sprintf("%v fire, and %v should", got, wanted)
	}
	return ""
}

// read gives a test's series, the first sample at time 0.
func read(test test) (series memory) {
	interval := duration(test.Interval)
	for _, input := range test.InputSeries {
		named, values, err := language.ParseSeriesDesc(input.Series + " " + input.Values)
		fatal(err)
		var samples []chunks.Sample
		for i, value := range values {
			if !value.Omitted {
				samples = append(samples, sample{time: int64(i) * interval.Milliseconds(), value: value.Value})
			}
		}
		series = append(series, storage.NewListSeries(named, samples))
	}
	return series
}

// firing gives the alerts of a rule at a time: what its expression has given at every step for as long as the rule wants.
func firing(rule rulefmt.Rule, series memory, step, until time.Duration) (alerts []alert) {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: language})
	defer engine.Close()
	since := map[string]time.Duration{}
	for at := time.Duration(0); at <= until; at += step {
		query, err := engine.NewInstantQuery(context.Background(), series, nil, rule.Expr, time.UnixMilli(at.Milliseconds()))
		fatal(err)
		result := query.Exec(context.Background())
		fatal(result.Err)
		vector, err := result.Vector()
		fatal(err)
		now := map[string]time.Duration{}
		alerts = nil
		for _, sample := range vector {
			key := sample.Metric.String()
			now[key] = at
			if began, ok := since[key]; ok {
				now[key] = began
			}
			if at-now[key] >= time.Duration(rule.For) {
				alerts = append(alerts, made(rule, sample, at))
			}
		}
		since = now
		query.Close()
	}
	return alerts
}

// made gives the alert of one sample, its texts expanded. The name of the alert is no label here, nor in promtool's files.
func made(rule rulefmt.Rule, sample promql.Sample, at time.Duration) alert {
	own := sample.Metric.Map()
	delete(own, model.MetricNameLabel)
	data := template.AlertTemplateData(own, nil, "", sample)
	expand := func(texts map[string]string) map[string]string {
		expanded := map[string]string{}
		for name, text := range texts {
			text = "{{$labels := .Labels}}{{$value := .Value}}" + text
			result, err := template.NewTemplateExpander(context.Background(), text, rule.Alert, data, model.Time(at.Milliseconds()), nil, &url.URL{}, nil).Expand()
			fatal(err)
			expanded[name] = result
		}
		return expanded
	}
	maps.Copy(own, expand(rule.Labels))
	return alert{Labels: own, Annotations: expand(rule.Annotations)}
}

// Series in memory, which are all that the engine asks.
type memory []storage.Series

func (series memory) Querier(int64, int64) (storage.Querier, error) { return series, nil }

func (series memory) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var selected []storage.Series
	for _, one := range series {
		if !slices.ContainsFunc(matchers, func(matcher *labels.Matcher) bool { return !matcher.Matches(one.Labels().Get(matcher.Name)) }) {
			selected = append(selected, one)
		}
	}
	return &found{series: selected}
}

func (memory) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (memory) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (memory) Close() error { return nil }

type found struct {
	series []storage.Series
	next   int
}

func (found *found) Next() bool                  { found.next++; return found.next <= len(found.series) }
func (found *found) At() storage.Series          { return found.series[found.next-1] }
func (*found) Err() error                        { return nil }
func (*found) Warnings() annotations.Annotations { return nil }

type sample struct {
	time  int64
	value float64
}

func (sample sample) T() int64               { return sample.time }
func (sample) ST() int64                     { return 0 }
func (sample sample) F() float64             { return sample.value }
func (sample) H() *histogram.Histogram       { return nil }
func (sample) FH() *histogram.FloatHistogram { return nil }
func (sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (sample sample) Copy() chunks.Sample    { return sample }
