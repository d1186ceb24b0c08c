package edge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// envelope is Cloudflare's.
type envelope struct {
	Success bool `json:"success"`
	Errors  []struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
	Messages   []any           `json:"messages"`
	Result     json.RawMessage `json:"result"`
	ResultInfo struct {
		Count  int    `json:"count"`
		Cursor string `json:"cursor"`
	} `json:"result_info"`
}

type request struct {
	method, path string // path below the gateway's base URL
	body         string
	secret       *string // nil: the right one
	header       http.Header
}

func call(t *testing.T, w *edgetest.Worker, r request) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(r.method, w.URL+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	if r.secret == nil {
		req.Header.Set("Authorization", "Bearer "+w.Secret)
	} else if *r.secret != "" {
		req.Header.Set("Authorization", *r.secret)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

func parse(t *testing.T, body string) envelope {
	t.Helper()
	var e envelope
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%v in %.300s", err, body)
	}
	return e
}

func d1Path(w *edgetest.Worker, form string) string {
	return fmt.Sprintf("/client/v4/accounts/%s/d1/database/%s/%s", w.Account, w.Database, form)
}

func kvPath(w *edgetest.Worker, rest string) string {
	return fmt.Sprintf("/client/v4/accounts/%s/storage/kv/namespaces/%s/%s", w.Account, w.Namespace, rest)
}

func d1(t *testing.T, w *edgetest.Worker, form string, body any) (int, envelope) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	status, _, answer := call(t, w, request{method: "POST", path: d1Path(w, form), body: string(text)})
	return status, parse(t, answer)
}

type m = map[string]any

func TestGatewayRefusesWhoIsNotTheServer(t *testing.T) {
	w := edgetest.Shared(t)
	body := `{"sql":"SELECT 1 AS one"}`
	for name, secret := range map[string]string{
		"none": "", "another": "Bearer " + strings.Repeat("0", 64), "a prefix": "Bearer " + w.Secret[:32], "longer": "Bearer " + w.Secret + "0",
		"no scheme": w.Secret, "basic": "Basic " + w.Secret,
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{d1Path(w, "query"), kvPath(w, "keys"), "/client/v4/anything"} {
				status, _, answer := call(t, w, request{method: "POST", path: path, body: body, secret: &secret})
				e := parse(t, answer)
				if status != 401 || e.Success || e.Errors[0].Code != 10000 {
					t.Errorf("%s: %d %s", path, status, answer)
				}
				if strings.Contains(answer, w.Secret) {
					t.Error("the secret is in the answer")
				}
			}
		})
	}
	right := "Bearer " + w.Secret
	if status, _, answer := call(t, w, request{method: "POST", path: d1Path(w, "query"), body: body, secret: &right}); status != 200 {
		t.Fatalf("the right secret: %d %s", status, answer)
	}
}

func TestGatewayWithoutASecretIsOff(t *testing.T) {
	w := edgetest.Start(t, edgetest.WithVar("GATEWAY_SECRET", "short"), edgetest.WithoutMigrations())
	for _, secret := range []string{"Bearer short", "Bearer ", "Bearer undefined"} {
		status, _, answer := call(t, w, request{method: "POST", path: d1Path(w, "query"), body: `{"sql":"SELECT 1"}`, secret: &secret})
		if e := parse(t, answer); status != 503 || e.Success {
			t.Errorf("%q: %d %s", secret, status, answer)
		}
	}
}

