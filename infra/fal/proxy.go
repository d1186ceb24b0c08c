package fal

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

const (
	headerWait   = 10 * time.Minute // for a model to answer: it may work as long, and say nothing
	silence      = 5 * time.Minute  // between two parts of an answer
	maxAnswer    = 64 << 20         // bytes
	maxFile      = 512 << 20        // bytes, of FalFile
	maxFalHeads  = 16               // headers of fal.ai's own that are passed on
	maxFalHead   = 4 << 10          // bytes of one
	idleConns    = 32
	maxRedirects = 3
	targetHeader = "X-Fal-Target-Url"
)

// Config says with which key calls are made and what is allowed.
type Config struct {
	Key        string // of the server; "": callers bring their own
	Models     Models
	Logger     *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: metrics are counted and not shown

	// Dial and TLS let tests stand in for fal.ai's servers; nil: public addresses and the system's roots.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config
}

// Proxy makes calls to fal.ai. Safe for concurrent use. The owner calls Close.
type Proxy struct {
	key     string
	models  Models
	secrets [][]byte
	http    *http.Client
	log     *slog.Logger
	seconds *prometheus.HistogramVec
}

// New makes a proxy; nothing is asked yet.
func New(c Config) (*Proxy, error) {
	if bad := c.Models.Check(); len(bad) > 0 {
		return nil, fmt.Errorf("fal: no names of models: %q", bad)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = dialPublic(net.DefaultResolver)
	}
	p := &Proxy{key: c.Key, models: c.Models, secrets: secretsOf(c.Key), log: c.Logger, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "kanvas_fal_seconds", Help: "Time until fal.ai's answer began, by kind of call and class of status.", Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
	}, []string{"kind", "status"})}
	p.seconds.WithLabelValues(string(commands.FalRun), "2xx") // so that it is shown before the first call
	if c.Registerer != nil {
		if err := c.Registerer.Register(p.seconds); err != nil {
			return nil, fmt.Errorf("fal: metrics: %w", err)
		}
	}
	// No proxy of the environment: behind one, the address that is reached is not the one that was checked.
	p.http = &http.Client{
		Transport: &http.Transport{
			DialContext: c.Dial, TLSClientConfig: c.TLS.Clone(), ForceAttemptHTTP2: true, DisableCompression: true, TLSHandshakeTimeout: dialTimeout,
			ResponseHeaderTimeout: headerWait, MaxIdleConnsPerHost: idleConns, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: checkRedirect,
	}
	return p, nil
}

// HasKey says whether the server has a key of its own.
func (p *Proxy) HasKey() bool { return p.key != "" }

// Close drops idle connections. Calls in flight end by their contexts.
func (p *Proxy) Close() { p.http.CloseIdleConnections() }

// checkRedirect follows to files, and nowhere else.
func checkRedirect(to *http.Request, via []*http.Request) error {
	u, err := parseTarget(to.URL.String())
	if err != nil || len(via) > maxRedirects || !strings.HasSuffix(u.Host, "fal.media") || to.Method != http.MethodGet && to.Method != http.MethodHead {
		return http.ErrUseLastResponse
	}
	to.Header.Del("Authorization") // files need no key
	return nil
}

// Forward makes the call of in, with ownKey where one is given and else the server's. The answer's headers are those that may be passed on, its body
// is bounded and shows no key of the server. The caller closes it. Errors are a *domain.Error, and commands.ErrNotSent too where nothing can have
// arrived; ctx ends the call and the reading of its answer.
func (p *Proxy) Forward(ctx context.Context, in *http.Request, call commands.FalCall, ownKey string) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	out, err := p.request(ctx, in, call, ownKey)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("%w: %w", commands.ErrNotSent, err)
	}
	var connected atomic.Bool // from then on something may be sent
	out = out.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}))
	began := time.Now()
	res, err := p.http.Do(out)
	p.observe(call.Kind, res, time.Since(began))
	if err == nil {
		err = p.check(res, call, ownKey)
		if err != nil {
			res.Body.Close()
		}
	}
	if err != nil {
		err = p.failed(ctx, call, err)
		if !connected.Load() {
			err = fmt.Errorf("%w: %w", commands.ErrNotSent, err)
		}
		cancel(nil)
		return nil, err
	}
	limit := int64(maxAnswer)
	if call.Kind == commands.FalFile {
		limit = maxFile
	}
	res.Body = &limited{watch(res.Body, silence, cancel, cancel), limit}
	if ownKey == "" {
		res.Body = redact(res.Body, p.secrets)
	}
	res.Header = p.passedOn(res.Header)
	return res, nil
}

func (p *Proxy) observe(kind commands.FalKind, res *http.Response, took time.Duration) {
	status := "failed"
	if res != nil {
		status = fmt.Sprintf("%dxx", res.StatusCode/100)
	}
	p.seconds.WithLabelValues(string(kind), status).Observe(took.Seconds())
}

