package api

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// FalWebhook reads what fal.ai says of a job that is over. Errors are *domain.Error where the message, or fal.ai, is to blame. It may be called concurrently.
type FalWebhook interface {
	Read(ctx context.Context, header http.Header, body []byte) (requestID string, err error)
}

// JobListener hears that the job of a generation is over. It may be called concurrently.
type JobListener interface {
	// Heard returns nil once that is durable, also where it was known. *domain.Error: CodeNotFound where the room has no such generation.
	Heard(ctx context.Context, room, generation, requestID string) error
}

// maxFalWebhook bounds a message: it repeats the result, in which files have addresses.
const maxFalWebhook = 8 << 20

// falWebhook is POST /api/fal/webhook/:room/:generation. The code in the address is looked at before the body is read. A message that is not taken comes
// again, for two hours.
func (a *API) falWebhook(c echo.Context) error {
	room, generation := c.Param("room"), c.Param("generation")
	if a.cfg.FalWebhook == nil || a.cfg.Jobs == nil || !events.ValidStreamID(room) || !a.cfg.JobWebhooks.Verify(room, generation, c.QueryParam("code")) {
		return domain.Errorf(domain.CodeNotFound, "no job reports here")
	}
	body, err := readBytes(c, maxFalWebhook)
	if err != nil {
		return err
	}
	id, err := a.cfg.FalWebhook.Read(c.Request().Context(), c.Request().Header, body)
	if err != nil {
		return err
	}
	if err := a.cfg.Jobs.Heard(c.Request().Context(), room, generation, id); err != nil {
		return err
	}
	return a.json(c, http.StatusOK, []byte(`{"success":true}`))
}
