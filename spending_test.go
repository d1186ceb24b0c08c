package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/config"
)

// budgetNode is a node whose accounts are tried, until the function that it returns is called.
func budgetNode(t *testing.T, dir string) (n *node, stop func()) {
	t.Helper()
	cfg, err := config.Load(flag.NewFlagSet("serve", flag.ContinueOnError), func(name string) string { return map[string]string{"KANVAS_DATA": dir}[name] })
	if err != nil {
		t.Fatal(err)
	}
	n, err = openNode(t.Context(), cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	n.startProjections()
	return n, func() {
		t.Helper()
		if err := n.close(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}

// standings are those of a person, a room, the server and nobody.
func standings(t *testing.T, n *node) (list [4]commands.Standing) {
	t.Helper()
	ctx := t.Context()
	for i, of := range []func() (commands.Standing, error){
		func() (commands.Standing, error) { return n.budgets.Of(ctx, "ann") }, func() (commands.Standing, error) { return n.budgets.OfRoom(ctx, "r") },
		func() (commands.Standing, error) { return n.budgets.OfServer(ctx) }, func() (commands.Standing, error) { return n.budgets.Of(ctx, "") },
	} {
		var err error
		if list[i], err = of(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestLostAccounts: accounts that are lost are made again of the log's entries: what was spent by calls and generations, and what is under way.
func TestLostAccounts(t *testing.T) {
	dir := t.TempDir()
	n, stop := budgetNode(t, dir)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	do := func(who string, c domain.Command) {
		t.Helper()
		_, err := n.rooms.Do(ctx, "r", commands.Request{Actor: domain.Actor{ID: who}, Commands: []domain.Command{c}})
		must(err)
	}
	const model = "fal-ai/flux-kontext-lora"
	do("ann", domain.CreateRoom{Name: "R", Visibility: domain.Private, DefaultRole: domain.RoleViewer})
	request := func(id string, amount int64) commands.Spend {
		t.Helper()
		s := commands.Spend{ID: id, Person: "ann", Room: "r", Model: model, Amount: amount}
		must(n.budgets.Reserve(ctx, s))
		e, err := domain.ParseElement([]byte(`{"id":"` + id + `","type":"image","src":""}`))
		must(err)
		do("ann", domain.RequestGeneration{ID: id, Model: model, Result: commands.ResultImage, Request: "k1.x", Estimate: amount, Element: e})
		return s
	}
	request("under-way", 70_000)
	over := request("over", 140_000)
	do(domain.SystemID, domain.AdvanceGeneration{To: &events.GenerationFailedData{ID: "over", Code: commands.FailedResult, Detail: "no picture", Cost: 35_000}})
	must(n.budgets.Settle(ctx, over, 35_000))
	for _, who := range []string{"ann", ""} {
		settle, err := n.budgets.Calls().Reserve(ctx, commands.Payer{Person: who}, commands.FalCall{Model: "fal-ai/evf-sam", Input: []byte("{}")})
		must(err)
		settle(ctx, commands.FalAnswer{Status: 200})
	}
	before := standings(t, n)
	if ann, server := before[0], before[2]; ann.Spent != 45_000 || ann.Reserved != 70_000 || server.Spent != 55_000 || before[3].Spent != 10_000 {
		t.Fatalf("%+v", before)
	}
	must(n.log.JetStream().DeleteKeyValue(ctx, "KANVAS_BUDGETS"))
	stop()

	n, stop = budgetNode(t, dir)
	defer stop()
	if after := standings(t, n); after != before {
		t.Errorf("%+v became\n%+v", before, after)
	}
	var out bytes.Buffer
	must(n.opSpending(ctx, []string{"--user=ann"}, &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[2], `"budget":"user","spent":0.045,"reserved":0.07,"limit":20}`) || !strings.Contains(lines[0], `"model":"fal-ai/evf-sam","source":"call","count":1,"dollars":0.01`) || !strings.Contains(lines[1], `"source":"generation","count":2,"dollars":0.035`) {
		t.Errorf("%s", &out)
	}
	if err := n.opSpending(ctx, []string{"--month=soon"}, &out); err == nil {
		t.Error("a month called soon")
	}
}
