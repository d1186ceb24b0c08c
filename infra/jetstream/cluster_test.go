package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// startCluster runs three servers, each in a process of its own, and opens a store of three replicas on them.
func startCluster(t *testing.T) (*jetstream.Store, []*process) {
	t.Helper()
	client, route := make([]string, 3), make([]string, 3)
	for i := range client {
		client[i], route[i] = freePort(t), freePort(t)
	}
	var ps []*process
	url := ""
	for i := range client {
		others := route[(i+1)%3] + "," + route[(i+2)%3]
		ps = append(ps, startNATS(t, t.TempDir(), client[i], 16<<20, "KANVAS_TEST_ROUTES="+route[i]+","+others))
		url += ",nats://127.0.0.1:" + client[i]
	}
	c := jetstream.Config{URL: url[1:], Replicas: 3, Partitions: 2, Logger: quiet()}
	var s *jetstream.Store
	end := time.Now().Add(30 * time.Second)
	for { // the cluster has no leader at first
		var err error
		if s, err = jetstream.Open(context.Background(), c); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s, ps
}

// steady appends as the room actor does on a cluster, which may elect a leader at any moment, and which may call an append that comes right
// after another one's ack a conflict (10164): it looks at the stream's end, and where nobody has moved it tries again.
type steady struct{ *jetstream.Store }

func (s steady) Append(ctx context.Context, st events.Stream, after uint64, payload []byte) (uint64, error) {
	for {
		seq, err := s.Store.Append(ctx, st, after, payload)
		unknown := errors.Is(err, commands.ErrUnknownOutcome)
		if !unknown && !errors.Is(err, commands.ErrSequence) && !errors.Is(err, commands.ErrLogReadOnly) {
			return seq, err
		}
		last, _, lastErr := s.Last(ctx, st)
		switch {
		case lastErr != nil:
			return 0, errors.Join(err, lastErr)
		case unknown && last.Seq > after && bytes.Equal(last.Payload, payload):
			return last.Seq, nil
		case last.Seq != after:
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, err
		}
	}
}

// TestCluster runs the suite on three replicas, then kills a server: the others go on with all that was acknowledged, and with
// a second one gone nothing is acknowledged any more.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes")
	}
	s, ps := startCluster(t)
	logtest.Run(t, func(*testing.T) logtest.Store { return steady{s} })
	st := logtest.NewRoom()
	seqs := logtest.Fill(t, steady{s}, st, 20, logtest.Text)
	after := seqs[19]
	ps[0].kill()
	n := 20
	waitFor(t, func() bool { // a new leader, and connections to it
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		last, _, err := s.Last(ctx, st)
		if err != nil {
			return false
		}
		if last.Seq != after { // an append of unknown outcome was stored
			after, n = last.Seq, n+1
		}
		seq, err := s.Append(ctx, st, after, logtest.Text(n))
		if err == nil {
			after, n = seq, n+1
		}
		return err == nil
	})
	recs := logtest.ReadAll(t, s, st, 0)
	if len(recs) != n {
		t.Fatalf("%d commits after a server was lost, want %d", len(recs), n)
	}
	for i, r := range recs {
		if string(r.Payload) != string(logtest.Text(i)) {
			t.Fatalf("commit %d is %s", i, r.Payload)
		}
	}
	ps[1].kill()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if _, err := s.Append(ctx, st, after, logtest.Text(n)); !errors.Is(err, commands.ErrUnknownOutcome) && !errors.Is(err, commands.ErrLogReadOnly) {
		t.Errorf("append without a quorum: %v", err)
	}
}
