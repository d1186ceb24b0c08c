package d1

import (
	"errors"
	"time"

	cfd1 "github.com/cloudflare/cloudflare-go/v7/d1"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/projections"
)

// Options of New. Client and Database are needed.
type Options struct {
	Client     *cloudflare.Client
	Database   string                // id
	Registerer prometheus.Registerer // nil: no metrics
}

// Store is the projections' Store and Shadows on one D1 database. Methods may be called concurrently.
type Store struct {
	client   *cloudflare.Client
	database string
	service  *cfd1.DatabaseService
	metrics  *metrics
}

// New makes a Store. It calls nobody.
func New(opts Options) (*Store, error) {
	if opts.Client == nil || opts.Database == "" {
		return nil, errors.New("d1: a client and a database are needed")
	}
	return &Store{
		client: opts.Client, database: opts.Database, metrics: newMetrics(opts.Registerer),
		service: cfd1.NewDatabaseService(opts.Client.Options("d1", cloudflare.Durable)...),
	}, nil
}

// Limits are the largest batch that is sent in one call, but for a commit that alone makes more.
func Limits() projections.Limits { return projections.Limits{Statements: 500, Bytes: 2 << 20} }

// How long a projector lets commits gather. Through the public API it is what keeps 100 events a second at 40 calls a minute.
const (
	meteredLinger = 1500 * time.Millisecond
	gatewayLinger = 250 * time.Millisecond
	mostLingers   = 8 // times meteredLinger, when the budget is spent
)

// Linger is how long a projector should let commits gather before the next batch: longer when the account's budget of calls runs low, so
// that batches become fewer and larger.
func (s *Store) Linger() time.Duration {
	if !s.client.Metered() {
		return gatewayLinger
	}
	return linger(s.client.BudgetLeft())
}

func linger(left float64) time.Duration {
	if left >= 0.5 {
		return meteredLinger
	}
	return meteredLinger + time.Duration((0.5-left)*2*(mostLingers-1)*float64(meteredLinger))
}
