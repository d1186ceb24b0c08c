package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

// TestPageMakesPictures has people make pictures on the page, in a browser, by the real server and a stand-in for fal.ai. What becomes of a job is in its
// prompt: "hold" has it wait until /finish is called, "once" has the first one refused. /lose has the answer to the next job lost on its way, /jobs lists
// those that arrived.
func TestPageMakesPictures(t *testing.T) {
	s := faltest.Start(t)
	s.SignUploads()
	var refused, lose atomic.Bool
	s.Plan(func(_ string, input json.RawMessage) faltest.Plan {
		switch {
		case bytes.Contains(input, []byte("hold")):
			return faltest.Plan{Hold: true, Position: 2}
		case bytes.Contains(input, []byte("once")) && refused.CompareAndSwap(false, true):
			return faltest.Plan{Status: http.StatusUnprocessableEntity, Output: map[string]any{"detail": []any{map[string]any{"loc": []string{"body", "prompt"}, "msg": "the material contains sensitive words", "type": "content_policy_violation"}}}}
		}
		return faltest.Plan{}
	})
	s.Break(func(r *http.Request) faltest.Break {
		if r.Method == http.MethodPost && r.Host == "queue.fal.run" && lose.CompareAndSwap(true, false) {
			return faltest.Lost
		}
		return faltest.Whole
	})
	hand := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/finish":
			for _, j := range s.Jobs() {
				s.Finish(j.ID)
			}
		case "/lose":
			lose.Store(true)
		case "/jobs":
			if err := json.NewEncoder(w).Encode(s.Jobs()); err != nil {
				t.Error(err)
			}
		}
	}))
	defer hand.Close()
	bin, err := deadly()
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, s.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	nodeTest(t, filepath.Join("api", "web"), "test/fal/made.test.mjs", "KANVAS_BIN="+bin, "KANVAS_TEST_FAL="+s.Addr(), "KANVAS_TEST_FAL_CA="+ca, "FAL_KEY="+faltest.Key,
		"KANVAS_FAL_LIMITS=9/1h", "FAL_HAND="+hand.URL)
}
