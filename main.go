// Kanvas is the backend of Infinite Kanvas: one program that serves rooms, live editing, history and images.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/infinite-kanvas/kanvas/infra/config"
	"github.com/infinite-kanvas/kanvas/infra/pictures"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "kanvas: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// subcommand is one word after `kanvas`. flags are names of settings of package config (nil: all of them).
type subcommand struct {
	name, args, short, long string
	flags                   []string
	run                     func(ctx context.Context, c *call) error
}

// call is what a subcommand gets.
type call struct {
	cfg            config.Config
	fs             *flag.FlagSet
	args           []string
	getenv         func(string) string
	stdout, stderr io.Writer
}

// flag is the value of a flag of the subcommand's own.
func (c *call) flag(name string) string { return c.fs.Lookup(name).Value.String() }

// opening are the settings that say what a data directory is opened with.
var opening = []string{"data", "nats-url", "partitions", "replicas", "durability", "cut-damaged-log", "master-key-file", "forgotten-file", "log-level",
	"cloudflare-account", "cloudflare-api-url", "cloudflare-budget", "gateway-url", "d1-database",
	"kv-namespace", "r2-access-key", "r2-bucket", "r2-endpoint"}

func subcommands() []subcommand {
	return []subcommand{
		{"serve", "", "serve rooms until SIGTERM or SIGINT", `Prints one JSON line with "event":"listening" and the address when it can serve.
The page is at that address. Rooms, history, pictures and keys are kept below --data; a second server on the
same directory refuses to start. At SIGTERM commands under way are finished and sockets told to come back.`, nil, serve},
		{"token", "USER", "print a token that signs a user in", `The token is for Authorization: Bearer, or a socket's hello. USER is 1 to 64 of A-Z a-z 0-9 _ -.
Whoever holds the token acts as that user until it expires.`, opening, token},
		{"edge-key", "", "print the key by which the Worker checks tokens", `A secret: pipe it into wrangler secret put TOKEN_KEY. With it the Worker refuses forged and expired tokens before
this server hears of them. Whoever has it can sign in as anybody.`, []string{"data"}, edgeKey},
		{"log", "ROOM", "print a room's commits, one JSON line each", `Prints what the log holds: revisions, events, sums. Personal text stays sealed.
Takes user/ID, asset/ID and spending/ID:MONTH for the streams of people, of assets and of what calls cost.`, opening, remote("log")},
		{"rebuild", "[PROJECTION]", "make the tables again from the log", `Builds shadow tables beside the live ones, compares the digests and swaps them in one transaction; readers
never see half. With --room only that room's rows are made again (and a parked room is taken back).`, opening, remote("rebuild")},
		{"verify", "[ROOM]", "prove the log and the tables, or name the first bad commit", `Checks every commit's sum, the chain, gaps in revisions, and the tables' digest against the log.
Exits 1 where anything is wrong.`, opening, remote("verify")},
		{"forget", "USER", "forget a person: nothing readable of them is left", `Ends the person's stream and those of guests that they claimed, destroys the keys that their names, e-mail, chat, comments and prompts
are sealed under, and scrubs the tables. Their pictures and elements stay in the rooms, blamed on "Deleted user". There is no way back. The list of forgotten
people (KANVAS_FORGOTTEN_FILE) has a log that is restored from an older backup forget them again. It may be repeated, and goes on where it was killed.`, opening, remote("forget")},
		{"export", "--user USER FILE", "give a person what is kept of them, as a zip", `Writes FILE (mode 0600): profile, rooms, chat, comments, generations, elements, everything they did, and the pictures and videos they brought; of the guests
that they claimed too. Reads the whole log.`, opening, exportPerson},
		{"keys", "rotate | backup FILE | restore FILE", "new master key, or a sealed backup of the keys of people", `rotate makes a new master key, wraps all keys anew and keeps the old file beside the new one (.old), which backups of the log from before need. Killed, it goes
on where it was when it is run again. Where several nodes share a log: --prepare first, copy the .next file beside the master key of each node, rotate on one, then on the others.
backup writes everybody's key to FILE, sealed in the age format under KANVAS_KEYS_PASSPHRASE or for --recipient. Keep the newest one alone, apart from backups of the log: a person who is
forgotten later is in older ones still. restore brings back what is missing, with no server running; it never brings back who was forgotten.`, opening, keysCommand},
		{"assets", "unused", "find pictures that nothing shows, and delete them after a time of grace", `Reads the log of every room: what any revision shows is kept for ever. The rest is marked, and deleted when it was marked for KANVAS_ASSET_GRACE
and is shown by nothing still. A server does this by itself every KANVAS_UNUSED_EVERY. Prints one JSON line for each.`, opening, remote("assets")},
		{"spending", "", "print what was spent at fal.ai, by person and model", `What FAL_KEY paid for in a month (by default this one): calls of /api/fal and generations in rooms, one JSON line for each person and model;
of this month also how the budget stands.
Entries are in the log; prices are those of --fal-prices, or what fal.ai said it billed.`, opening, remote("spending")},
		{"copy", "", "bring pictures and tables to Cloudflare, or back", `Copies what the object store of the source has and that of the target lacks, compares every copy and, at the end, both stores' digests; then the
tables of the target are made from the log and proved. Stopped at any point, it goes on where it was when it is called again. Works while
a server runs: what is made meanwhile comes with the next call. Nothing is deleted anywhere. Cache entries come by themselves.`, opening, copyStores},
		{"doctor", "", "say what is configured, reachable and wrong, one line each", `Lines begin with ok, warn or fail; below what does not work stands what to do. Exits 1 where a line fails. Everything is looked at at once, and each thing has a deadline.`, nil, examine},
		{"ready", "", "ask the server at the address to listen on whether it is ready", `For health checks of containers. Exits 1 where it is not, or does not answer in 5 s.`, []string{"data", "listen"}, ready},
		{"provision", "", "make what Kanvas needs on Cloudflare, or find it in place", `Looks first, prints what it finds and would do, asks, then does it: D1 database and tables, R2 bucket with CORS and lifecycle rules,
KV namespace, the ids in wrangler.toml, the Worker with its secrets, and a file of settings for the room server. Run it again at
any time: what is there is kept. Needs CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN.`, provisioning, provisionCloudflare},
		{"bench", "[floor]", "measure this program against a floor in the same run", `See kanvas bench --help for its own flags.`, []string{}, benchmark},
	}
}

