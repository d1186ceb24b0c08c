package r2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/infinite-kanvas/kanvas/commands"
)

var (
	_ commands.Intake = Intake{}
	_ commands.Mover  = (*Bucket)(nil)
)

// Parts of uploads are as large as those of Put: what was uploaded and what was put have the same ETag.
const _ = uint(commands.UploadPartSize-PartSize) + uint(PartSize-commands.UploadPartSize)

// Intake lets people send bytes straight to the bucket. Safe for concurrent use.
type Intake struct{ *Bucket }

// Start implements commands.Intake.
func (i Intake) Start(ctx context.Context, s commands.Staged) (string, error) {
	if s.Parts() == 1 {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, i.times.call)
	defer cancel()
	made, err := i.api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &i.name, Key: &s.Key, ContentType: &s.ContentType, CacheControl: cacheControl(s.Key)})
	if err != nil {
		return "", i.failed("begin to put", s.Key, err)
	}
	return aws.ToString(made.UploadId), nil
}

// Sign implements commands.Intake.
func (i Intake) Sign(ctx context.Context, s commands.Staged, holds time.Duration) ([]commands.SignedPut, error) {
	if err := checkPresign(s.Key, holds); err != nil {
		return nil, err
	}
	if s.Parts() == 1 {
		p, err := i.SignPut(ctx, s.Key, s.ContentType, s.Size, holds)
		return []commands.SignedPut{commands.SignedPut(p)}, err
	}
	var puts []commands.SignedPut
	for n := range s.Parts() {
		_, size := s.Part(n + 1)
		r, err := i.presign.PresignUploadPart(ctx, &s3.UploadPartInput{Bucket: &i.name, Key: &s.Key, UploadId: &s.ID,
			PartNumber: aws.Int32(int32(n + 1)), ContentLength: &size}, s3.WithPresignExpires(holds))
		if err != nil {
			return nil, fmt.Errorf("r2: sign part %d of %s: %w", n+1, s.Key, err)
		}
		puts = append(puts, commands.SignedPut{Method: r.Method, URL: r.URL, Header: r.SignedHeader})
	}
	return puts, nil
}

// Sent implements commands.Intake.
func (i Intake) Sent(ctx context.Context, s commands.Staged) (map[int]string, error) {
	sent := map[int]string{}
	pages := s3.NewListPartsPaginator(i.api, &s3.ListPartsInput{Bucket: &i.name, Key: &s.Key, UploadId: &s.ID})
	for pages.HasMorePages() {
		call, cancel := context.WithTimeout(ctx, i.times.call)
		page, err := pages.NextPage(call)
		cancel()
		if _, code := answer(err); code == "NoSuchUpload" {
			return nil, fmt.Errorf("%w: %s", commands.ErrNoUpload, s.Key)
		}
		if err != nil {
			return nil, i.failed("list parts of", s.Key, err)
		}
		for _, p := range page.Parts {
			sent[int(aws.ToInt32(p.PartNumber))] = unquote(p.ETag)
		}
	}
	return sent, nil
}

// Finish implements commands.Intake.
func (i Intake) Finish(ctx context.Context, s commands.Staged, etags []string) error {
	if s.Parts() == 1 {
		_, err := i.Head(ctx, s.Key)
		if errors.Is(err, commands.ErrNoObject) {
			return fmt.Errorf("%w: %s", commands.ErrNoUpload, s.Key)
		}
		return err
	}
	plain := make([]string, len(etags))
	for n, e := range etags {
		plain[n] = strings.Trim(e, `"`)
	}
	err := i.FinishParts(ctx, s.Key, s.ID, plain)
	switch _, code := answer(err); {
	case code == "InvalidPart" || code == "InvalidPartOrder":
		return fmt.Errorf("%w: %w", commands.ErrParts, err)
	case code == "NoSuchUpload":
		if _, herr := i.Head(ctx, s.Key); herr != nil {
			return fmt.Errorf("%w: %s", commands.ErrNoUpload, s.Key)
		}
		return nil
	}
	return err
}

// Abort implements commands.Intake.
func (i Intake) Abort(ctx context.Context, key, id string) error {
	if id == "" {
		return nil
	}
	return i.AbortParts(ctx, key, id)
}

// Started implements commands.Intake. Among them are what this server puts itself, in parts, under any key.
func (i Intake) Started(ctx context.Context, yield func(key, id string, at time.Time) bool) error {
	pages := s3.NewListMultipartUploadsPaginator(i.api, &s3.ListMultipartUploadsInput{Bucket: &i.name})
	for pages.HasMorePages() {
		call, cancel := context.WithTimeout(ctx, i.times.call)
		page, err := pages.NextPage(call)
		cancel()
		if err != nil {
			return i.failed("list uploads", "", err)
		}
		for _, u := range page.Uploads {
			if !yield(aws.ToString(u.Key), aws.ToString(u.UploadId), aws.ToTime(u.Initiated)) {
				return nil
			}
		}
	}
	return nil
}

// Move implements commands.Mover: the store copies, and the object under the old key goes.
func (b *Bucket) Move(ctx context.Context, from commands.Object, to string) error {
	call, cancel := context.WithTimeout(ctx, b.sendTimeout(from.Size))
	defer cancel()
	source := b.name + "/" + (&url.URL{Path: from.Key}).EscapedPath()
	_, err := b.api.CopyObject(call, &s3.CopyObjectInput{Bucket: &b.name, Key: &to, CopySource: &source, CopySourceIfMatch: aws.String(`"` + from.ETag + `"`),
		ContentType: &from.ContentType, CacheControl: cacheControl(to), MetadataDirective: "REPLACE"})
	if status, _ := answer(err); status == http.StatusPreconditionFailed {
		return fmt.Errorf("r2: move %s: it is another one by now: %w", from.Key, commands.ErrNoObject)
	}
	if err != nil {
		return b.failed("move", from.Key, err)
	}
	return b.Delete(ctx, from.Key)
}
