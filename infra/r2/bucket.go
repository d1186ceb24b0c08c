package r2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/objects"
)

// Sizes and times.
const (
	// PartSize is the size in bytes of every part of a large object but the last, and up to which an object goes in one request.
	// It is fixed, since the ETag of an object of several parts depends on it.
	PartSize = 8 << 20
	// MaxSize is the largest object in bytes: S3 takes 10,000 parts.
	MaxSize = PartSize * maxParts

	maxParts    = 10_000
	memory      = 8 * PartSize // bytes of bodies in memory at any time; who needs more waits
	partsAtOnce = 3            // of one object
	deleteMany  = 1000         // keys in a call, S3's limit

	callTimeout  = 15 * time.Second // of a call that moves no bytes, and until the first byte
	stallTimeout = 30 * time.Second // without a byte, while the reader waits for one
	slowest      = 128 << 10        // bytes a second that are given to what is sent
	abortTimeout = 10 * time.Second
	restTimeout  = 3 * time.Second // without calls after one that was not answered
)

// imageCache is on every picture in the bucket, as in the guide. What this server serves itself says private where it is.
const (
	imagePrefix = "images/"
	imageCache  = "public, max-age=31536000"
)

// Config of a Bucket. All but Registerer, Logger and HTTP are needed.
type Config struct {
	Endpoint   string // such as https://ACCOUNT.r2.cloudflarestorage.com
	AccessKey  string
	SecretKey  string
	Bucket     string
	Registerer prometheus.Registerer
	Logger     *slog.Logger // nil: none
	HTTP       *http.Client // nil: one of its own
}

var _ commands.Objects = (*Bucket)(nil)

// Bucket implements commands.Objects. Safe for concurrent use.
type Bucket struct {
	name    string
	api     *s3.Client
	presign *s3.PresignClient
	metrics *objects.Metrics
	memory  *semaphore.Weighted
	logger  *slog.Logger
	times   times
	down    atomic.Pointer[outage] // nil: the last call was answered
}

// times are the bounds of what is waited for; see the constants.
type times struct{ call, stall, rest time.Duration }

// outage is that a call was not answered.
type outage struct {
	err   error
	until time.Time // calls before fail at once: who waits for a store that is away must not wait for its deadlines, one after the other
}

// Open makes a Bucket. It talks to nobody: see Ping.
func Open(cfg Config) (*Bucket, error) {
	metrics, err := objects.NewMetrics(cfg.Registerer, "r2")
	if err != nil {
		return nil, err
	}
	client := cfg.HTTP
	if client == nil {
		client = newHTTP()
	}
	api := s3.New(s3.Options{
		BaseEndpoint: aws.String(cfg.Endpoint), Region: "auto", UsePathStyle: true, HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.SecretKey, ""),
		// The default sends checksums in trailers, which some S3 servers store among the bytes. Content-MD5 does the same work.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Bucket{name: cfg.Bucket, logger: logger, times: times{callTimeout, stallTimeout, restTimeout}, api: api, presign: s3.NewPresignClient(api), metrics: metrics, memory: semaphore.NewWeighted(memory)}, nil
}

// newHTTP is a client that keeps enough connections for everybody who loads pictures. Deadlines are the calls'.
func newHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns: 128, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true,
	}}
}

// Ping reports whether the bucket is there and the keys open it.
func (b *Bucket) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.times.call)
	defer cancel()
	_, err := b.api.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
	return b.failed("ping", "", err)
}

// Down is the error of the last call where the store did not answer it, else nil. It calls nobody.
func (b *Bucket) Down() error {
	if out := b.down.Load(); out != nil {
		return out.err
	}
	return nil
}

// resting fails a call where another was not answered a moment ago.
func (b *Bucket) resting() error {
	if out := b.down.Load(); out != nil && time.Now().Before(out.until) {
		return out.err
	}
	return nil
}

// observe notes a call that is over, and says once that the store went away and that it is back.
func (b *Bucket) observe(op string, began time.Time, err error) {
	b.metrics.Observe(op, began, err)
	switch {
	case errors.Is(err, commands.ErrObjectsDown):
		out := &outage{err: err}
		if status, _ := answer(err); status == 0 {
			out.until = time.Now().Add(b.times.rest)
		}
		if b.down.Swap(out) == nil {
			b.logger.Warn("objects: the store does not answer", slog.String("event", "objects_down"), slog.Any("error", err))
		}
	case err == nil || errors.Is(err, commands.ErrNoObject):
		if b.down.Swap(nil) != nil {
			b.logger.Info("objects: the store answers again", slog.String("event", "objects_up"))
		}
	}
}

// sendTimeout is how long n bytes may take to be sent.
func (b *Bucket) sendTimeout(n int64) time.Duration {
	return b.times.call + time.Duration(n/slowest)*time.Second
}

// failed says what was tried and sorts the error: ErrNoObject where there is nothing, ErrObjectsDown where the store gave no answer or
// could not do its work.
func (b *Bucket) failed(what, key string, err error) error {
	if err == nil {
		return nil
	}
	if key != "" {
		what += " " + key
	}
	status, code := answer(err)
	switch {
	case status == http.StatusNotFound && key != "" && code != "NoSuchBucket" && code != "NoSuchUpload":
		return fmt.Errorf("r2: %s: %w", what, commands.ErrNoObject)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("r2: %s: %w", what, err)
	case status == 0 || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return fmt.Errorf("r2: %s: %w: %w", what, commands.ErrObjectsDown, err)
	}
	return fmt.Errorf("r2: %s: %w", what, err)
}

// answer returns the status and S3's code of an error, 0 where the server did not answer.
func answer(err error) (status int, code string) {
	var response interface{ HTTPStatusCode() int }
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	var coded smithy.APIError
	if errors.As(err, &coded) {
		code = coded.ErrorCode()
	}
	return status, code
}
