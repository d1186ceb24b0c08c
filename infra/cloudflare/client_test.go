package cloudflare

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/d1"
	"github.com/cloudflare/cloudflare-go/v7/kv"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/infinite-kanvas/kanvas/infra/config"
)

const secret = "hunter2-token"

// client makes one whose calls are answered by h.
func client(t *testing.T, cfg Config, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg.Account, cfg.Secret, cfg.URL = "acc", secret, srv.URL+"/client/v4"
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// query asks D1 for one statement by cloudflare-go.
func query(ctx context.Context, c *Client, lane Lane) error {
	var params d1.DatabaseRawParams
	var body d1.DatabaseRawParamsBody
	params.AccountID.Value, params.AccountID.Present = c.Account(), true
	body.Sql.Value, body.Sql.Present = "SELECT 1", true
	params.Body = body
	_, err := d1.NewDatabaseService(c.Options("d1", lane)...).Raw(ctx, "db", params)
	return err
}

func answer(status int, contentType, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const (
	good = `{"success":true,"errors":[],"messages":[],"result":[{"success":true,"meta":{},"results":{"columns":["1"],"rows":[[1]]}}]}`
	bad  = `{"success":false,"errors":[{"code":7500,"message":"no such table: x: SQLITE_ERROR"}],"messages":[],"result":[]}`
)

func TestEveryAnswerIsGoodOrAnErrorOfItsKind(t *testing.T) {
	for name, tc := range map[string]struct {
		h       http.HandlerFunc
		kind    error
		code    int
		message string
	}{
		"good":               {answer(200, "application/json", good), nil, 0, ""},
		"refused":            {answer(400, "application/json", bad), ErrRefused, 7500, "no such table"},
		"no success in 200":  {answer(200, "application/json", bad), ErrUnknown, 7500, "no such table"},
		"500":                {answer(500, "application/json", bad), ErrUnknown, 7500, ""},
		"bare 500":           {answer(500, "text/plain", ""), ErrUnknown, 0, "an empty answer"},
		"page 1101":          {answer(500, "text/html", "<!DOCTYPE html>\n<html><p>Worker threw exception, error code: 1101</p></html>"), ErrUnknown, 0, "error code 1101"},
		"HTML as a success":  {answer(200, "text/html", "<html>hello</html>"), ErrUnknown, 0, "an HTML page"},
		"cut JSON":           {answer(200, "application/json", good[:40]), ErrUnknown, 0, "no JSON"},
		"another JSON":       {answer(200, "application/json", `{"hello":1}`), ErrUnknown, 0, "no JSON of the API"},
		"429":                {answer(429, "application/json", `{"success":false,"errors":[{"code":10429,"message":"slow down"}]}`, "Retry-After", "0"), ErrLimited, 10429, "slow down"},
		"429 page":           {answer(429, "text/html", "<html>", "Retry-After", "0"), ErrLimited, 0, ""},
		"denied":             {answer(403, "application/json", `{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}`), ErrDenied, 10000, "Authentication error"},
		"not found":          {answer(404, "application/json", `{"success":false,"errors":[{"code":7404,"message":"no database"}]}`), ErrNotFound, 7404, ""},
		"redirect elsewhere": {answer(302, "text/html", "", "Location", "http://127.0.0.1:1/"), ErrUnknown, 0, ""},
		"cut connection":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ErrUnknown, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := query(context.Background(), client(t, Config{}, tc.h), Durable)
			if tc.kind == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *Error
			if !errors.Is(err, tc.kind) || !errors.As(err, &e) || e.Code != tc.code || !strings.Contains(err.Error(), tc.message) {
				t.Fatalf("%v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

func TestACallIsMadeOnceAndHasADeadline(t *testing.T) {
	calls := make(chan string, 10)
	block := make(chan struct{})
	c := client(t, Config{Timeout: 20 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) {
		calls <- r.Header.Get("Authorization")
		<-block
	})
	t.Cleanup(func() { close(block) })
	if err := query(context.Background(), c, Durable); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	if got := <-calls; got != "Bearer "+secret || len(calls) > 0 {
		t.Errorf("authorization %q, %d calls more", got, len(calls))
	}
}

func TestUnreachable(t *testing.T) {
	c, err := New(Config{Account: "acc", Secret: secret, URL: "http://127.0.0.1:1/client/v4"})
	if err != nil {
		t.Fatal(err)
	}
	if err := query(context.Background(), c, Durable); !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
}

func TestValuesOfKVAreNotTakenForTheAPI(t *testing.T) {
	c := client(t, Config{}, answer(200, "application/json", `{"no":"envelope"}`))
	var params kv.NamespaceValueGetParams
	params.AccountID.Value, params.AccountID.Present = c.Account(), true
	res, err := kv.NewNamespaceValueService(c.Options("kv", Durable)...).Get(context.Background(), "ns", "k", params)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != `{"no":"envelope"}` {
		t.Errorf("%q %v", b, err)
	}
}

func TestBudget(t *testing.T) {
	calls := 0
	reg := prometheus.NewRegistry()
	c := client(t, Config{Budget: 30, Registerer: reg}, func(w http.ResponseWriter, r *http.Request) {
		calls++
		answer(200, "application/json", good)(w, r)
	})
	for range 7 { // of a reserve of ten
		if err := query(context.Background(), c, Spare); err != nil {
			t.Fatal(err)
		}
	}
	if err := query(context.Background(), c, Spare); !errors.Is(err, ErrBudget) || calls != 7 {
		t.Errorf("spare call with a third left: %v after %d calls", err, calls)
	}
	for range 3 {
		if err := query(context.Background(), c, Durable); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the next turn comes in 15 s
	defer cancel()
	if err := query(ctx, c, Durable); !errors.Is(err, ErrBudget) || calls != 10 {
		t.Errorf("all spent: %v after %d calls", err, calls)
	}
	if left := c.BudgetLeft(); left > 0.1 || !c.Metered() {
		t.Errorf("%.2f left", left)
	}
	if got := testutil.ToFloat64(c.metrics.calls.WithLabelValues("d1", "held")); got != 2 {
		t.Errorf("%v calls held", got)
	}
	if _, err := New(Config{Account: "a", Secret: "s", URL: "http://x", Budget: 3}); err == nil {
		t.Error("a budget of 3 is taken")
	}
}

func TestRetryAfterHoldsAllCalls(t *testing.T) {
	calls := 0
	c := client(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			answer(429, "text/plain", "", "Retry-After", "60")(w, r)
			return
		}
		answer(200, "application/json", good)(w, r)
	})
	var e *Error
	if err := query(context.Background(), c, Durable); !errors.As(err, &e) || e.RetryAfter != time.Minute {
		t.Fatalf("%v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := query(ctx, c, Durable); !errors.Is(err, ErrBudget) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if err := query(context.Background(), c, Spare); !errors.Is(err, ErrBudget) || calls != 1 {
		t.Errorf("spare: %v after %d calls", err, calls)
	}
	c.budget.notBefore = time.Now() // the minute is over
	if err := query(context.Background(), c, Durable); err != nil || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	for value, want := range map[string][2]time.Duration{
		"3": {3 * time.Second, 3 * time.Second}, "0.5": {time.Second / 2, time.Second / 2}, "99999999999999999999": {maxRetryAfter, maxRetryAfter}, "": {defaultRetryAfter, defaultRetryAfter},
		"-1": {defaultRetryAfter, defaultRetryAfter}, "soon": {defaultRetryAfter, defaultRetryAfter},
		time.Now().Add(time.Minute).UTC().Format(http.TimeFormat): {30 * time.Second, time.Minute},
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}); got < want[0] || got > want[1] {
			t.Errorf("%q: %s", value, got)
		}
	}
}

func TestRetry(t *testing.T) {
	c := client(t, Config{}, answer(200, "application/json", good))
	calls := 0
	err := c.Retry(context.Background(), func() error {
		if calls++; calls < 3 {
			return &Error{Kind: ErrUnknown}
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("%v after %d", err, calls)
	}
	for kind, want := range map[error]int{ErrUnknown: retries, ErrRefused: 1, ErrDenied: 1} {
		calls = 0
		err := c.Retry(context.Background(), func() error { calls++; return &Error{Kind: kind} })
		if !errors.Is(err, kind) || calls != want {
			t.Errorf("%v after %d calls, not %d", err, calls, want)
		}
	}
}

func TestFromSettings(t *testing.T) {
	s := config.Cloudflare{Account: "acc", APIToken: "t", GatewaySecret: "g", APIURL: "https://api.example/client/v4", Budget: 900}
	public, err := FromSettings(&s, nil)
	if err != nil || public.url != s.APIURL || public.secret != "t" || !public.Metered() {
		t.Errorf("public API: %+v %v", public, err)
	}
	s.GatewayURL = "https://worker.example/"
	gateway, err := FromSettings(&s, nil)
	if err != nil || gateway.url != "https://worker.example/client/v4" || gateway.secret != "g" || gateway.Metered() {
		t.Errorf("gateway: %+v %v", gateway, err)
	}
}