// run is main without the process: everything it needs is passed in.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		usage(stdout)
		return nil
	}
	if args[0] == shrinking { // not for people
		return pictures.Serve(os.Stdin, stdout)
	}
	for _, c := range subcommands() {
		if c.name == args[0] {
			return c.start(ctx, args[1:], getenv, stdout, stderr)
		}
	}
	usage(stderr)
	return fmt.Errorf("there is no command %q", args[0])
}

func (c subcommand) start(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if c.flags == nil || len(c.flags) > 0 {
		config.Register(fs, c.flags...)
	}
	switch c.name {
	case "token":
		fs.Duration("ttl", defaultTokenLife, "how long the token holds")
		fs.String("name", "", "the name that others see (default: USER)")
	case "rebuild":
		fs.String("room", "", "only this room's rows")
		fs.String("target", "local", "local or d1: whose tables")
	case "verify":
		fs.String("target", "local", "local or d1: whose tables")
	case "export":
		fs.String("user", "", "whose data")
	case "keys":
		fs.Bool("prepare", false, "rotate: only make the next master key")
		fs.String("recipient", "", "backup: age1…, whose identity alone opens it, in place of the passphrase")
		fs.String("identity", "", "restore: file of the identity (age-keygen makes it) that the backup is for")
	case "assets":
		fs.Bool("dry-run", false, "only say what would be done")
	case "spending":
		fs.String("month", "", "such as 2026-01; empty: this one")
		fs.String("user", "", "only what this person spent")
		fs.String("room", "", "only what was spent in this room")
	case "copy":
		fs.String("from", "", "local or cloudflare")
		fs.String("to", "", "cloudflare or local")
		fs.Bool("dry-run", false, "only say what would be copied")
	case "doctor":
		fs.Bool("json", false, "print one JSON object")
	case "provision":
		fs.String("wrangler", "infra/edge/wrangler.toml", "the Worker's settings")
		fs.String("env", "", "environment of wrangler.toml, such as production; empty: its top level")
		fs.String("env-file", "", "file that the room server's settings are written to, mode 0600 (default DIR/cloudflare.env)")
		fs.String("origin", "", "URL under which the Worker finds the room server (default: ORIGIN of wrangler.toml)")
		fs.Bool("dry-run", false, "only say what would be done")
		fs.Bool("yes", false, "do it without asking")
	case "bench": // parses its own
		return c.run(ctx, &call{args: args, getenv: getenv, stdout: stdout, stderr: stderr})
	}
	rest, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stdout, "kanvas %s %s\n%s.\n\n%s\n\nFlags (and the environment variables that say the same):\n", c.name, c.args, upper(c.short), c.long)
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w (see kanvas %s --help)", c.name, err, c.name)
	}
	cfg, err := config.Load(fs, getenv)
	if err != nil {
		return fmt.Errorf("settings:\n%w", err)
	}
	return c.run(ctx, &call{cfg: cfg, fs: fs, args: rest, getenv: getenv, stdout: stdout, stderr: stderr})
}

// parse takes flags before and after the arguments.
func parse(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

func upper(s string) string { return string(s[0]-'a'+'A') + s[1:] }

func usage(w io.Writer) {
	fmt.Fprintln(w, "Kanvas: an infinite canvas where people and AI work together, live. Nothing acknowledged is ever lost.")
	fmt.Fprintln(w, "\nUsage: kanvas COMMAND [flags]")
	fmt.Fprintln(w)
	for _, c := range subcommands() {
		fmt.Fprintf(w, "  %-22s %s\n", c.name+" "+c.args, c.short)
	}
	fmt.Fprintln(w, "\nkanvas COMMAND --help tells its flags. kanvas serve on defaults needs nothing else.")
}
