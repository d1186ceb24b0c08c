package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

// httpError is a refusal whose status says more than its code's (405, 415, 421), or that comes with a wait.
type httpError struct {
	reason *domain.Error
	status int           // 0: the code's
	title  string        // with status
	retry  time.Duration // of Retry-After, rounded up to seconds; 0: none
}

func (e *httpError) Error() string { return e.reason.Error() }
func (e *httpError) Unwrap() error { return e.reason }

func badRequest(format string, args ...any) error {
	return domain.Errorf(domain.CodeBadRequest, format, args...)
}

func withStatus(status int, code domain.Code, detail string) error {
	return &httpError{reason: domain.Errorf(code, "%s", detail), status: status, title: http.StatusText(status)}
}

// objectsRetry is when to ask again for a picture whose store is away.
const objectsRetry = 5 * time.Second

// refusal is what an error comes to over HTTP. known is false for errors without a code: the client is told "internal", and the error
// itself is for the log.
func refusal(err error) (h httpError, known bool) {
	var own *httpError
	if errors.As(err, &own) {
		return *own, true
	}
	var coded *domain.Error
	if errors.As(err, &coded) {
		return httpError{reason: coded}, true
	}
	var tooLarge *http.MaxBytesError
	var badJSON *events.JSONError
	var fromEcho *echo.HTTPError
	switch {
	case errors.As(err, &tooLarge):
		return httpError{reason: domain.Errorf(domain.CodeTooLarge, "the body has more than %d bytes", tooLarge.Limit)}, true
	case errors.As(err, &badJSON):
		return httpError{reason: domain.Errorf(domain.CodeBadRequest, "%s", badJSON.Error())}, true
	case errors.Is(err, projections.ErrBehind):
		return httpError{reason: domain.Errorf(domain.CodeProjectionBehind, "the lists have not got there yet, try again"), retry: time.Second}, true
	case errors.Is(err, projections.ErrCursor):
		return httpError{reason: domain.Errorf(domain.CodeBadRequest, "cursor: not one of this list")}, true
	case errors.Is(err, projections.ErrNotFound):
		return httpError{reason: domain.Errorf(domain.CodeNotFound, "there is no such thing")}, true
	case errors.Is(err, commands.ErrObjectsDown):
		return httpError{reason: domain.Errorf(domain.CodeReadOnly, "pictures can't be read at the moment, try again"), retry: objectsRetry}, true
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return httpError{reason: domain.Errorf(domain.CodeReadOnly, "not done in time; whether it was done is unknown"), retry: time.Second}, true
	case errors.As(err, &fromEcho):
		return echoRefusal(fromEcho), true
	}
	return httpError{reason: domain.Errorf(domain.CodeInternal, "something went wrong here; the log has it under this request's id")}, false
}

// echoRefusal is for what the router refuses by itself.
func echoRefusal(err *echo.HTTPError) httpError {
	switch err.Code {
	case http.StatusNotFound:
		return httpError{reason: domain.Errorf(domain.CodeNotFound, "there is nothing at this address")}
	case http.StatusMethodNotAllowed:
		return httpError{reason: domain.Errorf(domain.CodeBadRequest, "the method is not allowed here, see Allow"), status: err.Code, title: http.StatusText(err.Code)}
	}
	return httpError{reason: domain.Errorf(domain.CodeBadRequest, "the request could not be read"), status: err.Code, title: http.StatusText(err.Code)}
}

// answerError is the one place where errors become answers, and where unknown ones are logged.
func (a *API) answerError(err error, c echo.Context) {
	q := requestOf(c)
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		a.hungUp(c)
		return
	}
	h, known := refusal(err)
	status := h.status
	if status == 0 {
		status = wire.Status(h.reason.Code)
	}
	if !known || h.reason.Code == domain.CodeInternal {
		a.cfg.Logger.Error("http_error", slog.String("error", err.Error()), slog.String("requestId", q.id), slog.String("route", routeOf(c)), slog.String("roomId", q.room))
	}
	q.code = h.reason.Code
	if c.Response().Committed {
		return // the answer had begun: cutting it is all that is left, and the log has the reason
	}
	header := c.Response().Header()
	for _, name := range []string{"Content-Type", "Content-Length", "Etag", "Location", "Last-Modified", "Content-Disposition", "Cross-Origin-Resource-Policy"} {
		header.Del(name)
	}
	header.Set("Cache-Control", "no-store")
	if status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="kanvas"`)
	}
	if h.retry > 0 {
		setRetryAfter(header, h.retry)
	}
	body := appendProblem(nil, &h, status, redactedPath(c.Request().URL))
	_ = a.gone(c, c.Blob(status, wire.ProblemType, body))
}

// statusHungUp is how servers write down that the client went away before its answer; nobody is sent it.
const statusHungUp = 499

// hungUp takes note of a client that is gone: nothing went wrong here, and nobody reads an answer.
func (a *API) hungUp(c echo.Context) {
	if !c.Response().Committed {
		c.Response().Status = statusHungUp
	}
	requestOf(c).hungUp = true
}

// setRetryAfter rounds up to seconds.
func setRetryAfter(h http.Header, wait time.Duration) {
	h.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
}

// appendProblem appends problem details. instance is the path that was asked for, without its query: that may hold secrets.
func appendProblem(dst []byte, h *httpError, status int, instance string) []byte {
	if h.status == 0 {
		return wire.AppendProblem(dst, h.reason.Code, h.reason.Detail, instance)
	}
	dst = events.AppendString(append(dst, `{"type":`...), "/problems/"+string(h.reason.Code))
	dst = events.AppendString(append(dst, `,"title":`...), h.title)
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(status), 10)
	dst = events.AppendString(append(dst, `,"code":`...), string(h.reason.Code))
	dst = events.AppendString(append(dst, `,"detail":`...), h.reason.Detail)
	dst = events.AppendString(append(dst, `,"instance":`...), instance)
	return append(dst, '}')
}
