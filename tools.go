package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/config"
	"github.com/infinite-kanvas/kanvas/infra/control"
	"github.com/infinite-kanvas/kanvas/projections"
)

const (
	defaultTokenLife = 30 * 24 * time.Hour
	maxTokenLife     = 366 * 24 * time.Hour
)

// token prints a token for a user, who is made where it is unknown: in the server that holds the data directory, or here.
func token(ctx context.Context, c *call) error {
	if len(c.args) != 1 {
		return errors.New("token: one user id is needed (see kanvas token --help)")
	}
	user, name := c.args[0], c.fs.Lookup("name").Value.String()
	if name == "" {
		name = user
	}
	ttl := c.fs.Lookup("ttl").Value.(flag.Getter).Get().(time.Duration)
	if ttl <= 0 || ttl > maxTokenLife {
		return fmt.Errorf("token: --ttl %s is not 1s to %s", ttl, maxTokenLife)
	}
	tokens, err := openTokens(c.cfg.Data)
	if err != nil {
		return err
	}
	signed, _, err := tokens.Sign(user, "local", ttl)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if err := runOp(ctx, c, "person", []string{user, name}); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.stdout, signed)
	return err
}

// openTokens opens the signer of this server's tokens.
func openTokens(dir string) (*auth.Tokens, error) {
	secret, err := config.Secret(dir, "secret")
	if err != nil {
		return nil, err
	}
	return auth.NewTokens(secret, time.Now)
}

// edgeKey prints the key by which the Worker checks tokens.
func edgeKey(_ context.Context, c *call) error {
	if len(c.args) > 0 {
		return fmt.Errorf("edge-key takes no arguments, got %q", c.args)
	}
	tokens, err := openTokens(c.cfg.Data)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.stdout, tokens.Key())
	return err
}

// opPerson makes a local person where it is unknown.
func (n *node) opPerson(ctx context.Context, args []string, _ io.Writer) error {
	if len(args) != 2 {
		return errors.New("person: an id and a name are needed")
	}
	_, err := n.people.Ensure(ctx, args[0], "local", args[1])
	return err
}

// remote is the subcommand that runs an operation and prints what it says.
func remote(op string) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		var flags []string
		for _, name := range []string{"room", "target", "dry-run", "month", "user"} {
			if f := c.fs.Lookup(name); f != nil && f.Value.String() != "" {
				flags = append(flags, "--"+name+"="+f.Value.String())
			}
		}
		return runOp(ctx, c, op, append(flags, c.args...))
	}
}

// runOp runs an operation in the server that holds the data directory, or here where none does.
func runOp(ctx context.Context, c *call, op string, args []string) error {
	err := control.Call(ctx, c.cfg.Data, op, args, c.stdout)
	if !errors.Is(err, control.ErrNoServer) {
		return err
	}
	n, err := openNode(ctx, c.cfg, c.stderr)
	if err != nil {
		return err
	}
	return errors.Join(n.ops()[op](ctx, args, c.stdout), n.close(context.WithoutCancel(ctx)))
}

// ops are the operations that the control socket and the tools run on an open node.
func (n *node) ops() map[string]control.Op {
	return map[string]control.Op{"log": n.opLog, "rebuild": n.opRebuild, "verify": n.opVerify, "health": n.opHealth, "person": n.opPerson, "assets": n.opAssets, "spending": n.opSpending, "forget": n.opForget, "rotate-keys": n.opRotateKeys, "export-keys": n.opExportKeys, "export-person": n.opExportPerson}
}

// opLog prints the commits of a stream as they are stored.
func (n *node) opLog(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("log: one room is needed (see kanvas log --help)")
	}
	stream, err := parseStream(args[0])
	if err != nil {
		return err
	}
	found := false
	var failed error
	err = n.log.Read(ctx, stream, 0, func(rec events.Record) bool {
		found = true
		_, failed = fmt.Fprintf(out, "%s\n", rec.Payload)
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("read %s: %w", stream, err)
	}
	if !found {
		return fmt.Errorf("the log holds nothing of %s", stream)
	}
	return nil
}

// parseStream reads ROOM, user/ID, asset/ID or spending/ID:MONTH.
func parseStream(name string) (events.Stream, error) {
	kind, id, ok := strings.Cut(name, "/")
	if !ok {
		kind, id = string(events.KindRoom), name
	}
	s := events.Stream{Kind: events.Kind(kind), ID: id}
	switch s.Kind {
	case events.KindRoom, events.KindUser, events.KindAsset, events.KindSpending:
		if events.ValidStreamID(id) {
			return s, nil
		}
	}
	return s, fmt.Errorf("%q is no room id, user/ID, asset/ID or spending/ID:MONTH", name)
}

