package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// outsideLog is an external NATS server, which ends with the test.
func outsideLog(t *testing.T) *natsserver.Server {
	t.Helper()
	ns, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: 16 << 20, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(time.Minute) {
		t.Fatal("NATS does not start")
	}
	return ns
}

// startNodes starts servers on one external log, with one secret and one master key. The first listens on first.
func startNodes(t *testing.T, n int, first string, env ...string) []*server {
	t.Helper()
	env = append(slices.Clone(env), "KANVAS_NATS_URL="+outsideLog(t).ClientURL(), "KANVAS_MASTER_KEY_FILE="+filepath.Join(t.TempDir(), "master.key"))
	var servers []*server
	var secret []byte
	for i := range n {
		dir, listen := t.TempDir(), "127.0.0.1:0"
		if i == 0 {
			listen = first
		} else if err := os.WriteFile(filepath.Join(dir, "secret"), secret, 0o600); err != nil {
			t.Fatal(err)
		}
		servers = append(servers, startServer(t, dir, listen, env...))
		if i == 0 {
			var err error
			if secret, err = os.ReadFile(filepath.Join(dir, "secret")); err != nil {
				t.Fatal(err)
			}
		}
	}
	return servers
}

// TestRevokedLinks: the owner revokes the links to a room's pictures, with the real client of the old protocol, two nodes and the Worker.
func TestRevokedLinks(t *testing.T) {
	f := newFront(t)
	nodes := startNodes(t, 2, f.behind, append(f.env, "KANVAS_RATE_LIMITS=off")...)
	out := f.node(t, "api/realtime/parties_npm", "links.test.mjs", "KANVAS_NODES="+nodes[0].addr+","+nodes[1].addr)
	if !strings.Contains(out, "pass 2") {
		t.Errorf("not every test ran:\n%s", out)
	}
	for _, s := range nodes {
		s.stop()
	}
}
