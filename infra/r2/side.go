package r2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/objects"
)

// Side is the bucket as one side of a copy: sums are ETags, which R2 has of all it keeps.
func (b *Bucket) Side() objects.Side {
	return objects.Side{Objects: b, Sum: func(ctx context.Context, o commands.Object, deep bool) (string, error) {
		if !deep && isMD5(o.ETag) {
			return o.ETag, nil
		}
		return readSum(ctx, b, o.Key, ETagOf)
	}}
}

// DirSide is a directory as the other side. Its sums are of the bytes, which must be those that were put.
func DirSide(d *objects.Dir) objects.Side {
	return objects.Side{Objects: d, Sum: func(ctx context.Context, o commands.Object, _ bool) (string, error) {
		return readSum(ctx, d, o.Key, func(body io.Reader, size int64) (string, error) {
			stored := sha256.New()
			sum, err := ETagOf(io.TeeReader(body, stored), size)
			if err == nil && hex.EncodeToString(stored.Sum(nil)) != o.ETag {
				err = errors.New("damaged: other bytes than were put")
			}
			return sum, err
		})
	}}
}

func readSum(ctx context.Context, o commands.Objects, key string, sum func(io.Reader, int64) (string, error)) (string, error) {
	body, x, err := o.Get(ctx, key, 0, -1)
	if err != nil {
		return "", err
	}
	s, err := sum(body, x.Size)
	if err = errors.Join(err, body.Close()); err != nil {
		return "", fmt.Errorf("object %s: %w", key, err)
	}
	return s, nil
}
