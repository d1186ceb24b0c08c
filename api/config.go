package api

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

// Hub serves sockets. *realtime.Hub implements it. The Serve methods answer the request, refusals included, and return when the socket is
// served by goroutines of the hub or over.
type Hub interface {
	ServeV1(w http.ResponseWriter, r *http.Request, roomID string)
	ServeParties(w http.ResponseWriter, r *http.Request, party, room string)
	// CloseUser ends the sockets that a user has on this process: they were deleted.
	CloseUser(userID string)
	// Online says how many people have the room open on this process.
	Online(roomID string) int
}

// Progress tells how far the projections that lists are read from got. Both methods wait at most until ctx ends, and then return
// projections.ErrBehind or ctx's error.
type Progress interface {
	// WaitFor returns once the stream is applied up to the revision.
	WaitFor(ctx context.Context, s events.Stream, revision uint64) error
	// WaitHead returns once all that the log held at the time of the call is applied.
	WaitHead(ctx context.Context) error
}

// Pictures knows which rooms were asked a moment ago, on this process, to show an asset: they may not be in the lists yet. *commands.Assets implements it.
type Pictures interface {
	Showing(asset string) (rooms []string)
}

// Check is one line of /readyz.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // for operators; never a secret
	// Optional: the node does its work without, only later or slower.
	Optional bool `json:"optional,omitempty"`
}

// CanvasHashes keeps what old clients say of their canvas. *projections.Caches is one.
type CanvasHashes interface {
	// PutCanvas has the hash kept for a while, where nothing trusts it; false: too much waits to be written. It does not block.
	PutCanvas(room, hash string) bool
}

// DefaultFalBudget is how many calls a day a server pays for.
const DefaultFalBudget = 1_000

// Config is what New needs. Fields are required unless said otherwise.
type Config struct {
	Rooms    commands.Rooms
	Users    commands.Users
	Preparer commands.Preparer
	Queries  projections.Queries
	Progress Progress
	Objects  commands.Objects
	// PublicObjects is where the world can get objects by their keys, such as https://pictures.example.com; "": nowhere. Pictures of public rooms are
	// redirected there, no others.
	PublicObjects string
	Pictures      Pictures
	Uploads       Uploads
	Receiver      commands.Receiver // of the bytes of uploads; nil: they are sent to the store itself
	UploadOrigin  string            // where that is, for the page's Content-Security-Policy, such as https://account.r2.cloudflarestorage.com; "" with a Receiver
	Canvases      CanvasHashes
	Hub           Hub
	Limiter       commands.Limiter // of sharedLimits

	Auth         *auth.Authenticator
	Capabilities *auth.Capabilities
	UploadSigner *auth.UploadSigner
	Sites        *auth.Sites
	Tickets      *auth.Tickets // nil: a store of its own
	Proxies      auth.Proxies  // nil: X-Forwarded-For is not believed
	Edge         *auth.Edge    // the Worker in front; nil: there is none
	EdgeObjects  bool          // the Worker reaches what Objects holds, and may add the bytes of assets to our answers

	Quota   Quota
	Budgets Budgets

	Claims    Claims
	Directory Directory // nil: there is no webhook

	PublicURL string // where clients reach this server; "": where the caller did

	// Calls to fal.ai. Limits and budget count calls that are paid for with the server's key.
	Fal         FalProxy             // nil: none is made
	FalLimits   []commands.Window    // of a person, shortest first; nil: 5 a minute, 15 an hour, 50 a day
	FalBudget   int                  // of everybody together, a day; 0: DefaultFalBudget
	FalSpending commands.FalSpending // nil: no account is kept
	FalWebhook  FalWebhook           // nil: jobs are not reported; else Jobs and JobWebhooks are needed
	Jobs        JobListener
	Generations Generations // nil: none are made
	JobWebhooks *auth.JobWebhooks

	Offer Offer // of Generations; the zero Offer: nothing is offered

	RateLimits bool // limits on rates; those on sizes and on spending are always on
	Durability string
	Ready      func(ctx context.Context) []Check // nil: always ready

	Logger     *slog.Logger          // nil: none
	Gatherer   prometheus.Gatherer   // nil: /metrics is empty
	Registerer prometheus.Registerer // nil: metrics are counted and not shown
	Web        fs.FS                 // the built page; nil: "/" is 404
	Clock      func() time.Time      // nil: the system's
}

func (c Config) withDefaults() (Config, error) {
	missing := map[string]bool{
		"Rooms": c.Rooms == nil, "Users": c.Users == nil, "Preparer": c.Preparer == nil, "Queries": c.Queries == nil, "Quota": c.Quota == nil, "Budgets": c.Budgets == nil, "Progress": c.Progress == nil,
		"Objects": c.Objects == nil, "Pictures": c.Pictures == nil, "Uploads": c.Uploads == nil, "UploadSigner": c.UploadSigner == nil, "Canvases": c.Canvases == nil, "Hub": c.Hub == nil, "Claims": c.Claims == nil, "Limiter": c.Limiter == nil, "Auth": c.Auth == nil, "Capabilities": c.Capabilities == nil, "Sites": c.Sites == nil,
	}
	var errs []error
	for name, absent := range missing {
		if absent {
			errs = append(errs, errors.New("api: Config."+name+" is needed"))
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Tickets == nil {
		c.Tickets = auth.NewTickets(c.Clock)
	}
	if c.FalLimits == nil {
		c.FalLimits = []commands.Window{{Max: 5, Per: time.Minute}, {Max: 15, Per: time.Hour}, {Max: 50, Per: 24 * time.Hour}}
	}
	if c.FalBudget == 0 {
		c.FalBudget = DefaultFalBudget
	}
	if c.Gatherer == nil {
		c.Gatherer = prometheus.NewRegistry()
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) []Check { return nil }
	}
	return c, errors.Join(errs...)
}
