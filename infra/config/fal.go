package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
)

// Fal says how calls to fal.ai are paid for and bounded.
type Fal struct {
	Key    string            // secret; "": callers bring their own
	Models []string          // that may be run with Key, each with all below it; "*": all
	Limits []commands.Window // calls of a person, shortest first
	Budget int               // calls of everybody together, a day

	Answer  time.Duration // how long a webhook may tell that a job was taken whose answer was lost
	Timeout time.Duration // of a generation's job

	Prices  commands.Prices
	Budgets commands.BudgetLimits
}

// defaultFal allows the models that the front end runs.
func defaultFal() Fal {
	return Fal{
		Models: []string{
			"fal-ai/flux-kontext-lora", "fal-ai/bria/background", "fal-ai/evf-sam", "fal-ai/ltx-video-13b-dev", "fal-ai/bytedance/seedance",
			"fal-ai/stable-video-diffusion", "bria/video/background-removal",
		},
		Limits: []commands.Window{{Max: 5, Per: time.Minute}, {Max: 15, Per: time.Hour}, {Max: 50, Per: 24 * time.Hour}},
		Budget: 1_000,
		Answer: 10 * time.Minute, Timeout: 2 * time.Hour,
		Prices: commands.DefaultPrices(), Budgets: defaultBudgets(),
	}
}

func falSettings() []setting {
	return []setting{
		{env: "FAL_KEY", help: "key of fal.ai that calls are paid for with; empty: people bring their own", secret: true,
			set:  func(c *Config, v string) error { c.Fal.Key = v; return nil },
			show: func(c *Config) string { return c.Fal.Key }},
		{flag: "fal-models", env: "KANVAS_FAL_MODELS", help: "models that may be run with FAL_KEY, each with all below it, comma-separated; *: all",
			set:  func(c *Config, v string) error { c.Fal.Models = split(v); return nil },
			show: func(c *Config) string { return strings.Join(c.Fal.Models, ",") }},
		{flag: "fal-limits", env: "KANVAS_FAL_LIMITS", help: "calls of a person with FAL_KEY, comma-separated, shortest first",
			set: func(c *Config, v string) (err error) { c.Fal.Limits, err = parseWindows(v); return err },
			show: func(c *Config) string {
				var s []string
				for _, w := range c.Fal.Limits {
					s = append(s, fmt.Sprintf("%d/%s", w.Max, w.Per))
				}
				return strings.Join(s, ",")
			}},
		{flag: "fal-budget", env: "KANVAS_FAL_BUDGET", help: "calls of everybody together with FAL_KEY, a day",
			set: func(c *Config, v string) (err error) {
				if c.Fal.Budget, err = strconv.Atoi(v); err != nil || c.Fal.Budget < 1 {
					return errors.New("is not a whole number of at least 1")
				}
				return nil
			},
			show: func(c *Config) string { return strconv.Itoa(c.Fal.Budget) }},
		{flag: "generation-answer", env: "KANVAS_GENERATION_ANSWER", help: "how long a webhook may tell that fal.ai has a job whose answer was lost, until it is unknown",
			set:  func(c *Config, v string) error { return between(&c.Fal.Answer, v, time.Second, 24*time.Hour) },
			show: func(c *Config) string { return c.Fal.Answer.String() }},
		{flag: "generation-timeout", env: "KANVAS_GENERATION_TIMEOUT", help: "how long a job at fal.ai may take until it has failed",
			set:  func(c *Config, v string) error { return between(&c.Fal.Timeout, v, time.Minute, 7*24*time.Hour) },
			show: func(c *Config) string { return c.Fal.Timeout.String() }},
	}
}

// between reads a time that is at least least and at most most.
func between(to *time.Duration, v string, least, most time.Duration) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < least || d > most {
		return fmt.Errorf("is not a time of %s to %s", least, most)
	}
	*to = d
	return nil
}

// parseWindows reads "5/1m,15/1h".
func parseWindows(v string) ([]commands.Window, error) {
	var list []commands.Window
	for _, s := range split(v) {
		count, length, _ := strings.Cut(s, "/")
		n, err := strconv.Atoi(count)
		per, bad := time.ParseDuration(length)
		if err != nil || bad != nil || n < 1 || per < time.Second || per > 31*24*time.Hour || per%time.Millisecond != 0 {
			return nil, fmt.Errorf("%q is not a count and a time of 1s to 744h, such as 5/1m", s)
		}
		if len(list) > 0 && list[len(list)-1].Per >= per {
			return nil, errors.New("shortest first, each once")
		}
		list = append(list, commands.Window{Max: n, Per: per})
	}
	if len(list) == 0 || len(list) > 8 {
		return nil, errors.New("1 to 8 limits are needed")
	}
	return list, nil
}

func (f *Fal) problems() []error {
	if strings.ContainsFunc(f.Key, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return []error{errors.New("FAL_KEY: holds blanks or bytes that no key has")}
	}
	return nil
}
