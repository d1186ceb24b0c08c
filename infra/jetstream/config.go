package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Durabilities.
const (
	DurabilityAlways   = "always"
	DurabilityInterval = "interval"
)

// Limits and times.
const (
	maxPayload      = 16 << 20 // of a NATS message, bytes, headers included
	headerRoom      = 512      // of maxPayload, bytes: what Append's own headers may take
	maxPartitions   = 64
	syncInterval    = 2 * time.Second  // with DurabilityInterval
	callTimeout     = 10 * time.Second // of a call whose context has no deadline
	infoTimeout     = 2 * time.Second  // of one question to a server that may have no leader yet
	connectTimeout  = 5 * time.Second
	minAPILevel     = 1         // nats-server 2.11: batched direct get, message TTL
	defaultMinFree  = 64 << 20  // bytes
	maxMemoryStore  = 256 << 20 // bytes, all memory streams of the embedded server
	guardEvery      = 500 * time.Millisecond
	unlimitedStore  = 1 << 60 // bytes; the disk guard is the limit
	maxPendingBytes = 256 << 20
)

// Config says where the log lives. The zero value of a field means its default.
type Config struct {
	Dir        string // of the embedded server's store; one process at a time
	URL        string // external server or cluster (comma-separated); empty: embedded
	Partitions int    // 8; fixed when the store is created
	Durability string // DurabilityAlways; embedded only, an external server has its own setting
	Replicas   int    // 1; of every stream, on an external cluster
	Name       string // of the connections and the embedded server: "kanvas"
	// MinFree is how many bytes of disk must be free for Append to be tried (embedded): 64 MiB. Below, the log is read-only.
	MinFree uint64
	// CutDamage opens a log whose records can't be read somewhere: the server cuts off what lies behind. Else that is ErrDamaged (embedded).
	CutDamage bool
	// MaxStore bounds the embedded store, bytes; 0: the disk is the bound.
	MaxStore   int64
	Logger     *slog.Logger          // slog.Default()
	Registerer prometheus.Registerer // nil: metrics are kept but not registered
}

func (c *Config) setDefaults() {
	if c.Partitions == 0 {
		c.Partitions = 8
	}
	if c.Durability == "" {
		c.Durability = DurabilityAlways
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Name == "" {
		c.Name = "kanvas"
	}
	if c.MinFree == 0 {
		c.MinFree = defaultMinFree
	}
	if c.MaxStore == 0 {
		c.MaxStore = unlimitedStore
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

func (c *Config) validate() error {
	var p []error
	if c.URL == "" && c.Dir == "" {
		p = append(p, errors.New("a directory or a URL is needed"))
	}
	if c.Partitions < 1 || c.Partitions > maxPartitions {
		p = append(p, fmt.Errorf("partitions: %d is not 1 to %d", c.Partitions, maxPartitions))
	}
	if c.Durability != DurabilityAlways && c.Durability != DurabilityInterval {
		p = append(p, fmt.Errorf("durability: %q is not %s or %s", c.Durability, DurabilityAlways, DurabilityInterval))
	}
	if c.URL == "" && c.Replicas > 1 {
		p = append(p, fmt.Errorf("replicas: %d needs an external cluster", c.Replicas))
	}
	if err := errors.Join(p...); err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	return nil
}
