package faltest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// UserID is fal.ai's name for whose the server's key is.
const UserID = "github|4711"

// NewWebhookKey signs webhooks with another key from now on, as fal.ai does when it rotates them; the old one is not published any more.
func (s *Server) NewWebhookKey() {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // there is no randomness
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
}

// keys publishes the public key, beside one of another kind.
func (s *Server) keys(w http.ResponseWriter) {
	s.mu.Lock()
	public := s.key.Public().(ed25519.PublicKey)
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"keys": []any{
		map[string]any{"kty": "oct", "k": "AAAA"},
		map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(public)},
	}})
}

// Sign returns the headers of a webhook as fal.ai signs it.
func (s *Server) Sign(requestID string, body []byte, at time.Time) http.Header {
	sum := sha256.Sum256(body)
	stamp := strconv.FormatInt(at.Unix(), 10)
	s.mu.Lock()
	signature := ed25519.Sign(s.key, fmt.Appendf(nil, "%s\n%s\n%s\n%x", requestID, UserID, stamp, sum))
	s.mu.Unlock()
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set("X-Fal-Webhook-Request-Id", requestID)
	h.Set("X-Fal-Webhook-User-Id", UserID)
	h.Set("X-Fal-Webhook-Timestamp", stamp)
	h.Set("X-Fal-Webhook-Signature", hex.EncodeToString(signature))
	return h
}

// WebhookBody is what a job's webhook says once it is over.
func (s *Server) WebhookBody(id string) []byte {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	status, out := s.outcome(j)
	m := map[string]any{"request_id": id, "gateway_request_id": id, "status": "OK", "payload": out}
	if status != http.StatusOK {
		m["status"], m["error"] = "ERROR", fmt.Sprintf("Invalid status code: %d", status)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // it was made here
	}
	return b
}

// Deliver ends a job and sends its webhook, once. base, where it is not "", stands in for the scheme and host that the webhook's address names.
func (s *Server) Deliver(id, base string) (status int, err error) {
	s.Finish(id)
	s.mu.Lock()
	to := s.jobs[id].Webhook
	s.mu.Unlock()
	if base != "" {
		u, err := url.Parse(to)
		if err != nil {
			return 0, err
		}
		to = strings.TrimSuffix(base, "/") + u.RequestURI()
	}
	body := s.WebhookBody(id)
	req, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = s.Sign(id, body, time.Now())
	res, err := (&http.Client{Timeout: 15 * time.Second}).Do(req) // as long as fal.ai waits
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}