// request is what is sent: nothing of the caller but the body and the headers that fal.ai needs.
func (p *Proxy) request(ctx context.Context, in *http.Request, call commands.FalCall, ownKey string) (*http.Request, error) {
	body, size := in.Body, in.ContentLength
	if call.Method == http.MethodGet || call.Method == http.MethodHead || size == 0 {
		body, size = http.NoBody, 0
	}
	out, err := http.NewRequestWithContext(ctx, call.Method, call.URL.String(), body)
	if err != nil {
		return nil, refuse(domain.CodeBadRequest, "that is no call that can be made")
	}
	out.ContentLength = size
	if err := copyHeaders(out.Header, in.Header, ownKey != ""); err != nil {
		return nil, err
	}
	if call.Kind == commands.FalFile {
		return out, nil
	}
	key := ownKey
	if key == "" {
		key = p.key
	}
	out.Header.Set("Authorization", "Key "+key)
	return out, nil
}

// forServersKey are fal.ai's own headers that say how a job is to be run, and send nothing of it anywhere else.
var forServersKey = map[string]bool{
	"X-Fal-Queue-Priority": true, "X-Fal-Runner-Hint": true, "X-Fal-Request-Timeout": true, "X-Fal-No-Retry": true, "X-Fal-Store-Io": true,
	"X-Fal-Object-Lifecycle": true, "X-Fal-Object-Lifecycle-Preference": true,
}

func copyHeaders(out, in http.Header, own bool) error {
	for _, name := range []string{"Accept", "Content-Type", "User-Agent", "Range", "If-None-Match"} {
		if v := in.Get(name); v != "" {
			out.Set(name, v)
		}
	}
	n := 0
	for name, values := range in {
		if !strings.HasPrefix(name, "X-Fal-") || name == targetHeader {
			continue
		}
		if !own && !forServersKey[name] {
			continue
		}
		if n++; n > maxFalHeads || len(values) > 1 || len(values[0]) > maxFalHead {
			return refuse(domain.CodeBadRequest, "too many X-Fal- headers, one given twice, or one too long")
		}
		out[name] = values
	}
	return nil
}

// passedOn are the headers of an answer that concern the caller.
func (p *Proxy) passedOn(from http.Header) http.Header {
	h := http.Header{}
	for name, values := range from {
		switch name {
		case "Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "Etag", "Last-Modified", "Retry-After":
		default:
			if !strings.HasPrefix(name, "X-Fal-") {
				continue
			}
		}
		for _, v := range values {
			if !p.shows(v) {
				h.Add(name, v)
			}
		}
	}
	return h
}

func (p *Proxy) shows(text string) bool {
	for _, s := range p.secrets {
		if bytes.Contains([]byte(text), s) {
			return true
		}
	}
	return false
}

// check refuses answers that may not be passed on.
func (p *Proxy) check(res *http.Response, call commands.FalCall, ownKey string) error {
	limit := int64(maxAnswer)
	if call.Kind == commands.FalFile {
		limit = maxFile
	}
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400 && res.StatusCode != http.StatusNotModified:
		return refuse(domain.CodeUpstreamFailed, "fal.ai sent the call elsewhere, which is not followed")
	case res.StatusCode == http.StatusUnauthorized && ownKey == "" && call.Kind != commands.FalFile:
		p.log.Error("fal_key_refused", slog.String("meaning", "fal.ai does not take FAL_KEY"))
		return refuse(domain.CodeUpstreamFailed, "fal.ai does not take this server's key; your own fal.ai key may")
	case res.Header.Get("Content-Encoding") != "" && res.Header.Get("Content-Encoding") != "identity":
		return refuse(domain.CodeUpstreamFailed, "fal.ai's answer is compressed, which was not asked for")
	case res.ContentLength > limit:
		return domain.Errorf(domain.CodeUpstreamFailed, "fal.ai's answer has more than %d bytes", limit)
	}
	return nil
}

// failed tells the caller in short and the log in full. net/http's errors hold the address without user, never headers; the address's query may hold a
// signature, so it is left out.
func (p *Proxy) failed(ctx context.Context, call commands.FalCall, err error) error {
	var coded *domain.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.As(err, &tooLarge):
		return domain.Errorf(domain.CodeTooLarge, "the body has more than %d bytes", tooLarge.Limit)
	case ctx.Err() != nil:
		return refuse(domain.CodeUpstreamFailed, "the call was ended")
	}
	p.log.Warn("fal_failed", slog.String("host", call.URL.Host), slog.String("path", call.URL.Path), slog.String("error", reason(err)))
	return refuse(domain.CodeUpstreamFailed, "fal.ai could not be reached, or did not answer")
}

// silent ends an answer of which nothing came for a while.
type silent struct {
	io.ReadCloser
	timer *time.Timer
	after time.Duration
	end   context.CancelCauseFunc
}

var errSilent = errors.New("fal: the answer stopped")

// watch cuts body where nothing comes for that long; end is called at Close.
func watch(body io.ReadCloser, after time.Duration, cut, end context.CancelCauseFunc) io.ReadCloser {
	return &silent{body, time.AfterFunc(after, func() { cut(errSilent) }), after, end}
}

func (s *silent) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.timer.Reset(s.after)
	return n, err
}

func (s *silent) Close() error {
	s.timer.Stop()
	err := s.ReadCloser.Close()
	s.end(nil)
	return err
}

// reason is the error without the address that net/http puts in front.
func reason(err error) string {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	return err.Error()
}
