package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
)

// Directory reads what the directory that people sign in at (Clerk) tells by webhook. ok is false for news that are not about a person. Errors are
// *domain.Error where the message is to blame. It may be called concurrently.
type Directory interface {
	Read(header http.Header, body []byte) (change commands.DirectoryChange, ok bool, err error)
}

// maxClerkBody bounds a message of the webhook: people have metadata.
const maxClerkBody = 256 << 10

// clerk is POST /api/clerk. It answers when what was told is durable; a message that is not taken comes again.
func (a *API) clerk(c echo.Context) error {
	if a.cfg.Directory == nil {
		return domain.Errorf(domain.CodeNotFound, "Clerk's webhook is not set up here (CLERK_WEBHOOK_SECRET)")
	}
	body, err := readBytes(c, maxClerkBody)
	if err != nil {
		return err
	}
	change, ok, err := a.cfg.Directory.Read(c.Request().Header, body)
	if err != nil {
		return err
	}
	if ok {
		requestOf(c).user = change.User.ID
		if err := a.cfg.Users.ApplyDirectory(c.Request().Context(), change); err != nil {
			return err
		}
		if change.Deleted {
			a.cfg.Hub.CloseUser(change.User.ID)
		}
	}
	return a.json(c, http.StatusOK, []byte(`{"success":true}`))
}
