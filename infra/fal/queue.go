package fal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
)

const (
	submitWait = time.Minute
	followWait = 30 * time.Second
	resultWait = 2 * time.Minute // an output may hold pictures as data URLs
	maxUnits   = 1 << 20         // beyond which nobody believes what is billed
	maxFollow  = 1 << 20         // bytes of an answer about a job; its logs are not asked for
)

var _ commands.Jobs = (*Queue)(nil)

// Queue runs models by fal.ai's queue, with the server's key alone. It implements commands.Jobs. Safe for concurrent use; the Proxy's Close ends it.
type Queue struct{ p *Proxy }

// NewQueue asks over the same guarded connections as p, and shows its calls in p's metrics.
func NewQueue(p *Proxy) *Queue { return &Queue{p} }

// answer is one that came whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call makes one call with the server's key. What it returns shows no key; errors hold neither addresses with a query nor what was sent.
func (q *Queue) call(ctx context.Context, kind commands.FalKind, method, target string, body []byte, wait time.Duration, limit int64) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("%w: fal: that is no address", commands.ErrNotSent)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Key "+q.p.key)
	return q.do(req, kind, limit)
}

func (q *Queue) do(req *http.Request, kind commands.FalKind, limit int64) (answer, error) {
	var written atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{WroteHeaderField: func(string, []string) { written.Store(true) }}))
	began := time.Now()
	res, err := q.p.http.Do(req)
	q.p.observe(kind, res, time.Since(began))
	if err != nil {
		err = fmt.Errorf("fal: %s %s%s: %s", req.Method, req.URL.Host, req.URL.Path, reason(err))
		if !written.Load() {
			err = fmt.Errorf("%w: %w", commands.ErrNotSent, err)
		}
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(redact(&limited{res.Body, limit}, q.p.secrets))
	if err != nil {
		return answer{status: res.StatusCode}, fmt.Errorf("fal: answer of %s%s: %w", req.URL.Host, req.URL.Path, err)
	}
	if res.StatusCode == http.StatusUnauthorized && kind != commands.FalFile {
		q.p.log.Error("fal_key_refused", slog.String("meaning", "fal.ai does not take FAL_KEY"))
	}
	return answer{res.StatusCode, res.Header, b}, nil
}

// unexpected is the error of an answer that says nothing for good.
func (a answer) unexpected(what string) error {
	return fmt.Errorf("fal: %s: fal.ai answers %d", what, a.status)
}

// Submit implements commands.Jobs.
func (q *Queue) Submit(ctx context.Context, j commands.Job) (commands.JobRef, error) {
	if !modelName(j.Model) || !q.p.models.allow(j.Model) {
		return commands.JobRef{}, refused(commands.FailedInput, "the model is not served here")
	}
	if !q.p.HasKey() {
		return commands.JobRef{}, refused(commands.FailedUpstream, "this server has no key for fal.ai")
	}
	input, err := asWeNeed(j.Model, j.Input)
	if err != nil {
		return commands.JobRef{}, refused(commands.FailedInput, "the input is not a JSON object")
	}
	target := "https://" + queueHost + "/" + j.Model
	if j.Webhook != "" {
		target += "?" + webhookParam + "=" + url.QueryEscape(j.Webhook)
	}
	a, err := q.call(ctx, commands.FalRun, http.MethodPost, target, input, submitWait, maxFollow)
	switch {
	case err != nil:
		return commands.JobRef{}, err
	case a.status/100 == 2:
		return q.taken(j.Model, a.body)
	case a.status == http.StatusTooManyRequests:
		return commands.JobRef{}, fmt.Errorf("%w: %w", commands.ErrNotSent, a.unexpected("submit"))
	case a.status/100 == 4 && a.status != http.StatusRequestTimeout && a.status != 499:
		f := failureOf(a)
		f.Billed = false
		return commands.JobRef{}, f
	}
	return commands.JobRef{}, a.unexpected("submit")
}

