package commands

import (
	"errors"

	"github.com/infinite-kanvas/kanvas/domain"
)

// Refusals that say nothing about the command itself: the same command may be sent again later.
var (
	errOverloaded = domain.Errorf(domain.CodeReadOnly, "the room is overloaded, try again")
	errShutdown   = domain.Errorf(domain.CodeReadOnly, "the server is shutting down")
	errReadOnly   = domain.Errorf(domain.CodeReadOnly, "nothing can be stored at the moment; reading works")
	errContended  = domain.Errorf(domain.CodeReadOnly, "the room is too busy on other nodes, try again")
	errUnknown    = domain.Errorf(domain.CodeReadOnly, "outcome unknown: the log did not answer; send the command again with the same seq or key")
	errUnread     = domain.Errorf(domain.CodeReadOnly, "the room's log can't be read at the moment")
	errTooMany    = domain.Errorf(domain.CodeReadOnly, "too many rooms are in use on this server")
	errCommitFull = domain.Errorf(domain.CodeTooLarge, "the change is larger than a commit may be")
	errNoObjects  = domain.Errorf(domain.CodeReadOnly, "pictures can't be stored at the moment, try again; other edits work")
	errNoRoom     = domain.Errorf(domain.CodeNotFound, "no such room")

	// errIdle ends actors that nobody uses. Nobody is told.
	errIdle = errors.New("commands: room is idle")
)

// damage says that a room's log or state can't be trusted: the room is refused, others go on.
func damage(room string, err error) *domain.Error {
	return domain.Errorf(domain.CodeInternal, "room %s is damaged and not served: %v", room, err)
}

// codeOf is the stable code of an error; errors that have none are internal.
func codeOf(err error) domain.Code {
	var e *domain.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return domain.CodeInternal
}

func isCode(err error, code domain.Code) bool { return err != nil && codeOf(err) == code }
