package r2

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// parts counts the parts of an object.
func parts(size int64) int { return int((size + PartSize - 1) / PartSize) }

// putParts streams a large object in parts, a few at a time, and gives it up where anything fails.
func (b *Bucket) putParts(ctx context.Context, key, contentType string, body io.Reader, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, b.sendTimeout(size))
	defer cancel()
	made, err := b.api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: &key, ContentType: &contentType, CacheControl: cacheControl(key)})
	if err != nil {
		return b.failed("begin to put", key, err)
	}
	u := upload{b: b, key: key, id: aws.ToString(made.UploadId), sums: make([][md5.Size]byte, parts(size)), done: make([]types.CompletedPart, parts(size))}
	began := time.Now()
	if err := u.send(ctx, body, size); err != nil {
		return errors.Join(err, u.abort(ctx))
	}
	b.metrics.Moved("put", size, time.Since(began))
	etag, err := u.complete(ctx)
	if err != nil {
		return errors.Join(err, u.abort(ctx))
	}
	return checkETag(key, etag, etagOfParts(u.sums))
}

// upload is an object of several parts on its way.
type upload struct {
	b       *Bucket
	key, id string
	sums    [][md5.Size]byte
	done    []types.CompletedPart
}

// send reads the parts in order and sends up to partsAtOnce of them at the same time.
func (u *upload) send(ctx context.Context, body io.Reader, size int64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	for i := range u.done {
		n := min(size-int64(i)*PartSize, PartSize)
		if err := u.b.memory.Acquire(ctx, n); err != nil {
			return errors.Join(g.Wait(), u.b.failed("put", u.key, err))
		}
		buf := make([]byte, n)
		if err := readAll(body, buf, i == len(u.done)-1); err != nil {
			u.b.memory.Release(n)
			return errors.Join(fmt.Errorf("r2: put %s: %w", u.key, err), g.Wait())
		}
		g.Go(func() error {
			defer u.b.memory.Release(n)
			return u.part(ctx, i, buf)
		})
	}
	return g.Wait()
}

func (u *upload) part(ctx context.Context, i int, buf []byte) error {
	ctx, cancel := context.WithTimeout(ctx, u.b.sendTimeout(int64(len(buf))))
	defer cancel()
	number := aws.Int32(int32(i + 1))
	u.sums[i] = md5.Sum(buf)
	out, err := u.b.api.UploadPart(ctx, &s3.UploadPartInput{Bucket: &u.b.name, Key: &u.key, UploadId: &u.id, PartNumber: number,
		Body: bytes.NewReader(buf), ContentLength: aws.Int64(int64(len(buf))), ContentMD5: encoded(u.sums[i])})
	if err != nil {
		return u.b.failed(fmt.Sprintf("put part %d of", i+1), u.key, err)
	}
	u.done[i] = types.CompletedPart{PartNumber: number, ETag: aws.String(unquote(out.ETag))}
	return nil
}

func (u *upload) complete(ctx context.Context) (etag string, err error) {
	out, err := u.b.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &u.b.name, Key: &u.key, UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done}})
	if err != nil {
		return "", u.b.failed("finish to put", u.key, err)
	}
	return unquote(out.ETag), nil
}

// abort gives the parts up, also where ctx is over. What it can't give up the bucket's lifecycle rule does.
func (u *upload) abort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, err := u.b.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.b.name, Key: &u.key, UploadId: &u.id})
	if _, code := answer(err); code == "NoSuchUpload" {
		return nil
	}
	return u.b.failed("give up putting", u.key, err)
}

// etagOfParts is S3's ETag of an object of several parts.
func etagOfParts(sums [][md5.Size]byte) string {
	all := md5.New()
	for i := range sums {
		all.Write(sums[i][:])
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(all.Sum(nil)), len(sums))
}

// ETagOf returns the ETag that these bytes have in a bucket that Put put them into.
func ETagOf(body io.Reader, size int64) (string, error) {
	if size <= PartSize {
		sum := md5.New()
		if n, err := io.Copy(sum, body); err != nil || n != size {
			return "", errors.Join(err, sizeError(n, size))
		}
		return hex.EncodeToString(sum.Sum(nil)), nil
	}
	sums := make([][md5.Size]byte, parts(size))
	var read int64
	for i := range sums {
		sum := md5.New()
		n, err := io.Copy(sum, io.LimitReader(body, PartSize))
		if err != nil {
			return "", err
		}
		read += n
		sum.Sum(sums[i][:0])
	}
	return etagOfParts(sums), sizeError(read, size)
}

func sizeError(n, size int64) error {
	if n != size {
		return fmt.Errorf("%d bytes where %d were announced", n, size)
	}
	return nil
}
