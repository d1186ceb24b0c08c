package fal

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

// mutations is how many are tried; MUTATIONS changes it.
func mutations() int {
	if n, err := strconv.Atoi(os.Getenv("MUTATIONS")); err == nil {
		return n
	}
	return 10_000
}

// hearing is a webhook of the stand-in's, and its clock.
func hearing(t *testing.T) (*Webhook, *faltest.Server, *atomic.Int64) {
	t.Helper()
	s := faltest.Start(t)
	now := &atomic.Int64{}
	now.Store(time.Now().Unix())
	p := newProxy(t, Config{Key: faltest.Key, Dial: s.Dial, TLS: s.TLS, Logger: slog.New(slog.DiscardHandler)})
	return newWebhook(p, func() time.Time { return time.Unix(now.Load(), 0) }), s, now
}

func codeOf(err error) domain.Code {
	var coded *domain.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return ""
}

func keyFetches(s *faltest.Server) (n int) {
	for _, r := range s.Requests() {
		if strings.HasSuffix(r.URL, "/.well-known/jwks.json") {
			n++
		}
	}
	return n
}

const webhookBody = `{"request_id":"0199-abc","gateway_request_id":"0199-def","status":"OK","payload":{"images":[{"url":"https://v3.fal.media/files/a/b.png"}],"seed":42}}`

