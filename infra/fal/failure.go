package fal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/infinite-kanvas/kanvas/commands"
)

const maxSaid = 2 << 10 // bytes kept of what fal.ai says of a failure

// refused is the failure of a job that was never taken.
func refused(code, detail string) *commands.JobFailure {
	return &commands.JobFailure{Code: code, Detail: detail}
}

func forgotten() *commands.JobFailure {
	return &commands.JobFailure{Code: commands.FailedExpired, Detail: "fal.ai does not know the job, or no longer", Retryable: true, Billed: true}
}

// said is what fal.ai writes of a failure: a list of errors of the model (also as the whole body), or a text with the kind of what failed around it.
type said struct {
	Detail    json.RawMessage `json:"detail"`
	ErrorType string          `json:"error_type"`
}

type modelError struct {
	Loc  []any  `json:"loc"`
	Msg  string `json:"msg"`
	Type string `json:"type"`
}

// readSaid reads a failure's body, as far as it can be read.
func readSaid(body []byte) (errs []modelError, kind, text string) {
	var s said
	if json.Unmarshal(body, &s) != nil {
		s.Detail = body
	}
	if json.Unmarshal(s.Detail, &errs) != nil {
		errs = nil
		_ = json.Unmarshal(s.Detail, &text) // no text either: then it says nothing
	}
	return errs, s.ErrorType, text
}

// ofModel: the model itself has failed, and not one of the doors before it.
func (a answer) ofModel() bool {
	errs, kind, _ := readSaid(a.body)
	return len(errs) > 0 || kind != "" || a.header.Get("X-Fal-Error-Type") != "" || a.header.Get("X-Fal-Retryable") != ""
}

// waits: the result was asked for too early.
func (a answer) waits() bool {
	_, _, text := readSaid(a.body)
	return a.status == http.StatusBadRequest && strings.Contains(text, "in progress")
}

// failureOf reads an answer by which fal.ai refuses a job, or says that it has failed.
func failureOf(a answer) *commands.JobFailure {
	errs, kind, text := readSaid(a.body)
	if kind == "" {
		kind = a.header.Get("X-Fal-Error-Type")
	}
	f := failed(a.status, kind, text, errs)
	switch a.header.Get("X-Fal-Retryable") {
	case "true", "1":
		f.Retryable = true
	case "false", "0":
		f.Retryable = false
	}
	return f
}

// failed says what an HTTP status, a kind of request error and the errors of a model mean. What fails at the server's end is never billed.
func failed(status int, kind, text string, errs []modelError) *commands.JobFailure {
	f := &commands.JobFailure{Code: commands.FailedUpstream, Retryable: status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests, Billed: status/100 == 4}
	var lines []string
	if text != "" {
		lines = append(lines, text)
	}
	for i, e := range errs {
		if e.Type == "content_policy_violation" {
			kind = e.Type
		} else if i == 0 && kind == "" {
			kind = e.Type
		}
		at := make([]string, len(e.Loc))
		for j, l := range e.Loc {
			at[j] = fmt.Sprint(l)
		}
		lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(strings.Join(at, ".")+": "+e.Msg, "body."), ": "))
	}
	f.Said = short(strings.Join(lines, "; "))
	switch {
	case kind == "content_policy_violation":
		f.Code, f.Detail, f.Retryable = commands.FailedContentPolicy, "the model refuses the prompt or a picture", false
	case strings.HasSuffix(kind, "_timeout"), status == http.StatusGatewayTimeout:
		f.Code, f.Detail = commands.FailedTimeout, "fal.ai was not done in time"
	case status == http.StatusUnauthorized:
		f.Detail, f.Retryable = "fal.ai does not take this server's key", true
	case status == http.StatusPaymentRequired, status == http.StatusForbidden:
		f.Detail, f.Retryable = "fal.ai does not run the model for this server's account", true
	case status == http.StatusNotFound:
		f.Code, f.Detail = commands.FailedInput, "fal.ai has no such model"
	case status/100 == 4:
		f.Code, f.Detail = commands.FailedInput, "the model does not take the input"
	default:
		f.Detail = "the model has failed"
	}
	if kind != "" && f.Code != commands.FailedContentPolicy && kindForm(kind) {
		f.Detail += " (" + kind + ")"
	}
	return f
}

// kindForm: kinds are names, so they quote nothing.
func kindForm(kind string) bool {
	return len(kind) <= 64 && !strings.ContainsFunc(kind, func(c rune) bool { return c != '_' && c != '.' && (c < 'a' || c > 'z') })
}

// short is at most maxSaid bytes of text, on one line.
func short(text string) string {
	b := bytes.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, bytes.ToValidUTF8([]byte(text), nil))
	if len(b) > maxSaid {
		b = b[:maxSaid]
		for len(b) > 0 && !utf8.Valid(b) {
			b = b[:len(b)-1]
		}
	}
	return string(b)
}
