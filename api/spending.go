package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/projections"
)

// Budgets says what was spent at fal.ai and what may be. *commands.Budgets implements it.
type Budgets interface {
	Of(ctx context.Context, person string) (commands.Standing, error)
	OfRoom(ctx context.Context, room string) (commands.Standing, error)
}

// Quota says how many bytes of pictures and videos somebody keeps. *commands.Quota implements it.
type Quota interface {
	Of(ctx context.Context, person string) (commands.Usage, error)
}

// standingTimeout is how long GET /v1/me waits for what it can do without.
const standingTimeout = 2 * time.Second

const monthForm = "2006-01"

// storageJSON is how somebody stands with bytes.
type storageJSON struct {
	Used     int64 `json:"used"`
	Reserved int64 `json:"reserved"`
	Limit    int64 `json:"limit"`
}

// budgetJSON is how somebody stands with money, in millionths of a US dollar.
type budgetJSON struct {
	Month    string    `json:"month"`
	Spent    int64     `json:"spent"`
	Reserved int64     `json:"reserved"`
	Limit    *int64    `json:"limit"` // null: none
	RenewsAt time.Time `json:"renews_at"`
}

func standing(s commands.Standing) budgetJSON {
	b := budgetJSON{Month: s.Month, Spent: s.Spent, Reserved: s.Reserved}
	if s.Limit != commands.NoBudget {
		b.Limit = &s.Limit
	}
	if first, err := time.Parse(monthForm, s.Month); err == nil {
		b.RenewsAt = first.AddDate(0, 1, 0)
	}
	return b
}

// appendStandings appends `,"storage":{…},"budget":{…}`. What can't be known in time is left out: who signs in must not wait for it.
func (a *API) appendStandings(ctx context.Context, dst []byte, person string) []byte {
	ctx, cancel := context.WithTimeout(ctx, standingTimeout)
	defer cancel()
	used, err := a.cfg.Quota.Of(ctx, person)
	if err == nil {
		dst = appendMember(dst, "storage", storageJSON{used.Kept, used.Reserved, used.Limit})
	}
	budget, also := a.cfg.Budgets.Of(ctx, person)
	if also == nil {
		dst = appendMember(dst, "budget", standing(budget))
	}
	if err = errors.Join(err, also); err != nil {
		a.cfg.Logger.Warn("standing_unknown", slog.String("userId", person), slog.String("error", err.Error()))
	}
	return dst
}

func appendMember(dst []byte, name string, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and strings
	}
	return append(append(append(append(dst, `,"`...), name...), `":`...), b...)
}

// spendingJSON is what was spent in a month. Money is in millionths of a US dollar.
type spendingJSON struct {
	Month  string          `json:"month"`
	Spent  int64           `json:"spent"`
	Count  int             `json:"count"` // runs, whatever came of them
	Kept   int             `json:"kept"`  // of generations whose result a room shows
	Models []modelSpending `json:"models"`
	People []userSpending  `json:"people,omitempty"`
	Budget *budgetJSON     `json:"budget,omitempty"` // of this month
}

type modelSpending struct {
	Model  string `json:"model"`
	Source string `json:"source"`
	Count  int    `json:"count"`
	Kept   int    `json:"kept"`
	Spent  int64  `json:"spent"`
}

type userSpending struct {
	UserID string `json:"user_id"`
	Name   string `json:"name"`
	Count  int    `json:"count"`
	Kept   int    `json:"kept"`
	Spent  int64  `json:"spent"`
}

// mySpending is GET /v1/me/spending.
func (a *API) mySpending(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	out, err := a.spending(c, projections.SpendingFilter{User: q.user}, a.cfg.Budgets.Of, q.user)
	if err != nil {
		return err
	}
	return a.answerJSON(c, out)
}

// roomSpending is GET /v1/rooms/:id/spending.
func (a *API) roomSpending(c echo.Context) error {
	if err := requestOf(c).signedIn(); err != nil {
		return err
	}
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	out, err := a.spending(c, projections.SpendingFilter{Room: room}, a.cfg.Budgets.OfRoom, room)
	if err != nil {
		return err
	}
	return a.answerJSON(c, out)
}

func (a *API) answerJSON(c echo.Context, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return a.json(c, http.StatusOK, b)
}

// spending sums up a month: that of ?month, else this one. It holds what was over when the request came.
func (a *API) spending(c echo.Context, f projections.SpendingFilter, of func(context.Context, string) (commands.Standing, error), whose string) (*spendingJSON, error) {
	this := a.cfg.Clock().UTC().Format(monthForm)
	month := this
	if c.QueryParams().Has("month") {
		month = c.QueryParam("month")
	}
	first, err := time.Parse(monthForm, month)
	if err != nil {
		return nil, badRequest("month: is not one such as 2026-01")
	}
	f.From, f.To = first.UnixMilli(), first.AddDate(0, 1, 0).UnixMilli()
	ctx, cancel := context.WithTimeout(c.Request().Context(), minRevisionWait)
	defer cancel()
	if err := a.cfg.Progress.WaitHead(ctx); err != nil {
		return nil, err
	}
	rows, err := a.cfg.Queries.Spending(ctx, f)
	if err != nil {
		return nil, err
	}
	out := a.sum(ctx, month, rows, f.Room != "")
	if month == this {
		s, err := of(ctx, whose)
		if err != nil {
			return nil, err
		}
		b := standing(s)
		out.Budget = &b
	}
	return out, nil
}

// sum adds rows up by model, and by people where that is asked for, in the order of first use.
func (a *API) sum(ctx context.Context, month string, rows []projections.SpendingRow, byPeople bool) *spendingJSON {
	out := &spendingJSON{Month: month, Models: []modelSpending{}}
	models, people := map[[2]string]int{}, map[string]int{}
	for i := range rows {
		r := &rows[i]
		out.Spent, out.Count, out.Kept = out.Spent+r.Cost, out.Count+r.Count, out.Kept+r.Kept
		n, ok := models[[2]string{r.Model, r.Source}]
		if !ok {
			n = len(out.Models)
			models[[2]string{r.Model, r.Source}] = n
			out.Models = append(out.Models, modelSpending{Model: r.Model, Source: r.Source})
		}
		m := &out.Models[n]
		m.Count, m.Kept, m.Spent = m.Count+r.Count, m.Kept+r.Kept, m.Spent+r.Cost
		if !byPeople {
			continue
		}
		if n, ok = people[r.UserID]; !ok {
			n = len(out.People)
			people[r.UserID] = n
			out.People = append(out.People, userSpending{UserID: r.UserID, Name: a.cfg.Users.Profile(ctx, r.UserID).Name})
		}
		p := &out.People[n]
		p.Count, p.Kept, p.Spent = p.Count+r.Count, p.Kept+r.Kept, p.Spent+r.Cost
	}
	return out
}