func TestWebhookIsHeard(t *testing.T) {
	w, s, now := hearing(t)
	body := []byte(webhookBody)
	at := time.Unix(now.Load(), 0)
	for range 3 { // a repeat is heard as well: that a job is over is no news the second time
		if id, err := w.Read(soon(t), s.Sign("0199-def", body, at), body); err != nil || id != "0199-abc" {
			t.Fatalf("%q %v", id, err)
		}
	}
	if n := keyFetches(s); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	for _, off := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		if _, err := w.Read(soon(t), s.Sign("x", body, at.Add(off)), body); err != nil {
			t.Errorf("%s off: %v", off, err)
		}
		if _, err := w.Read(soon(t), s.Sign("x", body, at.Add(off+off/300)), body); codeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("more than %s off: %v", off, err)
		}
	}
	for _, bad := range []string{`{}`, `{"request_id":""}`, `{"request_id":"../x"}`, `[]`, `x`, `{"request_id":7}`} {
		if _, err := w.Read(soon(t), s.Sign("x", []byte(bad), at), []byte(bad)); codeOf(err) != domain.CodeBadRequest {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestMutatedWebhooks changes signed messages at random: header, signature, body, all of it. None may pass.
func TestMutatedWebhooks(t *testing.T) {
	w, s, now := hearing(t)
	names := []string{"X-Fal-Webhook-Request-Id", "X-Fal-Webhook-User-Id", "X-Fal-Webhook-Timestamp", "X-Fal-Webhook-Signature"}
	body := []byte(webhookBody)
	good := s.Sign("0199-def", body, time.Unix(now.Load(), 0))
	if _, err := w.Read(soon(t), good, body); err != nil {
		t.Fatal(err)
	}
	n := mutations()
	refused := map[domain.Code]int{}
	for i := range n {
		h, b := good.Clone(), slices.Clone(body)
		switch which := rand.IntN(len(names) + 3); {
		case which < len(names):
			h.Set(names[which], string(mutate([]byte(h.Get(names[which])))))
		case which == len(names):
			h.Add(names[rand.IntN(len(names))], "x")
		case which == len(names)+1:
			h.Del(names[rand.IntN(len(names))])
		default:
			b = mutate(b)
		}
		_, err := w.Read(soon(t), h, b)
		if err == nil {
			t.Fatalf("%d: taken: %v %s", i, h, b)
		}
		refused[codeOf(err)]++
	}
	if refused[domain.CodeUnauthenticated] != n {
		t.Errorf("%d mutations: %v", n, refused)
	}
	if f := keyFetches(s); f != 1 {
		t.Errorf("messages of strangers had the keys fetched %d times", f)
	}
	if _, err := w.Read(soon(t), good, body); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// mutate changes b in one of the ways that bytes change, or that somebody would try.
func mutate(b []byte) []byte {
	for {
		m := slices.Clone(b)
		i := rand.IntN(len(m))
		switch rand.IntN(9) {
		case 0:
			m[i] ^= 1 << rand.IntN(8)
		case 1:
			m[i] = byte(rand.Uint32())
		case 2:
			m = slices.Insert(m, i, byte(rand.Uint32()))
		case 3:
			m = slices.Delete(m, i, i+1)
		case 4:
			m = m[:i]
		case 5:
			j := rand.IntN(len(m))
			m[i], m[j] = m[j], m[i]
		case 6:
			m = bytes.ToUpper(m)
		case 7:
			m = append([]byte{"0+ \n"[rand.IntN(4)]}, m...)
		case 8:
			m = append(m, "0 \n\x00"[rand.IntN(4)])
		}
		if !bytes.Equal(m, b) {
			return m
		}
	}
}

// TestWebhookKeysChange: keys are fetched when a message needs them, not as often as strangers ask, and used while fal.ai is away.
func TestWebhookKeysChange(t *testing.T) {
	w, s, now := hearing(t)
	body := []byte(webhookBody)
	read := func() error {
		_, err := w.Read(soon(t), s.Sign("x", body, time.Unix(now.Load(), 0)), body)
		return err
	}
	down := func(w http.ResponseWriter, r *http.Request) bool { panic(http.ErrAbortHandler) }
	s.Fault(down)
	if err := read(); codeOf(err) != domain.CodeUpstreamFailed {
		t.Errorf("no keys yet: %v", err)
	}
	s.Fault(nil)
	if err := read(); codeOf(err) != domain.CodeUpstreamFailed {
		t.Errorf("asked again at once: %v", err)
	}
	now.Add(int64(keysPause / time.Second))
	if err := read(); err != nil {
		t.Fatal(err)
	}
	s.NewWebhookKey()
	if err := read(); codeOf(err) != domain.CodeUnauthenticated { // it may be a stranger's
		t.Errorf("an unknown key at once: %v", err)
	}
	now.Add(int64(keysPause / time.Second))
	if err := read(); err != nil {
		t.Errorf("a new key: %v", err)
	}
	s.Fault(down)
	now.Add(int64(keysFresh/time.Second) + 1)
	if err := read(); err != nil {
		t.Errorf("fal.ai is away: %v", err)
	}
	now.Add(int64(keysKept / time.Second))
	if err := read(); codeOf(err) != domain.CodeUpstreamFailed {
		t.Errorf("fal.ai is away for a day: %v", err)
	}
	s.Fault(nil)
	now.Add(int64(keysPause / time.Second))
	if err := read(); err != nil {
		t.Errorf("fal.ai is back: %v", err)
	}
	for _, set := range []string{`x`, `{"keys":[]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`, strings.Repeat(" ", maxKeySet+1)} {
		s.Fault(func(w http.ResponseWriter, r *http.Request) bool { _, _ = w.Write([]byte(set)); return true })
		now.Add(int64(keysFresh/time.Second) + 1)
		if err := read(); err != nil {
			t.Errorf("%.40s: the old keys are not used: %v", set, err)
		}
	}
}

// TestManyWebhooksAtOnce: one fetch for all of them.
func TestManyWebhooksAtOnce(t *testing.T) {
	w, s, now := hearing(t)
	var wg sync.WaitGroup
	for i := range 50 {
		body, err := json.Marshal(map[string]any{"request_id": "job-" + strconv.Itoa(i), "status": "OK"})
		if err != nil {
			t.Fatal(err)
		}
		h := s.Sign("x", body, time.Unix(now.Load(), 0))
		wg.Go(func() {
			if id, err := w.Read(soon(t), h, body); err != nil || id != "job-"+strconv.Itoa(i) {
				t.Errorf("%d: %q %v", i, id, err)
			}
		})
	}
	wg.Wait()
	if n := keyFetches(s); n != 1 {
		t.Errorf("%d fetches", n)
	}
}