func TestGatewayKnowsItsOwnIdsAlone(t *testing.T) {
	w := edgetest.Shared(t)
	for path, code := range map[string]int{
		strings.Replace(d1Path(w, "query"), w.Account, "other", 1):      7003,
		strings.Replace(d1Path(w, "query"), w.Database, "other", 1):     7404,
		strings.Replace(kvPath(w, "values/k"), w.Namespace, "other", 1): 10013,
		d1Path(w, "export"):                                                            7003,
		d1Path(w, "query/more"):                                                        7003,
		"/client/v4/accounts/" + w.Account + "/d1/database":                            7003,
		"/client/v4/accounts/" + w.Account + "/workers/scripts":                        7003,
		"/client/v4/accounts/" + w.Account + "/d1/database/%ff/query":                  7003,
		"/client/v4/accounts/" + w.Account + "/d1/database/" + w.Database + "%2fquery": 7003,
		"/client/v4/user/tokens/verify":                                                7003,
	} {
		status, _, answer := call(t, w, request{method: "POST", path: path, body: `{"sql":"SELECT 1"}`})
		if e := parse(t, answer); status < 400 || status > 404 || e.Success || e.Errors[0].Code != code {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
}

func TestD1Query(t *testing.T) {
	w := edgetest.Shared(t)
	status, e := d1(t, w, "query", m{"sql": "INSERT INTO users (id, email, name) VALUES (?, ?, ?), ('u2', '', NULL) RETURNING id, name, 1.5 AS half", "params": []any{"u1", "", "Ann"}})
	if status != 200 {
		t.Fatalf("%d %+v", status, e)
	}
	var result []struct {
		Success bool
		Results []map[string]any
		Meta    struct{ Changes int }
	}
	if err := json.Unmarshal(e.Result, &result); err != nil {
		t.Fatal(err)
	}
	if len(result) != 1 || !result[0].Success || len(result[0].Results) != 2 || result[0].Results[0]["name"] != "Ann" || result[0].Results[1]["name"] != nil || result[0].Results[0]["half"] != 1.5 {
		t.Fatalf("%+v", result)
	}
	if result[0].Meta.Changes != 2 {
		t.Errorf("changes: %+v", result[0].Meta)
	}
}

func TestD1BatchIsAtomic(t *testing.T) {
	w := edgetest.Shared(t)
	insert := func(id string) m {
		return m{"sql": "INSERT INTO users (id, email) VALUES (?, '')", "params": []any{id}}
	}
	if status, e := d1(t, w, "query", m{"batch": []any{insert("a"), insert("b")}}); status != 200 {
		t.Fatalf("%d %+v", status, e)
	}
	for name, bad := range map[string]m{
		"unique":      insert("a"),
		"foreign key": {"sql": "INSERT INTO rooms (id, name, owner_id) VALUES ('r', 'R', 'nobody')"},
		"not null":    {"sql": "INSERT INTO users (id, email) VALUES ('x', NULL)"},
		"syntax":      {"sql": "INSERT INTO"},
		"no table":    {"sql": "INSERT INTO nowhere VALUES (1)"},
	} {
		status, e := d1(t, w, "query", m{"batch": []any{insert("c"), bad}})
		if status != 400 || e.Errors[0].Code != 7500 || !strings.Contains(e.Errors[0].Message, "SQLITE_") {
			t.Errorf("%s: %d %+v", name, status, e)
		}
		if rows := w.Query(t, "SELECT id FROM users ORDER BY id"); len(rows) != 2 {
			t.Errorf("%s: half of the batch is there: %v", name, rows)
		}
	}
}

func TestD1Raw(t *testing.T) {
	w := edgetest.Shared(t)
	type result []struct {
		Success bool
		Results struct {
			Columns []string
			Rows    [][]any
		}
	}
	var r result
	status, e := d1(t, w, "raw", m{"sql": "SELECT 1 AS id, 'x' AS id, NULL AS n WHERE ?", "params": []any{true}})
	if err := json.Unmarshal(e.Result, &r); err != nil || status != 200 {
		t.Fatalf("%d %v", status, err)
	}
	if got := fmt.Sprint(r); got != "[{true {[id id n] [[1 x <nil>]]}}]" {
		t.Errorf("single: %s", got)
	}
	status, e = d1(t, w, "raw", m{"sql": "SELECT 1 AS id WHERE 0"})
	r = nil
	if err := json.Unmarshal(e.Result, &r); err != nil || status != 200 || fmt.Sprint(r) != "[{true {[id] []}}]" {
		t.Errorf("empty: %d %v %v", status, err, r)
	}
	status, e = d1(t, w, "raw", m{"batch": []any{m{"sql": "SELECT 1 AS a, 2 AS b"}, m{"sql": "SELECT 3 AS c"}}})
	r = nil
	if err := json.Unmarshal(e.Result, &r); err != nil || status != 200 || fmt.Sprint(r) != "[{true {[a b] [[1 2]]}} {true {[c] [[3]]}}]" {
		t.Errorf("batch: %d %v %v", status, err, r)
	}
}

func TestD1BadRequestsChangeNothing(t *testing.T) {
	w := edgetest.Shared(t)
	statements := make([]any, 1001)
	for i := range statements {
		statements[i] = m{"sql": "INSERT INTO users (id, email) VALUES ('many', '')"}
	}
	params := make([]any, 101)
	for i := range params {
		params[i] = "p"
	}
	marks := strings.TrimSuffix(strings.Repeat("?,", 101), ",")
	for name, c := range map[string]struct {
		body   any
		status int
		code   int
	}{
		"no statement":        {m{}, 400, 7400},
		"no object":           {"SELECT 1", 400, 7400},
		"null":                {nil, 400, 7400},
		"empty sql":           {m{"sql": " "}, 400, 7400},
		"sql is a number":     {m{"sql": 1}, 400, 7400},
		"params is no list":   {m{"sql": "SELECT 1", "params": "x"}, 400, 7400},
		"param is an object":  {m{"sql": "SELECT ?", "params": []any{m{}}}, 400, 7400},
		"both":                {m{"sql": "SELECT 1", "batch": []any{m{"sql": "SELECT 1"}}}, 400, 7400},
		"empty batch":         {m{"batch": []any{}}, 400, 7400},
		"batch of a string":   {m{"batch": []any{"SELECT 1"}}, 400, 7400},
		"too many statements": {m{"batch": statements}, 400, 7400},
		"101 parameters":      {m{"sql": "SELECT " + marks, "params": params}, 400, 7500},
		"SQL of 120 kB":       {m{"sql": "INSERT INTO users (id, email, name) VALUES ('long', '', '" + strings.Repeat("x", 120_000) + "')"}, 400, 7500},
		"wrong count":         {m{"sql": "SELECT ?, ?", "params": []any{1}}, 400, 7500},
		"begin":               {m{"sql": "BEGIN"}, 400, 7500},
	} {
		status, e := d1(t, w, "query", c.body)
		if status != c.status || e.Success || len(e.Errors) == 0 || e.Errors[0].Code != c.code {
			t.Errorf("%s: %d %+v", name, status, e.Errors)
		}
	}
	for name, body := range map[string]string{"no JSON": "{", "no UTF-8": "{\"sql\":\"SELECT '\xff'\"}", "nothing": ""} {
		status, _, answer := call(t, w, request{method: "POST", path: d1Path(w, "query"), body: body})
		if e := parse(t, answer); status != 400 || e.Errors[0].Code != 7400 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	tooLarge(t, w, d1Path(w, "query"), 10<<20+1)
	if status, _, _ := call(t, w, request{method: "GET", path: d1Path(w, "query")}); status != 404 {
		t.Errorf("GET: %d", status)
	}
	if rows := w.Query(t, "SELECT id FROM users"); len(rows) != 0 {
		t.Errorf("something was written: %v", rows)
	}
}

// tooLarge sends a body that the Worker refuses without reading it: the answer is 413, where it isn't overtaken by the closed connection.
func tooLarge(t *testing.T, w *edgetest.Worker, path string, size int) {
	t.Helper()
	req, err := http.NewRequest("POST", w.URL+path, strings.NewReader(strings.Repeat(" ", size)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.Secret)
	res, err := http.DefaultClient.Do(req)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("%d bytes: %d", size, res.StatusCode)
	}
}

func TestKVValues(t *testing.T) {
	w := edgetest.Shared(t)
	for _, key := range []string{"rooms:registry", "a/b", "per cent % and ? and #", "ünïcode ☃", strings.Repeat("k", 512)} {
		path := kvPath(w, "values/"+url.PathEscape(key))
		if status, _, answer := call(t, w, request{method: "GET", path: path}); status != 404 || parse(t, answer).Errors[0].Code != 10009 {
			t.Errorf("%q missing: %d %s", key, status, answer)
		}
		value := "\x00binary\xff and " + key
		if status, _, answer := call(t, w, request{method: "PUT", path: path + "?expiration_ttl=60", body: value}); status != 200 || !parse(t, answer).Success {
			t.Errorf("%q put: %d %s", key, status, answer)
		}
		if status, _, answer := call(t, w, request{method: "GET", path: path}); status != 200 || answer != value {
			t.Errorf("%q get: %d %q", key, status, answer)
		}
		if status, _, _ := call(t, w, request{method: "DELETE", path: path}); status != 200 {
			t.Errorf("%q delete: %d", key, status)
		}
		if status, _, _ := call(t, w, request{method: "GET", path: path}); status != 404 {
			t.Errorf("%q is still there: %d", key, status)
		}
	}
}

func TestKVForm(t *testing.T) {
	w := edgetest.Shared(t)
	form := "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"rev\":7}\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\nhello\r\n--b--\r\n"
	header := http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}
	if status, _, answer := call(t, w, request{method: "PUT", path: kvPath(w, "values/form"), body: form, header: header}); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	if _, _, answer := call(t, w, request{method: "GET", path: kvPath(w, "values/form")}); answer != "hello" {
		t.Errorf("value %q", answer)
	}
	if _, _, answer := call(t, w, request{method: "GET", path: kvPath(w, "metadata/form")}); string(parse(t, answer).Result) != `{"rev":7}` {
		t.Errorf("metadata %s", answer)
	}
	if status, _, answer := call(t, w, request{method: "GET", path: kvPath(w, "metadata/none")}); status != 404 || parse(t, answer).Errors[0].Code != 10009 {
		t.Errorf("metadata of nothing: %d %s", status, answer)
	}
	for name, body := range map[string]string{"no value": "--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n--b--\r\n", "no form": "x"} {
		if status, _, _ := call(t, w, request{method: "PUT", path: kvPath(w, "values/bad"), body: body, header: header}); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func TestKVBulkAndKeys(t *testing.T) {
	w := edgetest.Shared(t)
	var entries []any
	for i := range 250 {
		entries = append(entries, m{"key": fmt.Sprintf("presence:%03d", i), "value": fmt.Sprint(i), "expiration_ttl": 60})
	}
	entries = append(entries, m{"key": "binary", "value": "AP8=", "base64": true, "metadata": m{"a": 1}})
	put := func(entries []any) (int, envelope) {
		body, err := json.Marshal(entries)
		if err != nil {
			t.Fatal(err)
		}
		status, _, answer := call(t, w, request{method: "PUT", path: kvPath(w, "bulk"), body: string(body)})
		return status, parse(t, answer)
	}
	if status, e := put(entries); status != 200 || !bytes.Contains(e.Result, []byte(`"successful_key_count":251`)) {
		t.Fatalf("%d %+v", status, e)
	}
	if _, _, answer := call(t, w, request{method: "GET", path: kvPath(w, "values/binary")}); answer != "\x00\xff" {
		t.Errorf("base64: %q", answer)
	}
	names, cursor := []string{}, ""
	for {
		_, _, answer := call(t, w, request{method: "GET", path: kvPath(w, "keys?limit=100&prefix=presence:&cursor="+url.QueryEscape(cursor))})
		e := parse(t, answer)
		var keys []struct {
			Name       string
			Expiration int64
		}
		if err := json.Unmarshal(e.Result, &keys); err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if k.Expiration == 0 {
				t.Fatalf("%s has no expiration", k.Name)
			}
			names = append(names, k.Name)
		}
		if cursor = e.ResultInfo.Cursor; cursor == "" {
			break
		}
	}
	if len(names) != 250 || names[0] != "presence:000" || names[249] != "presence:249" {
		t.Fatalf("%d names", len(names))
	}
	_, _, answer := call(t, w, request{method: "POST", path: kvPath(w, "bulk/get"), body: `{"keys":["presence:007","nothing"]}`})
	if got := string(parse(t, answer).Result); got != `{"values":{"presence:007":"7","nothing":null}}` {
		t.Errorf("bulk get: %s", got)
	}
	for _, r := range []request{
		{method: "POST", path: kvPath(w, "bulk/delete"), body: `["presence:000"]`},
		{method: "DELETE", path: kvPath(w, "bulk"), body: `["presence:001"]`},
	} {
		if status, _, answer := call(t, w, r); status != 200 {
			t.Errorf("%s %s: %d %s", r.method, r.path, status, answer)
		}
	}
	for _, key := range []string{"presence:000", "presence:001"} {
		if status, _, _ := call(t, w, request{method: "GET", path: kvPath(w, "values/"+key)}); status != 404 {
			t.Errorf("%s is still there", key)
		}
	}
	many := make([]any, 1001)
	for i := range many {
		many[i] = m{"key": "many", "value": ""}
	}
	for name, bad := range map[string][]any{
		"too many": many, "none": {}, "no value": {m{"key": "bad"}}, "no key": {m{"value": "x"}}, "short TTL": {m{"key": "bad", "value": "x", "expiration_ttl": 59}},
		"second is bad": {m{"key": "bad", "value": "x"}, "no object"}, "not base64": {m{"key": "bad", "value": "*", "base64": true}},
	} {
		if status, e := put(bad); status != 400 || e.Success {
			t.Errorf("%s: %d %+v", name, status, e)
		}
	}
	for _, key := range []string{"bad", "many"} {
		if status, _, _ := call(t, w, request{method: "GET", path: kvPath(w, "values/"+key)}); status != 404 {
			t.Errorf("a refused bulk wrote %s", key)
		}
	}
}

func TestKVBadRequestsChangeNothing(t *testing.T) {
	w := edgetest.Shared(t)
	for name, c := range map[string]struct {
		path string
		code int
	}{
		"TTL 59":          {"values/bad?expiration_ttl=59", 10033},
		"TTL of words":    {"values/bad?expiration_ttl=soon", 10033},
		"TTL negative":    {"values/bad?expiration_ttl=-60", 10033},
		"TTL of a part":   {"values/bad?expiration_ttl=60.5", 10033},
		"already expired": {"values/bad?expiration=1000000000", 10033},
		"key of 513":      {"values/" + strings.Repeat("k", 513), 10012},
		"no key":          {"values/", 10012},
	} {
		status, _, answer := call(t, w, request{method: "PUT", path: kvPath(w, c.path), body: "x"})
		if e := parse(t, answer); status != 400 || e.Errors[0].Code != c.code {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if status, _, _ := call(t, w, request{method: "GET", path: kvPath(w, "keys?limit=1001")}); status != 400 {
		t.Errorf("limit: %d", status)
	}
	_, _, answer := call(t, w, request{method: "GET", path: kvPath(w, "keys")})
	if got := string(parse(t, answer).Result); got != "[]" {
		t.Errorf("something was written: %s", got)
	}
}