// target is the projector that --target names, and what else there is in args.
func (n *node) target(ctx context.Context, args []string) (runner *projections.Runner, room string, rest []string, err error) {
	target := ""
	for _, arg := range args {
		if t, ok := strings.CutPrefix(arg, "--target="); ok {
			target = t
		} else if r, ok := strings.CutPrefix(arg, "--room="); ok {
			room = r
		} else {
			rest = append(rest, arg)
		}
	}
	switch target {
	case "", "local":
		return n.runner, room, rest, nil
	case "d1":
		if n.d1Runner == nil {
			return nil, "", nil, errors.New("--target d1: D1 is not configured (set D1_DATABASE_ID, CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN)")
		}
		return n.d1Runner, room, rest, n.d1.CheckSchema(ctx)
	}
	return nil, "", nil, fmt.Errorf("--target %q is neither local nor d1", target)
}

// opRebuild makes the tables, or one room's rows, again.
func (n *node) opRebuild(ctx context.Context, args []string, out io.Writer) error {
	runner, room, args, err := n.target(ctx, args)
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	if len(args) > 1 || (len(args) == 1 && args[0] != projections.Tables) {
		return fmt.Errorf("rebuild: the only projection is %q", projections.Tables)
	}
	r, err := runner.Rebuild(ctx, room)
	if err != nil {
		return err
	}
	what := r.Projection
	if room != "" {
		what += " of room " + room
	}
	verdict := "the same rows as before"
	if !r.Equal {
		verdict = "DIFFERENT rows than before (they have been replaced)"
	}
	fmt.Fprintf(out, "rebuilt %s from %d events in %s: %s\n", what, r.Events, r.Duration.Round(time.Millisecond), verdict)
	fmt.Fprintf(out, "digest before %s\ndigest after  %s\n", r.DigestBefore, r.DigestAfter)
	if r.Behind > 0 {
		fmt.Fprintf(out, "the tables were %d commits behind the log, and are not any more\n", r.Behind)
	}
	return printParked(out, r.Parked)
}

func printParked(out io.Writer, parked []projections.Parked) error {
	for _, p := range parked {
		fmt.Fprintf(out, "parked: %s since sequence %d of partition %d: %s\n", p.Stream, p.Seq, p.Partition, p.Reason)
	}
	if len(parked) > 0 {
		return fmt.Errorf("%d streams can't be applied", len(parked))
	}
	return nil
}

// opVerify checks the log's chain and the tables against it.
func (n *node) opVerify(ctx context.Context, args []string, out io.Writer) error {
	runner, room, args, err := n.target(ctx, args)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	target := "local"
	if runner == n.d1Runner {
		target = "d1"
	}
	if len(args) == 1 {
		room = args[0]
	} else if len(args) > 1 {
		return errors.New("verify: at most one room")
	}
	v, err := runner.Verify(ctx, room)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d streams, %d commits, %d events read\n", v.Streams, v.Commits, v.Events)
	for _, b := range v.Bad {
		if b.Stream == (events.Stream{}) {
			fmt.Fprintf(out, "bad partition: %d at sequence %d: %v\n", b.Partition, b.Seq, b.Err)
			continue
		}
		fmt.Fprintf(out, "bad commit: %s at sequence %d of partition %d (revision %d): %v\n", b.Stream, b.Seq, b.Partition, b.Revision, b.Err)
	}
	switch {
	case v.Equal:
		fmt.Fprintf(out, "tables are what the log gives: %s\n", v.DigestLive)
	case len(v.Bad) > 0:
		fmt.Fprintf(out, "tables differ from the log: %s, the log gives %s (it is damaged: restore it, do not rebuild)\n", v.DigestLive, v.DigestLog)
	default:
		fmt.Fprintf(out, "tables differ from the log: %s, the log gives %s (kanvas rebuild --target %s mends them)\n", v.DigestLive, v.DigestLog, target)
	}
	if err := printParked(out, v.Parked); err != nil {
		return err
	}
	if !v.OK() {
		return errors.New("verification failed")
	}
	_, err = fmt.Fprintln(out, "sound")
	return err
}
