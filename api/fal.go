package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

const (
	falPath   = "/api/fal"
	falTarget = "X-Fal-Target-Url"

	// ActionFal names the limits on calls that are paid for with the server's key.
	ActionFal = "fal"
	// maxFalBody bounds what is sent to a model, maxFalFile a file; bytes.
	maxFalBody = 32 << 20
	maxFalFile = 100 << 20
	// falAtOnce bounds the calls of one caller, falOnNode those of all, that are under way.
	falAtOnce  = 32
	falOnNode  = 512
	falSettled = 5 * time.Second // to write down what became of a call
)

// FalProxy makes calls to fal.ai. All methods may be called concurrently; errors are *domain.Error.
type FalProxy interface {
	// HasKey says whether the server has a key of its own.
	HasKey() bool
	// Call says what a call is, or refuses it. own: it is made with the caller's own key.
	Call(method, target string, own bool) (commands.FalCall, error)
	// Forward makes the call of in, with ownKey or, where that is "", the server's. The answer may be passed on as it is; the caller closes its body.
	Forward(ctx context.Context, in *http.Request, call commands.FalCall, ownKey string) (*http.Response, error)
}

// falLimits are what calls with the server's key count against.
type falLimits struct {
	person commands.Limit // a call of a person, or of an address where nobody is signed in
	server commands.Limit // of everybody together: guest identities and addresses are free
	upload commands.Limit
}

func newFalLimits(person []commands.Window, budget int) falLimits {
	return falLimits{
		person: commands.Limit{Action: ActionFal, Spends: true, Windows: person},
		server: commands.Limit{Action: "fal_budget", Spends: true, Windows: []commands.Window{{Max: budget, Per: 24 * time.Hour}}},
		upload: commands.Limit{Action: "fal_uploads", Spends: true, Windows: []commands.Window{{Max: 30, Per: time.Minute}, {Max: 300, Per: 24 * time.Hour}}},
	}
}

// everybody is whom the server's budget counts.
var everybody = commands.Caller{ID: "everybody", IP: "everybody"}

// falKey is the form of fal.ai's keys: an id and a secret.
var falKey = regexp.MustCompile(`^[A-Za-z0-9_-]{8,128}:[A-Za-z0-9_-]{16,128}$`)

// ownFalKey is the caller's own key, where Authorization holds one: "Key id:secret".
func ownFalKey(r *http.Request) (key string, given bool, err error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false, nil
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Key") {
		return "", false, nil
	}
	if key = strings.TrimSpace(key); !falKey.MatchString(key) {
		return "", true, domain.Errorf(domain.CodeUnauthenticated, "Authorization: that does not look like a key of fal.ai (Key id:secret)")
	}
	return key, true, nil
}

// fal passes a call of @fal-ai/client on. Every method goes through the same door.
func (a *API) fal(c echo.Context) error {
	r, q := c.Request(), requestOf(c)
	key, own, err := ownFalKey(r)
	if err != nil {
		return err
	}
	switch {
	case a.cfg.Fal == nil, !own && !a.cfg.Fal.HasKey():
		return domain.Errorf(domain.CodeUnauthenticated, "this server has no key of fal.ai (FAL_KEY); bring your own: Authorization: Key id:secret")
	case len(r.Header.Values(falTarget)) > 1:
		return badRequest("%s is given more than once", falTarget)
	}
	call, err := a.cfg.Fal.Call(r.Method, r.Header.Get(falTarget), own)
	if err != nil {
		return err
	}
	if err := a.boundFalBody(c, call); err != nil {
		return err
	}
	leave, err := a.falCalls.enter(callerKey(q))
	if err != nil {
		return err
	}
	defer leave()
	if !own {
		refused, err := a.countFal(c, call)
		if refused || err != nil {
			return err
		}
	}
	settle, refused, err := a.reserveFal(c, &call, own)
	if refused || err != nil {
		return err
	}
	var answer commands.FalAnswer
	defer func() { // also where the answer is cut
		settle(answer)
		a.followedFal(r.Context(), call, own, answer)
	}()
	return a.forwardFal(c, call, key, &answer)
}

