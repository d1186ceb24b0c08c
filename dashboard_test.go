package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/coder/websocket"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
)

// dashboard is what of Grafana's file is checked.
type dashboard struct {
	UID    string
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("infra", "telemetry", "grafana", "kanvas.json"))
	var d dashboard
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// series are the labels of everything that a server exports, by its name in queries.
type series map[string][]map[string]string

func parseSeries(t *testing.T, text []byte) series {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all := series{}
	for name, f := range families {
		names := []string{name}
		if f.GetMetric()[0].GetHistogram() != nil {
			names = []string{name + "_bucket", name + "_sum", name + "_count"}
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{"instance": "host:1999", "job": "kanvas"}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			for _, n := range names {
				all[n] = append(all[n], labels)
			}
		}
	}
	for name, list := range all {
		if strings.HasSuffix(name, "_bucket") {
			for i := range list {
				with := map[string]string{"le": "1"}
				for k, v := range list[i] {
					with[k] = v
				}
				list[i] = with
			}
		}
	}
	return all
}

// selected are the series that a selector finds.
func (s series) selected(t *testing.T, m *metricsql.MetricExpr) (found []map[string]string) {
	t.Helper()
	for _, filters := range m.LabelFilterss {
		name := ""
		for _, f := range filters {
			if f.Label == "__name__" {
				name = f.Value
			}
		}
		for _, labels := range s[name] {
			if !slices.ContainsFunc(filters, func(f metricsql.LabelFilter) bool { return f.Label != "__name__" && !passes(t, f, labels[f.Label]) }) {
				found = append(found, labels)
			}
		}
	}
	return found
}

func passes(t *testing.T, f metricsql.LabelFilter, value string) bool {
	t.Helper()
	is := value == f.Value
	if f.IsRegexp {
		re, err := regexp.Compile("^(?:" + f.Value + ")$")
		if err != nil {
			t.Fatal(err)
		}
		is = re.MatchString(value)
	}
	return is != f.IsNegative
}

var legend = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// unmet says what of a query a server does not export.
func unmet(t *testing.T, all series, expr, legendFormat string) (missing []string) {
	t.Helper()
	// Grafana's variables, as it fills them in.
	query := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(expr)
	e, err := metricsql.Parse(query)
	if err != nil {
		return []string{err.Error()}
	}
	kept := map[string]bool{} // labels that the answer has
	selectors := 0
	walk := func(e metricsql.Expr) {
		switch x := e.(type) {
		case *metricsql.MetricExpr:
			selectors++
			if len(all.selected(t, x)) == 0 {
				missing = append(missing, "nothing is "+string(x.AppendString(nil)))
			}
		case *metricsql.AggrFuncExpr:
			for _, label := range x.Modifier.Args {
				kept[label] = true
				metricsql.VisitAll(x, func(in metricsql.Expr) {
					if m, ok := in.(*metricsql.MetricExpr); ok {
						if found := all.selected(t, m); len(found) > 0 && found[0][label] == "" {
							missing = append(missing, string(m.AppendString(nil))+" has no label "+label)
						}
					}
				})
			}
		}
	}
	metricsql.VisitAll(e, walk)
	if selectors == 0 {
		missing = append(missing, "it selects nothing")
	}
	for _, l := range legend.FindAllStringSubmatch(legendFormat, -1) {
		if !kept[l[1]] {
			missing = append(missing, "the legend's label "+l[1]+" is summed away")
		}
	}
	return missing
}

// TestDashboard: every query of the dashboard parses, and finds something that a server on Cloudflare exports under these names and labels.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	w, s3 := edgetest.Shared(t), s3test.Start(t)
	s := startServer(t, t.TempDir(), "127.0.0.1:0", append(onR2(s3), append(onKV(w), "D1_DATABASE_ID="+w.Database)...)...)
	ann := guest(t, s)
	ann.room("open", "public")
	_, url := picture(t, 1)
	if status, code := ann.add("open", "p", url); status != 200 {
		t.Fatalf("add: %d %s", status, code)
	}
	c, _, err := websocket.Dial(t.Context(), "ws://"+s.addr+"/v1/rooms/open/ws", &websocket.DialOptions{Subprotocols: []string{"kanvas.v1"}})
	if err == nil {
		err = write(t.Context(), c, map[string]any{"type": "hello", "token": ann.token, "client": "c"})
	}
	if err == nil {
		_, _, err = c.Read(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() }) // where the test ended early
	var all series
	var missing []string
	until(t, "what the dashboard shows is exported", func() bool {
		_, _, text := ann.get("GET", "/metrics", nil)
		all, missing = parseSeries(t, text), nil
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				for _, m := range unmet(t, all, target.Expr, target.LegendFormat) {
					missing = append(missing, p.Title+": "+m)
				}
			}
		}
		return len(missing) == 0 || finalMissing(missing)
	})
	for _, m := range missing {
		t.Error(m)
	}
	if err := c.CloseNow(); err != nil {
		t.Error(err)
	}
	s.stop()
}

// finalMissing: what no waiting brings, such as a query that does not parse.
func finalMissing(missing []string) bool {
	return slices.ContainsFunc(missing, func(m string) bool { return !strings.Contains(m, "nothing is ") })
}

// TestDashboardIsLaidOut: panels have a title, ids and places of their own.
func TestDashboardIsLaidOut(t *testing.T) {
	d := readDashboard(t)
	ids, at := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if p.Title == "" || ids[p.ID] || (p.Type != "row" && len(p.Targets) == 0) {
			t.Errorf("panel %d %q: no title, an id that another has, or nothing to show", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := at[[2]int{x, y}]; taken || x >= 24 {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				at[[2]int{x, y}] = p.Title
			}
		}
	}
	if len(ids) < 30 || d.UID != "kanvas" {
		t.Errorf("%d panels in %q", len(ids), d.UID)
	}
}

// TestDashboardTestFindsRot: the check itself sees a wrong name, label, value and legend.
func TestDashboardTestFindsRot(t *testing.T) {
	all := parseSeries(t, []byte("# TYPE kanvas_a_total counter\nkanvas_a_total{op=\"get\"} 1\n# TYPE kanvas_s histogram\nkanvas_s_bucket{le=\"1\"} 1\nkanvas_s_bucket{le=\"+Inf\"} 1\nkanvas_s_sum 1\nkanvas_s_count 1\n"))
	for query, good := range map[string]bool{
		`sum by (op) (rate(kanvas_a_total{instance=~"$instance"}[$__rate_interval]))`: true,
		`histogram_quantile(.9, sum by (le) (rate(kanvas_s_bucket[5m])))`:             true,
		`sum by (op) (rate(kanvas_b_total[5m]))`:                                      false,
		`sum by (kind) (rate(kanvas_a_total[5m]))`:                                    false,
		`sum by (op) (rate(kanvas_a_total{op="put"}[5m]))`:                            false,
		`sum by (op) (rate(kanvas_a_total[5m])`:                                       false,
		`1 + 1`:                                                                       false,
	} {
		if missing := unmet(t, all, query, ""); (len(missing) == 0) != good {
			t.Errorf("%s: %v", query, missing)
		}
	}
	if missing := unmet(t, all, `sum(rate(kanvas_a_total[5m]))`, "{{op}}"); len(missing) == 0 {
		t.Error("a legend without its label passed")
	}
}
