package realtime

import "github.com/infinite-kanvas/kanvas/domain"

// CloseCode is why a socket was closed.
type CloseCode uint16

// Close codes of the v1 contract, and 1012 for old clients.
const (
	CloseDone            CloseCode = 1000
	CloseGoingAway       CloseCode = 1001 // resume
	CloseRestart         CloseCode = 1012 // parties: reconnect
	CloseBadMessage      CloseCode = 4400
	CloseUnauthenticated CloseCode = 4401
	CloseForbidden       CloseCode = 4403 // no longer a right to the room
	CloseNotFound        CloseCode = 4404
	CloseHelloLate       CloseCode = 4408
	CloseReplaced        CloseCode = 4409
	CloseTooLarge        CloseCode = 4413
	CloseTooMany         CloseCode = 4429
	CloseReadOnly        CloseCode = 4503 // resume later
	CloseTooSlow         CloseCode = 4508 // resume
)

// closing is the last thing a socket is told: an error message, where Code is set, and the close frame.
type closing struct {
	close  CloseCode
	code   domain.Code
	detail string
}

var (
	byeSlow        = closing{CloseTooSlow, domain.CodeRateLimited, "too slow, resume"}
	byeGoingAway   = closing{CloseGoingAway, "", "server going away"}
	byeReplaced    = closing{CloseReplaced, domain.CodeConflict, "replaced by another socket of the same client"}
	byeReadOnly    = closing{CloseReadOnly, domain.CodeReadOnly, "the room can't be served now, resume later"}
	byeDeleted     = closing{CloseNotFound, domain.CodeNotFound, "the room was deleted"}
	byeDeletedUser = closing{CloseUnauthenticated, domain.CodeUnauthenticated, "this user was deleted"}
	byeNotFound    = closing{CloseNotFound, domain.CodeNotFound, "no such room"}
	byeForbidden   = closing{CloseForbidden, domain.CodeForbidden, "no longer a right to the room"}
	byeTooMany     = closing{CloseTooMany, domain.CodeRateLimited, "too many frames"}
	byeLate        = closing{CloseHelloLate, domain.CodeUnauthenticated, "no hello in time"}
	byeExpired     = closing{CloseUnauthenticated, domain.CodeUnauthenticated, "authenticate anew"}
)

// byeError is how a socket ends that was refused with err.
func byeError(code domain.Code, detail string) closing {
	c := closing{CloseReadOnly, code, detail}
	switch code {
	case domain.CodeNotFound:
		c.close = CloseNotFound
	case domain.CodeForbidden:
		c.close = CloseForbidden
	case domain.CodeUnauthenticated:
		c.close = CloseUnauthenticated
	case domain.CodeRateLimited:
		c.close = CloseTooMany
	case domain.CodeTooLarge:
		c.close = CloseTooLarge
	case domain.CodeBadRequest, domain.CodeInvalidCommand:
		c.close = CloseBadMessage
	}
	return c
}
