package cloudflare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
)

// maxAnswer bounds an answer's body, in bytes; D1 gives at most 50 MB for a query.
const maxAnswer = 64 << 20

// call makes one call in its turn. What comes back is a whole, good answer, or an *Error.
func (c *Client) call(service string, lane Lane, req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	if err := c.budget.take(req.Context(), lane); err != nil {
		if errors.Is(err, ErrBudget) {
			c.metrics.held(service)
			err = &Error{Service: service, Kind: ErrBudget, Err: err}
		}
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	start := time.Now()
	res, body, err := exchange(req.WithContext(ctx), next)
	var failed *Error
	if err != nil {
		failed = transportError(service, err)
	} else {
		failed = answerError(service, res, body, isValue(req))
	}
	c.metrics.called(service, failed, time.Since(start))
	if failed != nil {
		if failed.Kind == ErrLimited {
			c.budget.refused(failed.RetryAfter)
		}
		return nil, failed
	}
	return res, nil
}

// exchange sends the request and reads all of the answer, so that the deadline holds for it too.
func exchange(req *http.Request, next option.MiddlewareNext) (*http.Response, []byte, error) {
	res, err := next(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, body, nil
}

// isValue says whether a good answer is a KV value as it is, and not the API's JSON.
func isValue(req *http.Request) bool {
	return req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/storage/kv/namespaces/") && strings.Contains(req.URL.Path, "/values/")
}

// retries is how often Retry calls at most.
const retries = 4

// Retry makes a call that is harmless when repeated, up to 4 times while its errors are Transient, with growing pauses of 0.1 s on.
// After a 429 the next call waits by itself.
func (c *Client) Retry(ctx context.Context, fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if err == nil || try == retries || !Transient(err) || ctx.Err() != nil {
			return err
		}
		c.metrics.retries.Inc()
		d := 100 * time.Millisecond << (try - 1)
		t := time.NewTimer(d/2 + rand.N(d))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}
