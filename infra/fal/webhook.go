package fal

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
)

// webhookSkew is how far a webhook's time may be from ours.
const webhookSkew = 5 * time.Minute

// Webhook reads what fal.ai says of jobs that are over, signed by Ed25519. Safe for concurrent use.
type Webhook struct {
	keys *webhookKeys
	now  func() time.Time
	log  *slog.Logger
}

// NewWebhook fetches fal.ai's published keys over p's guarded connections, when a message needs them.
func NewWebhook(p *Proxy) *Webhook { return newWebhook(p, time.Now) }

func newWebhook(p *Proxy, now func() time.Time) *Webhook {
	return &Webhook{keys: &webhookKeys{client: p.http, now: now, fetching: make(chan struct{}, 1)}, now: now, log: p.log}
}

var (
	errWebhook   = domain.Errorf(domain.CodeUnauthenticated, "the signature is not fal.ai's, or it is more than five minutes off")
	userForm     = regexp.MustCompile(`^[\x21-\x7e]{1,256}$`)
	webhookHeads = [4]string{"X-Fal-Webhook-Request-Id", "X-Fal-Webhook-User-Id", "X-Fal-Webhook-Timestamp", "X-Fal-Webhook-Signature"}
)

// Read verifies a message and returns the job that is over; whether it worked says the job's result, which is fetched over a connection of ours. Errors
// are *domain.Error: CodeUnauthenticated where the signature is not good, CodeUpstreamFailed where fal.ai's keys can't be had (it sends the message
// again), CodeBadRequest where a signed message names no job.
func (w *Webhook) Read(ctx context.Context, header http.Header, body []byte) (requestID string, err error) {
	if err := w.verify(ctx, header, body); err != nil {
		return "", err
	}
	// The signed header names the attempt, which is another one where fal.ai ran the job again; the job is the one in the body.
	var m struct {
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(body, &m); err != nil || !requestForm.MatchString(m.RequestID) {
		return "", domain.Errorf(domain.CodeBadRequest, "the message does not say which job is over")
	}
	return m.RequestID, nil
}

// verify checks the signature. Each header has one form only, so that no second one passes.
func (w *Webhook) verify(ctx context.Context, header http.Header, body []byte) error {
	var values [4]string
	for i, name := range webhookHeads {
		if list := header.Values(name); len(list) != 1 {
			return domain.Errorf(domain.CodeUnauthenticated, "%s: one is expected", name)
		}
		values[i] = header.Get(name)
	}
	at, err := strconv.ParseInt(values[2], 10, 64)
	signature, bad := hex.DecodeString(values[3])
	switch off := w.now().Sub(time.Unix(at, 0)); {
	case err != nil, strconv.FormatInt(at, 10) != values[2], bad != nil, hex.EncodeToString(signature) != values[3], len(signature) != ed25519.SignatureSize,
		!requestForm.MatchString(values[0]), !userForm.MatchString(values[1]), off > webhookSkew, off < -webhookSkew:
		return errWebhook
	}
	sum := sha256.Sum256(body)
	signed := fmt.Appendf(nil, "%s\n%s\n%s\n%x", values[0], values[1], values[2], sum)
	ok, err := w.keys.any(ctx, func(key ed25519.PublicKey) bool { return ed25519.Verify(key, signed, signature) })
	switch {
	case err != nil:
		w.log.Warn("fal_keys", slog.String("error", err.Error()))
		return domain.Errorf(domain.CodeUpstreamFailed, "fal.ai's keys could not be had; send it again")
	case !ok:
		return errWebhook
	}
	return nil
}
