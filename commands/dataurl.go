package commands

import (
	"bytes"
	"encoding/base64"

	"github.com/infinite-kanvas/kanvas/domain"
)

// MaxDataURLBytes is the largest picture that may come as a data URL, decoded.
const MaxDataURLBytes = 12 << 20

// decodeDataURL returns the bytes of `data:[type][;parameters];base64,…`. The type it names is not looked at: the bytes say what they are.
func decodeDataURL(text []byte) ([]byte, error) {
	head, body, ok := bytes.Cut(text[len("data:"):], []byte(","))
	if !ok || len(head) > 256 || !bytes.HasSuffix(bytes.ToLower(head), []byte(";base64")) {
		return nil, domain.Errorf(domain.CodeInvalidCommand, "a data URL must be base64")
	}
	body = bytes.TrimRight(body, "=")
	if base64.RawStdEncoding.DecodedLen(len(body)) > MaxDataURLBytes {
		return nil, domain.Errorf(domain.CodeTooLarge, "a picture in src has at most %d bytes; larger ones are uploaded", MaxDataURLBytes)
	}
	if bytes.ContainsAny(body, "\r\n") { // the decoder would skip them
		return nil, domain.Errorf(domain.CodeInvalidCommand, "the data URL is not base64")
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(body)))
	n, err := base64.RawStdEncoding.Decode(out, body)
	if err != nil {
		return nil, domain.Errorf(domain.CodeInvalidCommand, "the data URL is not base64")
	}
	return out[:n], nil
}
