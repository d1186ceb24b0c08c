package edgetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/infinite-kanvas/kanvas/migrations"
)

// migrate applies all migrations through the gateway and notes them as wrangler does, in one atomic batch. What ran before stays.
func (w *Worker) migrate(t testing.TB) {
	t.Helper()
	all, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	w.Query(t, migrations.CreateTable)
	ran := map[any]bool{}
	for _, row := range w.Query(t, "SELECT name FROM "+migrations.Table) {
		ran[row["name"]] = true
	}
	var batch []map[string]any
	for _, m := range all {
		if ran[m.Name] {
			continue
		}
		for _, sql := range m.Statements() {
			batch = append(batch, map[string]any{"sql": sql})
		}
		batch = append(batch, map[string]any{"sql": "INSERT INTO " + migrations.Table + " (name) VALUES (?)", "params": []any{m.Name}})
	}
	if len(batch) > 0 {
		w.query(t, map[string]any{"batch": batch})
	}
}

// Query runs one statement through the gateway and returns its rows. Parameters are strings, numbers, booleans or nil.
func (w *Worker) Query(t testing.TB, sql string, params ...any) []map[string]any {
	t.Helper()
	if params == nil {
		params = []any{}
	}
	return w.query(t, map[string]any{"sql": sql, "params": params})
}

func (w *Worker) query(t testing.TB, body any) []map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	status, answer := w.call(t, http.MethodPost, fmt.Sprintf("accounts/%s/d1/database/%s/query", w.Account, w.Database), text)
	var e struct {
		Success bool
		Result  []struct{ Results []map[string]any }
	}
	if err := json.Unmarshal(answer, &e); err != nil || !e.Success {
		t.Fatalf("%s: %d %s", text, status, answer)
	}
	return e.Result[0].Results
}

// call sends a request to the gateway with its secret.
func (w *Worker) call(t testing.TB, method, path string, body []byte) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, w.Gateway()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.Secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, answer
}

// Value reads a KV entry through the gateway; "" where there is none.
func (w *Worker) Value(t testing.TB, key string) string {
	t.Helper()
	status, answer := w.call(t, http.MethodGet, fmt.Sprintf("accounts/%s/storage/kv/namespaces/%s/values/%s", w.Account, w.Namespace, url.PathEscape(key)), nil)
	if status == http.StatusNotFound {
		return ""
	}
	if status != http.StatusOK {
		t.Fatalf("value of %s: %d %s", key, status, answer)
	}
	return string(answer)
}