// requestForm is what ids of jobs look like; they stand in paths.
var requestForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// taken reads the answer to a job that was put in the queue. The addresses in it are used where they are such as follow this job; else those that fal.ai's
// rule gives, for the job is paid for.
func (q *Queue) taken(model string, body []byte) (commands.JobRef, error) {
	var said struct {
		RequestID   string `json:"request_id"`
		StatusURL   string `json:"status_url"`
		ResponseURL string `json:"response_url"`
		CancelURL   string `json:"cancel_url"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return commands.JobRef{}, errors.New("fal: submit: the answer can't be read")
	}
	ref, err := q.Ref(model, said.RequestID)
	if err != nil {
		return commands.JobRef{}, errors.New("fal: submit: the answer names no job")
	}
	given := commands.JobRef{RequestID: said.RequestID, StatusURL: said.StatusURL, ResponseURL: said.ResponseURL, CancelURL: said.CancelURL}
	if checkRef(given) == nil {
		return given, nil
	}
	return ref, nil
}

// Ref implements commands.Jobs.
func (q *Queue) Ref(model, requestID string) (commands.JobRef, error) {
	if !modelForm.MatchString(model) || !requestForm.MatchString(requestID) {
		return commands.JobRef{}, errors.New("fal: no model's name, or no job's id")
	}
	n, parts := 2, strings.Split(model, "/")
	if parts[0] == "workflows" || parts[0] == "comfy" {
		n = 3
	}
	if len(parts) < n {
		return commands.JobRef{}, fmt.Errorf("fal: a model's name has at least %d parts", n)
	}
	at := "https://" + queueHost + "/" + strings.Join(parts[:n], "/") + "/requests/" + requestID
	return commands.JobRef{RequestID: requestID, StatusURL: at + "/status", ResponseURL: at, CancelURL: at + "/cancel"}, nil
}

// checkRef: the addresses follow that very job, on the queue's own host.
func checkRef(ref commands.JobRef) error {
	for _, c := range []struct{ method, url, end string }{
		{http.MethodGet, ref.StatusURL, "/status"}, {http.MethodGet, ref.ResponseURL, ""}, {http.MethodPut, ref.CancelURL, "/cancel"},
	} {
		u, err := parseTarget(c.url)
		if err != nil || u.Host != queueHost || u.RawQuery != "" || u.Path != u.EscapedPath() || !pathForm.MatchString(u.Path) || !isFollow(c.method, u.Path) {
			return errors.New("fal: the job's addresses are not the queue's")
		}
		rest, ok := strings.CutSuffix(u.Path, "/requests/"+ref.RequestID+c.end)
		if !ok && c.end == "" {
			rest, ok = strings.CutSuffix(u.Path, "/requests/"+ref.RequestID+"/response")
		}
		if !ok || !requestForm.MatchString(ref.RequestID) || rest == "" {
			return errors.New("fal: the job's addresses are of another job")
		}
	}
	return nil
}

func (q *Queue) follow(ctx context.Context, ref commands.JobRef, method, target string, wait time.Duration, limit int64) (answer, error) {
	if err := checkRef(ref); err != nil {
		return answer{}, err
	}
	return q.call(ctx, commands.FalFollow, method, target, nil, wait, limit)
}

// jobState is fal.ai's word on a job.
type jobState struct {
	Status    string `json:"status"`
	Position  int    `json:"queue_position"`
	Error     string `json:"error"`
	ErrorType string `json:"error_type"`
}

func (q *Queue) state(ctx context.Context, ref commands.JobRef) (jobState, error) {
	a, err := q.follow(ctx, ref, http.MethodGet, ref.StatusURL, followWait, maxFollow)
	switch {
	case err != nil:
		return jobState{}, err
	case a.status == http.StatusNotFound, a.status == http.StatusGone:
		return jobState{}, forgotten()
	case a.status/100 != 2:
		return jobState{}, a.unexpected("status")
	}
	var s jobState
	if err := json.Unmarshal(a.body, &s); err != nil || s.Status == "" {
		return jobState{}, errors.New("fal: status: the answer can't be read")
	}
	return s, nil
}

// Status implements commands.Jobs. A job's logs are not asked for: they may be long, and quote what was asked.
func (q *Queue) Status(ctx context.Context, ref commands.JobRef) (commands.JobStatus, error) {
	s, err := q.state(ctx, ref)
	if err != nil {
		return commands.JobStatus{}, err
	}
	switch s.Status {
	case "IN_QUEUE":
		return commands.JobStatus{State: commands.JobQueued, Position: max(0, s.Position)}, nil
	case "IN_PROGRESS":
		return commands.JobStatus{State: commands.JobRunning}, nil
	}
	return commands.JobStatus{State: commands.JobDone}, nil // also what was canceled or has failed: the result says so
}

// Result implements commands.Jobs.
func (q *Queue) Result(ctx context.Context, ref commands.JobRef) (commands.JobResult, error) {
	a, err := q.follow(ctx, ref, http.MethodGet, ref.ResponseURL, resultWait, maxAnswer)
	switch {
	case errors.Is(err, errTooLarge):
		return commands.JobResult{}, &commands.JobFailure{Code: commands.FailedResult, Detail: "the model's answer is too large", Billed: true}
	case err != nil:
		return commands.JobResult{}, err
	case a.status == http.StatusOK:
		return output(a)
	case a.status == http.StatusNotFound, a.status == http.StatusGone:
		return commands.JobResult{}, forgotten()
	case a.status == http.StatusUnauthorized, a.status == http.StatusTooManyRequests, a.status/100 < 4, a.waits():
		return commands.JobResult{}, a.unexpected("result")
	case a.status >= 500 && !a.ofModel():
		return commands.JobResult{}, q.whyNoResult(ctx, ref, a)
	}
	return commands.JobResult{}, failureOf(a)
}

func output(a answer) (commands.JobResult, error) {
	if trimmed := bytes.TrimSpace(a.body); len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(trimmed) {
		return commands.JobResult{}, errors.New("fal: result: the answer can't be read")
	}
	units, err := strconv.ParseFloat(a.header.Get("X-Fal-Billable-Units"), 64)
	if err != nil || !(units > 0) || units > maxUnits {
		units = 0
	}
	return commands.JobResult{Output: a.body, Units: units}, nil
}

// whyNoResult tells a model that failed from a door of fal.ai's that did: the job's state knows.
func (q *Queue) whyNoResult(ctx context.Context, ref commands.JobRef, a answer) error {
	s, err := q.state(ctx, ref)
	if err != nil {
		return err
	}
	if s.Error == "" && s.ErrorType == "" {
		return a.unexpected("result")
	}
	return failed(a.status, s.ErrorType, s.Error, nil)
}

// Cancel implements commands.Jobs.
func (q *Queue) Cancel(ctx context.Context, ref commands.JobRef) error {
	a, err := q.follow(ctx, ref, http.MethodPut, ref.CancelURL, followWait, maxFollow)
	switch {
	case err != nil:
		return err
	case a.status/100 == 2, a.status == http.StatusBadRequest, a.status == http.StatusNotFound, a.status == http.StatusGone:
		return nil // asked to end, over already, or forgotten
	}
	return a.unexpected("cancel")
}
