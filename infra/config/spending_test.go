package config

import (
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
)

func TestBudgets(t *testing.T) {
	c, err := load(t, map[string]string{"KANVAS_BUDGET_USER": "0.5", "KANVAS_BUDGET_ROOM": "none", "KANVAS_FAL_PRICES": "fal-ai/evf-sam=0.25"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (commands.BudgetLimits{User: 500_000, Room: commands.NoBudget, Server: 500 * commands.Micros}); c.Fal.Budgets != want {
		t.Errorf("%+v", c.Fal.Budgets)
	}
	if n := c.Fal.Prices.Estimate("fal-ai/evf-sam", nil); n != 250_000 {
		t.Errorf("%d", n)
	}
	if n := c.Fal.Prices.Estimate("fal-ai/bria/background/remove", nil); n != 18_000 {
		t.Errorf("what is not said again has gone: %d", n)
	}
	for _, bad := range []string{"-1", "NaN", "ten", "1e99", "Inf"} {
		if _, err := load(t, map[string]string{"KANVAS_BUDGET_SERVER": bad}); err == nil || !strings.Contains(err.Error(), "KANVAS_BUDGET_SERVER") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := load(t, map[string]string{"KANVAS_FAL_PRICES": "x=1/mile"}); err == nil {
		t.Error("a price by the mile was taken")
	}
}
