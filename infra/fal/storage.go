package fal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
)

const (
	initiateWait = 30 * time.Second
	fetchWait    = 30 * time.Second // until a file's answer begins
	fetchAll     = 20 * time.Minute // for all of a file
	fetchSilence = time.Minute      // between two parts of a file
	slowest      = 128 << 10        // bytes a second below which sending a file is given up

	uploadWhole = 90 << 20 // bytes up to which a file is sent in one request, as fal.ai's own client does
	uploadPart  = 10 << 20 // bytes of each part of a larger one
	// inputLife is how long fal.ai keeps the pictures that a job works on: whoever knows an address can read them. Jobs wait a long time in a full queue.
	inputLife = `{"expiration_duration_seconds":86400}`
	dataMax   = 64 << 20 // bytes of a file in a data URL
)

// Upload implements commands.Jobs. The file can be read by whoever knows its address, for a day.
func (q *Queue) Upload(ctx context.Context, name, contentType string, size int64, body io.Reader) (string, error) {
	if size < 1 || size > maxFile {
		return "", &commands.JobFailure{Code: commands.FailedInput, Detail: fmt.Sprintf("a file for a model has 1 to %d bytes", maxFile)}
	}
	ctx, cancel := context.WithTimeout(ctx, initiateWait+time.Duration(size/slowest)*time.Second+time.Minute)
	defer cancel()
	kind := "initiate"
	if size > uploadWhole {
		kind = "initiate-multipart"
	}
	to, file, err := q.initiate(ctx, kind, name, contentType)
	if err != nil {
		return "", err
	}
	if size > uploadWhole {
		err = q.sendParts(ctx, to, contentType, size, body)
	} else {
		_, err = q.put(ctx, to, contentType, size, body)
	}
	if err != nil {
		return "", err
	}
	return file, nil
}

// initiate asks where a file is sent.
func (q *Queue) initiate(ctx context.Context, kind, name, contentType string) (to *url.URL, file string, err error) {
	ask, err := json.Marshal(map[string]string{"file_name": name, "content_type": contentType})
	if err != nil {
		return nil, "", fmt.Errorf("fal: upload: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, initiateWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+restHost+"/storage/upload/"+kind+"?storage_type=fal-cdn-v3", strings.NewReader(string(ask)))
	if err != nil {
		return nil, "", fmt.Errorf("fal: upload: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Key "+q.p.key)
	req.Header.Set("X-Fal-Object-Lifecycle", inputLife)
	a, err := q.do(req, commands.FalUpload, maxFollow)
	if err != nil {
		return nil, "", err
	}
	if a.status != http.StatusOK {
		return nil, "", a.unexpected("upload")
	}
	var at struct {
		UploadURL string `json:"upload_url"`
		FileURL   string `json:"file_url"`
	}
	if err := json.Unmarshal(a.body, &at); err != nil {
		return nil, "", errors.New("fal: upload: the answer can't be read")
	}
	// The address that takes the bytes is signed, and may be of whoever stores them for fal.ai. It gets no key.
	to, err = url.Parse(at.UploadURL)
	if err != nil || to.Scheme != "https" || to.User != nil || to.Port() != "" || to.Host == "" {
		return nil, "", errors.New("fal: upload: the answer does not say where the file is sent")
	}
	if !publicFile(at.FileURL) {
		return nil, "", errors.New("fal: upload: the answer does not say where the file is read")
	}
	return to, at.FileURL, nil
}

// put sends bytes to a signed address.
func (q *Queue) put(ctx context.Context, to *url.URL, contentType string, size int64, body io.Reader) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to.String(), &exact{body, size})
	if err != nil {
		return answer{}, errors.New("fal: upload: that is no address")
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", contentType)
	a, err := q.do(req, commands.FalFile, maxFollow)
	if err == nil && a.status/100 != 2 {
		err = a.unexpected("upload")
	}
	return a, err
}

// exact reads n bytes, and fails where there are fewer: a file that was cut on its way from our store must not be taken for whole.
type exact struct {
	r io.Reader
	n int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.n)])
	if e.n -= int64(n); err == io.EOF && e.n > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// sendParts sends a large file as fal.ai's own client does: numbered parts below the signed address, then their list.
