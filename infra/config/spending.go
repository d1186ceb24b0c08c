package config

import (
	"errors"
	"math"
	"strconv"

	"github.com/infinite-kanvas/kanvas/commands"
)

// noBudget is how a budget without end is written.
const noBudget = "none"

// maxBudget bounds a budget, in US dollars.
const maxBudget = 1e9

// defaultBudgets are what may be spent with FAL_KEY in a month.
func defaultBudgets() commands.BudgetLimits {
	return commands.BudgetLimits{User: 20 * commands.Micros, Room: 100 * commands.Micros, Server: 500 * commands.Micros}
}

func spendingSettings() []setting {
	budget := func(flag, env, help string, of func(*Config) *int64) setting {
		return setting{flag: flag, env: env, help: help + ", US dollars a month; none: without end",
			set:  func(c *Config, v string) (err error) { *of(c), err = parseBudget(v); return err },
			show: func(c *Config) string { return showBudget(*of(c)) }}
	}
	return []setting{
		{flag: "fal-prices", env: "KANVAS_FAL_PRICES", help: "what models cost, MODEL=DOLLARS[/UNIT[*MOST]], comma-separated, before those that are known; UNIT is call, image, megapixel, second or tokens (a million of video), MOST what a run can come to",
			set: func(c *Config, v string) (err error) {
				c.Fal.Prices, err = commands.ParsePrices(v, commands.DefaultPrices())
				return err
			},
			show: func(c *Config) string { return c.Fal.Prices.String() }},
		budget("budget-user", "KANVAS_BUDGET_USER", "what a person may spend with FAL_KEY", func(c *Config) *int64 { return &c.Fal.Budgets.User }),
		budget("budget-room", "KANVAS_BUDGET_ROOM", "what may be spent in a room with FAL_KEY", func(c *Config) *int64 { return &c.Fal.Budgets.Room }),
		budget("budget-server", "KANVAS_BUDGET_SERVER", "what everybody together may spend with FAL_KEY", func(c *Config) *int64 { return &c.Fal.Budgets.Server }),
	}
}

func parseBudget(v string) (micros int64, err error) {
	if v == noBudget {
		return commands.NoBudget, nil
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || !(n >= 0 && n <= maxBudget) {
		return 0, errors.New("is not a number of US dollars, such as 20 or 0.5, or none")
	}
	return int64(math.Round(n * commands.Micros)), nil
}

func showBudget(micros int64) string {
	if micros == commands.NoBudget {
		return noBudget
	}
	return strconv.FormatFloat(float64(micros)/commands.Micros, 'f', -1, 64)
}
