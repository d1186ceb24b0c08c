package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/infinite-kanvas/kanvas/api"
	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/api/realtime"
	"github.com/infinite-kanvas/kanvas/api/web"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/config"
	"github.com/infinite-kanvas/kanvas/infra/control"
	"github.com/infinite-kanvas/kanvas/infra/fal"
)

// How long clients may take to go once the server stops; who takes longer is cut.
const (
	drainTimeout    = 10 * time.Second // sockets, to be answered and to hear that the server goes
	shutdownTimeout = 5 * time.Second  // requests, after that
)

// serve runs a node with its edge until ctx ends.
func serve(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return fmt.Errorf("serve takes no arguments, got %q", c.args)
	}
	profiled, err := profile(c.cfg.Profile)
	if err != nil {
		return err
	}
	return errors.Join(serveNode(ctx, c), profiled())
}

// profile writes a CPU profile to path, where there is one, until the function it returns is called.
func profile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("cpu profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("cpu profile: %w", err), f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

func serveNode(ctx context.Context, c *call) error {
	tuneOpening()
	n, err := openNode(ctx, c.cfg, c.stdout)
	if err != nil {
		return err
	}
	err = n.checkD1AtStart(ctx)
	var e *edge
	if err == nil {
		e, err = n.openEdge()
	}
	if err == nil {
		err = e.run(ctx)
	}
	return errors.Join(err, n.close(context.WithoutCancel(ctx)))
}

// edge is what clients reach.
type edge struct {
	n   *node
	hub *realtime.Hub
	api *api.API
	srv *http.Server
	ln  net.Listener
}

func (n *node) openEdge() (*edge, error) {
	n.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ln, err := net.Listen("tcp", n.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	n.onClose("listener", func(context.Context) error {
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) { // the server has closed it where it ran
			return err
		}
		return nil
	})
	configured := n.cfg.PublicURL
	if n.cfg.PublicURL == "" {
		n.cfg.PublicURL = "http://" + ln.Addr().String()
	}
	prepare := commands.NewPreparer(commands.PrepareConfig{Rooms: n.rooms, Sealer: n.sealer, People: n.people, Assets: n.assets, PublicURLs: []string{strings.TrimSuffix(n.cfg.PublicURL, "/")}})
	secret, err := config.Secret(n.cfg.Data, "secret")
	if err != nil {
		return nil, err
	}
	tokens, err := auth.NewTokens(secret, time.Now)
	if err != nil {
		return nil, err
	}
	capabilities, err := auth.NewCapabilities(secret)
	if err != nil {
		return nil, err
	}
	uploadSigner, err := auth.NewUploadSigner(secret)
	if err != nil {
		return nil, err
	}
	sites, err := auth.NewSites(n.cfg.Origins, n.cfg.Hosts, n.cfg.PublicURL, n.cfg.Loopback())
	if err != nil {
		return nil, err
	}
	sessions, webhook, err := openClerk(&n.cfg.Clerk, n.people, n.logger)
	if err != nil {
		return nil, err
	}
	authenticator := auth.NewAuthenticator(tokens, sessions...)
	proxies := auth.Proxies(n.cfg.Proxies)
	worker, err := auth.NewEdge(n.cfg.Cloudflare.GatewaySecret)
	if err != nil {
		return nil, err
	}
	limits := realtime.DefaultLimits()
	limits.MaxSockets, limits.PerAddress, limits.RatesOff = n.cfg.MaxSockets, n.cfg.PerAddress, !n.cfg.RateLimits
	limits.Coalesce = n.cfg.Coalesce
	limiter, err := n.openLimiter()
	if err != nil {
		return nil, err
	}
	hub := realtime.New(realtime.Config{
		Rooms: n.rooms, Users: n.people, Preparer: prepare, Authenticator: sockets{authenticator, n},
		AllowOrigin: sites.OriginAllowed, AllowCookie: sites.CookieAllowed,
		Address: func(r *http.Request) string { return auth.AddressKey(worker.Client(r, proxies)) },
		MayMake: n.mayMake(), Limits: limits, Logger: n.logger, Registerer: n.reg,
		AssetURL: func(room, asset string, key uint64) string {
			return strings.TrimSuffix(n.cfg.PublicURL, "/") + "/v1/assets/" + asset + "?room=" + room + "&cap=" + capabilities.Capability(room, key)
		},
		PublicRooms: n.publicRooms, Pictures: n.tables,
	})
	n.active.hub.Store(hub)
	n.onClose("sockets", hub.Drain)
	falProxy, err := n.openFal()
	if err != nil {
		return nil, err
	}
	jobWebhooks, err := auth.NewJobWebhooks(secret, configured)
	if err != nil {
		return nil, err
	}
	if err := n.openGenerations(falProxy, prepare, jobWebhooks.URL, hub); err != nil {
		return nil, err
	}
	handler, err := api.New(api.Config{
		FalWebhook: fal.NewWebhook(falProxy), JobWebhooks: jobWebhooks, Jobs: n.jobListener(), Generations: n.maker(), Offer: api.Offer{Models: fal.Catalog{Allowed: n.cfg.Fal.Models}.Offered, Estimate: n.budgets.Estimate},
		Claims: n.claims, Directory: webhook, PublicURL: configured,
		Rooms: n.rooms, Users: n.people, Preparer: prepare, Queries: n.tables, Progress: n.runner, Objects: n.objects, PublicObjects: n.cfg.Cloudflare.R2.Domain, Pictures: n.assets, Uploads: n.uploads, Receiver: n.receiver(), UploadOrigin: n.uploadOrigin(), UploadSigner: uploadSigner, Canvases: n.caches, Hub: hub, Limiter: limiter,
		Quota: n.quota, Budgets: n.budgets,
		Fal: falProxy, FalLimits: n.cfg.Fal.Limits, FalBudget: n.cfg.Fal.Budget, FalSpending: n.budgets.Calls(),
		Auth: authenticator, Capabilities: capabilities, Sites: sites, Proxies: proxies, Edge: worker, EdgeObjects: n.cfg.Cloudflare.Objects(),
		RateLimits: n.cfg.RateLimits, Durability: n.cfg.Durability, Ready: n.ready,
		Logger: n.logger, Gatherer: n.reg, Registerer: n.reg, Web: web.Files(),
	})
	if err != nil {
		return nil, err
	}
	n.keys.OnDestroyed(func(person string) {
		hub.ForgetUser(person)
		handler.ForgetUser()
	})
	return &edge{n: n, hub: hub, api: handler, srv: api.Server(handler), ln: ln}, nil
}

// run serves until ctx ends, then stops from the outside in: listener, sockets, and what node.close stops after that.
func (e *edge) run(ctx context.Context) error {
	n := e.n
	n.startProjections()
	n.startUploads()
	n.startBudgets()
	if err := n.startForgetting(); err != nil {
		return err
	}
	if err := n.startHandlers(); err != nil {
		return err
	}
	ctl, err := control.Serve(n.cfg.Data, n.ops())
	if err != nil {
		return err
	}
	n.onClose("control socket", func(context.Context) error { return ctl.Close() })
	addr := e.ln.Addr().String()
	if err := n.lock.Describe(fmt.Sprintf("pid %d, serving on %s", os.Getpid(), addr)); err != nil {
		return err
	}
	if !n.cfg.RateLimits {
		n.logger.Warn("rate_limits_off")
	}
	tuneProcs()
	tuning, untune := context.WithCancel(ctx)
	var tuned sync.WaitGroup
	tuned.Go(func() { tuneMemory(tuning) })
	defer tuned.Wait()
	defer untune()
	served := make(chan error, 1)
	go func() { served <- e.srv.Serve(e.ln) }()
	n.announce(addr)
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	n.logger.Info("stopping")
	err = e.drain(context.WithoutCancel(ctx))
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = errors.Join(err, s)
	}
	return err
}

