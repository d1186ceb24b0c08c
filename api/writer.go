package api

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// chunk is how much of an answer is written under one deadline, in bytes.
const chunk = 64 << 10

// chunkWriter writes in chunks and gives the client writeStall for each: who reads slowly gets all of it, who stops reading is cut.
type chunkWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w *chunkWriter) Write(p []byte) (n int, err error) {
	for {
		part := p[n:min(n+chunk, len(p))]
		if err := w.extend(); err != nil {
			return n, err
		}
		m, err := w.ResponseWriter.Write(part)
		if n += m; err != nil || n >= len(p) {
			return n, err
		}
	}
}

// FlushError sends what is buffered, under a deadline of its own.
func (w *chunkWriter) FlushError() error {
	if err := w.extend(); err != nil {
		return err
	}
	return w.control.Flush()
}

// Flush is FlushError for those who can't ask; the next write returns the error.
func (w *chunkWriter) Flush() { _ = w.FlushError() }

func (w *chunkWriter) extend() error {
	err := w.control.SetWriteDeadline(time.Now().Add(writeStall))
	if errors.Is(err, http.ErrNotSupported) {
		return nil // httptest.ResponseRecorder: nobody to be slow
	}
	return err
}

// Unwrap lets http.ResponseController through.
func (w *chunkWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// json answers with a body that is JSON already.
func (a *API) json(c echo.Context, status int, body []byte) error {
	h := c.Response().Header()
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	return a.gone(c, c.Blob(status, "application/json", body))
}

// gone takes the error of writing an answer: the client is gone or was cut, so nobody is left to be told but the log.
func (a *API) gone(c echo.Context, err error) error {
	if err != nil {
		a.cfg.Logger.Debug("http_write", slog.String("error", err.Error()), slog.String("requestId", requestOf(c).id))
	}
	return nil
}
