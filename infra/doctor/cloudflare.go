package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/provision"
	"github.com/infinite-kanvas/kanvas/migrations"
)

const (
	provisionIt = "run: kanvas provision"
	slowCall    = 2 * time.Second
)

// Token looks whether the API token is alive, and what it may do. served: D1 and KV are reached with it, not through a gateway.
func Token(c *cloudflare.Client, served bool) Check {
	return Check{Name: "cloudflare token", Run: func(ctx context.Context) []Finding {
		_, status, err := provision.VerifyToken(ctx, c)
		if err != nil {
			return one(Fail(provision.Advice(c, "", err), "can't be verified: %s", late(err)))
		}
		if status != "active" {
			return one(Fail("make a new token at https://dash.cloudflare.com/profile/api-tokens", "is %s", status))
		}
		found := one(OK("is active"))
		for _, p := range provision.Probes(ctx, c) {
			name := "cloudflare token, " + p.Permission
			switch {
			case p.Err == nil:
				found = append(found, OK("has it (to read, at least)").Named(name))
			case served && p.Serving:
				found = append(found, Fail(provision.Advice(c, p.Permission, p.Err), "%s", late(p.Err)).Named(name))
			default:
				found = append(found, Warn(provision.Advice(c, p.Permission, p.Err), "only kanvas provision needs it: %s", late(p.Err)).Named(name))
			}
		}
		return found
	}}
}

// D1 looks whether the database answers, may be written, and has this program's tables.
func D1(c *cloudflare.Client, databaseID string) Check {
	return Check{Name: "d1", Run: func(ctx context.Context) []Finding {
		start := time.Now()
		if _, err := provision.Query(ctx, c, databaseID, "SELECT 1"); err != nil {
			return one(Fail(reach(c, "D1:Edit", "D1_DATABASE_ID", err), "can't be reached: %s", late(err)))
		}
		took := time.Since(start)
		found := one(OK("answers in %s", took.Round(time.Millisecond)))
		if took > slowCall {
			found = one(Warn("see https://www.cloudflarestatus.com, and how this machine reaches it", "answers in %s", took.Round(time.Millisecond)))
		}
		schema, whole := schemaOf(ctx, c, databaseID)
		found = append(found, schema.Named("d1 schema"))
		if whole {
			found = append(found, writable(ctx, c, databaseID).Named("d1 write"))
		}
		return found
	}}
}

func schemaOf(ctx context.Context, c *cloudflare.Client, databaseID string) (f Finding, whole bool) {
	all, err := migrations.All()
	if err != nil {
		return Fail("this is a fault of the program: report it", "%v", err), false
	}
	pending, err := provision.Pending(ctx, c, databaseID, all)
	if err != nil {
		return Fail("run the version of this program that made it, or give it a database of its own", "%s", late(err)), false
	}
	if len(pending) > 0 {
		return Fail(provisionIt+", or: wrangler d1 migrations apply kanvas-db --remote", "%d of %d migrations are not applied, the first is %s", len(pending), len(all), pending[0].Name), false
	}
	want := tablesOf(all)
	have, err := provision.Tables(ctx, c, databaseID, want...)
	if err != nil {
		return Fail("run it again", "%s", late(err)), false
	}
	if missing := without(want, have); len(missing) > 0 {
		return Fail("somebody dropped them: make a new database with kanvas provision, then: kanvas rebuild", "tables are missing: %s", strings.Join(missing, ", ")), false
	}
	return OK("all %d migrations, %d tables", len(all), len(want)), true
}

// tablesOf are the tables that the migrations make.
func tablesOf(all []migrations.Migration) (names []string) {
	for _, m := range all {
		for _, s := range m.Statements() {
			for line := range strings.Lines(s) {
				if rest, found := strings.CutPrefix(line, "CREATE TABLE "); found {
					names = append(names, strings.TrimRight(strings.Fields(rest)[0], "("))
				}
			}
		}
	}
	return names
}

func without(all, some []string) (rest []string) {
	in := map[string]bool{}
	for _, s := range some {
		in[s] = true
	}
	for _, s := range all {
		if !in[s] {
			rest = append(rest, s)
		}
	}
	return rest
}

// writable asks for a write that touches no row.
func writable(ctx context.Context, c *cloudflare.Client, databaseID string) Finding {
	if _, err := provision.Query(ctx, c, databaseID, "UPDATE rooms SET name = name WHERE 1 = 0"); err != nil {
		return Fail(reach(c, "D1:Edit", "D1_DATABASE_ID", err), "can't be written: %s", late(err))
	}
	return OK("is allowed")
}

// reach advises on a call of D1 or KV that failed: through the gateway the API token doesn't matter.
func reach(c *cloudflare.Client, permission, id string, err error) string {
	if c.Metered() {
		return provision.Advice(c, permission, err) + "; check " + id
	}
	return fmt.Sprintf("check KANVAS_GATEWAY_URL, KANVAS_GATEWAY_SECRET, CLOUDFLARE_ACCOUNT_ID and %s against what kanvas provision wrote; %s deploys the Worker again", id, provisionIt)
}

// Cache is what is asked of the KV namespace.
type Cache interface {
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	List(ctx context.Context, prefix string, yield func(key string) bool) error
}

const (
	cacheProbe = "doctor:probe"
	probeTTL   = time.Minute // Cloudflare's shortest
	manyRooms  = 1000        // keys that are counted at most
)

// KV lists the entries of rooms, and writes and reads one of its own.
func KV(c *cloudflare.Client, kv Cache) Check {
	return Check{Name: "kv", Run: func(ctx context.Context) []Finding {
		n := 0
		err := kv.List(ctx, "rooms:", func(string) bool { n++; return n < manyRooms })
		if err != nil {
			return one(Fail(reach(c, "Workers KV Storage:Edit", "KV_NAMESPACE_ID", err), "rooms: can't be listed: %s", late(err)))
		}
		found := one(OK("%d entries under rooms:", n))
		word := fmt.Sprint(time.Now().UnixNano())
		if err := kv.Put(ctx, cacheProbe, []byte(word), probeTTL); err != nil {
			return append(found, Fail(reach(c, "Workers KV Storage:Edit", "KV_NAMESPACE_ID", err), "can't be written: %s", late(err)).Named("kv write"))
		}
		got, there, err := kv.Get(ctx, cacheProbe)
		switch {
		case err != nil:
			return append(found, Fail(reach(c, "Workers KV Storage:Edit", "KV_NAMESPACE_ID", err), "can't be read: %s", late(err)).Named("kv read"))
		case !there || string(got) != word:
			return append(found, Warn("KV shows a write elsewhere within a minute: run it again", "what was written is not read yet").Named("kv read"))
		}
		return append(found, OK("write and read work").Named("kv write"))
	}}
}