// boundFalBody refuses what is said to be too large, and bounds the rest.
func (a *API) boundFalBody(c echo.Context, call commands.FalCall) error {
	r := c.Request()
	if r.ContentLength == 0 {
		return nil
	}
	limit := int64(maxFalBody)
	switch call.Kind {
	case commands.FalUpload:
		limit = maxBody
	case commands.FalFile:
		limit = maxFalFile
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return badRequest("a body with %s", r.Method)
	}
	if r.ContentLength > limit {
		return domain.Errorf(domain.CodeTooLarge, "the body has more than %d bytes", limit)
	}
	if r.Header.Get("Content-Encoding") != "" {
		return withStatus(http.StatusUnsupportedMediaType, domain.CodeBadRequest, "Content-Encoding: none is taken")
	}
	control := http.NewResponseController(c.Response().Writer)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set deadline of body: %w", err)
	}
	r.Body = &timedBody{http.MaxBytesReader(c.Response().Writer, r.Body, limit), control}
	return nil
}

// timedBody is read under a deadline, which ends with it: past the body's end it would cut the answer.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil, errors.As(err, &tooLarge):
		return n, err
	case !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return n, badRequest("the body ended early or was sent too slowly")
	default:
		if e := b.control.SetReadDeadline(time.Time{}); e != nil && !errors.Is(e, http.ErrNotSupported) {
			return n, fmt.Errorf("clear deadline of body: %w", e)
		}
	}
	return n, err
}

// countFal counts a call with the server's key. refused: the caller has had its answer.
func (a *API) countFal(c echo.Context, call commands.FalCall) (refused bool, err error) {
	q := requestOf(c)
	who := q.caller(q.who.Kind == "guest") // guest identities cost nothing, so they are not what limits count
	reads := call.Method == http.MethodGet || call.Method == http.MethodHead
	switch {
	case call.Kind == commands.FalRun:
		return a.countRun(c, who)
	case call.Kind == commands.FalUpload, call.Kind == commands.FalFile && !reads:
		return a.takeFal(c, a.falLimits.upload, who, 1)
	case call.Kind == commands.FalFile:
		return false, a.count(c, rateFalFiles, 1)
	}
	return false, a.count(c, rateFal, 1)
}

// countRun counts against the person's and the server's limits; where the server's is used up, the person's is not touched.
func (a *API) countRun(c echo.Context, who commands.Caller) (refused bool, err error) {
	if refused, err = a.takeFal(c, a.falLimits.server, everybody, 0); refused || err != nil {
		return refused, err
	}
	if refused, err = a.takeFal(c, a.falLimits.person, who, 1); refused || err != nil {
		return refused, err
	}
	mine := c.Response().Header().Clone()
	if refused, err = a.takeFal(c, a.falLimits.server, everybody, 1); refused || err != nil {
		return refused, err
	}
	for _, name := range []string{headerLimit, headerRemaining, headerReset} {
		c.Response().Header().Set(name, mine.Get(name)) // the caller is told of its own
	}
	return false, nil
}

// takeFal is take with the answer that front ends expect: a plain text, and the window by name.
func (a *API) takeFal(c echo.Context, limit commands.Limit, who commands.Caller, n int) (refused bool, err error) {
	t, err := a.cfg.Limiter.Take(c.Request().Context(), limit, who, n)
	if err != nil {
		return false, errLimiterAway()
	}
	setLimitHeaders(c, t.Window.Max, t.Remaining, t.Reset)
	if t.OK {
		return false, nil
	}
	a.metrics.limited.WithLabelValues(limit.Action).Inc()
	requestOf(c).code = domain.CodeRateLimited
	h := c.Response().Header()
	h.Set("X-RateLimit-Period", periodLabel(t.Window.Per))
	setRetryAfter(h, t.Retry)
	h.Set("Cache-Control", "no-store")
	text := fmt.Sprintf("Rate limit exceeded: %d %s. Add your own fal.ai API key to go on without limits.", t.Window.Max, periodText(t.Window.Per))
	if limit.Action == a.falLimits.server.Action {
		text = fmt.Sprintf("Rate limit exceeded: this server makes %d calls %s for everybody together. Add your own fal.ai API key to go on.", t.Window.Max, periodText(t.Window.Per))
	}
	return true, a.gone(c, c.String(http.StatusTooManyRequests, text))
}

// periodLabel is how front ends know the windows.
func periodLabel(per time.Duration) string {
	switch per {
	case time.Minute:
		return "perMinute"
	case time.Hour:
		return "perHour"
	case 24 * time.Hour:
		return "perDay"
	}
	return per.String()
}

func periodText(per time.Duration) string {
	switch per {
	case time.Minute:
		return "per minute"
	case time.Hour:
		return "per hour"
	case 24 * time.Hour:
		return "per day"
	}
	return "in " + per.String()
}

