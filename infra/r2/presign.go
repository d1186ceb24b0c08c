package r2

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/infinite-kanvas/kanvas/infra/objects"
)

// MaxPresign is how long a signed address may hold, S3's limit.
const MaxPresign = 7 * 24 * time.Hour

// Signed is a request that anybody may make until it expires. All headers must be sent as they are.
type Signed struct {
	Method string
	URL    string
	Header http.Header
}

// Answer says what headers a signed GET is answered with, instead of those that the object has.
type Answer struct {
	CacheControl, ContentType, ContentDisposition string // "": the object's
}

func checkPresign(key string, holds time.Duration) error {
	if err := objects.CheckKey(key); err != nil {
		return err
	}
	if holds < time.Second || holds > MaxPresign {
		return fmt.Errorf("r2: a signed address holds 1 s to 7 days, not %s", holds)
	}
	return nil
}

// SignGet signs a GET of an object, which need not be there.
func (b *Bucket) SignGet(ctx context.Context, key string, holds time.Duration, a Answer) (Signed, error) {
	if err := checkPresign(key, holds); err != nil {
		return Signed{}, err
	}
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	r, err := b.presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key, ResponseCacheControl: text(a.CacheControl),
		ResponseContentType: text(a.ContentType), ResponseContentDisposition: text(a.ContentDisposition)}, s3.WithPresignExpires(holds))
	if err != nil {
		return Signed{}, fmt.Errorf("r2: sign get of %s: %w", key, err)
	}
	return Signed{r.Method, r.URL, r.SignedHeader}, nil
}

// SignPut signs a PUT of exactly size bytes of that type; another length or type is refused by the store.
func (b *Bucket) SignPut(ctx context.Context, key, contentType string, size int64, holds time.Duration) (Signed, error) {
	if err := checkPresign(key, holds); err != nil {
		return Signed{}, err
	}
	r, err := b.presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &key, ContentType: &contentType, ContentLength: &size,
		CacheControl: cacheControl(key)}, s3.WithPresignExpires(holds))
	if err != nil {
		return Signed{}, fmt.Errorf("r2: sign put of %s: %w", key, err)
	}
	return Signed{r.Method, r.URL, r.SignedHeader}, nil
}

// FinishParts makes the object of its parts, whose ETags are given in their order.
func (b *Bucket) FinishParts(ctx context.Context, key, id string, etags []string) error {
	u := upload{b: b, key: key, id: id}
	for i := range etags {
		u.done = append(u.done, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: &etags[i]})
	}
	ctx, cancel := context.WithTimeout(ctx, b.times.call)
	defer cancel()
	_, err := u.complete(ctx)
	return err
}

// AbortParts gives the parts up. No error where they are gone.
func (b *Bucket) AbortParts(ctx context.Context, key, id string) error {
	return (&upload{b: b, key: key, id: id}).abort(ctx)
}