func (q *Queue) sendParts(ctx context.Context, to *url.URL, contentType string, size int64, body io.Reader) error {
	type part struct {
		Number int    `json:"partNumber"`
		ETag   string `json:"etag"`
	}
	var parts []part
	for number := 1; size > 0; number++ {
		n := min(size, uploadPart)
		a, err := q.put(ctx, to.JoinPath(strconv.Itoa(number)), contentType, n, body)
		if err != nil {
			return err
		}
		p := part{Number: number}
		if err := json.Unmarshal(a.body, &p); err != nil || p.ETag == "" {
			p.ETag = a.header.Get("Etag")
		}
		parts = append(parts, part{number, p.ETag})
		size -= n
	}
	list, err := json.Marshal(map[string]any{"parts": parts})
	if err != nil {
		return fmt.Errorf("fal: upload: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.JoinPath("complete").String(), strings.NewReader(string(list)))
	if err != nil {
		return errors.New("fal: upload: that is no address")
	}
	req.Header.Set("Content-Type", "application/json")
	a, err := q.do(req, commands.FalFile, maxFollow)
	if err == nil && a.status/100 != 2 {
		err = a.unexpected("upload")
	}
	return err
}

// publicFile: an address at which anybody may read a file of fal.ai's: its own hosts for files, and the bucket that older models write to.
func publicFile(target string) bool {
	if u, err := parseTarget(target); err == nil {
		return strings.HasSuffix(u.Host, "fal.media")
	}
	u, err := url.Parse(target)
	return err == nil && u.Scheme == "https" && u.Host == "storage.googleapis.com" && u.User == nil && strings.HasPrefix(u.EscapedPath(), "/falserverless/") &&
		pathForm.MatchString(u.EscapedPath())
}

// Fetch implements commands.Jobs. It also opens data URLs, as which models give small files when they are asked to.
func (q *Queue) Fetch(ctx context.Context, target string) (io.ReadCloser, string, int64, error) {
	if strings.HasPrefix(target, "data:") {
		return openData(target)
	}
	if !publicFile(target) {
		return nil, "", 0, &commands.JobFailure{Code: commands.FailedResult, Detail: "the result is not among fal.ai's public files", Billed: true}
	}
	ctx, stop := context.WithTimeout(ctx, fetchAll)
	ctx, cancel := context.WithCancelCause(ctx)
	end := func(error) { cancel(nil); stop() }
	res, err := q.open(ctx, target, cancel)
	if err == nil {
		err = checkFile(res)
		if err != nil {
			res.Body.Close()
		}
	}
	if err != nil {
		end(nil)
		return nil, "", 0, err
	}
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return &fetched{limited{watch(res.Body, fetchSilence, cancel, end), maxFile}}, strings.TrimSpace(kind), res.ContentLength, nil
}

// fetched says for good that a file is too large.
type fetched struct{ limited }

func (f *fetched) Read(p []byte) (int, error) {
	n, err := f.limited.Read(p)
	if errors.Is(err, errTooLarge) {
		err = fileTooLarge()
	}
	return n, err
}

func fileTooLarge() error {
	return &commands.JobFailure{Code: commands.FailedTooLarge, Detail: fmt.Sprintf("the file has more than %d bytes", maxFile), Billed: true}
}

// open waits until a file's answer begins.
func (q *Queue) open(ctx context.Context, target string, cancel context.CancelCauseFunc) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, errors.New("fal: that is no address")
	}
	began := time.Now()
	late := time.AfterFunc(fetchWait, func() { cancel(errSilent) })
	res, err := q.p.http.Do(req)
	late.Stop()
	q.p.observe(commands.FalFile, res, time.Since(began))
	if err != nil {
		return nil, fmt.Errorf("fal: fetch from %s: %s", req.URL.Host, reason(err))
	}
	return res, nil
}

func checkFile(res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusGone, res.StatusCode == http.StatusForbidden:
		return &commands.JobFailure{Code: commands.FailedExpired, Detail: "fal.ai has the file no longer", Retryable: true, Billed: true}
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("fal: fetch from %s: it answers %d", res.Request.URL.Host, res.StatusCode)
	case res.Header.Get("Content-Encoding") != "" && res.Header.Get("Content-Encoding") != "identity":
		return fmt.Errorf("fal: fetch from %s: the file is compressed, which was not asked for", res.Request.URL.Host)
	case res.ContentLength > maxFile:
		return fileTooLarge()
	}
	return nil
}

func openData(target string) (io.ReadCloser, string, int64, error) {
	head, data, ok := strings.Cut(strings.TrimPrefix(target, "data:"), ",")
	kind, b64 := strings.CutSuffix(head, ";base64")
	if !ok || !b64 || len(data) > dataMax {
		return nil, "", 0, &commands.JobFailure{Code: commands.FailedResult, Detail: "the result is a data URL that can't be read", Billed: true}
	}
	b, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, "", 0, &commands.JobFailure{Code: commands.FailedResult, Detail: "the result is a data URL that can't be read", Billed: true}
	}
	return io.NopCloser(bytes.NewReader(b)), kind, int64(len(b)), nil
}