// reserveFal asks who keeps account, where somebody does, and what the call is paid for by the server. refused: the caller has had its answer.
func (a *API) reserveFal(c echo.Context, call *commands.FalCall, own bool) (settle func(commands.FalAnswer), refused bool, err error) {
	if a.cfg.FalSpending == nil || own || call.Kind != commands.FalRun {
		return func(commands.FalAnswer) {}, false, nil
	}
	if call.URL.RawQuery == "" { // else some of the input may be there
		if call.Input, err = falInput(c.Request()); err != nil {
			return nil, false, err
		}
	}
	ctx, q := c.Request().Context(), requestOf(c)
	done, err := a.cfg.FalSpending.Reserve(ctx, commands.Payer{Person: q.user, Address: q.freeAddress()}, *call)
	var refusal *domain.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == domain.CodeRateLimited:
		q.code = refusal.Code
		h := c.Response().Header()
		h.Set("X-RateLimit-Period", "perMonth")
		h.Set("Cache-Control", "no-store")
		return nil, true, a.gone(c, c.String(http.StatusTooManyRequests, "Budget exceeded: "+refusal.Detail+". Add your own fal.ai API key to go on."))
	case err != nil:
		return nil, false, err
	}
	return func(answer commands.FalAnswer) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), falSettled) // also where the caller has gone
		defer cancel()
		done(ctx, answer)
	}, false, nil
}

// maxFalInput is how much of an input is looked at for what decides about the price, bytes: files in it make it longer.
const maxFalInput = 1 << 20

// falInput is what a model is to be given, nil where that is not all in a short body; it is put back into the request.
func falInput(r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 || r.ContentLength > maxFalInput {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxFalInput+1))
	if err != nil {
		return nil, err
	}
	r.Body = putBack{io.MultiReader(bytes.NewReader(b), r.Body), r.Body}
	if len(b) > maxFalInput {
		return nil, nil
	}
	return b, nil
}

type putBack struct {
	io.Reader
	io.Closer
}

// followedFal tells who keeps account what was answered to who asked for a job's result.
func (a *API) followedFal(ctx context.Context, call commands.FalCall, own bool, answer commands.FalAnswer) {
	if a.cfg.FalSpending == nil || own || call.Job == "" || answer.Status == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), falSettled)
	defer cancel()
	a.cfg.FalSpending.Followed(ctx, call.Job, answer)
}

// maxFalTicket is how much of the answer to a job that was put in the queue is looked at for its id, bytes.
const maxFalTicket = 16 << 10

// head keeps the beginning of what is read through it.
type head struct {
	io.Reader
	kept []byte
}

func (h *head) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.kept = append(h.kept, p[:min(n, maxFalTicket-len(h.kept))]...)
	return n, err
}

// job is the id in the answer to a job that was put in the queue, "" where there is none.
func (h *head) job() string {
	var ticket struct {
		ID string `json:"request_id"`
	}
	if json.Unmarshal(h.kept, &ticket) != nil || len(ticket.ID) > 128 {
		return ""
	}
	return ticket.ID
}

// forwardFal makes the call and passes its answer on as it comes. answer is set to what is known of it.
func (a *API) forwardFal(c echo.Context, call commands.FalCall, key string, answer *commands.FalAnswer) error {
	res, err := a.cfg.Fal.Forward(c.Request().Context(), c.Request(), call, key)
	if err != nil {
		answer.Unsent = errors.Is(err, commands.ErrNotSent)
		return err
	}
	defer res.Body.Close()
	answer.Status = res.StatusCode
	if units, err := strconv.ParseFloat(res.Header.Get("X-Fal-Billable-Units"), 64); err == nil {
		answer.Units = units
	}
	h := c.Response().Header()
	for name, values := range res.Header {
		h[name] = values
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox") // what somebody made at fal.ai must not run as a page of ours
	h.Set("X-Accel-Buffering", "no")
	c.Response().WriteHeader(res.StatusCode)
	body := &head{Reader: res.Body}
	err = passOn(c.Response(), body, res.ContentLength < 0)
	if call.Queues && res.StatusCode < 300 {
		answer.Job = body.job()
	}
	if err != nil {
		a.cfg.Logger.Info("fal_cut", slog.String("requestId", requestOf(c).id), slog.String("kind", string(call.Kind)), slog.String("error", err.Error()))
		panic(http.ErrAbortHandler) // so that nobody takes what came for all
	}
	return nil
}

// passOn copies; each part is sent at once where the end is not known.
func passOn(to *echo.Response, from io.Reader, flush bool) error {
	control := http.NewResponseController(to.Writer)
	if flush {
		if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
	}
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
			if flush {
				if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
