package r2

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/infinite-kanvas/kanvas/infra/objects"
)

// Put implements commands.Objects. The body must have exactly size bytes, at most MaxSize. Memory: one part at a time for what fits in
// one, at most partsAtOnce parts for what is larger.
func (b *Bucket) Put(ctx context.Context, key, contentType string, body io.Reader, size int64) error {
	_, err := b.put(ctx, key, contentType, body, size, false)
	return err
}

// PutNew stores an object where there is none under its key, and reports whether it did. What is there stays as it is. Only for what
// fits in one part.
func (b *Bucket) PutNew(ctx context.Context, key, contentType string, body io.Reader, size int64) (stored bool, err error) {
	if size > PartSize {
		return false, fmt.Errorf("r2: put %s: %d bytes are more than the %d that can be put on a condition", key, size, PartSize)
	}
	return b.put(ctx, key, contentType, body, size, true)
}

func (b *Bucket) put(ctx context.Context, key, contentType string, body io.Reader, size int64, onlyNew bool) (stored bool, err error) {
	if err := objects.CheckKey(key); err != nil {
		return false, err
	}
	if size < 0 || size > MaxSize {
		return false, fmt.Errorf("r2: put %s: %d bytes are not 0 to %d", key, size, int64(MaxSize))
	}
	if err := b.resting(); err != nil {
		return false, err
	}
	began := time.Now()
	defer func() { b.observe("put", began, err) }()
	if size > PartSize {
		return true, b.putParts(ctx, key, contentType, body, size)
	}
	return b.putOne(ctx, key, contentType, body, size, onlyNew)
}

// putOne sends an object in one request. The sum of its bytes is sent along, so the server stores what was read or nothing.
func (b *Bucket) putOne(ctx context.Context, key, contentType string, body io.Reader, size int64, onlyNew bool) (stored bool, err error) {
	if err := b.memory.Acquire(ctx, size); err != nil {
		return false, b.failed("put", key, err)
	}
	defer b.memory.Release(size)
	buf := make([]byte, size)
	if err := readAll(body, buf, true); err != nil {
		return false, fmt.Errorf("r2: put %s: %w", key, err)
	}
	sum := md5.Sum(buf)
	in := &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: bytes.NewReader(buf), ContentLength: &size,
		ContentType: &contentType, ContentMD5: encoded(sum), CacheControl: cacheControl(key)}
	if onlyNew {
		in.IfNoneMatch = aws.String("*")
	}
	ctx, cancel := context.WithTimeout(ctx, b.sendTimeout(size))
	defer cancel()
	began := time.Now()
	out, err := b.api.PutObject(ctx, in)
	if err != nil {
		if status, _ := answer(err); onlyNew && status == http.StatusPreconditionFailed {
			return false, nil
		}
		return false, b.failed("put", key, err)
	}
	b.metrics.Moved("put", size, time.Since(began))
	return true, checkETag(key, unquote(out.ETag), hex.EncodeToString(sum[:]))
}

// readAll fills buf. last says that the body must end there.
func readAll(body io.Reader, buf []byte, last bool) error {
	if _, err := io.ReadFull(body, buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("the body is shorter than announced")
		}
		return err
	}
	if !last {
		return nil
	}
	switch n, err := io.ReadFull(body, make([]byte, 1)); {
	case n > 0:
		return errors.New("the body is longer than announced")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// checkETag compares what the server stored with what was sent, where the server's ETag is the sum that R2's is.
func checkETag(key, got, want string) error {
	if len(got) == len(want) && isMD5(got) && !strings.EqualFold(got, want) {
		return fmt.Errorf("r2: put %s: the server stored other bytes than were sent (ETag %s, not %s)", key, got, want)
	}
	return nil
}

// isMD5 reports whether an ETag has the form of R2's: 32 hex digits, then "-" and the number of parts where there were several.
func isMD5(etag string) bool {
	sum, parts, several := strings.Cut(etag, "-")
	if several && (parts == "" || strings.Trim(parts, "0123456789") != "") {
		return false
	}
	b, err := hex.DecodeString(sum)
	return err == nil && len(b) == md5.Size
}

func encoded(sum [md5.Size]byte) *string {
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

func cacheControl(key string) *string {
	if strings.HasPrefix(key, imagePrefix) {
		return aws.String(imageCache)
	}
	return nil
}
