package r2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/objects"
)

// errStalled is why a body ends that nothing came of for stallTimeout.
var errStalled = errors.New("no bytes came for too long")

// Get implements commands.Objects. An offset beyond the end gives no bytes.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (body io.ReadCloser, o commands.Object, err error) {
	if err := objects.CheckKey(key); err != nil {
		return nil, o, err
	}
	if offset < 0 {
		return nil, o, fmt.Errorf("r2: get %s: negative offset", key)
	}
	if length == 0 {
		return b.empty(ctx, key)
	}
	if err := b.resting(); err != nil {
		return nil, o, err
	}
	began := time.Now()
	defer func() { b.observe("get", began, err) }()
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &key}
	switch {
	case length > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(b.times.call, func() { cancel(context.DeadlineExceeded) })
	out, err := b.api.GetObject(ctx, in)
	watch.Stop()
	if err != nil {
		defer cancel(nil)
		if status, _ := answer(err); status == http.StatusRequestedRangeNotSatisfiable {
			return b.empty(context.WithoutCancel(ctx), key)
		}
		if cause := context.Cause(ctx); errors.Is(cause, context.DeadlineExceeded) {
			err = cause
		}
		return nil, o, b.failed("get", key, err)
	}
	o = commands.Object{Key: key, Size: aws.ToInt64(out.ContentLength), ContentType: aws.ToString(out.ContentType), ETag: unquote(out.ETag), ModifiedAt: aws.ToTime(out.LastModified)}
	if r := aws.ToString(out.ContentRange); r != "" {
		if o.Size, err = wholeSize(r); err != nil {
			cancel(nil)
			return nil, o, errors.Join(b.failed("get", key, err), out.Body.Close())
		}
	}
	return &stream{b: b, body: out.Body, cancel: cancel, left: aws.ToInt64(out.ContentLength)}, o, nil
}

// empty is a Get of no bytes of an object that must be there.
func (b *Bucket) empty(ctx context.Context, key string) (io.ReadCloser, commands.Object, error) {
	o, err := b.Head(ctx, key)
	if err != nil {
		return nil, o, err
	}
	return http.NoBody, o, nil
}

// wholeSize reads the size of the object from a Content-Range.
func wholeSize(contentRange string) (n int64, err error) {
	_, whole, ok := strings.Cut(contentRange, "/")
	if ok {
		_, err = fmt.Sscanf(whole, "%d", &n)
	}
	if !ok || err != nil {
		return 0, fmt.Errorf("the server sent the range %q", contentRange)
	}
	return n, nil
}

// stream is a body on its way. A read that waits longer than stallTimeout fails; a reader that takes its time is none of our business.
type stream struct {
	b      *Bucket
	body   io.ReadCloser
	cancel context.CancelCauseFunc
	left   int64
	n      int64
	took   time.Duration
}

func (s *stream) Read(p []byte) (int, error) {
	began := time.Now()
	watch := time.AfterFunc(s.b.times.stall, func() { s.cancel(errStalled) })
	n, err := s.body.Read(p)
	watch.Stop()
	s.took += time.Since(began)
	s.n += int64(n)
	s.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && s.left > 0:
		err = io.ErrUnexpectedEOF
	case err != nil && !errors.Is(err, io.EOF):
		err = fmt.Errorf("r2: read: %w: %w", commands.ErrObjectsDown, err)
	}
	return n, err
}

func (s *stream) Close() error {
	s.b.metrics.Moved("get", s.n, s.took)
	s.cancel(nil)
	return s.body.Close()
}

// Head implements commands.Objects.
func (b *Bucket) Head(ctx context.Context, key string) (o commands.Object, err error) {
	if err := objects.CheckKey(key); err != nil {
		return o, err
	}
	if err := b.resting(); err != nil {
		return o, err
	}
	began := time.Now()
	defer func() { b.observe("head", began, err) }()
	ctx, cancel := context.WithTimeout(ctx, b.times.call)
	defer cancel()
	out, err := b.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return o, b.failed("head", key, err)
	}
	return commands.Object{Key: key, Size: aws.ToInt64(out.ContentLength), ContentType: aws.ToString(out.ContentType), ETag: unquote(out.ETag), ModifiedAt: aws.ToTime(out.LastModified)}, nil
}

// List implements commands.Objects, page by page. The content type of what it yields is not known.
func (b *Bucket) List(ctx context.Context, prefix string, yield func(commands.Object) bool) error {
	pages := s3.NewListObjectsV2Paginator(b.api, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := b.listPage(ctx, pages)
		if err != nil {
			return b.failed("list", "", err)
		}
		for _, o := range page.Contents {
			if !yield(commands.Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ETag: unquote(o.ETag), ModifiedAt: aws.ToTime(o.LastModified)}) {
				return nil
			}
		}
	}
	return nil
}

func (b *Bucket) listPage(ctx context.Context, pages *s3.ListObjectsV2Paginator) (page *s3.ListObjectsV2Output, err error) {
	began := time.Now()
	defer func() { b.observe("list", began, err) }()
	ctx, cancel := context.WithTimeout(ctx, b.times.call)
	defer cancel()
	return pages.NextPage(ctx)
}

// Delete implements commands.Objects, 1,000 keys a call. After an error some of the keys may be gone.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for _, k := range keys {
		if err := objects.CheckKey(k); err != nil {
			return err
		}
	}
	for len(keys) > 0 {
		n := min(len(keys), deleteMany)
		if err := b.deleteSome(ctx, keys[:n]); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func (b *Bucket) deleteSome(ctx context.Context, keys []string) (err error) {
	began := time.Now()
	defer func() { b.observe("delete", began, err) }()
	ctx, cancel := context.WithTimeout(ctx, b.times.call)
	defer cancel()
	list := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		list[i].Key = &keys[i]
	}
	out, err := b.api.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &types.Delete{Objects: list, Quiet: aws.Bool(true)}})
	if err != nil {
		return b.failed(fmt.Sprintf("delete %d objects", len(keys)), "", err)
	}
	for _, e := range out.Errors {
		if code := aws.ToString(e.Code); code != "NoSuchKey" {
			return fmt.Errorf("r2: delete %s: %s: %s", aws.ToString(e.Key), code, aws.ToString(e.Message))
		}
	}
	return nil
}

func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
