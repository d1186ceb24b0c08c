package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
)

// embedded is the NATS server inside this process. It listens nowhere: connections are pipes.
// It can be restarted in place (after a write error, which a stream remembers until it is opened again);
// connections made through it then reconnect by themselves.
type embedded struct {
	opts server.Options
	log  *natsLogger

	mu sync.Mutex
	ns *server.Server // nil while down
}

var errServerDown = errors.New("jetstream: embedded server is down")

// newEmbedded starts the server. onWriteError is called, from any goroutine, when a stream of it could not write.
func newEmbedded(c *Config, onWriteError func()) (*embedded, error) {
	e := &embedded{
		log: &natsLogger{log: c.Logger, onWriteError: onWriteError},
		opts: server.Options{
			ServerName: c.Name, DontListen: true, NoSigs: true,
			JetStream: true, StoreDir: c.Dir, DisableJetStreamBanner: true,
			JetStreamMaxStore: c.MaxStore, JetStreamMaxMemory: maxMemoryStore,
			SyncAlways: c.Durability == DurabilityAlways, SyncInterval: syncInterval,
			MaxPayload: maxPayload, MaxPending: maxPendingBytes,
		},
	}
	return e, e.start()
}

func (e *embedded) start() error {
	opts := e.opts // the server fills in what is not set: each gets its own
	ns, err := server.NewServer(&opts)
	if err != nil {
		return fmt.Errorf("jetstream: embedded server: %w", err)
	}
	ns.SetLoggerV2(e.log, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(connectTimeout) || !ns.JetStreamEnabled() {
		ns.Shutdown()
		ns.WaitForShutdown()
		return fmt.Errorf("jetstream: embedded server did not start on %s (see the log)", e.opts.StoreDir)
	}
	e.mu.Lock()
	e.ns = ns
	e.mu.Unlock()
	return nil
}

// stop ends the server and waits until its files are closed.
func (e *embedded) stop() {
	e.mu.Lock()
	ns := e.ns
	e.ns = nil
	e.mu.Unlock()
	if ns != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
	}
}

// InProcessConn implements nats.InProcessConnProvider on whichever server runs now.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	ns := e.ns
	e.mu.Unlock()
	if ns == nil {
		return nil, errServerDown
	}
	return ns.InProcessConn()
}

// natsLogger writes the server's warnings and errors to slog.
type natsLogger struct {
	log          *slog.Logger
	onWriteError func()
}

func (l *natsLogger) Noticef(string, ...any) {}
func (l *natsLogger) Debugf(string, ...any)  {}
func (l *natsLogger) Tracef(string, ...any)  {}

// Warnf leaves out what is meant to be so.
func (l *natsLogger) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Maximum payloads over") {
		return
	}
	l.log.Warn("nats-server", "detail", fmt.Sprintf(format, v...))
}

func (l *natsLogger) Errorf(format string, v ...any) {
	l.log.Error("nats-server", "detail", fmt.Sprintf(format, v...))
	// The server does not answer a publish that it could not write, and refuses all later ones of the stream silently.
	if strings.Contains(strings.ToLower(format), "critical write error") && l.onWriteError != nil {
		l.onWriteError()
	}
}

// Fatalf does not end the process: the store is useless then, and start or the next call says so.
func (l *natsLogger) Fatalf(format string, v ...any) { l.Errorf(format, v...) }
