package wire

import (
	"strconv"

	"github.com/infinite-kanvas/kanvas/domain"
)

// AppendInvites appends a JSON array of `{"id","role","expires_at"?,"uses"?,"used","created_by","created_at"}`, oldest first.
func AppendInvites(dst []byte, list []domain.Invite) []byte {
	dst = append(dst, '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		v := &list[i]
		dst = appendTerms(append(dst, '{'), v.ID, string(v.Role), v.ExpiresAt, v.Uses)
		dst = strconv.AppendInt(append(dst, `,"used":`...), int64(v.Used), 10)
		dst = appendString(append(dst, ','), "created_by", v.By)
		dst = append(appendTime(append(dst, ','), "created_at", v.At), '}')
	}
	return append(dst, ']')
}

// AppendTerms appends `"id","role","expires_at"?,"uses"?` of an invite: expiresAt in Unix milliseconds, 0 for never; uses 0 for any number.
func AppendTerms(dst []byte, id string, role domain.Role, expiresAt int64, uses int) []byte {
	return appendTerms(dst, id, string(role), expiresAt, uses)
}

func appendTerms(dst []byte, id, role string, expiresAt int64, uses int) []byte {
	dst = appendString(dst, "id", id)
	dst = appendString(append(dst, ','), "role", role)
	if expiresAt > 0 {
		dst = appendTime(append(dst, ','), "expires_at", expiresAt)
	}
	if uses > 0 {
		dst = strconv.AppendInt(append(dst, `,"uses":`...), int64(uses), 10)
	}
	return dst
}
