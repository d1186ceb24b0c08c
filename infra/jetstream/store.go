package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/projections"
)

var (
	_ commands.Log       = (*Store)(nil)
	_ projections.Source = (*Store)(nil)
)

// Store is the log, and the road to the cache and the keys beside it. Safe for concurrent use.
type Store struct {
	cfg     Config
	log     *slog.Logger
	ns      *embedded // nil with an external server
	metrics *metrics
	guard   *guard // nil with an external server
	marked  bool   // as open, on disk

	write, read, live *nats.Conn
	writes, reads     *mux
	js                jetstream.JetStream // on read: streams, KV, keys
	payload           int                 // bytes of the largest commit
	clustered         bool                // commits may be republished by another server than ours
	heads             []*head             // by partition
	wakes             []*nats.Subscription
	watches           watches // of an external server
	locals            locals  // of the embedded one
	tails             []*tail // by partition, with the embedded server

	closeOnce sync.Once
	closeErr  error
}

// Open starts the embedded server or connects to the external one, and makes or checks the streams. It fails where the
// store was made with another number of partitions, or the external server can't hold the log. The caller calls Close.
func Open(ctx context.Context, c Config) (*Store, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	s := &Store{cfg: c, log: c.Logger, metrics: newMetrics(c.Registerer), watches: watches{m: map[*nats.Subscription]*watch{}}}
	for range c.Partitions {
		s.heads, s.tails = append(s.heads, newHead()), append(s.tails, &tail{low: 1})
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if s.cfg.URL == "" {
		if err := s.openEmbedded(); err != nil {
			return err
		}
	}
	if err := s.connect(); err != nil {
		return err
	}
	if err := s.checkServer(ctx); err != nil {
		return err
	}
	if err := s.ensureStreams(ctx); err != nil {
		return err
	}
	if err := s.loadHeads(ctx); err != nil {
		return err
	}
	if s.ns == nil {
		if err := s.subscribeWakes(); err != nil {
			return err
		}
	} else {
		s.guard.run(s)
	}
	return nil
}

func (s *Store) openEmbedded() error {
	g, err := newGuard(s.cfg.Dir, s.cfg.MinFree, s.metrics, s.log)
	if err != nil {
		return err
	}
	s.guard = g
	if err := s.markOpen(); err != nil {
		return err
	}
	s.ns, err = newEmbedded(&s.cfg, g.damage)
	return err
}

func (s *Store) connect() (err error) {
	if s.write, s.writes, err = s.dialMux("append"); err != nil {
		return err
	}
	if s.read, s.reads, err = s.dialMux("read"); err != nil {
		return err
	}
	if s.live, err = s.Dial("live", nats.ReconnectHandler(s.liveReconnected),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { s.liveError(sub, err) })); err != nil {
		return err
	}
	s.js, err = jetstream.New(s.read, jetstream.WithDefaultTimeout(callTimeout))
	return err
}

func (s *Store) dialMux(role string) (*nats.Conn, *mux, error) {
	var m *mux
	ready := make(chan struct{})
	nc, err := s.Dial(role, nats.DisconnectErrHandler(func(*nats.Conn, error) {
		<-ready
		if m != nil {
			m.failAll(errDisconnected)
		}
	}))
	if err != nil {
		return nil, nil, err
	}
	m, err = newMux(nc)
	close(ready)
	return nc, m, err
}

// Dial makes a connection of the caller's own to the log's server: it reconnects for ever, and refuses to publish while it
// is disconnected rather than keeping messages for later. The caller closes it before the Store.
func (s *Store) Dial(role string, opts ...nats.Option) (*nats.Conn, error) {
	base := []nats.Option{
		nats.Name(s.cfg.Name + " " + role), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 100*time.Millisecond), nats.ReconnectBufSize(-1), nats.Timeout(connectTimeout),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.log.Warn("nats", "role", role, "error", err) }),
	}
	if s.ns != nil {
		base = append(base, nats.InProcessServer(s.ns))
	}
	nc, err := nats.Connect(s.cfg.URL, append(base, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("jetstream: connection for %s: %w", role, err) // nats.go's errors hold no password
	}
	return nc, nil
}

// Partitions implements commands.Log and projections.Source.
func (s *Store) Partitions() int { return s.cfg.Partitions }

// MaxPayload implements commands.Log.
func (s *Store) MaxPayload() int { return s.payload }

// Durability says what an ack means: "always", "interval", or "external" where the server has its own setting.
func (s *Store) Durability() string {
	if s.ns == nil {
		return "external"
	}
	return s.cfg.Durability
}

// JetStream is for packages of infra that keep streams of their own beside the log's.
func (s *Store) JetStream() jetstream.JetStream { return s.js }

// Replicas is how many copies streams have.
func (s *Store) Replicas() int { return s.cfg.Replicas }

// Ready is nil where an append can be tried, or says why not: disk full, a failed write, no connection. For /readyz.
func (s *Store) Ready() error {
	if s.guard != nil {
		if err := s.guard.reason(); err != nil {
			return err
		}
	}
	for _, nc := range []*nats.Conn{s.write, s.read, s.live} {
		if !nc.IsConnected() {
			return fmt.Errorf("jetstream: %s: %s", nc.Opts.Name, nc.Status())
		}
	}
	return nil
}

// Close ends the subscriptions, lets what was sent finish until ctx ends, and stops the embedded server. Calls in flight
// get ErrUnknownOutcome or an error. It may be called twice; the Store is useless after it.
func (s *Store) Close(ctx context.Context) error {
	s.closeOnce.Do(func() {
		if s.guard != nil {
			s.guard.stop()
		}
		for _, nc := range []*nats.Conn{s.live, s.read, s.write} {
			if nc != nil && nc.IsConnected() {
				fctx, cancel := withDeadline(ctx)
				if err := nc.FlushWithContext(fctx); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
					s.closeErr = errors.Join(s.closeErr, fmt.Errorf("jetstream: flush at close: %w", err))
				}
				cancel()
			}
		}
		for _, nc := range []*nats.Conn{s.live, s.read, s.write} {
			if nc != nil {
				nc.Close()
			}
		}
		for _, m := range []*mux{s.writes, s.reads} {
			if m != nil {
				m.failAll(errDisconnected)
			}
		}
		for _, h := range s.heads {
			h.close()
		}
		if s.ns != nil {
			s.ns.stop()
			s.closeErr = errors.Join(s.closeErr, s.markClosed())
		}
	})
	return s.closeErr
}
