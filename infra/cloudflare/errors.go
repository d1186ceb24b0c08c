package cloudflare

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Kinds of failure: each *Error is one of them for errors.Is.
var (
	// ErrUnknown: no usable answer came, so the call may have been carried out or not.
	ErrUnknown = errors.New("the outcome is unknown")
	// ErrUnreachable: no connection came about. Nothing was done.
	ErrUnreachable = errors.New("unreachable")
	// ErrBudget: the account's budget of calls is spent. Nothing was sent.
	ErrBudget = errors.New("no calls left in the budget")
	// ErrLimited: answered with 429. Nothing was done; Error.RetryAfter says when to come back.
	ErrLimited = errors.New("too many calls")
	// ErrDenied: 401 or 403. Nothing was done.
	ErrDenied = errors.New("denied")
	// ErrNotFound: 404.
	ErrNotFound = errors.New("not found")
	// ErrRefused: another answer of 400 to 499 with the API's own error. Nothing was done.
	ErrRefused = errors.New("refused")
)

// Error is a call that failed. It never holds a secret.
type Error struct {
	Service    string // as given to Options
	Kind       error  // one of the kinds above
	Status     int    // of HTTP, 0: none came
	Code       int    // Cloudflare's code of the first error, 0: none
	Message    string // of the first error, or what came instead of one; at most 300 bytes
	RetryAfter time.Duration
	Err        error // beneath; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cloudflare: %s: %v", e.Service, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d", e.Status)
		if e.Code != 0 {
			fmt.Fprintf(&b, ", code %d", e.Code)
		}
		b.WriteByte(')')
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Kind == ErrDenied {
		b.WriteString(" (check the token and its rights)")
	}
	return b.String()
}

// Unwrap gives the kind and what is beneath.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Transient says whether the same call may succeed later.
func Transient(err error) bool {
	return errors.Is(err, ErrUnknown) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrLimited) || errors.Is(err, ErrBudget)
}

// transportError is of a call that got no answer.
func transportError(service string, err error) *Error {
	e := &Error{Service: service, Kind: ErrUnknown, Err: err}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		e.Kind = ErrUnreachable
	}
	return e
}

// envelope is how the API answers, but for raw values.
type envelope struct {
	Success *bool `json:"success"`
	Errors  []struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
}

// answerError looks at an answer: nil where it is a good one.
func answerError(service string, res *http.Response, body []byte, raw bool) *Error {
	good := res.StatusCode >= 200 && res.StatusCode < 300
	if good && raw {
		return nil
	}
	var env envelope
	e := &Error{Service: service, Status: res.StatusCode, Kind: ErrUnknown}
	if err := json.Unmarshal(body, &env); err != nil || env.Success == nil {
		e.Message = describe(body)
		if res.StatusCode == http.StatusTooManyRequests {
			e.Kind, e.RetryAfter = ErrLimited, retryAfter(res.Header)
		}
		return e
	}
	if good && *env.Success {
		return nil
	}
	if len(env.Errors) > 0 {
		e.Code, e.Message = env.Errors[0].Code, clip(env.Errors[0].Message)
	}
	switch {
	case res.StatusCode == http.StatusTooManyRequests:
		e.Kind, e.RetryAfter = ErrLimited, retryAfter(res.Header)
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		e.Kind = ErrDenied
	case res.StatusCode == http.StatusNotFound:
		e.Kind = ErrNotFound
	case res.StatusCode == http.StatusRequestTimeout:
	case res.StatusCode >= 400 && res.StatusCode < 500:
		e.Kind = ErrRefused
	}
	return e
}

// pageCode is the number on Cloudflare's own error pages, such as 1101 where a Worker failed.
var pageCode = regexp.MustCompile(`(?i)error code:?\s*(\d{3,4})`)

// describe says what came instead of the API's JSON.
func describe(body []byte) string {
	if len(body) == 0 {
		return "an empty answer"
	}
	if m := pageCode.FindSubmatch(body); m != nil {
		return "a page of Cloudflare's with error code " + string(m[1])
	}
	if body[0] == '<' {
		return "an HTML page"
	}
	return fmt.Sprintf("%d bytes that are no JSON of the API", len(body))
}

// maxMessage bounds what is kept of a message, in bytes.
const maxMessage = 300

func clip(s string) string {
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return strings.ReplaceAll(s, "\n", " ")
}

// Waits after a 429: where it does not say how long, and at most, however long it says.
const (
	defaultRetryAfter = 5 * time.Second
	maxRetryAfter     = budgetWindow
)

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(v, 64); err == nil && s >= 0 {
		return min(time.Duration(min(s, maxRetryAfter.Seconds())*float64(time.Second)), maxRetryAfter)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, min(time.Until(t), maxRetryAfter))
	}
	return defaultRetryAfter
}
