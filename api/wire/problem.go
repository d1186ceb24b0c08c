package wire

import (
	"net/http"
	"strconv"

	"github.com/infinite-kanvas/kanvas/domain"
)

// ProblemType is the content type of problem details.
const ProblemType = "application/problem+json"

// statuses maps every code to its HTTP status and title.
var statuses = map[domain.Code]struct {
	status int
	title  string
}{
	domain.CodeBadRequest:          {http.StatusBadRequest, "The request is not well formed"},
	domain.CodeInvalidCommand:      {http.StatusUnprocessableEntity, "The command is not valid"},
	domain.CodeUnauthenticated:     {http.StatusUnauthorized, "Not authenticated"},
	domain.CodeForbidden:           {http.StatusForbidden, "Not allowed"},
	domain.CodeNotFound:            {http.StatusNotFound, "Not found"},
	domain.CodeConflict:            {http.StatusConflict, "Conflict"},
	domain.CodeRevisionConflict:    {http.StatusConflict, "The room has moved on"},
	domain.CodeIdempotencyMismatch: {http.StatusUnprocessableEntity, "The key was used with another body"},
	domain.CodeStaleSeq:            {http.StatusConflict, "The answer is no longer remembered"},
	domain.CodeNothingToUndo:       {http.StatusConflict, "Nothing to undo"},
	domain.CodeTooLarge:            {http.StatusRequestEntityTooLarge, "Too large"},
	domain.CodeRoomFull:            {http.StatusInsufficientStorage, "The room is full"},
	domain.CodeRateLimited:         {http.StatusTooManyRequests, "Too many requests"},
	domain.CodeReadOnly:            {http.StatusServiceUnavailable, "Read-only or overloaded"},
	domain.CodeProjectionBehind:    {http.StatusGatewayTimeout, "The lists are behind"},
	domain.CodeUpstreamFailed:      {http.StatusBadGateway, "Another service failed"},
	domain.CodeInternal:            {http.StatusInternalServerError, "Something went wrong here"},
}

// Status is the HTTP status of a code; 500 for one that is not known.
func Status(code domain.Code) int {
	if s, ok := statuses[code]; ok {
		return s.status
	}
	return http.StatusInternalServerError
}

// AppendProblem appends RFC 9457 problem details; instance may be "".
func AppendProblem(dst []byte, code domain.Code, detail, instance string) []byte {
	dst = appendString(append(dst, '{'), "type", "/problems/"+string(code))
	dst = appendString(append(dst, ','), "title", statuses[code].title)
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(Status(code)), 10)
	dst = appendString(append(dst, ','), "code", string(code))
	dst = appendString(append(dst, ','), "detail", detail)
	if instance != "" {
		dst = appendString(append(dst, ','), "instance", instance)
	}
	return append(dst, '}')
}
