// Package provision puts what Kanvas needs into a Cloudflare account: the D1 database and its tables, the R2 bucket and its rules, the KV
// namespace, the Worker and its secrets. It looks first and says what it would do (Plan), then does it (Plan.Apply); doing it again
// finds everything in place. What an earlier run left half done is found and finished.
//
// A Provisioner is for one goroutine.
package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
)

// Options of a Provisioner. Client (of the public API, not of a gateway), Token, Manifest, Deployer and EnvFile are needed.
type Options struct {
	Client   *cloudflare.Client
	Token    string // the API token, which with its id is also the key of R2's S3 door
	Manifest *Manifest
	Deployer Deployer
	EnvFile  string            // written for the room server, mode 0600
	Origins  []string          // browser origins that reach the bucket by presigned URLs
	Vars     map[string]string // of the Worker, besides those that say where it is
	Secrets  map[string]string // of the Worker, besides the gateway's

	GatewayURL    string // of the Worker; "": its workers.dev address
	GatewaySecret string // "": the one in EnvFile, or a new one
	R2AccessKey   string // "": the API token's id
	R2SecretKey   string // "": made of the API token, as Cloudflare does
}

// Deployer brings the Worker's code to Cloudflare, which has no simple API for it.
type Deployer interface {
	// Ready says what is missing on this machine, if anything.
	Ready() error
	// Build is a short name of the code as it is now: the same for the same code and settings.
	Build() (string, error)
	// Deploy brings it there, all in one version. vars are plain text for everybody who may see the account.
	Deploy(ctx context.Context, vars, secrets map[string]string) error
}

// Deadlines of one action.
const (
	lookTimeout   = 60 * time.Second
	actionTimeout = 2 * time.Minute
	deployTimeout = 10 * time.Minute
)

// Provisioner looks at one account for one environment of one Worker.
type Provisioner struct {
	Options
	databaseID, kvID string // "" until found or made
	tokenID          string
}

// New makes a Provisioner. It asks nobody.
func New(o Options) *Provisioner { return &Provisioner{Options: o} }

// Verb is what happens to a thing.
type Verb string

// The verbs of a plan.
const (
	Keep   Verb = "keep"   // is there as it should be
	Create Verb = "create" // will be made
	Change Verb = "change" // is there and will be changed
	Warn   Verb = "warn"   // is left, and somebody should know
)

// Action is one line of a plan.
type Action struct {
	Verb   Verb
	What   string // such as `D1 database "kanvas-db"`
	Detail string

	timeout time.Duration
	do      func(context.Context) error
}

// Plan is what Apply will do, in order.
type Plan struct{ Actions []Action }

// Pending counts what would be made or changed.
func (p *Plan) Pending() (n int) {
	for _, a := range p.Actions {
		if a.do != nil {
			n++
		}
	}
	return n
}

// Plan looks at the account and says what is there and what is to be done. It changes nothing. The error joins all that could not be
// looked at, so that every missing permission is named at once; the plan holds the rest.
func (p *Provisioner) Plan(ctx context.Context) (*Plan, error) {
	plan := &Plan{}
	var failed []error
	if err := p.lookAtToken(ctx); err != nil { // nothing else would work
		return plan, err
	}
	for _, look := range []func(context.Context) ([]Action, error){p.planDatabase, p.planBucket, p.planNamespace, p.planManifest, p.planServer, p.planWorker} {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		actions, err := look(ctx)
		cancel()
		if err != nil {
			failed = append(failed, err)
		}
		plan.Actions = append(plan.Actions, actions...)
	}
	return plan, errors.Join(failed...)
}

// Apply does what the plan says, one thing after the other, and stops at the first that fails: what was done stays and is found by the next
// run. report is told of each action when it is done.
func (p *Plan) Apply(ctx context.Context, report func(Action)) error {
	for _, a := range p.Actions {
		if a.do == nil {
			continue
		}
		if err := a.run(ctx); err != nil {
			return fmt.Errorf("%s %s: %w", a.Verb, a.What, err)
		}
		report(a)
	}
	return nil
}

func (a *Action) run(ctx context.Context) error {
	timeout := a.timeout
	if timeout == 0 {
		timeout = actionTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return a.do(ctx)
}

// planManifest writes the ids where wrangler and people read them.
func (p *Provisioner) planManifest(context.Context) ([]Action, error) {
	m := p.Manifest
	ids := func() IDs { return IDs{p.Client.Account(), p.databaseID, p.kvID} }
	if p.databaseID != "" && p.kvID != "" && !m.Differs(ids()) {
		return []Action{{Verb: Keep, What: m.Path, Detail: "names these ids"}}, nil
	}
	return []Action{{Verb: Change, What: m.Path, Detail: "the ids of the database and the namespace; nothing else", do: func(context.Context) error {
		return m.SetIDs(ids())
	}}}, nil
}

// set fills a field of cloudflare-go's parameters, whose type can't be named outside of it.
func set[T any](value *T, present *bool, v T) { *value, *present = v, true }
