package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// Sizes of bodies in bytes.
const (
	maxBody        = 64 << 10 // of everything but an editor's commands
	maxEditorBody  = 12 << 20 // pictures as data URLs
	maxBridgeBody  = 4 << 10
	bodyReadAtOnce = 32 << 10

	// bodyDepth is how deep a body may be nested: a list of commands around the deepest element.
	bodyDepth = domain.MaxJSONDepth + 6
)

// readBody reads a JSON body of at most limit bytes and checks all of it.
func readBody(c echo.Context, limit int64) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, withStatus(http.StatusUnsupportedMediaType, domain.CodeBadRequest, "Content-Type: application/json is expected")
	}
	return readAnyBody(c, limit)
}

// readAnyBody is readBody for clients that don't say what they send.
func readAnyBody(c echo.Context, limit int64) ([]byte, error) {
	b, err := readBytes(c, limit)
	if err == nil {
		err = events.CheckJSON(b, bodyDepth)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// readBytes reads a body of at most limit bytes, whatever it is.
func readBytes(c echo.Context, limit int64) ([]byte, error) {
	r := c.Request()
	if r.Header.Get("Content-Encoding") != "" {
		return nil, withStatus(http.StatusUnsupportedMediaType, domain.CodeBadRequest, "Content-Encoding: none is taken")
	}
	control := http.NewResponseController(c.Response().Writer)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("set deadline of body: %w", err)
	}
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0)+bytes.MinRead, bodyReadAtOnce)))
	_, err := b.ReadFrom(http.MaxBytesReader(c.Response().Writer, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, err
	case err != nil && !errors.Is(err, io.EOF):
		return nil, badRequest("the body ended early or was sent too slowly")
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("clear deadline of body: %w", err)
	}
	return b.Bytes(), nil
}

// member is one member that a body may have.
type member struct {
	name     string
	into     any // what json.Unmarshal takes
	required bool
}

// decodeMembers reads an object that CheckJSON has passed. Names are matched exactly, unknown members and nulls are refused.
func decodeMembers(body []byte, members ...member) error {
	var got map[string]json.RawMessage
	if err := json.Unmarshal(body, &got); err != nil || got == nil {
		return badRequest("the body must be a JSON object")
	}
	for _, m := range members {
		raw, ok := got[m.name]
		delete(got, m.name)
		switch {
		case !ok && m.required:
			return badRequest("%s: is missing", m.name)
		case !ok:
		case string(raw) == "null":
			return badRequest("%s: must not be null", m.name)
		default:
			if err := json.Unmarshal(raw, m.into); err != nil {
				return badRequest("%s: is of the wrong type", m.name)
			}
		}
	}
	for name := range got {
		return badRequest("%.64q: no such member here", name)
	}
	return nil
}
