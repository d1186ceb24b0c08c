package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// Metadata of the log's streams.
const (
	metaPartitions = "kanvas-partitions" // on each
	metaComplete   = "kanvas-complete"   // on the first, once all exist: from then on a missing one is damage, not a first start
)

// checkServer refuses servers that can't hold the log.
func (s *Store) checkServer(ctx context.Context) error {
	if got := s.write.MaxPayload(); got < maxPayload {
		return fmt.Errorf("jetstream: the server takes messages of %d bytes, %d are needed: set max_payload: %d in its configuration", got, maxPayload, maxPayload)
	}
	s.payload = maxPayload - headerRoom
	s.clustered = s.write.ConnectedClusterName() != ""
	info, err := s.accountInfo(ctx)
	if err != nil {
		return fmt.Errorf("jetstream: is JetStream on for this account? %w", err)
	}
	if info.API.Level < minAPILevel {
		return fmt.Errorf("jetstream: the server has JetStream API level %d, %d is needed (nats-server 2.11 or newer; this is %s)",
			info.API.Level, minAPILevel, s.write.ConnectedServerVersion())
	}
	return nil
}

// accountInfo asks again where nobody answers: a cluster that is starting has no leader at first, and drops the question.
func (s *Store) accountInfo(ctx context.Context) (*jetstream.AccountInfo, error) {
	for {
		try, cancel := context.WithTimeout(ctx, infoTimeout)
		info, err := s.js.AccountInfo(try)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return info, err
		}
	}
}

func (s *Store) streamConfig(p int) jetstream.StreamConfig {
	part := strconv.Itoa(p)
	subjects := make([]string, 0, len(kinds))
	for _, k := range kinds {
		subjects = append(subjects, storePrefix+part+"."+string(k)+".*")
	}
	c := jetstream.StreamConfig{
		Name: StreamName(p), Description: "Kanvas: partition " + part + " of the log", Subjects: subjects,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage, Replicas: s.cfg.Replicas,
		MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
		DenyDelete: true, DenyPurge: true, AllowDirect: true,
		Metadata: map[string]string{metaPartitions: strconv.Itoa(s.cfg.Partitions)},
	}
	if s.ns == nil { // with the embedded server Append tells by itself (local.go)
		c.RePublish = &jetstream.RePublish{Source: storePrefix + part + ".>", Destination: livePrefix + part + ".>"}
	}
	return c
}

// ensureStreams makes the streams at the first start, and checks them at later ones.
func (s *Store) ensureStreams(ctx context.Context) error {
	first, err := s.streamInfo(ctx, 0)
	if err != nil {
		return err
	}
	complete := first != nil && first.Config.Metadata[metaComplete] == "true"
	if first != nil {
		if err := s.checkPartitions(&first.Config); err != nil {
			return err
		}
	}
	for p := range s.cfg.Partitions {
		if err := s.ensureStream(ctx, p, complete); err != nil {
			return err
		}
	}
	if complete {
		return nil
	}
	c := s.streamConfig(0)
	c.Metadata[metaComplete] = "true"
	if _, err := s.js.UpdateStream(ctx, c); err != nil {
		return fmt.Errorf("jetstream: marking the log complete: %w", err)
	}
	return nil
}

func (s *Store) checkPartitions(c *jetstream.StreamConfig) error {
	was := c.Metadata[metaPartitions]
	if was == strconv.Itoa(s.cfg.Partitions) {
		return nil
	}
	if was == "" {
		return fmt.Errorf("jetstream: stream %s exists but was not made by Kanvas", c.Name)
	}
	return fmt.Errorf("jetstream: the log was created with %s partitions and is asked to open with %d: the number is fixed, set it back to %s", was, s.cfg.Partitions, was)
}

func (s *Store) ensureStream(ctx context.Context, p int, complete bool) error {
	info, err := s.streamInfo(ctx, p)
	if err != nil {
		return err
	}
	if info == nil {
		if complete {
			return fmt.Errorf("jetstream: stream %s of the log is missing (restore it from a backup)", StreamName(p))
		}
		if _, err := s.js.CreateStream(ctx, s.streamConfig(p)); err != nil {
			return fmt.Errorf("jetstream: creating %s: %w", StreamName(p), err)
		}
		return nil
	}
	if err := s.checkPartitions(&info.Config); err != nil {
		return err
	}
	if want := s.streamConfig(p).RePublish; (info.Config.RePublish == nil) != (want == nil) {
		c := info.Config // made with the other kind of server, or by a version that republished always
		c.RePublish = want
		if _, err := s.js.UpdateStream(ctx, c); err != nil {
			return fmt.Errorf("jetstream: republishing of %s: %w", StreamName(p), err)
		}
		info.Config.RePublish = want
	}
	return s.checkStreamConfig(&info.Config, p)
}

// checkStreamConfig refuses streams that somebody changed in a way that would lose or hide commits.
func (s *Store) checkStreamConfig(got *jetstream.StreamConfig, p int) error {
	want := s.streamConfig(p)
	var bad []error
	if !slices.Equal(got.Subjects, want.Subjects) {
		bad = append(bad, fmt.Errorf("subjects are %v, not %v", got.Subjects, want.Subjects))
	}
	if got.Storage != want.Storage || got.Retention != want.Retention {
		bad = append(bad, errors.New("it must be in files with limits retention"))
	}
	if !got.AllowDirect || want.RePublish != nil && (got.RePublish == nil || got.RePublish.Destination != want.RePublish.Destination || got.RePublish.HeadersOnly) {
		bad = append(bad, errors.New("direct get or republishing is off"))
	}
	if got.MaxMsgs > 0 || got.MaxBytes > 0 || got.MaxAge > 0 || got.MaxMsgsPerSubject > 0 {
		bad = append(bad, errors.New("it has a limit that would drop commits"))
	}
	if err := errors.Join(bad...); err != nil {
		return fmt.Errorf("jetstream: stream %s: %w", got.Name, err)
	}
	if got.Replicas != s.cfg.Replicas {
		s.log.Warn("log stream has another number of replicas than configured", "stream", got.Name, "replicas", got.Replicas, "configured", s.cfg.Replicas)
	}
	return nil
}

// streamInfo is nil where the stream does not exist.
func (s *Store) streamInfo(ctx context.Context, p int) (*jetstream.StreamInfo, error) {
	st, err := s.js.Stream(ctx, StreamName(p))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("jetstream: info of %s: %w", StreamName(p), err)
	}
	return st.CachedInfo(), nil
}
