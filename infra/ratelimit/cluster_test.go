package ratelimit

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/ratelimit/ratelimittest"
)

// startCluster runs three NATS servers that keep three copies, and a node's store on each.
func startCluster(t *testing.T) (servers []*server.Server, logs []*jetstream.Store) {
	t.Helper()
	var routes []*url.URL
	for range 3 {
		routes = append(routes, &url.URL{Scheme: "nats", Host: freeAddress(t)})
	}
	for i := range 3 {
		port := -1
		if _, err := fmt.Sscanf(routes[i].Port(), "%d", &port); err != nil {
			t.Fatal(err)
		}
		ns, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, MaxPayload: 16 << 20, JetStream: true, StoreDir: t.TempDir(),
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}, Routes: routes,
		})
		if err != nil {
			t.Fatal(err)
		}
		ns.Start()
		t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
		servers = append(servers, ns)
	}
	end := soon(t)
	for _, ns := range servers {
		for log := (*jetstream.Store)(nil); log == nil; { // the cluster has no leader at first
			var err error
			log, err = jetstream.Open(soon(t), jetstream.Config{URL: ns.ClientURL(), Replicas: 3, Partitions: 1})
			switch {
			case err == nil:
				t.Cleanup(func() { log.Close(context.Background()) })
				logs = append(logs, log)
			case end.Err() != nil:
				t.Fatal(err)
			}
		}
	}
	return servers, logs
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestCluster: three nodes on three servers count as one, also after a server is lost.
func TestCluster(t *testing.T) {
	servers, logs := startCluster(t)
	ratelimittest.Run(t, func(t *testing.T, now func() time.Time) []commands.Limiter {
		var nodes []commands.Limiter
		for _, log := range logs {
			nodes = append(nodes, openJetStream(t, log, now))
		}
		return nodes
	})
	var nodes []*JetStream
	for _, log := range logs {
		nodes = append(nodes, openJetStream(t, log, nil))
	}
	limit, who := commands.Limit{Action: "fal", Spends: true, Windows: []commands.Window{{Max: 10, Per: month}}}, commands.Caller{ID: "after-a-loss"}
	passed := 0
	for range 4 {
		if got, err := nodes[0].Take(soon(t), limit, who, 1); err != nil || !got.OK {
			t.Fatalf("%+v %v", got, err)
		}
		passed++
	}
	servers[0].Shutdown()
	servers[0].WaitForShutdown()
	// A count whose answer was lost may stand, so fewer may pass, and never more.
	lost := 0
	for end := soon(t); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		got, err := nodes[1+(passed+lost)%2].Take(ctx, limit, who, 1)
		cancel()
		switch {
		case err != nil && end.Err() == nil:
			lost++
			continue
		case err != nil:
			t.Fatal(err)
		case got.OK:
			passed++
			continue
		}
		break
	}
	if passed > 10 || passed+lost < 10 {
		t.Errorf("%d passed and %d were lost, of 10", passed, lost)
	}
}