// drain lets clients go: sockets first, since they are hijacked, so that Shutdown does not wait for them; new ones are refused from here on. A client
// that doesn't go is cut, and said to the log alone: nobody outside decides whether this server stopped well.
func (e *edge) drain(ctx context.Context) error {
	e.api.Drain()
	sockets, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if err := e.hub.Drain(sockets); err != nil {
		e.n.logger.Warn("sockets_cut", "after", drainTimeout.String())
	}
	requests, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	err := e.srv.Shutdown(requests)
	if errors.Is(err, context.DeadlineExceeded) {
		e.n.logger.Warn("requests_cut", "after", shutdownTimeout.String())
		return e.srv.Close()
	}
	return err
}

// announce says that the server can be reached, at whatever level the log is: people and programs wait for this line.
func (n *node) announce(addr string) {
	line := fmt.Sprintf(`{"level":"info","timestamp":%d,"event":"listening","address":%q,"page":%q,"durability":%q}`, time.Now().UnixMilli(), addr, "http://"+addr+"/", n.cfg.Durability)
	fmt.Fprintln(n.out, line)
}

// ready is /readyz: what this node needs to do its work.
func (n *node) ready(ctx context.Context) []api.Check {
	check := func(name, detail string, err error) api.Check {
		if err != nil {
			detail = err.Error()
		}
		return api.Check{Name: name, OK: err == nil, Detail: detail}
	}
	_, _, logErr := n.log.Bounds(ctx, 0)
	logErr = errors.Join(logErr, n.log.Ready())
	return append([]api.Check{
		check("log", "durability "+n.cfg.Durability, logErr),
		check("tables", "", n.tables.Ping(ctx)),
	}, slices.Concat(n.readyObjects(), n.readyD1(), n.readyLimits())...)
}

// sockets lets the hub know tokens.
type sockets struct {
	auth *auth.Authenticator
	n    *node
}

func (s sockets) Authenticate(ctx context.Context, token string) (realtime.Identity, error) {
	id, err := s.auth.Authenticate(ctx, token)
	switch {
	case errors.Is(err, auth.ErrExpired):
		return realtime.Identity{}, fmt.Errorf("%w: %w", realtime.ErrExpired, domain.Errorf(domain.CodeUnauthenticated, "the token has expired"))
	case errors.Is(err, auth.ErrToken):
		return realtime.Identity{}, domain.Errorf(domain.CodeUnauthenticated, "the token is not valid here")
	case err != nil:
		return realtime.Identity{}, err
	}
	p, err := s.n.people.Ensure(ctx, id.User, id.Kind, id.User)
	if err != nil {
		return realtime.Identity{}, err
	}
	return realtime.Identity{UserID: p.ID, Name: p.Name, Color: p.Color, ExpiresAt: id.Expires}, nil
}

// publicRooms is where the list of old clients starts from: the newest public rooms.
func (n *node) publicRooms(ctx context.Context) ([]realtime.ListedRoom, error) {
	rows, _, err := n.tables.ListRooms(ctx, string(domain.Public), "", listedAtStart)
	if err != nil {
		return nil, err
	}
	list := make([]realtime.ListedRoom, 0, len(rows))
	for _, r := range rows {
		list = append(list, realtime.ListedRoom{ID: r.ID, Name: r.Name, IsPublic: true, CreatedAt: r.CreatedAt, LastActivity: r.UpdatedAt,
			OwnerID: r.OwnerID, CreatorName: n.people.Profile(ctx, r.OwnerID).Name})
	}
	return list, nil
}

// listedAtStart is how many rooms old clients see before anybody has entered one.
const listedAtStart = 200
