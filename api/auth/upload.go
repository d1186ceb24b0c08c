package auth

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// UploadPart is what the address of one part of an upload lets its bearer do: put exactly those bytes there until it expires.
type UploadPart struct {
	Asset       string
	Part        int
	ContentType string
	Total       int64 // bytes of the whole upload, by which the part's are known
	Expires     time.Time
}

// Errors of UploadSigner.Verify. Test with errors.Is.
var (
	ErrUploadSignature = errors.New("auth: the upload's address was not signed here")
	ErrUploadExpired   = errors.New("auth: the upload's address has expired")
)

// UploadSigner signs addresses that bytes are sent to. Safe for concurrent use.
type UploadSigner struct{ key []byte }

// NewUploadSigner derives its key from secret (at least MinSecretBytes).
func NewUploadSigner(secret []byte) (*UploadSigner, error) {
	key, err := derive(secret, "kanvas/upload/v1")
	if err != nil {
		return nil, err
	}
	return &UploadSigner{key}, nil
}

func (s *UploadSigner) sign(p UploadPart) string {
	text := fmt.Sprintf("%s\n%d\n%s\n%d\n%d", p.Asset, p.Part, p.ContentType, p.Total, p.Expires.Unix())
	return base64.RawURLEncoding.EncodeToString(sum(s.key, text))
}

// Query is the query of the part's address.
func (s *UploadSigner) Query(p UploadPart) string {
	return url.Values{"type": {p.ContentType}, "total": {strconv.FormatInt(p.Total, 10)}, "expires": {strconv.FormatInt(p.Expires.Unix(), 10)}, "sig": {s.sign(p)}}.Encode()
}

// Verify reads an address. ErrUploadSignature, ErrUploadExpired.
func (s *UploadSigner) Verify(asset, part string, query url.Values, now time.Time) (UploadPart, error) {
	p := UploadPart{Asset: asset, ContentType: query.Get("type")}
	var errs [3]error
	var expires int64
	p.Part, errs[0] = strconv.Atoi(part)
	p.Total, errs[1] = strconv.ParseInt(query.Get("total"), 10, 64)
	expires, errs[2] = strconv.ParseInt(query.Get("expires"), 10, 64)
	p.Expires = time.Unix(expires, 0)
	if errors.Join(errs[:]...) != nil || !hmac.Equal([]byte(s.sign(p)), []byte(query.Get("sig"))) {
		return p, ErrUploadSignature
	}
	if !now.Before(p.Expires) {
		return p, ErrUploadExpired
	}
	return p, nil
}
