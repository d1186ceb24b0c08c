package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/google/uuid"

	"github.com/infinite-kanvas/kanvas/commands/media"
	"github.com/infinite-kanvas/kanvas/domain"
)

// collect takes the result of a job that is done: its files into our store, then into the room. All of it may be done again after a crash.
func (f *follow) collect(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	res, err := f.g.cfg.Jobs.Result(asking, f.ref)
	var failure *JobFailure
	if errors.As(err, &failure) {
		return f.fail(ctx, failure, f.billed(failure))
	}
	if err != nil {
		return errRemote{err}
	}
	a, _, err := f.g.asked(ctx, f.key.room, f.is.Revision)
	if errors.Is(err, errForgotten) {
		return f.fail(ctx, &JobFailure{Code: FailedForgotten, Detail: "who asked for it was forgotten"}, f.is.Estimate)
	}
	if err != nil {
		return err
	}
	cost := f.g.cfg.Spending.Cost(f.is.Model, a.body(), res.Output, res.Units)
	files, seed, err := f.g.cfg.Models.Files(f.is.Model, res.Output)
	if err == nil && len(files) == 0 {
		err = &JobFailure{Code: FailedResult, Detail: "the result has no file", Retryable: true}
	}
	var kept []domain.GeneratedFile
	if err == nil {
		kept, err = f.keep(ctx, &a, files)
	}
	if errors.As(err, &failure) {
		return f.fail(ctx, failure, cost)
	}
	if err != nil {
		return err
	}
	done := domain.FinishGeneration{ID: f.key.id, Files: kept, Seed: seed, Cost: cost, DurationMS: max(0, f.g.cfg.Clock()-f.is.SubmittedAt)}
	if _, err := f.g.command(ctx, f.key.room, done, ""); err != nil {
		return err
	}
	f.settle(ctx, cost)
	f.ended(domain.GenerationSucceeded)
	return nil
}

// keep copies the files of a result. One that is no picture or video is left out where others are.
func (f *follow) keep(ctx context.Context, a *asked, files []ResultFile) (kept []domain.GeneratedFile, err error) {
	if err := f.g.copies.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer f.g.copies.Release(1)
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	var refused *JobFailure
	for i := range files[:min(len(files), domain.MaxGenerationFiles)] {
		is, err := f.keepOne(ctx, a, i, &files[i])
		var reason *domain.Error
		if errors.As(err, &reason) && (reason.Code == domain.CodeBadRequest || reason.Code == domain.CodeTooLarge) {
			refused = &JobFailure{Code: FailedResult, Detail: "what came can't be kept: " + reason.Detail, Retryable: true}
			continue
		}
		var failure *JobFailure
		if errors.As(err, &failure) {
			refused = failure
			continue
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, is)
	}
	if len(kept) == 0 && refused != nil {
		return nil, refused
	}
	return kept, nil
}

// resultName is what file number i of a generation is called: so is its asset.
func (g *Generations) resultName(id string, i int) string { return id + "/" + strconv.Itoa(i) }

// keepOne copies one file, unless it was before.
func (f *follow) keepOne(ctx context.Context, a *asked, i int, file *ResultFile) (is domain.GeneratedFile, err error) {
	id := uuid.NewSHA1(f.g.space, []byte(f.g.resultName(f.key.id, i)))
	is.Asset = id.String()
	before, err := f.g.cfg.Uploads.fold(ctx, is.Asset)
	if err != nil {
		return is, err
	}
	if before.Shown() {
		is.Width, is.Height = before.Stored.Width, before.Stored.Height
		return is, nil
	}
	paid := &paidFile{asset: id, person: f.is.User, room: f.key.room, name: "generated-" + strconv.Itoa(i+1)}
	done, err := f.fetch(ctx, a, file, paid)
	if err != nil {
		return is, err
	}
	stored, err := f.g.cfg.Uploads.keepPaid(ctx, paid)
	if err = errors.Join(err, done()); err != nil {
		return is, err
	}
	is.Width, is.Height = stored.Stored.Width, stored.Stored.Height
	return is, nil
}

// fetch opens a file of the result as it is to be kept; done must be called when it was.
func (f *follow) fetch(ctx context.Context, a *asked, file *ResultFile, paid *paidFile) (done func() error, err error) {
	body, _, _, err := f.g.cfg.Jobs.Fetch(ctx, file.URL)
	if err != nil {
		return nil, errRemote{err}
	}
	model, _ := f.g.cfg.Models.Model(f.is.Model)
	if model.MaskOf == "" {
		done, err = spool(body, paid)
		return done, errors.Join(err, body.Close())
	}
	name, _ := a.Input[model.MaskOf].(string)
	picture, err := f.g.openNamed(ctx, name)
	if errors.Is(err, ErrNoObject) {
		err = &JobFailure{Code: FailedInput, Detail: "the picture that the mask is of is gone"}
	}
	if err != nil {
		return nil, errors.Join(err, body.Close())
	}
	png, _, _, err := f.g.cfg.Masks.Apply(ctx, picture, body)
	if err = errors.Join(err, picture.Close(), body.Close()); err != nil {
		return nil, fmt.Errorf("apply a mask: %w", err)
	}
	paid.body, paid.size = bytes.NewReader(png), int64(len(png))
	return func() error { return nil }, nil
}

// spool puts what comes in a file, as it is read more than once, and its size must be known before.
func spool(body io.Reader, paid *paidFile) (done func() error, err error) {
	tmp, err := os.CreateTemp("", "kanvas-result-*")
	if err != nil {
		return nil, fmt.Errorf("keep a result: %w", err)
	}
	done = func() error { return errors.Join(tmp.Close(), os.Remove(tmp.Name())) }
	n, err := io.Copy(tmp, io.LimitReader(body, media.MaxVideoBytes+1))
	if err == nil && n > media.MaxVideoBytes {
		err = domain.Errorf(domain.CodeTooLarge, "it has more than %d bytes", media.MaxVideoBytes)
	}
	if err == nil {
		_, err = tmp.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, done())
	}
	paid.body, paid.size = tmp, n
	return done, nil
}
